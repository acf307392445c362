//! What the settings pages look up: keys by page, what a key was used for, paused endpoints, sealed values, and
//! events by filter.

use super::{MOORING, NOW, Shelf, connection, open, pasted};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{Actor, Event, EventId, EventKind, Permission, Secret, WebhookEndpointId},
    store::{ApiKeyFilter, EndpointStatus, EventFilter, NewApiKey, NewWebhookEndpoint, UsageCount},
    vault::generate_key,
};
use std::sync::Arc;
use time::Duration;

async fn key(shelf: &Shelf, id: &str, tenant: Option<&str>, age: i64, life: Option<i64>) {
    let made = NOW - Duration::days(age);
    let new = NewApiKey {
        id: id.into(),
        digest: vec![1],
        name: format!("key 100% {id}"),
        tenant: tenant.map(str::to_owned),
        permissions: vec![Permission::TokensRead],
        allow: Arc::default(),
        expires_at: life.map(|days| made + Duration::days(days)),
    };
    shelf.store.add_api_key(&new, made, &MOORING).await.unwrap();
}

on_both!(keys_are_found_page_by_page_newest_first, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    for (id, tenant, age, life) in [
        ("c", None, 3, None),
        ("a", Some("acme"), 2, Some(9)),
        ("b", None, 2, None),
        ("old", None, 9, Some(9)),
        ("x", None, 1, None),
    ] {
        key(&shelf, id, tenant, age, life).await;
    }
    store.revoke_api_key("x", NOW, &MOORING).await.unwrap();
    assert_eq!(store.count_api_keys(NOW).await.unwrap(), (3, 2));
    let find = async |ended, q: &str, after: &str, limit| {
        let filter = ApiKeyFilter { ended, q: q.into() };
        let found = store.find_api_keys(&filter, after, NOW, limit).await.unwrap();
        found.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(find(false, "", "", 2).await, ["b", "a"]);
    assert_eq!(find(false, "", "a", 2).await, ["c"]);
    assert_eq!(find(true, "", "", 9).await, ["x", "old"]);
    assert_eq!(find(false, "ACME", "", 9).await, ["a"]);
    assert_eq!(find(false, "100%", "", 9).await.len(), 3);
    assert_eq!(find(false, "1%0", "", 9).await.len(), 0, "a wildcard is text");
});

on_both!(what_a_key_was_used_for_lately, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (acme, other) = (shelf.plain("acme").await.connection.id, shelf.plain("other").await.connection.id);
    let count = |connection, key: &str, days, hand_outs| UsageCount {
        connection,
        api_key_id: key.into(),
        hand_outs,
        last_at: NOW - Duration::days(days),
    };
    let counts =
        [count(acme, "k", 5, 3), count(acme, "k", 2, 4), count(other, "k", 40, 9), count(other, "j", 1, 1)];
    for one in counts {
        shelf.store.add_usage(&[one]).await.unwrap();
    }
    let used = shelf.store.used_by_api_key("k", NOW - Duration::days(30), 9).await.unwrap();
    assert_eq!(used.len(), 1);
    assert_eq!((used[0].connection, used[0].name.as_str(), used[0].hand_outs), (acme, "acme", 7));
    assert_eq!(used[0].last_day.date(), (NOW - Duration::days(2)).date());
});

on_both!(a_paused_endpoint_is_sent_nothing_until_it_goes_on, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let new = NewWebhookEndpoint {
        id: WebhookEndpointId::fresh(),
        url: "https://example.com/hooks".into(),
        description: None,
        events: vec!["connection.*".into()],
        tenant: None,
        secret: Secret::new("whsec_1"),
    };
    store.add_webhook_endpoint(&new, NOW, &MOORING).await.unwrap();
    let pause = async |paused| store.pause_webhook_endpoint(new.id, paused, NOW, &MOORING).await.unwrap();
    let status = async || store.webhook_endpoint(new.id).await.unwrap().unwrap().status();
    let admitted = async || store.admit_to_endpoint(new.id, NOW, Duration::MINUTE).await.unwrap().is_some();
    assert!(!pause(false).await && admitted().await);
    assert!(pause(true).await && !pause(true).await);
    assert_eq!(status().await, EndpointStatus::Paused);
    assert!(!admitted().await);
    assert_eq!(store.audiences().await.unwrap().len(), 1, "what happens meanwhile waits for it");
    assert!(pause(false).await && admitted().await);
    assert_eq!(status().await, EndpointStatus::Active);
    store.disable_webhook_endpoint(new.id, "gone", NOW).await.unwrap();
    assert!(!pause(true).await);
    let kinds: Vec<_> =
        store.list_events(None, None, 3).await.unwrap().iter().map(|l| l.event.kind).collect();
    assert_eq!(kinds[1..], [EventKind::WebhookEndpointResumed, EventKind::WebhookEndpointPaused]);
});

on_both!(sealed_values_are_counted_by_their_keys, async |on: On| {
    let shelf = Shelf::open(on).await;
    shelf.plain("acme").await;
    let (first, none) = shelf.store.key_ids();
    assert!(none.is_empty());
    let counts = shelf.store.sealed_counts().await.unwrap();
    assert_eq!(counts.get(&first), Some(&2), "an access token and a refresh token");
    shelf.store.close().await;

    let (old, new) = (shelf.key.clone(), generate_key());
    let store = open(&shelf.location, &new, &[&old]).await.unwrap();
    let (active, retired) = store.key_ids();
    assert_eq!(retired, [first]);
    let connection = connection("other", None);
    store.add_connection(&connection, &pasted("access-2"), &MOORING).await.unwrap();
    let counts = store.sealed_counts().await.unwrap();
    assert_eq!((counts.get(&active), counts.get(&first)), (Some(&1), Some(&2)));
});

on_both!(events_are_found_by_kind_person_tenant_and_day, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let by = |email: &str| Actor::Operator(email.into());
    for (kind, subject, tenant, actor, days) in [
        (EventKind::Connected, "c1", Some("acme"), by("ada@example.com"), 3),
        (EventKind::Renewed, "c1", Some("acme"), Actor::Mooring, 2),
        (EventKind::Connected, "c2", None, Actor::ApiKey("k1".into()), 1),
        (EventKind::SignedIn, "ada@example.com", None, by("ada@example.com"), 0),
    ] {
        let event = Event {
            id: EventId::fresh(),
            at: NOW - Duration::days(days),
            kind,
            subject: Some(subject.into()),
            tenant: tenant.map(str::to_owned),
            actor: actor.to_string(),
            detail: None,
        };
        store.append_event(&event).await.unwrap();
    }
    let find = async |filter: EventFilter| {
        let found = store.find_events(&filter, None, 9).await.unwrap();
        found.events.into_iter().map(|logged| logged.event.kind.as_str()).collect::<Vec<_>>()
    };
    let any = EventFilter::default;
    assert_eq!(find(any()).await.len(), 4);
    assert_eq!(find(EventFilter { kind: "connection.connected".into(), ..any() }).await.len(), 2);
    assert_eq!(find(EventFilter { kind: "connection.*".into(), ..any() }).await.len(), 3);
    assert_eq!(find(EventFilter { kind: "connection".into(), ..any() }).await.len(), 0);
    assert_eq!(
        find(EventFilter { subject: "c1".into(), ..any() }).await,
        ["connection.renewed", "connection.connected"]
    );
    assert_eq!(find(EventFilter { actor: "ada@example.com".into(), ..any() }).await.len(), 2);
    assert_eq!(find(EventFilter { actor: "k1".into(), ..any() }).await, ["connection.connected"]);
    assert_eq!(find(EventFilter { actor: "mooring".into(), ..any() }).await, ["connection.renewed"]);
    assert_eq!(find(EventFilter { tenant: "acme".into(), ..any() }).await.len(), 2);
    let days = EventFilter { from: Some(NOW - Duration::days(2)), to: Some(NOW), ..any() };
    assert_eq!(find(days).await, ["connection.connected", "connection.renewed"]);
});
