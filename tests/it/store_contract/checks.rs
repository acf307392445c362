//! Which connections are looked at, and when: taken by one, put off, and never with a dead token.

use super::{MOORING, NOW, Shelf, connection, oauth, pasted};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{Actor, Connection, ConnectionId, EventKind, Failure, Method, Reason, RenewalKind},
    store::{CheckLimits, Fault, NextCredential},
};
use std::collections::HashSet;
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

const HOLD: Duration = Duration::minutes(10);
const MANY: CheckLimits = CheckLimits { in_all: 100, of_each_base_url: 100 };
const ASKED: Actor = Actor::CommandLine;

/// A connection by pasted token whose check is due.
async fn due(shelf: &Shelf, name: &str, expires_at: Option<OffsetDateTime>) -> Connection {
    let mut by_hand = connection(name, None);
    by_hand.method = Method::AccessToken;
    by_hand.credential.renewal = RenewalKind::Manual;
    let credential = mooring::domain::Credential { expires_at, ..pasted("access") };
    let made = shelf.with(&by_hand, &credential).await.connection;
    shelf.store.plan_check(&made, NOW).await.unwrap();
    made
}

async fn taken(shelf: &Shelf, now: OffsetDateTime) -> Vec<ConnectionId> {
    let due = shelf.store.take_checks(now, HOLD, MANY).await.unwrap();
    due.into_iter().map(|due| due.connection).collect()
}

on_both!(a_new_credential_is_planned_before_it_is_looked_at, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let was = shelf.plain("acme").await.connection;
    assert_eq!(store.take_unplanned_checks(NOW + Duration::DAY).await.unwrap(), [was.id]);
    assert!(store.take_unplanned_checks(NOW).await.unwrap().is_empty(), "one replica plans it");
    assert!(taken(&shelf, NOW).await.is_empty());
    assert_eq!(taken(&shelf, NOW + Duration::DAY).await, [was.id], "also if nobody planned it better");

    let next = NextCredential { credential: &oauth("access-2", "refresh-2"), renew_at: None };
    store.replace_credential(&was, &was, next, EventKind::Reauthorized, &MOORING).await.unwrap();
    store.plan_check(&was, NOW).await.unwrap();
    assert!(
        taken(&shelf, NOW).await.is_empty(),
        "what was found of the old one plans nothing for the new one"
    );
    assert_eq!(store.take_unplanned_checks(NOW).await.unwrap(), [was.id]);
});

on_both!(two_takers_never_have_the_same_check, async |on: On| {
    let shelf = Shelf::open(on).await;
    for at in 0..20 {
        due(&shelf, &at.to_string(), None).await;
    }
    let mut takers = JoinSet::new();
    for _ in 0..6 {
        let store = shelf.store.clone();
        takers.spawn(async move {
            let two = CheckLimits { in_all: 2, ..MANY };
            let mut taken = Vec::new();
            for _ in 0..4 {
                taken.extend(store.take_checks(NOW, HOLD, two).await.unwrap());
            }
            taken
        });
    }
    let first: Vec<_> = takers.join_all().await.into_iter().flatten().map(|due| due.connection).collect();
    let different: HashSet<_> = first.iter().collect();
    assert_eq!(different.len(), first.len(), "each has one taker");
    assert_eq!(first.len() + taken(&shelf, NOW).await.len(), 20, "and none is lost");
    assert!(taken(&shelf, NOW + HOLD - Duration::SECOND).await.is_empty());
    assert_eq!(taken(&shelf, NOW + HOLD).await.len(), 20, "what was never made comes again");
});

on_both!(one_instance_with_many_holds_up_no_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    for at in 0..9 {
        due(&shelf, &at.to_string(), None).await;
    }
    let elsewhere = due(&shelf, "elsewhere", None).await.id;
    let moved =
        format!("update connections set base_url = 'https://b.example' where connection_id = '{elsewhere}'");
    shelf.run(moved).await;
    let limits = CheckLimits { in_all: 100, of_each_base_url: 4 };
    let taken = shelf.store.take_checks(NOW, HOLD, limits).await.unwrap();
    assert_eq!(taken.len(), 5);
    assert!(taken.iter().any(|due| due.connection == elsewhere && due.base_url == "https://b.example"));
});

on_both!(dead_tokens_and_failing_circuits_are_left_out, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let stopped = due(&shelf, "stopped", None).await;
    store.stop(&stopped, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    let ending = due(&shelf, "ending", Some(NOW + Duration::HOUR)).await;
    due(&shelf, "ended", Some(NOW)).await;
    let by_oauth = shelf.plain("oauth").await.connection;
    store.plan_check(&by_oauth, NOW + Duration::SECOND).await.unwrap();
    let fault = Fault {
        code: Reason::IntegrationMisconfigured,
        message: "wrong secret".into(),
        limit: 1,
        probe_at: NOW + Duration::DAY,
    };
    store.note_fault(&by_oauth, &fault, NOW).await.unwrap();
    let later = NOW + Duration::SECOND;
    assert_eq!(taken(&shelf, later).await, [ending.id]);
    store.close_breaker(&by_oauth, NOW).await.unwrap();
    assert_eq!(taken(&shelf, later).await, [by_oauth.id]);
});

on_both!(a_check_of_our_own_is_logged_only_if_it_finds_something, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let was = shelf.plain("acme").await.connection;
    let told = async || {
        let events = store.list_events(None, None, 100).await.unwrap();
        events.into_iter().rev().map(|logged| logged.event.kind).skip(1).collect::<Vec<_>>()
    };
    store.keep_check(&was, &was, NOW, &MOORING).await.unwrap();
    assert_eq!(told().await, [], "all is as it was");
    store.keep_check(&was, &was, NOW, &ASKED).await.unwrap();
    assert_eq!(told().await, [EventKind::Checked], "somebody wanted to know");

    let mut renamed = was.clone();
    renamed.account.as_mut().unwrap().name = Some("Alice B. Adams".into());
    store.keep_check(&was, &renamed, NOW, &MOORING).await.unwrap();
    assert_eq!(told().await[1..], [EventKind::Checked], "other replicas must hear of it");

    for _ in 0..3 {
        let was = shelf.held(was.id).await.connection;
        store.note_failed_check(&was, Reason::ProviderError, "502", NOW, &MOORING).await.unwrap();
    }
    assert_eq!(told().await[2..], [EventKind::Degraded], "once");
    let failing = shelf.held(was.id).await.connection;
    store.note_failed_check(&failing, Reason::AccountBlocked, "blocked", NOW, &MOORING).await.unwrap();
    store.note_failed_check(&failing, Reason::ProviderError, "502", NOW, &ASKED).await.unwrap();
    assert_eq!(told().await[3..], [EventKind::Checked, EventKind::Checked], "another reason; a person");
    let failing = shelf.held(was.id).await.connection;
    store.keep_check(&failing, &renamed_as(&failing, &renamed), NOW, &MOORING).await.unwrap();
    assert_eq!(told().await[5..], [EventKind::Recovered]);
});

fn renamed_as(failing: &Connection, renamed: &Connection) -> Connection {
    Connection { account: renamed.account.clone(), ..failing.clone() }
}

on_both!(a_check_does_not_hide_that_a_refresh_token_was_lost, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let id = shelf.plain("acme").await.connection.id;
    let lost = "update credentials set failure_code = 'renewal_answer_lost', failure_message = 'lost',
                       failure_since = 1, failure_attempts = 1";
    shelf.run(lost).await;
    let was = shelf.held(id).await.connection;
    store.keep_check(&was, &was, NOW, &MOORING).await.unwrap();
    store.note_failed_check(&was, Reason::ProviderError, "502", NOW, &MOORING).await.unwrap();
    let failure: Failure = shelf.held(id).await.connection.credential.failure.unwrap();
    assert_eq!(failure.code, Reason::RenewalAnswerLost);
    assert_eq!(store.last_event().await.unwrap(), 1);
});
