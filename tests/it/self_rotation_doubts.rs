//! Rotations whose answer never came: the token is looked at, and never shown to a rotate path while it may be
//! spent, because GitLab would revoke its whole family for that.

use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use gitlab_sim::{Endpoint, Fault};
use mooring::{domain::ConnectionId, renewal::Worker, store::RenewalCause};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::task::TaskTracker;

const PATH: &str = "/api/v1/connections/acme";
/// After so long a request that was not answered has done its work or never will.
const SETTLED: Duration = Duration::from_mins(10);

/// A project token that rotates itself, and the token.
async fn connected(on: On) -> (TestApp, Http, String) {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let end = app.sim().now().date() + time::Duration::days(90);
    let token = app.sim().mint_project(app.world.project, &["api"], 40, Some(end)).token;
    let new = json!({"name": "acme", "integration": "gitlab", "token": token, "renewal": "self_rotate"});
    program.post_json("/api/v1/connections", new).await.expect(201);
    (app, program, token)
}

async fn renew(program: &Http) -> u16 {
    program.post_json(&format!("{PATH}/renew"), json!({})).await.status
}

async fn standing(program: &Http) -> [Value; 3] {
    let shown = program.get(PATH).await.expect(200).json();
    ["status", "reason", "action"].map(|field| shown[field].clone())
}

/// How often a rotate path was asked, and families that GitLab revoked for it.
fn rotations(app: &TestApp) -> (u64, u64) {
    (app.sim().count(Endpoint::RotateProjectToken), app.sim().counts().families_revoked)
}

/// One round of the worker, with everything due.
async fn round(app: &TestApp) {
    let state = &app.app().state;
    let (store, renewals, clock) = (state.store.clone(), state.renewals.clone(), state.clock.clone());
    Worker::new(store, renewals, clock, TaskTracker::new()).try_once().await.unwrap();
}

fn lost() -> [Value; 3] {
    [json!("action_required"), json!("renewal_answer_lost"), json!("rotate")]
}

on_both!(an_answer_that_never_came_after_the_rotation_is_told_at_once, async |on: On| {
    let (app, program, token) = connected(on).await;
    app.sim().fault(Endpoint::RotateProjectToken, Fault::DropAfterCommit);
    assert_eq!(renew(&program).await, 409);
    assert!(!app.sim().is_live(&token));
    assert_eq!(standing(&program).await, lost());
    assert_eq!(program.get(&format!("{PATH}/token")).await.status, 409);
    for _ in 0..3 {
        app.advance(SETTLED);
        assert_eq!(renew(&program).await, 409);
        round(&app).await;
    }
    assert_eq!(rotations(&app), (1, 0), "a dead token meets no rotate path");
});

on_both!(a_request_that_got_lost_is_sent_again_when_it_can_do_no_harm, async |on: On| {
    let (app, program, token) = connected(on).await;
    app.sim().fault(Endpoint::RotateProjectToken, Fault::DropBefore);
    assert_eq!(renew(&program).await, 503);
    assert_eq!(standing(&program).await[0], "degraded");
    let held = program.get(&format!("{PATH}/token")).await.expect(200).json();
    assert_eq!(held["access_token"], token, "the token works, so it is handed out");
    assert_eq!(renew(&program).await, 503, "whatever a person presses");
    assert_eq!(rotations(&app).0, 1);
    app.advance(SETTLED);
    assert_eq!(renew(&program).await, 200);
    assert_eq!(rotations(&app), (2, 0));
    assert_eq!(standing(&program).await[0], "active");
    let next = program.get(&format!("{PATH}/token")).await.expect(200).json();
    assert!(app.sim().is_live(next["access_token"].as_str().unwrap()) && next["generation"] == 2);
});

/// What a process leaves behind that was killed with a rotation under way.
async fn killed_while_rotating(app: &TestApp, program: &Http) {
    let state = &app.app().state;
    let shown = program.get(PATH).await.expect(200).json();
    let id: ConnectionId = shown["id"].as_str().unwrap().parse().unwrap();
    let held = state.store.open_credential(id).await.unwrap().unwrap();
    state.store.begin_renewal(&held.connection, RenewalCause::Due, state.clock.now()).await.unwrap();
}

on_both!(a_crash_after_the_rotation_is_told, async |on: On| {
    let (app, program, token) = connected(on).await;
    killed_while_rotating(&app, &program).await;
    app.sim().revoke(&token);
    app.app().state.renewals.recover().await.unwrap();
    round(&app).await;
    assert_eq!(standing(&program).await, lost());
    assert_eq!(rotations(&app), (0, 0));
});

on_both!(a_crash_before_the_rotation_waits_and_goes_on, async |on: On| {
    let (app, program, _) = connected(on).await;
    killed_while_rotating(&app, &program).await;
    app.app().state.renewals.recover().await.unwrap();
    round(&app).await;
    assert_eq!(rotations(&app), (0, 0), "the request may still be under way");
    app.advance(SETTLED);
    round(&app).await;
    assert_eq!(rotations(&app), (1, 0));
    assert_eq!(program.get(PATH).await.expect(200).json()["generation"], 2);
    assert_eq!(standing(&program).await[0], "active");
});

on_both!(nothing_is_sent_while_the_token_cannot_prove_its_life, async |on: On| {
    let (app, program, token) = connected(on).await;
    app.sim().fault_always(Endpoint::TokenSelf, Fault::bad_gateway());
    assert_eq!(renew(&program).await, 503);
    assert_eq!(rotations(&app), (0, 0));
    assert!(app.sim().is_live(&token));
});

on_both!(the_next_token_is_looked_at_after_its_rotation, async |on: On| {
    let (app, program, _) = connected(on).await;
    let health = app.app().state.health.clone();
    health.try_once().await.unwrap();
    assert_eq!(renew(&program).await, 200);
    let before = app.sim().count(Endpoint::TokenSelf);
    health.try_once().await.unwrap();
    assert!(app.sim().count(Endpoint::TokenSelf) > before, "nobody waits a day to see that it works");
});
