//! Renewal in doubt: rejections that mean nothing, answers that were lost, and callers that ask in vain.

use crate::support::{
    app::{On, TestApp, on_both},
    database,
    flow::Flow,
    request::Http,
};
use futures_util::future::join_all;
use gitlab_sim::{Endpoint, Fault, OAuthPair};
use mooring::{
    domain::{ConnectionId, Renewal},
    renewal::Worker,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::task::TaskTracker;

const TOKEN: &str = "/api/v1/connections/acme/token";
const NO: &str = r#"{"error":"invalid_grant","error_description":"-"}"#;

async fn connected(on: On) -> (TestApp, Http) {
    let app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["admin"]).await;
    (app, program)
}

async fn connection(program: &Http) -> Value {
    program.get("/api/v1/connections/acme").await.expect(200).json()
}

async fn tick(app: &TestApp, seconds: u64) {
    app.advance(Duration::from_secs(seconds));
    let state = &app.app().state;
    let (store, renewals) = (state.store.clone(), state.renewals.clone());
    let worker = Worker::new(store, renewals, state.clock.clone(), TaskTracker::new());
    worker.try_once().await.unwrap();
}

on_both!(false_rejections_after_an_outage_kill_nothing, async |on: On| {
    let (app, program) = connected(on).await;
    for _ in 0..5 {
        app.sim().fault(Endpoint::Token, Fault::bad_gateway());
    }
    app.advance(Duration::from_secs(115 * 60));
    for _ in 0..5 {
        tick(&app, 301).await;
    }
    for _ in 0..2 {
        app.sim().fault(Endpoint::Token, Fault::Json { status: 400, body: NO.into() });
    }
    tick(&app, 301).await;
    tick(&app, 3).await;
    assert_eq!(connection(&program).await["status"], "degraded", "two rejections prove nothing");
    tick(&app, 11).await;
    assert_eq!(connection(&program).await["status"], "active");
});

on_both!(a_hundred_callers_with_a_token_that_works_ask_the_provider_once, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(Duration::from_secs(60));
    let before = app.sim().count(Endpoint::TokenSelf);
    let gate = app.sim().hold(Endpoint::TokenSelf);
    let path = format!("{TOKEN}?newer_than=1");
    let asking = join_all((0..100).map(|_| program.get(&path)));
    let opening = async {
        gate.reached().await;
        while app.app().state.renewals.waiting() < 100 {
            tokio::task::yield_now().await;
        }
        gate.release();
    };
    let (answers, ()) = tokio::join!(asking, opening);
    for answer in answers {
        assert_eq!(answer.expect(200).json()["generation"], 1);
    }
    assert_eq!(app.sim().count(Endpoint::TokenSelf) - before, 1);
    assert_eq!(app.sim().counts().refreshes_granted, 0);
});

on_both!(a_token_is_not_renewed_over_and_over_for_a_greedy_caller, async |on: On| {
    let (app, program) = connected(on).await;
    for _ in 0..5 {
        app.advance(Duration::from_secs(2));
        program.get(&format!("{TOKEN}?min_ttl=7199")).await.expect(200);
    }
    assert_eq!(app.sim().counts().refreshes_granted, 0);
});

on_both!(a_crash_without_an_answer_is_named_as_what_it_is, async |on: On| {
    let (app, program) = connected(on).await;
    let state = &app.app().state;
    let id = connection(&program).await["id"].as_str().unwrap().parse().unwrap();
    let held = state.store.open_credential(id).await.unwrap().unwrap();
    // What a process that was killed after sending leaves behind.
    let cause = mooring::store::RenewalCause::Due;
    state.store.begin_renewal(&held.connection, cause, state.clock.now()).await.unwrap();
    app.sim().revoke(held.credential.access_token.expose());
    state.renewals.recover().await.unwrap();
    let history = program.get("/api/v1/connections/acme/renewals").await.expect(200).json();
    assert_eq!(history["items"][0]["outcome"], "uncertain");
    app.advance(Duration::from_secs(7_200));
    program.get(TOKEN).await.expect(503);
    assert_eq!(connection(&program).await["reason"], "renewal_answer_lost");
});

on_both!(an_answer_without_its_key_is_left_for_who_has_it, async |on: On| {
    let (app, program) = connected(on).await;
    let state = &app.app().state;
    let id = connection(&program).await["id"].as_str().unwrap().parse().unwrap();
    let held = state.store.open_credential(id).await.unwrap().unwrap();
    let cause = mooring::store::RenewalCause::Due;
    let attempt = state.store.begin_renewal(&held.connection, cause, state.clock.now()).await.unwrap();
    state.store.keep_answer(attempt, b"sealed under a key that is not here").await.unwrap();
    state.renewals.recover().await.unwrap();
    assert_eq!(state.store.unfinished_renewals(None).await.unwrap().len(), 1);
});

on_both!(a_pasted_token_that_was_refused_by_mistake_comes_back_by_a_check, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let minted = app.sim().mint_personal(app.world.alice, &["api"], None);
    let new = json!({"name": "acme", "integration": "gitlab", "token": minted.token});
    program.post_json("/api/v1/connections", new).await.expect(201);
    app.advance(Duration::from_secs(60));
    let no = || Fault::Json { status: 401, body: r#"{"message":"401 Unauthorized"}"#.into() };
    app.sim().fault(Endpoint::TokenSelf, no());
    program.get(&format!("{TOKEN}?newer_than=1")).await.expect(200);
    for _ in 0..2 {
        app.sim().fault(Endpoint::TokenSelf, no());
    }
    program.get(&format!("{TOKEN}?newer_than=1")).await.expect(409);
    program.get(TOKEN).await.expect(409);
    let checked = program.post_json("/api/v1/connections/acme/check", json!({})).await.expect(200).json();
    assert_eq!(checked["status"], "active");
    program.get(TOKEN).await.expect(200);
    let events = program.get("/api/v1/events").await.expect(200).json();
    assert_eq!(events["items"][0]["kind"], "connection.recovered");
});

on_both!(who_wants_a_renewal_is_not_content_with_somebody_elses_question, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(Duration::from_secs(60));
    let gate = app.sim().hold(Endpoint::TokenSelf);
    let path = format!("{TOKEN}?newer_than=1");
    let waiting = || app.app().state.renewals.waiting();
    let renewing = async {
        gate.reached().await;
        let renew = program.post_json("/api/v1/connections/acme/renew", json!({}));
        let opening = async {
            while waiting() < 2 {
                tokio::task::yield_now().await;
            }
            gate.release();
        };
        tokio::join!(renew, opening).0
    };
    let (asked, renewed) = tokio::join!(program.get(&path), renewing);
    assert_eq!(asked.expect(200).json()["generation"], 1, "the token works");
    assert_eq!(renewed.expect(200).json()["generation"], 2, "and is renewed for who asked for that");
    assert_eq!(app.sim().counts().refreshes_granted, 1);
});

on_both!(a_token_that_the_database_would_not_take_is_handed_out, async |on: On| {
    let (app, program) = connected(on).await;
    let first = program.get(TOKEN).await.expect(200).json();
    app.advance(Duration::from_secs(7_200));
    let gate = app.sim().hold_after(Endpoint::Token);
    let reader = program.clone();
    let reading = tokio::spawn(async move { reader.get(TOKEN).await });
    gate.reached().await;
    database::run(&app, "alter table credentials rename to credentials_gone").await;
    gate.release();
    let handed_out = loop {
        let answer = program.get(TOKEN).await;
        if answer.status == 200 {
            break answer.json();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(handed_out["generation"], 2);
    assert!(app.sim().is_live(handed_out["access_token"].as_str().unwrap()));
    assert_ne!(handed_out["access_token"], first["access_token"]);
    database::run(&app, "alter table credentials_gone rename to credentials").await;
    let waited = reading.await.unwrap().expect(200).json();
    assert_eq!(waited["access_token"], handed_out["access_token"]);
    while connection(&program).await["generation"] != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.sim().counts().refresh_tokens_presented_twice, 0);
});

on_both!(an_answer_from_before_a_crash_and_a_reauthorization_leaves_no_grant_behind, async |on: On| {
    let (app, program) = connected(on).await;
    let state = &app.app().state;
    let id: ConnectionId = connection(&program).await["id"].as_str().unwrap().parse().unwrap();
    let held = state.store.open_credential(id).await.unwrap().unwrap();
    let cause = mooring::store::RenewalCause::Due;
    let consent = |answer: &OAuthPair, refresh_token: Option<&str>| {
        serde_json::to_vec(&json!({"access_token": answer.access, "refresh_token": refresh_token})).unwrap()
    };
    // What two processes that were killed between an answer and its commit leave behind: a grant of its own,
    // and a token that came without one.
    let pair = app.sim().mint_oauth(app.world.alice, &app.world.application, &["api"]);
    for refresh_token in [Some(pair.refresh.as_str()), None] {
        let attempt = state.store.begin_renewal(&held.connection, cause, state.clock.now()).await.unwrap();
        let sealed = state.store.seal_answer(&held.connection, attempt, &consent(&pair, refresh_token));
        state.store.keep_answer(attempt, &sealed).await.unwrap();
    }
    let flow = Flow::reauthorize(&app, &id.to_string()).await;
    app.http.get(&flow.approve(app.sim()).path()).await.expect(303);
    state.renewals.recover().await.unwrap();
    state.disconnect.try_once().await.unwrap();
    let current = state.store.open_credential(id).await.unwrap().unwrap();
    let Renewal::Refresh(kept) = &current.credential.renewal else { panic!("it came by OAuth") };
    assert_eq!(app.sim().live_refresh_tokens(), [kept.expose()], "the person's grant lives, and no other");
});

/// So many seconds pass, with a round of the worker after each.
async fn seconds(app: &TestApp, count: u64) {
    for _ in 0..count {
        tick(app, 1).await;
    }
}

on_both!(what_was_asked_for_before_its_time_and_got_lost_is_told_within_a_minute, async |on: On| {
    let (app, program) = connected(on).await;
    app.sim().fault(Endpoint::Token, Fault::DropAfterCommit);
    program.post_json("/api/v1/connections/acme/renew", json!({})).await.expect(503);
    assert_eq!(connection(&program).await["status"], "degraded");
    seconds(&app, 60).await;
    let lost = connection(&program).await;
    assert_eq!(
        (&lost["status"], &lost["reason"]),
        (&json!("action_required"), &json!("renewal_answer_lost"))
    );
    program.get(TOKEN).await.expect(409);
});

on_both!(who_presses_again_and_again_gives_nothing_up, async |on: On| {
    let (app, program) = connected(on).await;
    let no = || Fault::Json { status: 400, body: r#"{"error":"invalid_grant"}"#.into() };
    app.sim().fault_always(Endpoint::Token, no());
    for _ in 0..10 {
        program.post_json("/api/v1/connections/acme/renew", json!({})).await.expect(503);
    }
    assert_eq!(connection(&program).await["status"], "degraded");
    app.sim().clear_faults();
    seconds(&app, 3).await;
    let renewed = connection(&program).await;
    assert_eq!((&renewed["status"], &renewed["generation"]), (&json!("active"), &json!(2)));
});
