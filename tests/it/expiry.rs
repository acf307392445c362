//! Warnings of tokens that nobody renews, and the day's hand-outs: once each, over restarts and replicas.

use crate::support::log::Log as _;
use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use mooring::{app::App, domain::EventKind, handout::UsageDays, notify::Expiry, store::LoggedEvent};
use serde_json::json;
use std::time::Duration;
use time::{Date, OffsetDateTime};

const DAY: Duration = Duration::from_secs(86_400);

fn expiry(app: &App) -> Expiry {
    let (store, clock) = (app.state.store.clone(), app.state.clock.clone());
    Expiry { store, clock, warn_before: [30, 7, 1].map(time::Duration::days).to_vec() }
}

/// The date that is so many whole days ahead.
fn date_in(app: &TestApp, days: i64) -> Date {
    (app.clock.now() + time::Duration::days(days)).date()
}

/// Moves to a little after the moment that is so long before the midnight of `end`.
fn advance_to(app: &TestApp, end: Date, before: time::Duration) {
    let at = end.midnight().assume_utc() - before + time::Duration::seconds(30);
    app.advance(Duration::try_from(at - app.clock.now()).expect("time goes forward"));
}

/// A pasted token that ends then.
async fn pasted(app: &TestApp, name: &str, end: Date) -> (Http, String) {
    let program = app.program(&["admin"]).await;
    let minted = app.sim().mint_personal(app.world.alice, &["api"], Some(end));
    let body = json!({"name": name, "integration": "gitlab", "token": minted.token});
    let made = program.post_json("/api/v1/connections", body).await.expect(201).json();
    (program, made["id"].as_str().expect("an id").to_owned())
}

/// What was told about a connection's end, oldest first: `true` for the end itself.
async fn told(app: &App, id: &str) -> Vec<(bool, String)> {
    let events = app.state.store.list_events(Some(id), None, 100).await.unwrap();
    let ends = |logged: LoggedEvent| match logged.event.kind {
        EventKind::Expiring => Some((false, logged.event.detail.unwrap())),
        EventKind::Expired => Some((true, logged.event.detail.unwrap())),
        _ => None,
    };
    events.into_iter().rev().filter_map(ends).collect()
}

fn in_words(end: Date) -> String {
    format!("{} {} {} 00:00 UTC", end.day(), end.month(), end.year())
}

on_both!(an_end_that_was_told_is_not_told_again_by_a_check, async |on: On| {
    let app = TestApp::start(on).await;
    let end = date_in(&app, 2);
    let (program, id) = pasted(&app, "acme", end).await;
    advance_to(&app, end, time::Duration::ZERO);
    expiry(app.app()).try_once().await.unwrap();
    let checked = program.post_json("/api/v1/connections/acme/check", json!({})).await.expect(200).json();
    assert_eq!(
        (&checked["status"], &checked["reason"]),
        (&json!("action_required"), &json!("token_expired"))
    );
    let events = app.app().state.store.list_events(Some(&id), None, 100).await.unwrap();
    let ends = [EventKind::Expired, EventKind::ActionRequired];
    let told = ends.map(|kind| events.iter().filter(|logged| logged.event.kind == kind).count());
    assert_eq!(told, [1, 0]);
});

on_both!(each_threshold_is_told_once_and_then_the_end, async |on: On| {
    let mut app = TestApp::start(on).await;
    let end = date_in(&app, 40);
    let (_, id) = pasted(&app, "acme", end).await;
    let on = in_words(end);
    let mut expected = vec![];
    expiry(app.app()).try_once().await.unwrap();
    assert_eq!(told(app.app(), &id).await, expected);
    for (days, left) in [(30, "30 days"), (7, "7 days"), (1, "24 hours")] {
        advance_to(&app, end, time::Duration::days(days));
        expected.push((false, format!("The token ends in {left}, on {on}; paste a new token.")));
        for _ in 0..2 {
            expiry(app.app()).try_once().await.unwrap();
            assert_eq!(told(app.app(), &id).await, expected);
        }
        app.restart().await;
        expiry(app.app()).try_once().await.unwrap();
        assert_eq!(told(app.app(), &id).await, expected, "a restart tells nothing twice");
    }
    advance_to(&app, end, time::Duration::ZERO);
    expected.push((true, format!("The token ended on {on}; paste a new token.")));
    for _ in 0..2 {
        expiry(app.app()).try_once().await.unwrap();
        app.advance(DAY);
    }
    assert_eq!(told(app.app(), &id).await, expected);
});

on_both!(a_late_token_makes_one_warning_and_a_new_one_starts_afresh, async |on: On| {
    let app = TestApp::start(on).await;
    let end = date_in(&app, 6);
    let (program, id) = pasted(&app, "acme", end).await;
    expiry(app.app()).try_once().await.unwrap();
    let first = told(app.app(), &id).await;
    assert_eq!(first.len(), 1, "the tightest threshold alone: {first:?}");

    let minted = app.sim().mint_personal(app.world.alice, &["api"], Some(end));
    let path = format!("/api/v1/connections/{id}/token");
    program.put_json(&path, json!({"token": minted.token})).await.expect(200);
    expiry(app.app()).try_once().await.unwrap();
    assert_eq!(told(app.app(), &id).await.len(), 2);
});

on_both!(what_needed_a_person_before_its_end_is_not_told_again, async |on: On| {
    let app = TestApp::start(on).await;
    let end = date_in(&app, 40);
    let (program, id) = pasted(&app, "acme", end).await;
    let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    app.sim().revoke(token["access_token"].as_str().unwrap());
    program.post_json(&format!("/api/v1/connections/{id}/check"), json!({})).await;
    let stands = program.get(&format!("/api/v1/connections/{id}")).await.expect(200).json();
    assert_eq!(stands["status"], "action_required", "{stands}");
    advance_to(&app, end, time::Duration::ZERO);
    expiry(app.app()).try_once().await.unwrap();
    assert_eq!(told(app.app(), &id).await, []);
});

on_both!(an_oauth_token_that_is_refreshed_is_never_warned_of, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    app.clock.advance(Duration::from_secs(7_100));
    expiry(app.app()).try_once().await.unwrap();
    assert_eq!(told(app.app(), &id).await, []);
});

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_at_once_warn_once() {
    let app = TestApp::start(On::Postgres).await;
    let end = date_in(&app, 40);
    let mut ids = vec![];
    for nth in 0..10 {
        ids.push(pasted(&app, &format!("acme-{nth}"), end).await.1);
    }
    let (replica, _) = app.replica().await;
    advance_to(&app, end, time::Duration::days(7));
    let (here, there) = (expiry(app.app()), expiry(&replica));
    let (one, two) = tokio::join!(here.try_once(), there.try_once());
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    for id in &ids {
        assert_eq!(told(app.app(), id).await.len(), 1);
    }
    replica.stop().await;
}

on_both!(the_hand_outs_of_a_day_are_told_once_it_is_over, async |on: On| {
    let mut app = TestApp::start(on).await;
    let (program, id) = pasted(&app, "acme", date_in(&app, 40)).await;
    let today: OffsetDateTime = app.clock.now();
    for _ in 0..3 {
        program.get("/api/v1/connections/acme/token").await.expect(200);
    }
    let days = |app: &App| UsageDays { store: app.state.store.clone(), clock: app.state.clock.clone() };
    let told = async |app: &App| {
        let events = app.state.store.list_events(Some(&id), None, 100).await.unwrap();
        let handed = events.into_iter().filter(|logged| logged.event.kind == EventKind::HandedOut);
        handed.map(|logged| (logged.event.actor, logged.event.detail.unwrap())).collect::<Vec<_>>()
    };
    app.restart().await;
    days(app.app()).try_once().await.unwrap();
    assert_eq!(told(app.app()).await, [], "the day is not over");
    advance_to(&app, today.date().next_day().unwrap(), -time::Duration::minutes(11));
    for _ in 0..2 {
        days(app.app()).try_once().await.unwrap();
        app.restart().await;
    }
    let entries = told(app.app()).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0].0.starts_with("api_key:"), "{entries:?}");
    assert_eq!(entries[0].1, format!("3 hand-outs on {}", today.date()));
});
