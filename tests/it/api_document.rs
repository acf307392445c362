//! The document, its viewer, and whether the process lives.

use crate::support::app::{On, TestApp, on_both};
use http::Method;
use serde_json::{Value, json};

/// The calls of the contract.
const CONTRACT: [&str; 31] = [
    "GET /api/v1/integrations",
    "GET /api/v1/use-cases",
    "POST /api/v1/tokens/inspect",
    "POST /api/v1/connections",
    "GET /api/v1/connections",
    "GET /api/v1/connections/{ref}",
    "PATCH /api/v1/connections/{ref}",
    "DELETE /api/v1/connections/{ref}",
    "GET /api/v1/connections/{ref}/token",
    "PUT /api/v1/connections/{ref}/token",
    "POST /api/v1/connections/{ref}/renew",
    "POST /api/v1/connections/{ref}/check",
    "GET /api/v1/connections/{ref}/projects",
    "GET /api/v1/connections/{ref}/renewals",
    "POST /api/v1/connect-sessions",
    "GET /api/v1/connect-sessions/{id}",
    "POST /api/v1/connect-sessions/{id}/complete",
    "GET /api/v1/events",
    "GET /api/v1/webhook-endpoints",
    "POST /api/v1/webhook-endpoints",
    "DELETE /api/v1/webhook-endpoints/{id}",
    "POST /api/v1/webhook-endpoints/{id}/rotate-secret",
    "POST /api/v1/webhook-endpoints/{id}/test",
    "GET /api/v1/webhook-endpoints/{id}/deliveries",
    "POST /api/v1/webhook-endpoints/{id}/deliveries/{delivery}/redeliver",
    "GET /api/v1/api-keys",
    "POST /api/v1/api-keys",
    "DELETE /api/v1/api-keys/{id}",
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
];

async fn document(app: &TestApp) -> Value {
    app.http.get("/openapi.json").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_the_calls_that_there_are() {
    let app = TestApp::start(On::Sqlite).await;
    let document = document(&app).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut listed = 0;
    for call in CONTRACT.iter().filter(|call| call.contains("/api/")) {
        let (method, path) = call.split_once(' ').unwrap();
        let documented = document["paths"][path].get(method.to_lowercase()).is_some();
        let path = path.replace("{ref}", "acme").replace("{id}", "acme");
        let reply = app.http.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).send().await;
        assert_eq!(documented, reply.status == 401, "{call} answers {}", reply.status);
        assert!([401, 404, 405].contains(&reply.status), "{call} answers {}", reply.status);
        listed += usize::from(documented);
    }
    assert!(listed >= 18, "{listed}");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let call = format!("{} {path}", method.to_uppercase());
            assert!(CONTRACT.contains(&call.as_str()), "{call} is not in the contract");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_one_that_the_command_prints() {
    let app = TestApp::start(On::Sqlite).await;
    let printed = mooring::web::document().to_pretty_json().unwrap();
    assert_eq!(document(&app).await, serde_json::from_str::<Value>(&printed).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_document_says_how_it_is_let_in_and_refused() {
    let app = TestApp::start(On::Sqlite).await;
    let document = document(&app).await;
    let scheme = &document["components"]["securitySchemes"]["api_key"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            assert_eq!(call["security"], json!([{"api_key": []}]), "{method} {path}");
            let problem = &call["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{method} {path}: {call}");
            assert!(call["operationId"].is_string() && call["summary"].is_string(), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_viewer_needs_nothing_from_elsewhere() {
    let app = TestApp::start(On::Sqlite).await;
    let page = app.http.follow(app.http.get("/docs").await).await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.header("content-type"));
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
}

on_both!(a_process_says_that_it_lives_and_can_work, async |on: On| {
    let app = TestApp::start(on).await;
    assert_eq!(app.http.get("/healthz").await.expect(200).text, "ok\n");
    assert_eq!(app.http.get("/readyz").await.expect(200).text, "ready\n");
    app.app().state.store.close().await;
    let reply = app.http.get("/readyz").await.expect(503);
    assert_eq!(reply.json()["code"], "not_ready");
    assert_eq!(app.http.get("/healthz").await.expect(200).text, "ok\n", "it lives all the same");
});
