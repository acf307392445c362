//! Calls with an `Idempotency-Key`: however often one is sent, it is made once and answered alike.

use crate::{
    api::{id, make_key},
    support::{
        app::{On, TestApp, on_both},
        database::{dump, holds, rows, run},
        request::{Http, Reply},
    },
};
use gitlab_sim::Endpoint;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const RETURN_URL: &str = "https://app.example.com/back";

async fn start(on: On) -> TestApp {
    TestApp::start_with(on, gitlab_sim::Options::default(), &[("MOORING_RETURN_URLS", RETURN_URL)]).await
}

/// Everything that is made by a call, with the table that it is in.
fn creating(app: &TestApp) -> [(&'static str, Value, &'static str); 4] {
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    [
        (
            "/api/v1/connections",
            json!({"name": "acme", "integration": "gitlab", "token": token}),
            "connections",
        ),
        (
            "/api/v1/connect-sessions",
            json!({"tenant": "acme", "end_user": "ada", "return_url": RETURN_URL}),
            "connect_sessions",
        ),
        ("/api/v1/api-keys", json!({"name": "ci", "scopes": ["proxy"]}), "api_keys"),
        ("/api/v1/webhook-endpoints", json!({"url": "http://127.0.0.1:9/hooks"}), "webhook_endpoints"),
    ]
}

async fn post(program: &Http, path: &str, key: &str, body: &Value) -> Reply {
    program.request(Method::POST, path).header("idempotency-key", key).json(body).send().await
}

fn is_replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == "true"
}

on_both!(a_call_that_is_sent_again_is_answered_alike_and_made_once, async |on: On| {
    let app = start(on).await;
    let admin = app.program(&["admin"]).await;
    for (path, body, table) in creating(&app) {
        let before = rows(&app, table).await;
        let first = post(&admin, path, table, &body).await.expect(201);
        assert!(!is_replayed(&first), "{path}");
        let (asked, events) = (app.sim().count(Endpoint::Any), rows(&app, "events").await);
        for _ in 0..2 {
            let again = post(&admin, path, table, &body).await.expect(201);
            assert!(is_replayed(&again), "{path}");
            assert_eq!(again.text, first.text, "{path}");
            for header in ["location", "etag", "cache-control", "content-type"] {
                assert_eq!(again.header(header), first.header(header), "{path} {header}");
            }
        }
        assert_eq!((app.sim().count(Endpoint::Any), rows(&app, "events").await), (asked, events), "{path}");
        assert_eq!(rows(&app, table).await, before + 1, "{path}");
        let made = first.json();
        for secret in ["key", "secret", "url"].iter().filter_map(|field| made[field].as_str()) {
            let is_secret =
                secret.starts_with("moor_") || secret.starts_with("whsec_") || secret.contains("/connect/");
            assert!(!is_secret || !holds(&dump(&app).await, secret), "{path} keeps its secret in the open");
        }
    }
});

on_both!(one_name_is_for_one_request_of_one_key, async |on: On| {
    let app = start(on).await;
    let admin = app.program(&["admin"]).await;
    let body = json!({"name": "ci", "scopes": ["proxy"]});
    let first = post(&admin, "/api/v1/api-keys", "one", &body).await.expect(201).json();
    let other = json!({"name": "ci", "scopes": ["proxy"], "tenant": "acme"});
    for (path, body) in [
        ("/api/v1/api-keys", &other),
        ("/api/v1/api-keys?x=1", &body),
        ("/api/v1/webhook-endpoints", &json!({"url": "http://127.0.0.1:9/hooks"})),
    ] {
        let problem = post(&admin, path, "one", body).await.expect(422).json();
        assert_eq!(problem["code"], "idempotency_key_reused", "{path}");
    }
    let another = app.http.with_key(&make_key(&admin, json!({"name": "b", "scopes": ["admin"]})).await.1);
    let theirs = post(&another, "/api/v1/api-keys", "one", &body).await.expect(201);
    assert!(!is_replayed(&theirs) && theirs.json()["id"] != first["id"], "each key has names of its own");
    app.http
        .stranger()
        .request(Method::POST, "/api/v1/api-keys")
        .header("idempotency-key", "one")
        .send()
        .await
        .expect(401);

    app.advance(Duration::from_hours(24));
    let later = post(&admin, "/api/v1/api-keys", "one", &other).await.expect(201);
    assert!(!is_replayed(&later), "a name is free again after a day");
    let worker = app.program(&["connections:write"]).await;
    post(&worker, "/api/v1/api-keys", "one", &body).await.expect(403);
});

on_both!(what_was_refused_may_be_asked_again, async |on: On| {
    let app = start(on).await;
    let admin = app.program(&["admin"]).await;
    let path = "/api/v1/connections";
    let mut body = json!({"name": "acme", "integration": "gitlab", "token": "glpat-nobody"});
    post(&admin, path, "one", &body).await.expect(422);
    post(&admin, path, "one", &body).await.expect(422);
    body["token"] = json!(app.sim().mint_project(app.world.project, &["api"], 40, None).token);
    post(&admin, path, "one", &body).await.expect(201);
    assert!(is_replayed(&post(&admin, path, "one", &body).await.expect(201)));
});

on_both!(of_many_at_once_on_two_replicas_one_is_made, async |on: On| {
    let app = start(on).await;
    let (replica, there) = app.replica().await;
    let admin = app.program(&["admin"]).await;
    let elsewhere = there.with_key_of(&admin);
    for (path, body, table) in creating(&app) {
        let before = rows(&app, table).await;
        let calls = (0..12).map(|nth| {
            let program = if nth % 2 == 0 { admin.clone() } else { elsewhere.clone() };
            let body = body.clone();
            tokio::spawn(async move { post(&program, path, table, &body).await })
        });
        let (mut made, mut ids) = (0, Vec::new());
        for call in calls.collect::<Vec<_>>() {
            let reply = call.await.unwrap();
            if reply.status == 409 {
                assert_eq!(reply.json()["code"], "idempotency_in_flight");
                assert_eq!(reply.header("retry-after"), "1");
                continue;
            }
            let reply = reply.expect(201);
            made += i32::from(!is_replayed(&reply));
            ids.push(id(&reply.json()).to_owned());
        }
        ids.dedup();
        assert_eq!((made, ids.len(), rows(&app, table).await), (1, 1, before + 1), "{path}");
    }
    replica.stop().await;
});

on_both!(nobody_guesses_what_a_crash_left_behind, async |on: On| {
    let app = start(on).await;
    let admin = app.program(&["admin"]).await;
    let (path, body) = ("/api/v1/api-keys", json!({"name": "ci", "scopes": ["proxy"]}));
    post(&admin, path, "one", &body).await.expect(201);
    let before = rows(&app, "api_keys").await;
    run(&app, "update idempotent_calls set answer = null").await;
    assert_eq!(post(&admin, path, "one", &body).await.expect(409).json()["code"], "idempotency_in_flight");
    app.advance(Duration::from_secs(5 * 60));
    assert_eq!(post(&admin, path, "one", &body).await.expect(409).json()["code"], "idempotency_answer_lost");
    assert_eq!(rows(&app, "api_keys").await, before, "nothing is made twice");
});

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_plain_and_short() {
    let app = start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    let body = json!({"name": "ci", "scopes": ["proxy"]});
    for key in ["", "a b", "ä", &"x".repeat(256)] {
        let problem = post(&admin, "/api/v1/api-keys", key, &body).await.expect(400).json();
        assert_eq!(problem["code"], "invalid_idempotency_key", "{key:?}");
    }
    let call = admin.request(Method::POST, "/api/v1/api-keys").header("idempotency-key", "a");
    call.header("idempotency-key", "b").json(&body).send().await.expect(400);
    post(&admin, "/api/v1/api-keys", &"x".repeat(255), &body).await.expect(201);
    assert_eq!(rows(&app, "api_keys").await, 2, "the one that asks, and one");
}
