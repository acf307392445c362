//! Breakers: one alarm, one probe at a time, one word when it is over.

use super::{NOW, Shelf, connection, oauth};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{Connection, EventKind, Reason},
    store::{Fault, Store},
};
use time::{Duration, OffsetDateTime};

fn fault(code: Reason, limit: i64, probe_at: OffsetDateTime) -> Fault {
    Fault { code, message: "answered 502".into(), limit, probe_at }
}

async fn told(store: &Store, kind: EventKind) -> usize {
    let events = store.list_events(None, None, 100).await.unwrap();
    events.iter().filter(|logged| logged.event.kind == kind).count()
}

async fn is_open(shelf: &Shelf, of: &Connection) -> bool {
    shelf.held(of.id).await.connection.open_circuit().is_some()
}

on_both!(faults_in_a_row_open_a_breaker_and_one_event_tells_of_it, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (one, other) = (shelf.plain("one").await.connection, shelf.plain("other").await.connection);
    let store = &shelf.store;
    let later = NOW + Duration::MINUTE;
    for nth in 1..=4 {
        store.note_fault(&one, &fault(Reason::ProviderError, 3, later), NOW).await.unwrap();
        assert_eq!(is_open(&shelf, &other).await, nth >= 3, "after {nth}");
    }
    assert_eq!(told(store, EventKind::IntegrationFailing).await, 1);
    let open = store.open_breakers().await.unwrap();
    assert_eq!((open.len(), open[0].faults, open[0].opened_at), (1, 4, NOW));

    assert!(!store.claim_probe(&one.circuit(), NOW, later).await.unwrap(), "its time has not come");
    store.allow_probe(None, NOW).await.unwrap();
    assert!(store.claim_probe(&one.circuit(), NOW, later).await.unwrap());
    assert!(!store.claim_probe(&one.circuit(), NOW, later).await.unwrap(), "one at a time");
    store.allow_probe(Some("oauth elsewhere"), NOW).await.unwrap();
    assert!(!store.claim_probe(&one.circuit(), NOW, later).await.unwrap());

    store.close_breaker(&other, later).await.unwrap();
    store.close_breaker(&other, later).await.unwrap();
    assert!(!is_open(&shelf, &one).await);
    assert_eq!(told(store, EventKind::IntegrationRecovered).await, 1);
});

on_both!(patience_is_no_alarm, async |on: On| {
    let shelf = Shelf::open(on).await;
    let one = shelf.plain("one").await.connection;
    let store = &shelf.store;
    store.note_fault(&one, &fault(Reason::RateLimited, 1, NOW), NOW).await.unwrap();
    assert!(is_open(&shelf, &one).await);
    store.close_breaker(&one, NOW).await.unwrap();
    assert_eq!(told(store, EventKind::IntegrationFailing).await, 0);
    assert_eq!(told(store, EventKind::IntegrationRecovered).await, 0);
    store.note_fault(&one, &fault(Reason::RateLimited, 1, NOW), NOW).await.unwrap();
    store.note_fault(&one, &fault(Reason::ProviderError, 1, NOW), NOW).await.unwrap();
    assert_eq!(told(store, EventKind::IntegrationFailing).await, 1, "it turned out to be more");
});

on_both!(a_circuit_that_hangs_holds_up_no_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let due = async |name: String, integration: &str, minutes: i64| {
        let mut connection = connection(&name, None);
        connection.integration = Some(integration.to_owned());
        connection.credential.renew_at = Some(NOW - Duration::minutes(minutes));
        shelf.with(&connection, &oauth("a", "r")).await.connection
    };
    for nth in 0..5 {
        due(format!("old {nth}"), "slow", 60 + nth).await;
    }
    let (young, slow) = (due("young".into(), "quick", 1).await, due("oldest".into(), "slow", 99).await);
    let found = store.due_for_renewal(NOW, 2).await.unwrap();
    assert_eq!(found.len(), 3, "two of the slow one");
    assert!(found.contains(&young.id));

    store.note_fault(&slow, &fault(Reason::ProviderError, 1, NOW + Duration::MINUTE), NOW).await.unwrap();
    assert_eq!(store.due_for_renewal(NOW, 9).await.unwrap(), [young.id]);
    let probes = store.due_for_renewal(NOW + Duration::MINUTE, 9).await.unwrap();
    assert_eq!((probes[0], probes.len()), (slow.id, 7), "the oldest first; which of them probes is claimed");
});
