//! API keys over the API: made, used, listed, revoked.

use crate::{
    api::{id, make_key},
    support::{
        app::{On, TestApp, on_both},
        database::rows,
        request::Http,
        slow::SlowSender,
    },
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both!(a_key_works_from_the_moment_it_is_made, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let new = json!({"name": " ci ", "tenant": "acme", "scopes": ["tokens:read", "connections:read", "tokens:read"]});
    let reply = admin.post_json("/api/v1/api-keys", new).await.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let made = reply.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(&format!("moor_{}_", id(&made))), "{made}");
    assert_eq!((&made["name"], &made["tenant"]), (&json!("ci"), &json!("acme")));
    assert_eq!(made["scopes"], json!(["connections:read", "tokens:read"]));
    for field in ["expires_at", "revoked_at", "last_used_at"] {
        assert_eq!(made[field], Value::Null, "{field}");
    }
    app.http.with_key(key).get("/api/v1/connections").await.expect(200);

    let list = admin.get("/api/v1/api-keys").await.expect(200);
    assert!(!list.text.contains(key) && !list.text.contains("moor_"), "a key is shown once");
    let listed = list.json();
    let listed = listed["items"].as_array().unwrap().iter().find(|k| k["id"] == made["id"]).unwrap();
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(listed, &expected);
});

on_both!(a_revoked_key_is_dead_at_once, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let (id, key) = make_key(&admin, json!({"name": "ci", "scopes": ["connections:read"]})).await;
    let program = app.http.with_key(&key);
    for _ in 0..3 {
        program.get("/api/v1/connections").await.expect(200);
    }
    admin.delete(&format!("/api/v1/api-keys/{id}")).await.expect(204);
    program.get("/api/v1/connections").await.expect(401);
    admin.delete(&format!("/api/v1/api-keys/{id}")).await.expect(404);
    let listed = admin.get("/api/v1/api-keys").await.expect(200).json();
    let listed = listed["items"].as_array().unwrap().iter().find(|k| k["id"] == id.as_str()).unwrap();
    assert!(listed["revoked_at"].is_string(), "it stays in the list: {listed}");
});

on_both!(a_key_that_is_revoked_while_it_sends_makes_nothing, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let body = json!({"name": "heir", "scopes": ["admin"]}).to_string();
    for more in ["", "\r\nidempotency-key: once"] {
        let program = app.program(&["admin"]).await;
        let key = program.key().unwrap();
        let credentials = format!("authorization: Bearer {key}{more}");
        let head = (credentials.as_str(), "application/json");
        let sender = SlowSender::begin(&app, "/api/v1/api-keys", head, body.len()).await;
        let own = key.split('_').nth(1).unwrap();
        admin.delete(&format!("/api/v1/api-keys/{own}")).await.expect(204);
        let answer = sender.end(&body).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    assert_eq!(rows(&app, "api_keys").await, 3, "the two, and the one that revoked them");
});

on_both!(a_revoked_key_is_dead_on_another_replica_within_a_second, async |on: On| {
    let app = TestApp::start(on).await;
    let (replica, there) = app.replica().await;
    let admin = app.program(&["admin"]).await;
    let (id, key) = make_key(&admin, json!({"name": "ci", "scopes": ["connections:read"]})).await;
    let program = there.with_key(&key);
    program.get("/api/v1/connections").await.expect(200);
    admin.delete(&format!("/api/v1/api-keys/{id}")).await.expect(204);
    let took = until_refused(&program, Instant::now()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    replica.stop().await;
});

/// Asks until the key is refused, five seconds at most, and says how long the key still lived.
async fn until_refused(program: &Http, since: Instant) -> Duration {
    loop {
        let asked = since.elapsed();
        let reply = program.get("/api/v1/connections").await;
        if reply.status == 401 {
            return asked;
        }
        reply.expect(200);
        assert!(asked < Duration::from_secs(5), "it was never refused");
    }
}

on_both!(a_key_ends_at_its_end, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let before = app.clock.now();
    let new = json!({"name": "ci", "scopes": ["connections:read"], "expires_in": "90d"});
    let made = admin.post_json("/api/v1/api-keys", new).await.expect(201).json();
    let format = &time::format_description::well_known::Rfc3339;
    let end = time::OffsetDateTime::parse(made["expires_at"].as_str().unwrap(), format).unwrap();
    assert!((before..app.clock.now()).contains(&(end - time::Duration::days(90))), "{made}");
    let program = app.http.with_key(made["key"].as_str().unwrap());
    app.advance(Duration::from_hours(24 * 90 - 1));
    program.get("/api/v1/connections").await.expect(200);
    app.advance(Duration::from_hours(1));
    program.get("/api/v1/connections").await.expect(401);
    program.get("/api/v1/connections").await.expect(401);
});

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_is_refused() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    let whole = json!({"name": "ci", "scopes": ["proxy"]});
    let wrong = [
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("name", json!("a\nb")),
        ("tenant", json!("")),
        ("tenant", json!("a\u{0}b")),
        ("scopes", json!([])),
        ("scopes[0]", json!(["everything"])),
        ("expires_in", json!("soon")),
        ("expires_in", json!("0d")),
        ("expires_in", json!("-1d")),
        ("expires_in", json!("100y")),
        ("expires_in", json!("90")),
        ("key", json!("moor_chosen")),
    ];
    for (field, value) in wrong {
        let mut new = whole.clone();
        new[field.trim_end_matches("[0]")] = value;
        let sent = new.to_string();
        let problem = admin.post_json("/api/v1/api-keys", new).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], field, "{sent} gives {problem}");
    }
    let keys = admin.get("/api/v1/api-keys").await.expect(200).json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "none was made beside the one that asks");
    admin.delete("/api/v1/api-keys/none").await.expect(404);
}
