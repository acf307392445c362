//! The document, its viewer, and whether the process lives.

use crate::support::app::{On, TestApp, on_both};
use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

/// The calls of the contract.
const CONTRACT: [&str; 36] = [
    "GET /api/v1/integrations",
    "GET /api/v1/use-cases",
    "GET /api/v1/recipient",
    "POST /api/v1/exports",
    "POST /api/v1/imports",
    "POST /api/v1/connections/{ref}/take-back",
    "POST /api/v1/tokens/inspect",
    "POST /api/v1/connections",
    "GET /api/v1/connections",
    "GET /api/v1/connections/{ref}",
    "PATCH /api/v1/connections/{ref}",
    "PUT /api/v1/connections/by-name/{name}",
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

/// What a path item holds beside its operations.
const METHODS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];

async fn document(app: &TestApp) -> Value {
    app.http.get("/openapi.json").await.expect(200).json()
}

/// Every operation, as `GET /path` with what is said of it.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let parts = item.as_object().unwrap().iter();
        let named = parts.filter(|(method, _)| METHODS.contains(&method.as_str()));
        all.extend(named.map(|(method, told)| (format!("{} {path}", method.to_uppercase()), told)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_the_calls_that_there_are() {
    let app = TestApp::start(On::Sqlite).await;
    let document = document(&app).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let operations = operations(&document);
    for (call, told) in &operations {
        let (method, path) = call.split_once(' ').unwrap();
        let path = path
            .replace("{path}", "api/v4/user")
            .replace("{ref}", "acme")
            .replace("{id}", "acme")
            .replace("{name}", "acme");
        let reply = app.http.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).send().await;
        let expected = if told["security"] == json!([]) { 200 } else { 401 };
        assert_eq!(reply.status, expected, "{call} is described, but not served: {}", reply.text);
        assert!(
            CONTRACT.contains(&call.as_str()) || path.starts_with("/proxy/"),
            "{call} is not in the contract"
        );
    }
    for call in CONTRACT {
        assert!(operations.iter().any(|(described, _)| described == call), "{call} is not described");
    }
}

/// The routers of the API describe themselves; the others are written by hand, in these files.
#[test]
fn every_route_that_is_served_to_programs_is_described() {
    let document = mooring::web::document();
    let source =
        |file: &str| fs::read_to_string(format!("{}/src/web/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut routes = vec!["/openapi.json".to_owned()];
    for file in ["mod.rs", "proxy.rs"] {
        let text = source(file);
        let found =
            text.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("{*", "{"));
        routes.extend(found);
    }
    assert!(routes.len() >= 4, "{routes:?}");
    for route in routes {
        assert!(document["paths"][&route].is_object(), "{route} is served, but not described");
    }
    let api = source("api/mod.rs");
    assert!(!api.contains(".route("), "a route of the API is made with routes!, which describes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_one_that_the_command_prints() {
    let app = TestApp::start(On::Sqlite).await;
    assert_eq!(document(&app).await, mooring::web::document());
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
    let mut ids = BTreeSet::new();
    for (call, told) in operations(&document) {
        assert!(ids.insert(told["operationId"].as_str().unwrap()) && told["summary"].is_string(), "{call}");
        if told["security"] == json!([]) {
            continue;
        }
        assert_eq!(told["security"], json!([{"api_key": []}]), "{call}");
        for (status, code) in
            [("401", "invalid_api_key"), ("403", "insufficient_permission"), ("500", "internal_error")]
        {
            let problem = &told["responses"][status]["content"]["application/problem+json"]["schema"];
            let codes = &problem["allOf"][1]["properties"]["code"]["enum"];
            let is_told = codes.as_array().is_some_and(|codes| codes.contains(&json!(code)));
            assert!(is_told || call.starts_with("HEAD "), "{call} {status}: {problem}");
        }
    }
}

/// What a schema calls its fields, where each has one.
fn properties(document: &Value, name: &str) -> BTreeSet<String> {
    document["components"]["schemas"][name]["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn whatever_is_sent_and_answered_has_an_example_with_its_fields() {
    let document = mooring::web::document();
    let mut seen = 0;
    for (call, told) in operations(&document) {
        let answers = told["responses"].as_object().unwrap().values().chain([&told["requestBody"]]);
        for body in answers.filter_map(|one| one["content"].get("application/json")) {
            let schema = body["schema"].get("$ref").or_else(|| body["schema"]["oneOf"][0].get("$ref"));
            let Some(name) = schema.and_then(|r| r.as_str()?.rsplit('/').next()) else { continue };
            let schema = &document["components"]["schemas"][name];
            let example =
                schema["examples"][0].as_object().unwrap_or_else(|| panic!("{call}: {name} has no example"));
            let known = properties(&document, name);
            assert!(
                example.keys().all(|key| known.contains(key)),
                "{name}: {example:?} has more than {known:?}"
            );
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(example.contains_key(required.as_str().unwrap()), "{name} lacks {required}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen}");
}

/// Codes of the pages alone.
const OF_PAGES: [&str; 1] = ["wrong_browser"];
/// Codes of one connection among those of an import, which is refused as a whole.
const OF_IMPORTS: [&str; 1] = ["already_here"];

/// The codes that the source gives: in calls that make problems, and in functions that say an error's code.
fn codes_in_the_source() -> BTreeSet<String> {
    let source =
        |file: &str| fs::read_to_string(format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut codes = BTreeSet::new();
    let mut take = |text: &str| {
        let literals = text.split('"').skip(1).step_by(2);
        let is_code =
            |word: &&str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        codes.extend(literals.filter(is_code).map(str::to_owned));
    };
    let web = fs::read_dir(format!("{}/src/web", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let api = fs::read_dir(format!("{}/src/web/api", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for file in web.chain(api).map(|file| file.unwrap().path()).filter(|path| path.extension().is_some()) {
        let text = fs::read_to_string(file).unwrap();
        for call in ["Problem::new(", "Self::new(", "because(", "url(", "Self::wrong(", "not_ready("] {
            // The code stands before the sentence, within the first three arguments.
            text.split(call)
                .skip(1)
                .for_each(|rest| take(rest.splitn(3, ',').take(2).collect::<Vec<_>>().join(",").as_str()));
        }
    }
    for (file, function) in [
        ("connect/error.rs", "pub fn code("),
        ("connect/error.rs", "pub fn inspect_code("),
        ("connect/session.rs", "pub fn code("),
        ("web/error.rs", "fn refused_by_framework("),
    ] {
        let text = source(file);
        let body = text.split(function).nth(1).unwrap_or_else(|| panic!("{file} has no {function}"));
        take(body.split("\n}\n").next().unwrap().split("\n    }\n\n").next().unwrap());
    }
    codes
}

#[test]
fn every_code_of_the_source_is_in_the_document() {
    let text = mooring::web::document().to_string();
    let codes = codes_in_the_source();
    assert!(codes.len() >= 50, "{} codes: {codes:?}", codes.len());
    let unknown: Vec<_> = codes
        .iter()
        .filter(|code| !OF_PAGES.contains(&code.as_str()) && !OF_IMPORTS.contains(&code.as_str()))
        .filter(|code| !text.contains(&format!("\"{code}\"")))
        .collect();
    assert!(unknown.is_empty(), "src/web/api/codes.rs does not say who answers {unknown:?}");
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
