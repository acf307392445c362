//! What a renewal stands on: the lease, what is due, the journal.

use super::{MOORING, NOW, Shelf, connection, oauth, pasted};
use crate::support::app::{On, on_both};
use mooring::{
    domain::{BaseUrl, Connection, ConnectionId, Reason, RenewalKind},
    store::{RenewalCause, RenewalFailure, RenewalOutcome},
};
use std::time::Duration as Length;
use time::Duration;
use tokio::task::JoinSet;

const A_MINUTE: Length = Length::from_mins(1);

on_both!(sixteen_claim_and_one_has_the_lease, async |on: On| {
    let shelf = Shelf::open(on).await;
    let id = shelf.plain("acme").await.connection.id;
    let mut claims = JoinSet::new();
    for holder in 0..16 {
        let store = shelf.store.clone();
        claims.spawn(async move {
            let won = store.claim_lease(id, &format!("holder-{holder}"), A_MINUTE).await.unwrap();
            won.then(|| format!("holder-{holder}"))
        });
    }
    let winners: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");

    let store = &shelf.store;
    store.release_lease(id, "somebody else").await.unwrap();
    assert!(!store.claim_lease(id, "next", A_MINUTE).await.unwrap(), "only its holder gives it back");
    store.release_lease(id, &winners[0]).await.unwrap();
    assert!(store.claim_lease(id, "next", A_MINUTE).await.unwrap());
    assert!(!store.claim_lease(id, "next", A_MINUTE).await.unwrap(), "nor is it taken twice by one");
    assert!(!store.claim_lease(ConnectionId::fresh(), "next", A_MINUTE).await.unwrap());
});

on_both!(a_lease_ends_by_itself, async |on: On| {
    let shelf = Shelf::open(on).await;
    let id = shelf.plain("acme").await.connection.id;
    assert!(shelf.store.claim_lease(id, "died", Length::ZERO).await.unwrap());
    assert!(shelf.store.claim_lease(id, "next", A_MINUTE).await.unwrap());
    shelf.store.release_lease(id, "died").await.unwrap();
    assert!(!shelf.store.claim_lease(id, "third", A_MINUTE).await.unwrap(), "the late one frees nothing");
});

on_both!(what_is_due_comes_longest_due_first, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let due = async |name: &str, minutes: Option<i64>| {
        let mut connection = connection(name, None);
        connection.credential.renew_at = minutes.map(|m| NOW - Duration::minutes(m));
        let credential = if minutes.is_some() { oauth("a", "r") } else { pasted("t") };
        shelf.with(&connection, &credential).await.connection
    };
    let (five, nine, exactly) = (due("5", Some(5)).await, due("9", Some(9)).await, due("0", Some(0)).await);
    due("in a minute", Some(-1)).await;
    due("never", None).await;
    let (stopped, leased, waits, again) =
        (due("s", Some(7)).await, due("l", Some(7)).await, due("w", Some(7)).await, due("a", Some(7)).await);
    store.stop(&stopped, Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    store.claim_lease(leased.id, "somebody", A_MINUTE).await.unwrap();
    for (failed, next_attempt_at) in [(&waits, NOW + Duration::SECOND), (&again, NOW)] {
        let attempt = store.begin_renewal(failed, RenewalCause::Due, NOW).await.unwrap();
        let failure = RenewalFailure {
            code: Reason::ProviderError,
            message: "502".into(),
            next_attempt_at: Some(next_attempt_at),
            stopped: None,
        };
        store.fail_renewal(failed, attempt, RenewalOutcome::Unavailable, &failure, NOW).await.unwrap();
    }
    let expected = [nine.id, again.id, five.id, exactly.id];
    assert_eq!(store.due_for_renewal(NOW, 10).await.unwrap(), expected);
    assert_eq!(store.due_for_renewal(NOW, 2).await.unwrap(), expected[..2]);
    store.release_lease(leased.id, "somebody").await.unwrap();
    assert!(store.due_for_renewal(NOW, 10).await.unwrap().contains(&leased.id));
    assert!(store.due_for_renewal(NOW - Duration::HOUR, 10).await.unwrap().is_empty());
});

on_both!(the_journal_tells_newest_first, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    let mut ids = Vec::new();
    for cause in [RenewalCause::Due, RenewalCause::HandOut, RenewalCause::Refused, RenewalCause::Requested] {
        ids.push(store.begin_renewal(&was, cause, NOW).await.unwrap());
    }
    let all = store.list_renewals(was.id, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|r| r.id).rev().collect::<Vec<_>>(), ids);
    let newest = &all[0];
    assert_eq!((newest.cause, newest.renewal), (RenewalCause::Requested, RenewalKind::Refresh));
    assert_eq!((newest.generation, newest.started_at, newest.finished_at), (1, NOW, None));
    assert!(newest.outcome.is_none() && newest.detail.is_none(), "it is under way, or was cut off");
    let page = store.list_renewals(was.id, Some(ids[2]), 1).await.unwrap();
    assert_eq!(page.iter().map(|r| r.id).collect::<Vec<_>>(), [ids[1]]);
    assert!(store.list_renewals(ConnectionId::fresh(), None, 10).await.unwrap().is_empty());
});

on_both!(an_answer_is_sealed_and_stays_only_while_it_is_needed, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    let answer = b"{\"access_token\":\"canary\"}";
    for outcome in [RenewalOutcome::Uncertain, RenewalOutcome::Rejected, RenewalOutcome::Superseded] {
        let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
        let kept = format!("select answer from renewals where renewal_id = '{attempt}'");
        assert_eq!(shelf.bytes(kept.as_str()).await, None);
        let sealed = store.seal_answer(&was, attempt, answer);
        assert!(sealed.len() > answer.len() && !sealed.windows(6).any(|w| w == b"canary"));
        assert!(store.keep_answer(attempt, &sealed).await.unwrap());
        assert_eq!(shelf.bytes(kept.as_str()).await, Some(sealed.clone()));
        let failure = RenewalFailure {
            code: Reason::RenewalAnswerLost,
            message: "cut off".into(),
            next_attempt_at: None,
            stopped: None,
        };
        store.fail_renewal(&was, attempt, outcome, &failure, NOW).await.unwrap();
        assert!(shelf.bytes(kept.as_str()).await.is_some(), "{outcome}: it may be all there is");
        let taken = store.keep_answer(attempt, &sealed).await.unwrap();
        assert_eq!(taken, outcome == RenewalOutcome::Uncertain, "{outcome}: one from the spool comes late");
        if taken {
            store.close_renewal(attempt, outcome, NOW).await.unwrap();
        }
    }
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let sealed = store.seal_answer(&was, attempt, answer);
    assert!(store.keep_answer(attempt, &sealed).await.unwrap());
    store.close_renewal(attempt, RenewalOutcome::Renewed, NOW).await.unwrap();
    assert!(!store.keep_answer(attempt, &sealed).await.unwrap(), "the credential has it");
    assert_eq!(
        shelf.bytes(format!("select answer from renewals where renewal_id = '{attempt}'")).await,
        None
    );
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let failure = RenewalFailure {
        code: Reason::RenewalAnswerLost,
        message: "cut off".into(),
        next_attempt_at: None,
        stopped: None,
    };
    store.fail_renewal(&was, attempt, RenewalOutcome::Uncertain, &failure, NOW).await.unwrap();
    let last = &store.list_renewals(was.id, None, 1).await.unwrap()[0];
    assert_eq!((last.detail.as_deref(), last.finished_at), (Some("cut off"), Some(NOW)));
});

on_both!(what_a_crash_left_open_is_found_again, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (was, other) = (shelf.plain("acme").await.connection, shelf.plain("other").await.connection);
    let store = &shelf.store;
    let silent = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let answered = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    store.keep_answer(answered, &store.seal_answer(&was, answered, b"{}")).await.unwrap();

    store.claim_lease(was.id, "at work", A_MINUTE).await.unwrap();
    assert!(store.unfinished_renewals(None).await.unwrap().is_empty(), "somebody is at work on it");
    assert_eq!(store.unfinished_renewals(Some(was.id)).await.unwrap().len(), 2, "and may ask for its own");
    store.release_lease(was.id, "at work").await.unwrap();
    let found = store.unfinished_renewals(None).await.unwrap();
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.id, first.connection, first.generation, first.started_at), (silent, was.id, 1, NOW));
    assert!(store.open_answer(&was, first).unwrap().is_none(), "none had come");
    assert_eq!(**store.open_answer(&was, second).unwrap().expect("it came"), *b"{}");
    let elsewhere =
        Connection { base_url: BaseUrl::parse_typed("https://evil.example.com").unwrap(), ..other };
    assert!(store.open_answer(&elsewhere, second).is_err(), "it is an answer of one address");

    assert!(store.doubtful_since(&was, Some(silent)).await.unwrap().is_some(), "the other one is open");
    store.close_renewal(answered, RenewalOutcome::Superseded, NOW + Duration::HOUR).await.unwrap();
    let doubt = store.doubtful_since(&was, Some(silent)).await.unwrap();
    assert_eq!(doubt, None, "an attempt is no doubt of its own");
    assert_eq!(shelf.held(was.id).await.connection.credential.renew_at, Some(NOW + Duration::HOUR));
    store.close_unanswered(first, NOW + Duration::MINUTE).await.unwrap();
    assert_eq!(store.doubtful_since(&was, None).await.unwrap(), Some(NOW));
    let due = shelf.held(was.id).await.connection.credential.renew_at;
    assert_eq!(due, Some(NOW + Duration::MINUTE), "only the provider knows, so it is asked at once");
    store.close_renewal(silent, RenewalOutcome::Superseded, NOW).await.unwrap();
    let doubt = store.doubtful_since(&was, Some(answered)).await.unwrap();
    assert!(doubt.is_some(), "what is closed stays as it was closed");
    assert!(store.unfinished_renewals(None).await.unwrap().is_empty());
    let newest = &store.list_renewals(was.id, None, 1).await.unwrap()[0];
    assert_eq!((newest.id, newest.outcome), (answered, Some(RenewalOutcome::Superseded)));
    assert_eq!((newest.finished_at, newest.detail.as_deref()), (Some(NOW + Duration::HOUR), None));
    let kept = format!("select answer from renewals where renewal_id = '{answered}'");
    assert!(shelf.bytes(kept).await.is_some(), "what was not understood stays");
});

on_both!(an_answer_that_comes_late_opens_its_attempt_again, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    let late = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let open = store.unfinished_renewals(None).await.unwrap();
    store.close_unanswered(&open[0], NOW).await.unwrap();
    assert!(store.keep_answer(late, &store.seal_answer(&was, late, b"{}")).await.unwrap());
    assert_eq!(store.unfinished_renewals(None).await.unwrap()[0].id, late);
    store.close_renewal(late, RenewalOutcome::Superseded, NOW).await.unwrap();
    assert!(!store.keep_answer(late, b"again").await.unwrap(), "that one had its outcome");
});

on_both!(only_its_holder_lets_a_lease_last, async |on: On| {
    let shelf = Shelf::open(on).await;
    let id = shelf.plain("acme").await.connection.id;
    let store = &shelf.store;
    store.claim_lease(id, "at work", Length::ZERO).await.unwrap();
    assert!(!store.extend_lease(id, "somebody else", A_MINUTE).await.unwrap());
    assert!(store.extend_lease(id, "at work", A_MINUTE).await.unwrap());
    assert!(!store.claim_lease(id, "next", A_MINUTE).await.unwrap());
});

on_both!(a_fault_of_all_is_nobodys_own, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let failure = RenewalFailure {
        code: Reason::IntegrationMisconfigured,
        message: "wrong secret".into(),
        next_attempt_at: Some(NOW + Duration::MINUTE),
        stopped: None,
    };
    let outcome = RenewalOutcome::Misconfigured;
    store.fail_with_circuit(&was, attempt, outcome, &failure, NOW + Duration::HOUR).await.unwrap();
    let facts = shelf.held(was.id).await.connection.credential;
    assert_eq!((facts.failure, facts.rejections), (None, 0));
    assert!(store.due_for_renewal(NOW + Duration::HOUR, 9).await.unwrap().contains(&was.id));
    store.put_off_renewal(&was, NOW + Duration::DAY).await.unwrap();
    assert!(store.due_for_renewal(NOW + Duration::hours(2), 9).await.unwrap().is_empty());
    let last = &store.list_renewals(was.id, None, 1).await.unwrap()[0];
    assert_eq!((last.outcome, last.detail.as_deref()), (Some(outcome), Some("wrong secret")));
});

on_both!(a_predecessors_lease_holds_nothing_back_where_there_is_one_process, async |on: On| {
    let shelf = Shelf::open(on).await;
    let id = shelf.plain("acme").await.connection.id;
    shelf.store.claim_lease(id, "killed", A_MINUTE).await.unwrap();
    shelf.store.drop_leases_of_predecessor().await.unwrap();
    assert_eq!(shelf.store.claim_lease(id, "next", A_MINUTE).await.unwrap(), on == On::Sqlite);
});
