//! What ends, and days of hand-outs that are over: each is told once.

use super::{MOORING, NOW, Shelf, connection, oauth, open, pasted, renewed};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{Actor, Clock, ConnectionId, Credential, EventKind, Method, Reason, Renewal, RenewalKind},
    notify::Expiry,
    store::{Enders, Ending, Held, NextCredential, RenewalCause, Store, UsageCount, UsageDay},
};
use time::{Duration, macros::date};

const WEEK: Duration = Duration::days(7);

fn ends_in(left: Duration, renewal: Renewal) -> Credential {
    Credential { expires_at: Some(NOW + left), renewal, ..pasted("access-1") }
}

async fn with(shelf: &Shelf, name: &str, credential: &Credential) -> Held {
    let mut connection = connection(name, Some("acme"));
    connection.method = Method::AccessToken;
    shelf.with(&connection, credential).await
}

async fn untold(store: &Store, whose: Enders, before: Duration) -> Vec<Ending> {
    store.ending_untold(whose, before, NOW, 100).await.unwrap()
}

async fn ids(store: &Store, whose: Enders, before: Duration) -> Vec<ConnectionId> {
    untold(store, whose, before).await.into_iter().map(|ending| ending.connection).collect()
}

async fn tell(store: &Store, kind: EventKind, before: Duration, endings: Vec<Ending>) -> usize {
    let endings: Vec<_> = endings.into_iter().map(|ending| (ending, "It ends.".to_owned())).collect();
    store.tell_endings(kind, before, &endings, NOW).await.unwrap()
}

/// Its rotation was to come so long ago.
async fn overdue(shelf: &Shelf, id: ConnectionId, since: Duration) {
    let renew_at = (NOW - since).unix_timestamp_nanos() / 1_000;
    shelf.run(format!("update credentials set renew_at = {renew_at} where connection_id = '{id}'")).await;
}

on_both!(what_nobody_renews_is_found_by_its_end, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let week = with(&shelf, "week", &ends_in(WEEK, Renewal::Manual)).await.connection.id;
    let day = with(&shelf, "day", &ends_in(Duration::DAY, Renewal::Manual)).await.connection.id;
    let rotates = with(&shelf, "rotates", &ends_in(Duration::HOUR, Renewal::SelfRotate)).await.connection.id;
    overdue(&shelf, rotates, Duration::hours(7)).await;
    let has_time =
        with(&shelf, "has time", &ends_in(Duration::HOUR, Renewal::SelfRotate)).await.connection.id;
    overdue(&shelf, has_time, Duration::hours(5)).await;
    let over = with(&shelf, "over", &ends_in(Duration::ZERO, Renewal::Manual)).await.connection.id;
    with(&shelf, "later", &ends_in(WEEK + Duration::SECOND, Renewal::Manual)).await;
    with(&shelf, "endless", &pasted("access-1")).await;
    with(&shelf, "refreshed", &oauth("access-1", "refresh-1")).await;
    let stopped = with(&shelf, "stopped", &ends_in(Duration::HOUR, Renewal::Manual)).await;
    store.stop(&stopped.connection, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();

    assert_eq!(ids(store, Enders::Manual, WEEK).await, [over, day, week]);
    assert_eq!(ids(store, Enders::AllButRefreshed, WEEK).await, [over, rotates, day, week]);
    assert_eq!(ids(store, Enders::Manual, Duration::ZERO).await, [over]);
    assert_eq!(store.ending_untold(Enders::Manual, WEEK, NOW, 1).await.unwrap().len(), 1);
    let found = &untold(store, Enders::AllButRefreshed, WEEK).await[1];
    let expected = Ending {
        connection: rotates,
        tenant: Some("acme".into()),
        generation: 1,
        expires_at: NOW + Duration::HOUR,
        method: Method::AccessToken,
        renewal: RenewalKind::SelfRotate,
    };
    assert_eq!(*found, expected);
});

on_both!(an_end_is_told_once_for_each_warning_and_generation, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let was = with(&shelf, "acme", &ends_in(Duration::HOUR, Renewal::Manual)).await.connection;
    let day = untold(store, Enders::Manual, Duration::DAY).await;
    assert_eq!(tell(store, EventKind::Expiring, Duration::DAY, day.clone()).await, 1);
    assert_eq!(tell(store, EventKind::Expiring, Duration::DAY, day.clone()).await, 0);
    assert_eq!(
        tell(store, EventKind::Expiring, WEEK, day.clone()).await,
        0,
        "an earlier warning is too late"
    );
    assert_eq!(ids(store, Enders::Manual, WEEK).await, []);
    assert_eq!(tell(store, EventKind::Expired, Duration::ZERO, day.clone()).await, 1);
    assert_eq!(ids(store, Enders::Manual, Duration::DAY).await, []);
    let told = store.list_events(Some(&was.id.to_string()), None, 2).await.unwrap();
    assert_eq!(
        told.iter().map(|e| e.event.kind).collect::<Vec<_>>(),
        [EventKind::Expired, EventKind::Expiring]
    );
    let event = &told[0].event;
    assert_eq!((event.tenant.as_deref(), event.actor.as_str()), (Some("acme"), "mooring"));
    assert_eq!((event.detail.as_deref(), event.at), (Some("It ends."), NOW));

    let next = ends_in(Duration::HOUR, Renewal::SelfRotate);
    let next = NextCredential { credential: &next, renew_at: None };
    store.replace_credential(&was, &was, next, EventKind::Rotated, &MOORING).await.unwrap().unwrap();
    assert_eq!(
        tell(store, EventKind::Expiring, Duration::DAY, day).await,
        0,
        "it was about the token before"
    );
    let again = untold(store, Enders::AllButRefreshed, Duration::DAY).await;
    assert_eq!(tell(store, EventKind::Expired, Duration::ZERO, again).await, 1, "a new token starts afresh");

    let held = shelf.held(was.id).await.connection;
    let attempt = store.begin_renewal(&held, RenewalCause::Due, NOW).await.unwrap();
    let next = ends_in(Duration::HOUR, Renewal::SelfRotate);
    store.commit_renewal(&held, attempt, &renewed(&next, None), NOW).await.unwrap().unwrap();
    assert_eq!(ids(store, Enders::AllButRefreshed, Duration::DAY).await, [was.id], "so does a renewed one");
});

on_both!(replicas_that_tell_at_once_tell_once, async |on: On| {
    let shelf = Shelf::open(on).await;
    for nth in 0..40 {
        with(&shelf, &format!("acme-{nth}"), &ends_in(Duration::HOUR, Renewal::Manual)).await;
    }
    let other = open(&shelf.location, &shelf.key, &[]).await.unwrap();
    let stores = [&shelf.store, &other];
    let mut due = vec![];
    for store in stores {
        due.push(untold(store, Enders::Manual, WEEK).await);
    }
    let tell = |nth: usize| tell(stores[nth], EventKind::Expiring, WEEK, due[nth].clone());
    let (one, two) = tokio::join!(tell(0), tell(1));
    assert_eq!(one + two, 40);
    assert_eq!(shelf.number("select count(*) from events where kind = 'connection.expiring'").await, 40);
});

on_both!(what_is_stopped_meanwhile_is_not_told, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = with(&shelf, "acme", &ends_in(Duration::ZERO, Renewal::Manual)).await.connection;
    let due = untold(&shelf.store, Enders::Manual, Duration::ZERO).await;
    shelf.store.stop(&was, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    assert_eq!(tell(&shelf.store, EventKind::Expired, Duration::ZERO, due).await, 0);
});

on_both!(a_day_of_hand_outs_is_told_once, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let here = shelf.with(&connection("acme", Some("acme")), &pasted("access-1")).await.connection.id;
    let gone = ConnectionId::fresh();
    let used = |connection, key: &str, hand_outs, days| UsageCount {
        connection,
        api_key_id: key.into(),
        hand_outs,
        last_at: NOW - Duration::days(days),
    };
    let counts =
        [used(here, "k1", 3, 2), used(here, "k1", 4, 1), used(here, "k2", 5, 1), used(here, "k1", 6, 0)];
    store.add_usage(&counts).await.unwrap();
    store.add_usage(&[used(gone, "k1", 7, 1)]).await.unwrap();
    let today = date!(2027 - 01 - 31);
    let over = store.untold_usage(today, 100).await.unwrap();
    let first = UsageDay {
        connection: here,
        tenant: Some("acme".into()),
        api_key_id: "k1".into(),
        day: date!(2027 - 01 - 29),
        hand_outs: 3,
    };
    assert_eq!(over[0], first);
    assert_eq!(over.iter().map(|one| one.hand_outs).collect::<Vec<_>>(), [3, 4, 5, 7]);
    assert_eq!(over[3].tenant, None);
    assert_eq!(store.untold_usage(today, 1).await.unwrap().len(), 1);

    let over: Vec<_> = over.into_iter().map(|one| (one, "Some.".to_owned())).collect();
    let other = open(&shelf.location, &shelf.key, &[]).await.unwrap();
    let (one, two) = tokio::join!(store.tell_usage(&over, NOW), other.tell_usage(&over, NOW));
    assert_eq!(one.unwrap() + two.unwrap(), 4);
    assert_eq!(store.untold_usage(today, 100).await.unwrap(), []);
    let told = &store.list_events(Some(&gone.to_string()), None, 10).await.unwrap()[0].event;
    assert_eq!(
        (told.kind, told.actor.clone()),
        (EventKind::HandedOut, Actor::ApiKey("k1".into()).to_string())
    );
    assert_eq!(store.untold_usage(date!(2027 - 02 - 01), 100).await.unwrap()[0].hand_outs, 6);
});

on_both!(what_rotates_itself_is_warned_of_late, async |on: On| {
    let shelf = Shelf::open(on).await;
    let clock = Clock::default();
    let mut rotating = ends_in(WEEK, Renewal::SelfRotate);
    rotating.expires_at = Some(clock.now() + Duration::days(20));
    let was = with(&shelf, "acme", &rotating).await.connection;
    overdue(&shelf, was.id, NOW - clock.now() - Duration::days(13)).await;
    let warn_before = [30, 7, 1].map(Duration::days).to_vec();
    let expiry = Expiry { store: shelf.store.clone(), clock: clock.clone(), warn_before };
    assert_eq!(expiry.try_once().await.unwrap(), 0, "it has time to rotate itself");
    clock.advance(std::time::Duration::from_hours(14 * 24));
    assert_eq!((expiry.try_once().await.unwrap(), expiry.try_once().await.unwrap()), (1, 0));
    let told = &shelf.store.list_events(Some(&was.id.to_string()), None, 1).await.unwrap()[0].event;
    let detail = told.detail.as_deref().unwrap();
    assert!(detail.starts_with("The token ends in 6 days, on "), "{detail}");
    assert!(detail.ends_with("; it has not rotated itself, so paste a new token."), "{detail}");
});
