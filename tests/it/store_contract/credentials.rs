//! Credentials: they open where they were put, and a stale writer changes nothing.

use super::{MOORING, NOW, Shelf, connection, oauth, open, pasted, refresh_token, renewed};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{Connection, ConnectionId, EventKind, Reason, Renewal, RenewalKind, Scopes, Secret, TokenKind},
    store::{NextCredential, RenewalCause, RenewalFailure, RenewalOutcome, StoreError},
    vault::VaultError,
};
use std::slice;
use time::Duration;

on_both!(a_credential_opens_with_its_tokens, async |on: On| {
    let shelf = Shelf::open(on).await;
    let held = shelf.with(&connection("oauth", None), &oauth("access-ü\u{1F511}", "refresh-\u{0}\n")).await;
    assert_eq!(held.credential.access_token.expose(), "access-ü\u{1F511}");
    assert_eq!(refresh_token(&held.credential), Some("refresh-\u{0}\n"));
    assert_eq!(held.credential.scopes, Scopes::parse("read_user api"));
    assert_eq!(
        (held.credential.obtained_at, held.credential.expires_at),
        (NOW, Some(NOW + Duration::hours(2)))
    );

    for renewal in [Renewal::Manual, Renewal::SelfRotate] {
        let mut credential = pasted("access-2");
        credential.renewal = renewal;
        let kind = credential.renewal.kind();
        let held = shelf.with(&connection(kind.as_str(), None), &credential).await;
        assert_eq!(held.credential.renewal.kind(), kind);
        assert_eq!((held.credential.access_token.expose(), held.credential.expires_at), ("access-2", None));
    }
    assert!(shelf.store.open_credential(ConnectionId::fresh()).await.unwrap().is_none());
});

on_both!(a_token_that_was_brought_is_known_again, async |on: On| {
    let shelf = Shelf::open(on).await;
    let is_brought = async |id, token: &str| shelf.store.is_brought(id, &Secret::new(token)).await.unwrap();
    let held = shelf.with(&connection("pasted", None), &pasted("access-1")).await;
    let id = held.connection.id;
    assert!(is_brought(id, "access-1").await && !is_brought(id, "access-2").await);
    let next = NextCredential { credential: &pasted("access-2"), renew_at: None };
    shelf
        .store
        .replace_credential(&held.connection, &held.connection, next, EventKind::Rotated, &MOORING)
        .await
        .unwrap();
    assert!(!is_brought(id, "access-1").await && is_brought(id, "access-2").await);
    let consented =
        shelf.with(&connection("oauth", None), &oauth("access-3", "refresh-3")).await.connection.id;
    assert!(is_brought(consented, "access-3").await, "it is the one that is held");
    assert!(!is_brought(ConnectionId::fresh(), "access-1").await);
});

on_both!(a_credential_opens_nowhere_else, async |on: On| {
    let shelf = Shelf::open(on).await;
    let id = shelf.plain("one").await.connection.id;
    let other = shelf.with(&connection("two", None), &oauth("access-b", "refresh-b")).await.connection.id;
    let attacks = [
        ("update connections set base_url = 'https://evil.example.com'", "https://gitlab.example.com/sub"),
        ("update credentials set generation = 2", "generation = 1"),
    ];
    for (attack, undo) in attacks {
        assert_eq!(shelf.run(format!("{attack} where connection_id = '{id}'")).await, 1);
        let opened = shelf.store.open_credential(id).await;
        assert!(matches!(opened, Err(StoreError::Vault(VaultError::Open))), "{attack}");
        let undo = match undo.strip_prefix("https") {
            Some(rest) => format!("update connections set base_url = 'https{rest}'"),
            None => format!("update credentials set {undo}"),
        };
        shelf.run(format!("{undo} where connection_id = '{id}'")).await;
        assert_eq!(shelf.held(id).await.credential.access_token.expose(), "access-1");
    }
    for (into, from) in [("access_token", "refresh_token"), ("refresh_token", "access_token")] {
        shelf
            .run(format!(
                "create table kept as select {into} as value from credentials where connection_id = '{id}'"
            ))
            .await;
        shelf.run(format!("update credentials set {into} = {from} where connection_id = '{id}'")).await;
        assert!(shelf.store.open_credential(id).await.is_err(), "{from} in the place of {into}");
        shelf
            .run(format!(
                "update credentials set {into} = (select value from kept) where connection_id = '{id}'"
            ))
            .await;
        shelf.run("drop table kept").await;
    }
    let swap = format!(
        "update credentials
                set access_token = (select access_token from credentials where connection_id = '{other}')
              where connection_id = '{id}'"
    );
    shelf.run(swap).await;
    assert!(shelf.store.open_credential(id).await.is_err(), "another connection's token");
});

on_both!(a_replaced_credential_takes_everything_of_the_old_one_away, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    store.note_failed_check(&was, Reason::ProviderError, "502", NOW, &MOORING).await.unwrap();
    store.stop(&was, Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    let later = NOW + Duration::HOUR;
    let next = Connection {
        token_kind: TokenKind::Personal,
        account: None,
        use_cases: vec![],
        checks: vec![],
        updated_at: later,
        ..was.clone()
    };
    let replacement = pasted("access-2");
    let credential = NextCredential { credential: &replacement, renew_at: Some(later) };
    let generation =
        store.replace_credential(&was, &next, credential.clone(), EventKind::Rotated, &MOORING).await;
    assert_eq!(generation.unwrap(), Some(2));

    let held = shelf.held(was.id).await;
    assert_eq!(held.credential.access_token.expose(), "access-2");
    assert_eq!(held.credential.renewal.kind(), RenewalKind::Manual);
    let facts = &held.connection.credential;
    assert_eq!((facts.generation, facts.expires_at, facts.renew_at), (2, None, Some(later)));
    assert!(facts.stopped.is_none() && facts.failure.is_none());
    assert_eq!(held.connection.token_kind, TokenKind::Personal);
    assert_eq!((held.connection.account, held.connection.last_checked_at), (None, Some(later)));

    let events = store.last_event().await.unwrap();
    let stale = store.replace_credential(&was, &next, credential, EventKind::Rotated, &MOORING).await;
    assert_eq!(stale.unwrap(), None);
    assert_eq!(shelf.held(was.id).await.connection.credential.generation, 2);
    assert_eq!(store.last_event().await.unwrap(), events, "nothing happened, so nothing is told");
});

on_both!(a_renewal_is_committed_once, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    let later = NOW + Duration::HOUR;
    store.claim_lease(was.id, "me", std::time::Duration::from_mins(1)).await.unwrap();
    let first = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let late = store.begin_renewal(&was, RenewalCause::HandOut, NOW).await.unwrap();
    let credential = oauth("access-2", "refresh-2");
    let next = renewed(&credential, Some(later));
    assert_eq!(store.commit_renewal(&was, first, &next, later).await.unwrap(), Some(2));

    let credential = oauth("access-late", "refresh-late");
    let next = renewed(&credential, None);
    assert_eq!(store.commit_renewal(&was, late, &next, later).await.unwrap(), None);

    let held = shelf.held(was.id).await;
    assert_eq!(held.credential.access_token.expose(), "access-2");
    assert_eq!(refresh_token(&held.credential), Some("refresh-2"));
    let facts = &held.connection.credential;
    assert_eq!((facts.generation, facts.renew_at, facts.last_renewed_at), (2, Some(later), Some(later)));
    let journal = store.list_renewals(was.id, None, 10).await.unwrap();
    let outcomes: Vec<_> = journal.iter().map(|r| (r.id, r.outcome, r.finished_at)).collect();
    let ended = Some(later);
    let expected =
        [(late, Some(RenewalOutcome::Superseded), ended), (first, Some(RenewalOutcome::Renewed), ended)];
    assert_eq!(outcomes, expected);
    let told = store.list_events(Some(&was.id.to_string()), None, 10).await.unwrap();
    assert_eq!(told.iter().filter(|e| e.event.kind == EventKind::Renewed).count(), 1);
    // Who commits what a crash left behind goes on under its lease.
    let free = async || store.claim_lease(was.id, "other", std::time::Duration::from_mins(1)).await.unwrap();
    assert!(!free().await, "the commit left the lease alone");
    store.release_lease(was.id, "me").await.unwrap();
    assert!(free().await);
});

on_both!(a_late_answer_does_not_bring_a_connection_back, async |on: On| {
    let shelf = Shelf::open(on).await;
    let held = shelf.plain("acme").await;
    let store = &shelf.store;
    let attempt = store.begin_renewal(&held.connection, RenewalCause::Due, NOW).await.unwrap();
    assert!(store.disconnect(&held.connection, &[], NOW, &MOORING).await.unwrap());
    let next = renewed(&held.credential, None);
    assert_eq!(store.commit_renewal(&held.connection, attempt, &next, NOW).await.unwrap(), None);
    assert_eq!(shelf.number("select count(*) from credentials").await, 0);
});

on_both!(a_failed_renewal_leaves_the_tokens_alone, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    let again_at = Some(NOW + Duration::MINUTE);
    let failure = |code, stopped| RenewalFailure {
        code,
        message: "answered 502".into(),
        next_attempt_at: again_at,
        stopped,
    };
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let soft = failure(Reason::ProviderError, None);
    store.fail_renewal(&was, attempt, RenewalOutcome::Unavailable, &soft, NOW).await.unwrap();
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let hard = failure(Reason::GrantRevoked, Some(Reason::GrantRevoked));
    store.fail_renewal(&was, attempt, RenewalOutcome::Rejected, &hard, NOW + Duration::HOUR).await.unwrap();
    let held = shelf.held(was.id).await;
    assert_eq!(held.credential.access_token.expose(), "access-1");
    let facts = &held.connection.credential;
    let seen = facts.failure.as_ref().unwrap();
    assert_eq!((seen.since, seen.attempts, seen.next_attempt_at), (NOW, 2, again_at));
    assert_eq!((facts.generation, facts.stopped), (1, Some(Reason::GrantRevoked)));

    let next = NextCredential { credential: &oauth("access-2", "refresh-2"), renew_at: None };
    store.replace_credential(&was, &was, next, EventKind::Reauthorized, &MOORING).await.unwrap().unwrap();
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    let events = store.last_event().await.unwrap();
    store.fail_renewal(&was, attempt, RenewalOutcome::Rejected, &hard, NOW).await.unwrap();
    store.stop(&was, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    let facts = shelf.held(was.id).await.connection.credential;
    assert!(facts.stopped.is_none() && facts.failure.is_none(), "it was about the credential before");
    assert_eq!(store.last_event().await.unwrap(), events);
    let journal = store.list_renewals(was.id, None, 1).await.unwrap();
    assert_eq!(journal[0].outcome, Some(RenewalOutcome::Rejected), "the journal closes all the same");
});

on_both!(a_credential_is_stopped_once, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    shelf.store.stop(&was, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    shelf.store.stop(&was, Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    assert_eq!(shelf.held(was.id).await.connection.credential.stopped, Some(Reason::TokenRevoked));
    let told = shelf.store.list_events(Some(&was.id.to_string()), None, 10).await.unwrap();
    let stops: Vec<_> = told.iter().filter(|e| e.event.kind == EventKind::ActionRequired).collect();
    assert_eq!(stops.len(), 1);
    assert_eq!(stops[0].event.detail.as_deref(), Some("token_revoked"));
});

on_both!(a_connection_that_ends_takes_everything_with_it, async |on: On| {
    let shelf = Shelf::open(on).await;
    let held = shelf.plain("acme").await;
    let store = &shelf.store;
    let was = &held.connection;
    store.begin_renewal(was, RenewalCause::Due, NOW).await.unwrap();
    let next = NextCredential { credential: &oauth("access-2", "refresh-2"), renew_at: None };
    store.replace_credential(was, was, next, EventKind::Reauthorized, &MOORING).await.unwrap().unwrap();
    assert!(
        !store.disconnect(&held.connection, slice::from_ref(&held.credential), NOW, &MOORING).await.unwrap(),
        "its credential changed meanwhile"
    );
    assert_eq!(shelf.number("select count(*) from revocations").await, 0);

    let held = shelf.held(was.id).await;
    assert!(store.disconnect(&held.connection, &[], NOW, &MOORING).await.unwrap());
    assert!(!store.disconnect(&held.connection, &[], NOW, &MOORING).await.unwrap(), "it was gone");
    for table in ["connections", "credentials", "renewals", "revocations"] {
        assert_eq!(shelf.number(format!("select count(*) from {table}")).await, 0, "{table}");
    }
    let told = &store.list_events(Some(&was.id.to_string()), None, 1).await.unwrap()[0].event;
    assert_eq!((told.kind, told.detail.as_deref()), (EventKind::Disconnected, Some("acme")));
    shelf.plain("acme").await;
    open(&shelf.location, &shelf.key, &[]).await.expect("it opens");
});
