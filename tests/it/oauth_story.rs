//! The OAuth way, from the consent page to the end.

use crate::support::app::{On, TestApp, on_both};
use gitlab_sim::Endpoint;
use serde_json::json;
use std::time::Duration;

on_both!(from_consent_to_the_end, async |on: On| {
    let mut app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["connections:write", "tokens:read"]).await;

    let made = program.get("/api/v1/connections/acme").await.expect(200).json();
    assert_eq!((&made["id"], &made["method"]), (&json!(id), &json!("oauth")));
    assert_eq!((&made["token_kind"], &made["renewal"]), (&json!("oauth"), &json!("refresh")));
    assert_eq!((&made["status"], &made["account"]["username"]), (&json!("active"), &json!("alice")));

    let mut seen = vec![token(&app, &program).await];
    for _ in 0..4 {
        app.advance(Duration::from_secs(3 * 3_600));
        seen.push(token(&app, &program).await);
    }
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refresh_tokens_presented_twice), (4, 0));
    seen.dedup();
    assert_eq!(seen.len(), 5, "every renewal brought another token");

    app.restart().await;
    assert_eq!(token(&app, &program).await, seen[4]);
    app.advance(Duration::from_secs(3 * 3_600));
    token(&app, &program).await;
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refresh_tokens_presented_twice), (5, 0));

    let history = program.get("/api/v1/connections/acme/renewals").await.expect(200).json();
    let history = history["items"].as_array().unwrap();
    assert_eq!(history.len(), 5);
    assert!(history.iter().all(|r| r["outcome"] == "renewed" && !r["finished_at"].is_null()));

    let last = token(&app, &program).await;
    program.delete("/api/v1/connections/acme").await.expect(204);
    program.get("/api/v1/connections/acme/token").await.expect(404);
    app.app().state.disconnect.try_once().await.unwrap();
    assert!(!app.sim().is_live(&last), "dead at GitLab too");
    assert!(app.sim().live_refresh_tokens().is_empty());
    let sent = app.sim().last_request(Endpoint::Revoke).expect("a revocation");
    assert_eq!(sent.form("token_type_hint").as_deref(), Some("refresh_token"));
    app.stop().await;
});

/// A token that GitLab takes.
async fn token(app: &TestApp, program: &crate::support::request::Http) -> String {
    let answer = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    assert!(app.sim().is_live(&token), "a token that works was handed out");
    assert!(answer["expires_in"].as_i64().unwrap() > 60);
    token
}
