//! What is refused before a verb is asked: every answer is problem details with a stable code and a request id.

use crate::{
    api::connect,
    support::{
        app::{On, TestApp, on_both},
        request::{Http, Reply},
    },
};
use gitlab_sim::Endpoint;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CONNECTIONS: &str = "/api/v1/connections";
const LARGEST_BODY: usize = 256 * 1024;

/// The problem of an answer, which must be whole.
#[track_caller]
fn problem(reply: Reply, status: u16, code: &str) -> Value {
    let reply = reply.expect(status);
    assert_eq!(reply.header("content-type"), "application/problem+json", "{reply:?}");
    assert_eq!(reply.header("x-mooring-error"), code);
    let problem = reply.json();
    assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{problem}");
    for field in ["type", "title", "detail"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {problem}");
    }
    assert_eq!(problem["request_id"], reply.header("x-request-id"));
    problem
}

async fn writer(app: &TestApp) -> Http {
    app.program(&["connections:write", "tokens:read"]).await
}

async fn post(program: &Http, body: impl Into<String>) -> Reply {
    let call = program.request(Method::POST, CONNECTIONS).header("content-type", "application/json");
    call.body(body.into()).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_framework_refuses_is_a_problem_too() {
    let app = TestApp::start(On::Sqlite).await;
    let program = writer(&app).await;
    for path in ["/api/v1/nothing", "/api/v1", "/api/", "/api/v1/connections/a/b/c", "/api/v1/connections/"] {
        problem(program.get(path).await, 404, "not_found");
    }
    let reply = program.put_json(CONNECTIONS, json!({})).await;
    let allowed: BTreeSet<_> = reply.header("allow").split(',').map(str::trim).collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]));
    problem(reply, 405, "method_not_allowed");

    let body = r#"{"name":"a","integration":"gitlab","token":"glpat-x"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let call = program.request(Method::POST, CONNECTIONS).header("content-type", kind).body(body);
        problem(call.send().await, 415, "unsupported_media_type");
    }
    problem(
        program.request(Method::POST, CONNECTIONS).body(body).send().await,
        415,
        "unsupported_media_type",
    );
    let call =
        program.request(Method::POST, CONNECTIONS).header("content-type", "application/json; charset=utf-8");
    problem(call.body(body).send().await, 422, "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_256_kib_at_most() {
    let app = TestApp::start(On::Sqlite).await;
    let program = writer(&app).await;
    let body = r#"{"name":"a","integration":"none","token":"glpat-x"}"#;
    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    problem(post(&program, padded(LARGEST_BODY)).await, 422, "unknown_integration");
    problem(post(&program, padded(LARGEST_BODY + 1)).await, 413, "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_is_refused() {
    let app = TestApp::start(On::Sqlite).await;
    let program = writer(&app).await;
    let whole = r#"{"name":"a","integration":"none","token":"glpat-x"}"#;
    let after = format!("{whole} {{}}");
    for body in ["", "{", "nonsense", "{'name': 'a'}", r#"{"name":"a",}"#, &after, "\u{feff}{}"] {
        problem(post(&program, body).await, 400, "invalid_json");
    }
    let mut latin1 = whole.as_bytes().to_vec();
    latin1[9] = 0xe4;
    let call = program.request(Method::POST, CONNECTIONS).header("content-type", "application/json");
    problem(call.body(latin1).send().await, 400, "invalid_json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_wrong_is_named() {
    let app = TestApp::start(On::Sqlite).await;
    let program = writer(&app).await;
    let wrong = [
        (json!({"nmae": "a"}), "nmae"),
        (json!({"name": 5}), "name"),
        (json!({"name": null}), "name"),
        (json!({"name": "a", "use_cases": "code-review"}), "use_cases"),
        (json!({"name": "a", "use_cases": ["code-review", 7]}), "use_cases[1]"),
        (json!({"name": "a", "tags": {"team": 5}}), "tags.team"),
        (json!({"name": "a", "token_kind": "other"}), "token_kind"),
        (json!({"name": "a", "renewal": ["manual"]}), "renewal"),
        (json!({"integration": "gitlab", "token": "t"}), "name"),
        (json!({"name": "a", "integration": "gitlab"}), "token"),
        (json!({"name": "a", "token": "t"}), "integration"),
        (
            json!({"name": "a", "token": "t", "integration": "gitlab", "base_url": "https://x.org"}),
            "integration",
        ),
        (json!({"name": "a/b", "token": "t", "integration": "gitlab"}), "name"),
        (json!({"name": "a", "token": "t", "integration": "gitlab", "tenant": ""}), "tenant"),
        (json!({"name": "a", "token": "t", "integration": "gitlab", "description": "\u{0}"}), "description"),
        (json!({"name": "a", "token": "t", "integration": "gitlab", "tags": {"": "v"}}), "tags"),
    ];
    for (body, field) in wrong {
        let sent = body.to_string();
        let reply = program.post_json(CONNECTIONS, body).await;
        assert_eq!(reply.status, 422, "{sent} gives {}", reply.text);
        let problem = problem(reply, 422, "invalid_field");
        assert_eq!(problem["errors"][0]["field"], field, "{sent} gives {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
        assert!(problem["errors"][0]["message"].as_str().is_some_and(|m| !m.is_empty()), "{problem}");
    }
    problem(post(&program, "[]").await, 422, "invalid_field");
    assert_eq!(app.sim().count(Endpoint::Any), 0, "GitLab was not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_there_twice_is_refused() {
    let app = TestApp::start(On::Sqlite).await;
    let program = writer(&app).await;
    let twice = [
        (r#"{"name":"a","name":"b","integration":"gitlab","token":"t"}"#, "name"),
        (r#"{"name":"a","integration":"gitlab","token":"t","token":"u"}"#, "token"),
        (r#"{"name":"a","integration":"gitlab","token":"t","tags":{"k":"1","k":"2"}}"#, "tags"),
    ];
    for (body, field) in twice {
        let problem = problem(post(&program, body).await, 422, "invalid_field");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
    }
    problem(program.get("/api/v1/connections?limit=1&limit=2").await, 422, "invalid_parameter");
}

on_both!(a_token_in_a_wrong_place_is_not_repeated, async |on: On| {
    const CANARY: &str = "glpat-Canary_0123456789";
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    connect(&app, &program, "acme", json!({})).await;
    let whole = json!({"name": "a", "integration": "gitlab", "token": "glpat-x"});
    let mut replies = Vec::new();
    for field in
        ["name", "integration", "base_url", "token_kind", "renewal", "use_cases", "tags", "token", "tenant"]
    {
        for value in [json!(CANARY), json!([CANARY]), json!({CANARY: CANARY}), json!({"k": [CANARY]})] {
            let mut body = whole.clone();
            body[field] = value;
            if field == "base_url" {
                body.as_object_mut().unwrap().remove("integration");
            }
            replies.push(program.post_json(CONNECTIONS, body).await);
        }
    }
    let mut unknown = whole.clone();
    unknown[CANARY] = json!("x");
    replies.push(program.post_json(CONNECTIONS, unknown).await);
    replies.push(post(&program, format!("{{\"token\": {CANARY}}}")).await);
    replies.push(program.post_json("/api/v1/api-keys", json!({"name": "k", "scopes": [CANARY]})).await);
    for parameter in ["status", "method", "limit", "cursor", "min_ttl", "newer_than", "revoke", "tenant"] {
        for path in [CONNECTIONS, "/api/v1/connections/none", "/api/v1/connections/acme/token"] {
            replies.push(program.get(&format!("{path}?{parameter}={CANARY}")).await);
        }
    }
    replies.push(program.get(&format!("/api/v1/connections/{CANARY}")).await);
    replies.push(program.delete(&format!("/api/v1/connections/none?revoke={CANARY}")).await);
    replies.push(program.patch_json("/api/v1/connections/acme", json!({"use_cases": [CANARY]})).await);
    replies.push(program.put_json("/api/v1/connections/acme/token", json!({"token": CANARY})).await);
    for reply in &replies {
        assert_ne!(reply.status, 500, "{}", reply.text);
        assert!(!reply.text.contains("Canary"), "{reply:?}");
    }
    let refused = replies.iter().filter(|reply| reply.status >= 400).count();
    assert!(refused >= 45, "most of this is wrong: {refused} of {}", replies.len());
});

on_both!(a_null_character_is_no_error_of_ours, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    for path in ["/api/v1/connections/a%00b", "/api/v1/connections/a%00b/token", "/api/v1/connections/%FF"] {
        problem(program.get(path).await, 404, "not_found");
    }
    problem(program.delete("/api/v1/api-keys/a%00b").await, 404, "not_found");
    for query in ["q=%00", "tenant=a%00", "integration=%00", "cursor=%00"] {
        let reply = program.get(&format!("/api/v1/connections?{query}")).await;
        assert_eq!(reply.status, 422, "{query}: {}", reply.text);
    }
    problem(program.get("/api/v1/api-keys?cursor=%00").await, 422, "invalid_parameter");
    problem(program.get("/api/v1/connections/a?tenant=%00").await, 422, "invalid_parameter");
});

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_of_ours() {
    let app = TestApp::start(On::Sqlite).await;
    let program = writer(&app).await;
    let mut ids = BTreeSet::new();
    let paths = [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs/",
        CONNECTIONS,
        "/api/v1/nothing",
        "/api/v1/events",
        "/none",
    ];
    for path in paths {
        let call = program.request(Method::GET, path).header("x-request-id", "chosen-outside");
        let reply = call.send().await;
        let id = reply.header("x-request-id").to_owned();
        assert!(id.len() >= 16 && id != "chosen-outside", "{path}: {id:?}");
        assert_eq!(reply.headers.get_all("x-request-id").iter().count(), 1, "{path}");
        assert!(!reply.text.contains("chosen-outside"), "{path}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), paths.len(), "each its own");
}
