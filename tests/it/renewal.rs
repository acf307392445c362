//! Renewal: once, in time, and not lost.

use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use futures_util::future::join_all;
use gitlab_sim::{Endpoint, Fault, Options};
use mooring::renewal::Worker;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::task::TaskTracker;

const TOKEN: &str = "/api/v1/connections/acme/token";
const TWO_HOURS: Duration = Duration::from_secs(7_200);

/// A connected app and a program that may do all.
async fn connected(on: On) -> (TestApp, Http) {
    let app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["admin"]).await;
    (app, program)
}

async fn connection(program: &Http) -> Value {
    program.get("/api/v1/connections/acme").await.expect(200).json()
}

fn worker(app: &TestApp) -> Worker {
    let state = &app.app().state;
    Worker::new(state.store.clone(), state.renewals.clone(), state.clock.clone(), TaskTracker::new())
}

on_both!(a_hundred_readers_of_an_expired_token_cause_one_refresh, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(TWO_HOURS);
    let answers = join_all((0..100).map(|_| program.get(TOKEN))).await;
    let tokens: Vec<_> = answers.into_iter().map(|a| a.expect(200).json()["access_token"].clone()).collect();
    assert!(tokens.iter().all(|t| *t == tokens[0]));
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 0));
});

on_both!(a_hundred_readers_of_a_refused_token_cause_one_refresh, async |on: On| {
    let (app, program) = connected(on).await;
    let first = program.get(TOKEN).await.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    app.advance(Duration::from_secs(60));
    app.sim().expire(&first);
    let path = format!("{TOKEN}?newer_than=1");
    let answers = join_all((0..100).map(|_| program.get(&path))).await;
    for answer in answers {
        let answer = answer.expect(200).json();
        assert_eq!(answer["generation"], 2);
        assert!(app.sim().is_live(answer["access_token"].as_str().unwrap()));
    }
    assert_eq!(app.sim().counts().refreshes_granted, 1);
});

on_both!(a_token_that_works_is_not_renewed_because_a_caller_says_so, async |on: On| {
    let (app, program) = connected(on).await;
    let answer = program.get(&format!("{TOKEN}?newer_than=1")).await.expect(200).json();
    assert_eq!(answer["generation"], 1);
    assert_eq!(app.sim().counts().refreshes_granted, 0);
});

on_both!(three_replicas_of_one_database_cause_one_refresh, async |on: On| {
    let (app, program) = connected(on).await;
    let (second, at_second) = app.replica().await;
    let (third, at_third) = app.replica().await;
    let key = app.program(&["tokens:read"]).await;
    let programs = [program, at_second.with_key_of(&key), at_third.with_key_of(&key)];
    app.advance(TWO_HOURS);
    let answers = join_all((0..99).map(|n| programs[n % 3].get(TOKEN))).await;
    let tokens: Vec<_> = answers.into_iter().map(|a| a.expect(200).json()["access_token"].clone()).collect();
    assert!(tokens.iter().all(|t| *t == tokens[0]));
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 0));
    second.stop().await;
    third.stop().await;
});

on_both!(a_client_that_hangs_up_does_not_stop_a_refresh, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(TWO_HOURS);
    let gate = app.sim().hold_after(Endpoint::Token);
    tokio::select! {
        _ = program.get(TOKEN) => panic!("the answer is held"),
        () = gate.reached() => {}
    }
    gate.release();
    let token = program.get(TOKEN).await.expect(200).json();
    assert_eq!(token["generation"], 2);
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refresh_tokens_presented_twice), (1, 0));
});

on_both!(the_worker_renews_ahead_of_the_end, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(Duration::from_secs(108 * 60));
    worker(&app).try_once().await.unwrap();
    assert_eq!(connection(&program).await["generation"], 1, "twelve minutes are left");
    app.advance(Duration::from_secs(5 * 60));
    worker(&app).try_once().await.unwrap();
    assert_eq!(connection(&program).await["generation"], 2);
    assert_eq!(app.sim().counts().refreshes_granted, 1);
});

on_both!(a_warm_hand_out_needs_no_database, async |on: On| {
    let (app, program) = connected(on).await;
    // The feed tells of our own changes as well, once.
    app.app().feed.try_once().await.unwrap();
    let warm = program.get(TOKEN).await.expect(200).json();
    app.app().state.store.close().await;
    for _ in 0..3 {
        assert_eq!(program.get(TOKEN).await.expect(200).json()["access_token"], warm["access_token"]);
    }
});

on_both!(min_ttl_renews_where_it_helps_and_only_there, async |on: On| {
    let (app, program) = connected(on).await;
    let ask =
        async |min_ttl: u32| program.get(&format!("{TOKEN}?min_ttl={min_ttl}")).await.expect(200).json();
    assert_eq!(ask(7_000).await["generation"], 1);
    app.advance(Duration::from_secs(600));
    let renewed = ask(7_000).await;
    assert_eq!((&renewed["generation"], &renewed["warnings"]), (&json!(2), &json!([])));
    let never = ask(8_000).await;
    assert_eq!((&never["generation"], &never["warnings"][0]["code"]), (&json!(2), &json!("min_ttl_not_met")));
});

on_both!(an_answer_that_never_came_is_asked_for_once_more, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(TWO_HOURS);
    app.sim().fault(Endpoint::Token, Fault::DropBefore);
    let token = program.get(TOKEN).await.expect(200).json();
    assert_eq!(token["generation"], 2);
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refresh_tokens_presented_twice), (1, 0));
});

on_both!(a_lost_answer_is_named_and_nothing_is_deleted, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(TWO_HOURS);
    app.sim().fault(Endpoint::Token, Fault::DropAfterCommit);
    let answer = program.get(TOKEN).await.expect(503);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(answer.json()["code"], "provider_unavailable");
    let degraded = connection(&program).await;
    assert_eq!(
        (&degraded["status"], &degraded["reason"]),
        (&json!("degraded"), &json!("renewal_answer_lost"))
    );
    assert_eq!(app.sim().counts().refresh_tokens_presented_twice, 1, "the one careful retry");
    for wait in [3, 3, 11, 61, 301, 901] {
        app.advance(Duration::from_secs(wait));
        worker(&app).try_once().await.unwrap();
    }
    let dead = program.get(TOKEN).await.expect(409).json();
    assert_eq!((&dead["reason"], &dead["action"]), (&json!("renewal_answer_lost"), &json!("reauthorize")));
});

on_both!(a_false_rejection_does_not_kill_a_connection, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(Duration::from_secs(115 * 60));
    let false_no =
        || Fault::Json { status: 400, body: r#"{"error":"invalid_grant","error_description":"-"}"#.into() };
    for _ in 0..4 {
        app.sim().fault(Endpoint::Token, false_no());
    }
    for wait in [0, 3, 11, 61] {
        app.advance(Duration::from_secs(wait));
        worker(&app).try_once().await.unwrap();
        let token = program.get(TOKEN).await.expect(200).json();
        assert_eq!(
            (&token["generation"], &token["warnings"][0]["code"]),
            (&json!(1), &json!("grant_revoked"))
        );
    }
    app.advance(Duration::from_secs(301));
    worker(&app).try_once().await.unwrap();
    let recovered = connection(&program).await;
    assert_eq!((&recovered["status"], &recovered["generation"]), (&json!("active"), &json!(2)));
    assert_eq!(recovered["failure"], Value::Null);
});

on_both!(a_withdrawn_grant_is_confirmed_before_a_person_is_asked, async |on: On| {
    let (app, program) = connected(on).await;
    app.sim().revoke_authorization(app.world.alice, &app.world.application.client_id);
    app.advance(TWO_HOURS);
    for wait in [0, 3, 11, 61, 301, 901] {
        app.advance(Duration::from_secs(wait));
        worker(&app).try_once().await.unwrap();
    }
    let dead = program.get(TOKEN).await.expect(409).json();
    assert_eq!((&dead["code"], &dead["reason"]), (&json!("action_required"), &json!("grant_revoked")));
    assert_eq!(dead["action"], "reauthorize");
    assert_eq!(app.sim().counts().refreshes_denied, 6);
    app.advance(Duration::from_secs(86_400));
    worker(&app).try_once().await.unwrap();
    program.get(TOKEN).await.expect(409);
    assert_eq!(app.sim().counts().refreshes_denied, 6, "a dead grant is not asked about again");
});

on_both!(our_wrong_client_secret_kills_no_connection, async |on: On| {
    let (app, program) = connected(on).await;
    let application = app.world.application.clone();
    app.sim().renew_secret(&application.client_id);
    app.advance(Duration::from_secs(115 * 60));
    worker(&app).try_once().await.unwrap();
    let degraded = connection(&program).await;
    assert_eq!(degraded["reason"], "integration_misconfigured");
    program.get(TOKEN).await.expect(200);
    app.sim().register_application(&application, &format!("{}/oauth/gitlab/callback", app.site()), &["api"]);
    app.advance(Duration::from_secs(300));
    worker(&app).try_once().await.unwrap();
    assert_eq!(connection(&program).await["status"], "active");
});

on_both!(a_busy_provider_is_left_alone_for_as_long_as_it_asks, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(TWO_HOURS);
    app.sim().fault(Endpoint::Token, Fault::RateLimitedRack { retry_after: 120 });
    let answer = program.get(TOKEN).await.expect(503);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((119..=121).contains(&wait), "{wait}");
    program.get(TOKEN).await.expect(503);
    assert_eq!(app.sim().counts().token_requests, 2, "the code's exchange and one refresh");
    app.advance(Duration::from_secs(125));
    program.get(TOKEN).await.expect(200);
});

on_both!(a_disconnect_during_a_refresh_leaves_no_grant_behind, async |on: On| {
    let (app, program) = connected(on).await;
    app.advance(TWO_HOURS);
    let gate = app.sim().hold_after(Endpoint::Token);
    let reader = program.clone();
    let reading = tokio::spawn(async move { reader.get(TOKEN).await });
    gate.reached().await;
    program.delete("/api/v1/connections/acme").await.expect(204);
    gate.release();
    reading.await.unwrap().expect(404);
    app.app().state.disconnect.try_once().await.unwrap();
    assert!(app.sim().live_refresh_tokens().is_empty(), "the grant that nobody holds was revoked");
});

on_both!(a_provider_that_does_not_answer_is_told_of_the_end_later, async |on: On| {
    let (app, program) = connected(on).await;
    app.sim().fault_always(Endpoint::Revoke, Fault::bad_gateway());
    program.delete("/api/v1/connections/acme").await.expect(204);
    app.app().state.disconnect.try_once().await.unwrap();
    assert_eq!(app.sim().live_refresh_tokens().len(), 1);
    app.sim().clear_faults();
    app.advance(Duration::from_secs(130));
    app.app().state.disconnect.try_once().await.unwrap();
    assert!(app.sim().live_refresh_tokens().is_empty());
});

on_both!(a_renewal_on_request_and_where_only_a_person_can, async |on: On| {
    let (app, program) = connected(on).await;
    let renewed = program.post_json("/api/v1/connections/acme/renew", json!({})).await.expect(200).json();
    assert_eq!(renewed["generation"], 2);
    let minted = app.sim().mint_personal(app.world.alice, &["api"], None);
    let new = json!({"name": "pasted", "integration": "gitlab", "token": minted.token});
    program.post_json("/api/v1/connections", new).await.expect(201);
    let refused = program.post_json("/api/v1/connections/pasted/renew", json!({})).await.expect(409);
    assert_eq!(refused.json()["code"], "renewal_is_manual");
});

on_both!(tokens_of_a_few_seconds_are_handed_out_alive, async |on: On| {
    let options = Options { access_token_life: Duration::from_secs(30), ..Options::default() };
    let app = TestApp::start_with(on, options, &[]).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read"]).await;
    for _ in 0..5 {
        let token = program.get(TOKEN).await.expect(200).json();
        assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
        app.advance(Duration::from_secs(20));
    }
    assert_eq!(app.sim().counts().refresh_tokens_presented_twice, 0);
});
