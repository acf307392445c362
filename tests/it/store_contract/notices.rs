//! The outbox, the deliveries and the endpoints that they go to.

use super::{MOORING, NOW, Shelf, connection, oauth, open};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{EventKind, Secret, WebhookEndpointId},
    store::{AttemptEnd, Attempted, DeliveryState, EndpointStatus, NewDelivery, NewWebhookEndpoint, Store},
};
use std::collections::HashSet;
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

const HOLD: Duration = Duration::minutes(1);
const LIFE: Duration = Duration::days(3);

async fn endpoint(store: &Store, tenant: Option<&str>) -> WebhookEndpointId {
    let id = WebhookEndpointId::fresh();
    let new = NewWebhookEndpoint {
        id,
        url: "https://example.com/hooks".into(),
        description: Some("what it is for".into()),
        events: vec!["connection.*".into()],
        tenant: tenant.map(str::to_owned),
        secret: Secret::new("whsec_first"),
    };
    store.add_webhook_endpoint(&new, NOW, &MOORING).await.unwrap();
    id
}

pub(super) fn delivery(channel: impl Into<String>, seq: i64, subject: &str) -> NewDelivery {
    NewDelivery {
        channel: channel.into(),
        event_seq: seq,
        event_id: format!("event-{seq}"),
        kind: "connection.renewed".into(),
        subject: Some(subject.into()),
        body: format!("body-{seq}"),
        give_up_at: NOW + LIFE,
    }
}

/// Puts deliveries in, and leaves the cursor where it was.
pub(super) async fn put(store: &Store, deliveries: &[NewDelivery]) {
    let (cursor, _) = store.untold_events(1).await.unwrap();
    assert!(store.pass_on((cursor, cursor), deliveries, NOW).await.unwrap());
}

fn ended(end: AttemptEnd) -> Attempted {
    Attempted { status: Some(500), error: Some("it answered 500".into()), end }
}

async fn taken(store: &Store, channel: &str, now: OffsetDateTime) -> Vec<i64> {
    let taken = store.take_deliveries(channel, now, HOLD, 100).await.unwrap();
    taken.iter().map(|delivery| delivery.event_seq).collect()
}

on_both!(the_cursor_is_moved_by_one_and_with_its_deliveries, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    shelf.with(&connection("acme", Some("t")), &oauth("a", "r")).await;
    let heard = endpoint(store, Some("t")).await;
    let (cursor, events) = store.untold_events(9).await.unwrap();
    assert_eq!(cursor, 0);
    let kinds: Vec<_> = events.iter().map(|(_, logged)| logged.as_ref().unwrap().event.kind).collect();
    assert_eq!(kinds, [EventKind::Connected, EventKind::WebhookEndpointAdded]);
    let audiences = store.audiences().await.unwrap();
    assert_eq!((audiences.len(), audiences[0].endpoint), (1, heard));
    assert_eq!(
        (audiences[0].tenant.as_deref(), &audiences[0].events[..]),
        (Some("t"), &["connection.*".into()][..])
    );

    let last = events[1].0;
    let first = delivery(heard.to_string(), last, "c");
    assert!(store.pass_on((cursor, last), std::slice::from_ref(&first), NOW).await.unwrap());
    assert!(!store.pass_on((cursor, last), &[delivery("mail", last, "c")], NOW).await.unwrap());
    assert_eq!(shelf.number("select count(*) from deliveries").await, 1, "the second mover wrote nothing");
    assert!(store.pass_on((last, last), &[first], NOW).await.unwrap());
    assert_eq!(
        shelf.number("select count(*) from deliveries").await,
        1,
        "an event is told once to a channel"
    );
    assert!(store.untold_events(9).await.unwrap().1.is_empty());
});

on_both!(two_takers_never_have_the_same_delivery, async |on: On| {
    let shelf = Shelf::open(on).await;
    let all: Vec<_> = (0..40).map(|seq| delivery("mail", seq, &format!("c{seq}"))).collect();
    put(&shelf.store, &all).await;
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let store = shelf.store.clone();
        takers.spawn(async move {
            let mut found = Vec::new();
            for _ in 0..10 {
                found.extend(store.take_deliveries("mail", NOW, HOLD, 2).await.unwrap());
            }
            found
        });
    }
    let found: Vec<_> = takers.join_all().await.into_iter().flatten().collect();
    let different: HashSet<_> = found.iter().map(|one| one.id).collect();
    assert_eq!(different.len(), found.len(), "each has one taker");
    assert_eq!(found.len() + taken(&shelf.store, "mail", NOW).await.len(), 40, "and none is lost");
});

on_both!(a_later_notice_waits_for_the_earlier_one_of_its_subject, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let of = |seq, subject| delivery("mail", seq, subject);
    let nobodys = NewDelivery { subject: None, ..of(5, "") };
    put(store, &[of(1, "a"), of(2, "a"), of(3, "b"), delivery("other", 1, "b"), nobodys]).await;
    let first = store.take_deliveries("mail", NOW, HOLD, 100).await.unwrap();
    assert_eq!(first.iter().map(|one| one.event_seq).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!((first[0].attempts, first[0].body.as_str()), (1, "body-1"));
    assert_eq!(first[0].give_up_at, NOW + LIFE);
    assert!(taken(store, "mail", NOW).await.is_empty(), "they are held");

    let later = NOW + Duration::minutes(5);
    store.end_attempt(first[0].id, &ended(AttemptEnd::TryAgainAt(later)), NOW).await.unwrap();
    assert_eq!(taken(store, "mail", NOW + HOLD).await, [3, 5], "what a crash cut off comes again");
    let again = store.take_deliveries("mail", later, HOLD, 1).await.unwrap();
    assert_eq!((again[0].event_seq, again[0].attempts), (1, 2));
    store.end_attempt(again[0].id, &ended(AttemptEnd::GivenUp), later).await.unwrap();
    assert_eq!(taken(store, "mail", later).await, [2, 3, 5], "a dead one holds up nobody");
});

on_both!(deliveries_are_listed_redelivered_and_swept, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let id = endpoint(store, None).await;
    let channel = id.to_string();
    let all: Vec<_> = (1..=4).map(|seq| delivery(&channel, seq, &format!("c{seq}"))).collect();
    put(store, &all).await;
    let found = store.take_deliveries(&channel, NOW, HOLD, 2).await.unwrap();
    let delivered = Attempted { status: Some(204), error: None, end: AttemptEnd::Delivered };
    store.end_attempt(found[0].id, &delivered, NOW).await.unwrap();
    store.end_attempt(found[1].id, &ended(AttemptEnd::GivenUp), NOW).await.unwrap();
    store.end_attempt(found[0].id, &ended(AttemptEnd::GivenUp), NOW).await.unwrap();

    for (state, count) in [
        (None, 4),
        (Some(DeliveryState::Pending), 2),
        (Some(DeliveryState::Dead), 1),
        (Some(DeliveryState::Delivered), 1),
    ] {
        let listed = store.list_deliveries(id, state, None, 9).await.unwrap();
        assert_eq!(listed.len(), count, "{state:?}");
        assert!(listed.iter().all(|one| state.is_none_or(|state| one.state() == state)), "{listed:?}");
    }
    let dead = store.list_deliveries(id, Some(DeliveryState::Dead), None, 9).await.unwrap().remove(0);
    assert_eq!((dead.last_status, dead.last_error.as_deref()), (Some(500), Some("it answered 500")));
    assert_eq!(
        (dead.kind.as_str(), dead.subject.as_deref(), dead.dead_at),
        ("connection.renewed", Some("c2"), Some(NOW))
    );
    let page = store.list_deliveries(id, None, None, 3).await.unwrap();
    assert_eq!(store.list_deliveries(id, None, Some(page[2].id), 3).await.unwrap().len(), 1);
    let counted = store.webhook_endpoint(id).await.unwrap().unwrap();
    assert_eq!((counted.pending, counted.dead, counted.last_delivered_at), (2, 1, Some(NOW)));

    let stranger = endpoint(store, None).await;
    assert!(!store.redeliver(stranger, dead.id, NOW, NOW + LIFE, &MOORING).await.unwrap());
    assert!(store.redeliver(id, dead.id, NOW, NOW + LIFE, &MOORING).await.unwrap());
    let told = store.list_events(Some(&channel), None, 9).await.unwrap();
    assert_eq!(told.len(), 2, "it was added, and once it was sent again");
    assert_eq!(told[0].event.kind, EventKind::WebhookRedelivered);
    assert!(told[0].event.detail.as_ref().unwrap().contains(&dead.id.to_string()));
    assert_eq!(taken(store, &channel, NOW).await, [2, 3, 4]);

    store.sweep_deliveries(NOW + Duration::days(7) + Duration::SECOND).await.unwrap();
    let left = store.list_deliveries(id, None, None, 9).await.unwrap();
    assert!(left.len() == 3 && left.iter().all(|one| one.state() == DeliveryState::Pending), "{left:?}");
    store.endpoint_failed(id, false, |_| Some(NOW + LIFE)).await.unwrap();
    store.sweep_deliveries(NOW + Duration::days(8)).await.unwrap();
    assert_eq!(store.webhook_endpoint(id).await.unwrap().unwrap().dead, 3, "too old, and its endpoint rests");
    store.sweep_deliveries(NOW + Duration::days(39)).await.unwrap();
    assert!(store.list_deliveries(id, None, None, 9).await.unwrap().is_empty());
});

on_both!(what_waits_for_a_paused_endpoint_is_given_up_like_any_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let id = endpoint(store, None).await;
    put(store, &[delivery(id.to_string(), 1, "c")]).await;
    assert!(store.pause_webhook_endpoint(id, true, NOW, &MOORING).await.unwrap());
    let waiting = async || store.webhook_endpoint(id).await.unwrap().unwrap().pending;
    store.sweep_deliveries(NOW + LIFE).await.unwrap();
    assert_eq!(waiting().await, 1);
    store.sweep_deliveries(NOW + LIFE + Duration::SECOND).await.unwrap();
    assert_eq!(waiting().await, 0);
});

on_both!(endpoints_are_counted_and_the_failing_ones, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    assert_eq!(store.count_webhook_endpoints().await.unwrap(), (0, 0));
    let [_, failing, paused, disabled] = [
        endpoint(store, None).await,
        endpoint(store, None).await,
        endpoint(store, None).await,
        endpoint(store, None).await,
    ];
    for id in [failing, paused, disabled] {
        store.endpoint_failed(id, false, |_| Some(NOW + LIFE)).await.unwrap();
    }
    store.pause_webhook_endpoint(paused, true, NOW, &MOORING).await.unwrap();
    store.disable_webhook_endpoint(disabled, "it answered 410", NOW).await.unwrap();
    assert_eq!(store.count_webhook_endpoints().await.unwrap(), (4, 1));
});

on_both!(one_at_a_time_tries_an_endpoint_that_rests, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let id = endpoint(store, None).await;
    put(store, &[delivery(id.to_string(), 1, "c")]).await;
    let (target, probe) = store.admit_to_endpoint(id, NOW, HOLD).await.unwrap().unwrap();
    assert_eq!((target.url.as_str(), probe), ("https://example.com/hooks", false));
    let until = NOW + Duration::minutes(5);
    let rest = |failures| (failures >= 2).then_some(until);
    store.endpoint_failed(id, false, rest).await.unwrap();
    assert_eq!(store.endpoints_due(NOW).await.unwrap(), [id], "one failure is none");
    for _ in 0..3 {
        store.endpoint_failed(id, false, rest).await.unwrap();
    }
    let resting = store.webhook_endpoint(id).await.unwrap().unwrap();
    assert_eq!((resting.failures, resting.retry_at), (2, Some(until)), "what was on the wire does not count");
    assert_eq!(resting.status(), EndpointStatus::Failing);
    assert!(store.endpoints_due(NOW).await.unwrap().is_empty());
    assert!(store.admit_to_endpoint(id, NOW, HOLD).await.unwrap().is_none());

    assert_eq!(store.endpoints_due(until).await.unwrap(), [id]);
    assert!(store.admit_to_endpoint(id, until, HOLD).await.unwrap().unwrap().1, "the probe");
    assert!(store.admit_to_endpoint(id, until, HOLD).await.unwrap().is_none(), "and no other");
    store.endpoint_failed(id, true, rest).await.unwrap();
    assert_eq!(store.webhook_endpoint(id).await.unwrap().unwrap().failures, 3);
    store.endpoint_recovered(id).await.unwrap();
    let well = store.webhook_endpoint(id).await.unwrap().unwrap();
    assert_eq!((well.failures, well.retry_at, well.status()), (0, None, EndpointStatus::Active));

    put(store, &[delivery(id.to_string(), 2, "c")]).await;
    assert_eq!(taken(store, &id.to_string(), until).await, [1]);
    assert!(store.endpoints_due(until).await.unwrap().is_empty(), "the second waits for the first");
});

on_both!(both_secrets_sign_while_they_overlap, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let id = endpoint(store, Some("t")).await;
    let until = NOW + Duration::DAY;
    assert!(
        store.rotate_webhook_secret(id, &Secret::new("whsec_second"), until, NOW, &MOORING).await.unwrap()
    );
    let signing = async |at| {
        let target = store.webhook_target(id, at).await.unwrap().unwrap();
        target.secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(signing(until - Duration::SECOND).await, ["whsec_second", "whsec_first"]);
    assert_eq!(signing(until).await, ["whsec_second"]);
    assert!(shelf.run("update webhook_endpoints set url = 'https://evil.example.com'").await == 1);
    assert!(store.webhook_target(id, NOW).await.is_err(), "a secret signs for no other address");
    let gone = WebhookEndpointId::fresh();
    assert!(!store.rotate_webhook_secret(gone, &Secret::new("x"), until, NOW, &MOORING).await.unwrap());
    assert!(store.webhook_target(gone, NOW).await.unwrap().is_none());
});

on_both!(an_endpoint_is_listed_until_it_is_removed, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let (first, second) = (endpoint(store, Some("t")).await, endpoint(store, None).await);
    let ids = async |tenant, after| {
        let listed = store.list_webhook_endpoints(tenant, after, 9).await.unwrap();
        listed.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None).await, [first, second]);
    assert_eq!(ids(None, Some(first)).await, [second]);
    assert_eq!(ids(Some("t"), None).await, [first]);
    put(store, &[delivery(first.to_string(), 1, "a"), delivery(second.to_string(), 1, "a")]).await;

    store.disable_webhook_endpoint(first, "it answered 410", NOW).await.unwrap();
    store.disable_webhook_endpoint(first, "again", NOW + Duration::DAY).await.unwrap();
    let disabled = store.webhook_endpoint(first).await.unwrap().unwrap();
    assert_eq!(
        (disabled.disabled_at, disabled.disabled_reason.as_deref()),
        (Some(NOW), Some("it answered 410"))
    );
    assert_eq!((disabled.status(), disabled.pending, disabled.dead), (EndpointStatus::Disabled, 0, 1));
    assert_eq!(store.audiences().await.unwrap().len(), 1);
    assert_eq!(store.endpoints_due(NOW).await.unwrap(), [second]);
    assert!(store.admit_to_endpoint(first, NOW, HOLD).await.unwrap().is_none());

    let dead = store.list_deliveries(first, None, None, 9).await.unwrap().remove(0);
    assert!(!store.redeliver(first, dead.id, NOW, NOW + LIFE, &MOORING).await.unwrap(), "it wants nothing");

    assert!(store.remove_webhook_endpoint(first, NOW, &MOORING).await.unwrap());
    assert!(!store.remove_webhook_endpoint(first, NOW, &MOORING).await.unwrap());
    assert!(store.webhook_endpoint(first).await.unwrap().is_none());
    assert_eq!(shelf.number("select count(*) from deliveries").await, 1);
    let told = store.list_events(Some(&first.to_string()), None, 9).await.unwrap();
    let kinds: Vec<_> = told.iter().map(|logged| logged.event.kind).collect();
    let [removed, disabled, added] = ["removed", "disabled", "added"]
        .map(|what| format!("webhook_endpoint.{what}").parse::<EventKind>().unwrap());
    assert_eq!(kinds, [removed, disabled, added]);
    assert!(told.iter().all(|logged| logged.event.tenant.as_deref() == Some("t")));
});

on_both!(what_happened_before_an_upgrade_is_not_told, async |on: On| {
    let shelf = Shelf::open(on).await;
    shelf.plain("acme").await;
    for table in ["webhook_endpoints", "deliveries", "cursors"] {
        shelf.run(format!("drop table {table}")).await;
    }
    assert_eq!(shelf.run("delete from _sqlx_migrations where version = 3").await, 1);
    let upgraded = open(&shelf.location, &shelf.key, &[]).await.unwrap();
    let (cursor, events) = upgraded.untold_events(9).await.unwrap();
    assert_eq!((cursor, events.len()), (upgraded.last_event().await.unwrap(), 0));
});
