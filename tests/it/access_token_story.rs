//! The access-token way, from pasting to the end.

use crate::support::app::{On, TestApp, on_both};
use serde_json::json;
use std::time::Duration;

on_both!(from_pasting_a_project_token_to_the_end, async |on: On| {
    let mut app = TestApp::start(on).await;
    let expires_at = (app.clock.now() + time::Duration::days(10)).date();
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, Some(expires_at));
    let program = app.program(&["connections:write", "tokens:read"]).await;

    let new = json!({"name": "acme-review", "integration": "gitlab", "token": minted.token,
                         "token_kind": "project", "use_cases": ["code-review"], "tags": {"team": "sec"}});
    let made = program.post_json("/api/v1/connections", new).await.expect(201).json();
    assert_eq!(made["method"], "access_token");
    assert_eq!(made["token_kind"], "project");
    assert_eq!(made["account"]["kind"], "project_bot");
    assert_eq!(made["account"]["resource"], json!({"kind": "project", "id": app.world.project}));
    assert_eq!(made["expires_at"], format!("{expires_at}T00:00:00Z"));
    assert_eq!((&made["status"], &made["action"]), (&json!("expiring"), &json!("rotate")));

    let token = program.get("/api/v1/connections/acme-review/token").await.expect(200);
    assert_eq!(token.header("cache-control"), "no-store");
    let token = token.json();
    assert_eq!(token["access_token"], minted.token);
    assert_eq!(token["warnings"][0]["code"], "token_expiring");
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));

    app.restart().await;
    let again = program.get("/api/v1/connections/acme-review/token").await.expect(200).json();
    assert_eq!(again["access_token"], minted.token);

    app.advance(Duration::from_secs(11 * 86_400));
    let dead = program.get("/api/v1/connections/acme-review/token").await.expect(409).json();
    assert_eq!((&dead["code"], &dead["reason"]), (&json!("action_required"), &json!("token_expired")));
    let page = format!("{}/connections/{}/rotate", app.site(), made["id"].as_str().unwrap());
    assert_eq!(dead["action_url"], page);

    // GitLab makes a new bot for each token of a project: that is no other account.
    let elsewhere = app.sim().mint_project(app.sim().add_project("acme/other"), &["api"], 40, None);
    let next = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let path = "/api/v1/connections/acme-review/token";
    let other = program.put_json(path, json!({"token": elsewhere.token})).await;
    assert_eq!(other.expect(409).json()["code"], "different_account");
    let rotated = program.put_json(path, json!({"token": next.token})).await.expect(200).json();
    assert_ne!(rotated["account"]["id"], made["account"]["id"]);
    assert_eq!((&rotated["generation"], &rotated["status"]), (&json!(2), &json!("active")));
    let allowed = format!("{path}?allow_different_account=true");
    program.put_json(&allowed, json!({"token": elsewhere.token})).await.expect(200);
    program.put_json(&allowed, json!({"token": next.token})).await.expect(200);
    let token = program.get("/api/v1/connections/acme-review/token").await.expect(200).json();
    assert_eq!(token["access_token"], next.token);

    program.delete("/api/v1/connections/acme-review").await.expect(204);
    program.get("/api/v1/connections/acme-review/token").await.expect(404);
    app.app().state.disconnect.try_once().await.unwrap();
    assert!(!app.sim().is_live(&next.token), "dead at GitLab too");
    app.stop().await;
});
