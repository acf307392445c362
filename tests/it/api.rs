//! Who may call what: every route of the API with every kind of key, and what one tenant knows of another.

use crate::support::{
    app::{On, TestApp, on_both},
    request::{Http, Reply},
};
use http::Method;
use mooring::vault::ApiKeySecret;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// A route, the scope that it needs, and a body that it can read.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) body: &'static str,
}

const fn route(method: &'static str, path: &'static str, scope: &'static str, body: &'static str) -> Route {
    Route { method, path, scope, body }
}

const READ: &str = "connections:read";
const WRITE: &str = "connections:write";

const SESSION: &str = r#"{"tenant":"acme","end_user":"ada","return_url":"https://app.example.com/back"}"#;

const IMPORT: &str = r#"{"export":{"mooring_export":1,"recipient":"x","encapsulated":"","sealed":""}}"#;

pub(crate) const ROUTES: [Route; 33] = [
    route("GET", "/api/v1/integrations", READ, ""),
    route("GET", "/api/v1/use-cases", READ, ""),
    route("POST", "/api/v1/tokens/inspect", WRITE, r#"{"integration":"none","token":"glpat-x"}"#),
    route("POST", "/api/v1/connections", WRITE, r#"{"name":"new","integration":"none","token":"glpat-x"}"#),
    route("GET", "/api/v1/connections", READ, ""),
    route("GET", "/api/v1/connections/{ref}", READ, ""),
    route("PUT", "/api/v1/connections/by-name/{name}", WRITE, r#"{"integration":"none","token":"glpat-x"}"#),
    route("PATCH", "/api/v1/connections/{ref}", WRITE, r#"{"description":"changed"}"#),
    route("GET", "/api/v1/connections/{ref}/token", "tokens:read", ""),
    route("PUT", "/api/v1/connections/{ref}/token", WRITE, r#"{"token":"glpat-x"}"#),
    route("POST", "/api/v1/connections/{ref}/renew", WRITE, ""),
    route("POST", "/api/v1/connections/{ref}/check", READ, ""),
    route("GET", "/api/v1/connections/{ref}/projects", READ, ""),
    route("GET", "/api/v1/connections/{ref}/renewals", READ, ""),
    route("DELETE", "/api/v1/connections/{ref}", WRITE, ""),
    route("POST", "/api/v1/connect-sessions", WRITE, SESSION),
    route("GET", "/api/v1/connect-sessions/{id}", WRITE, ""),
    route("POST", "/api/v1/connect-sessions/{id}/complete", WRITE, r#"{"handle":"x","end_user":"ada"}"#),
    route("POST", "/api/v1/connections/{ref}/take-back", WRITE, ""),
    route("GET", "/api/v1/recipient", "admin", ""),
    route("POST", "/api/v1/exports", "admin", r#"{"recipient":"x"}"#),
    route("POST", "/api/v1/imports", "admin", IMPORT),
    route("GET", "/api/v1/events", "admin", ""),
    route("GET", "/api/v1/api-keys", "admin", ""),
    route("POST", "/api/v1/api-keys", "admin", r#"{"name":"ci","scopes":["proxy"]}"#),
    route("DELETE", "/api/v1/api-keys/{id}", "admin", ""),
    route("GET", "/api/v1/webhook-endpoints", "admin", ""),
    route("POST", "/api/v1/webhook-endpoints", "admin", r#"{"url":"https://example.com/hooks"}"#),
    route("DELETE", "/api/v1/webhook-endpoints/{id}", "admin", ""),
    route("POST", "/api/v1/webhook-endpoints/{id}/rotate-secret", "admin", ""),
    route("POST", "/api/v1/webhook-endpoints/{id}/test", "admin", ""),
    route("GET", "/api/v1/webhook-endpoints/{id}/deliveries", "admin", ""),
    route("POST", "/api/v1/webhook-endpoints/{id}/deliveries/{delivery}/redeliver", "admin", ""),
];

impl Route {
    /// Calls it with `reference` in the place of `{ref}` or `{id}`, and a query.
    async fn call(&self, program: &Http, reference: &str, query: &str) -> Reply {
        let path =
            self.path.replace("{ref}", reference).replace("{id}", reference).replace("{name}", reference);
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let mut call = program.request(method, &format!("{path}{query}"));
        if !self.body.is_empty() {
            call = call.header("content-type", "application/json").body(self.body);
        }
        call.send().await
    }

    fn of_connection(&self) -> bool {
        self.path.contains("{ref}")
    }
}

/// Connects by a fresh project access token, with these fields beside name and token.
pub(crate) async fn connect(app: &TestApp, program: &Http, name: &str, fields: Value) -> Value {
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let mut new = json!({"name": name, "integration": "gitlab", "token": minted.token});
    let more = fields.as_object().expect("fields are an object").clone();
    new.as_object_mut().expect("so is this").extend(more);
    program.post_json("/api/v1/connections", new).await.expect(201).json()
}

/// The `id` of an answer.
pub(crate) fn id(value: &Value) -> &str {
    value["id"].as_str().expect("it has an id")
}

/// A key that this program makes over the API: its id and the key.
pub(crate) async fn make_key(admin: &Http, fields: Value) -> (String, String) {
    let made = admin.post_json("/api/v1/api-keys", fields).await.expect(201).json();
    let key = made["key"].as_str().expect("it is shown once").to_owned();
    (id(&made).to_owned(), key)
}

/// A problem without what differs from request to request.
pub(crate) fn without_request_id(reply: &Reply) -> Value {
    let mut problem = reply.json();
    problem.as_object_mut().expect("a problem").remove("request_id").expect("it has a request id");
    problem
}

#[test]
fn every_documented_route_is_tried_here() {
    let document = mooring::web::document();
    let mut documented = BTreeSet::new();
    for (path, methods) in
        document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains("/api/"))
    {
        documented
            .extend(methods.as_object().unwrap().keys().map(|m| format!("{} {path}", m.to_uppercase())));
    }
    let tried: BTreeSet<_> = ROUTES.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    assert_eq!(documented, tried, "add the new route to ROUTES");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_key_nothing_is_answered() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    let (_, expired) = make_key(&admin, json!({"name": "e", "scopes": ["admin"], "expires_in": "1h"})).await;
    let (id, revoked) = make_key(&admin, json!({"name": "r", "scopes": ["admin"]})).await;
    let (_, good) = make_key(&admin, json!({"name": "g", "scopes": ["admin"]})).await;
    for key in [&expired, &revoked] {
        app.http.with_key(key).get("/api/v1/events").await.expect(200);
    }
    admin.delete(&format!("/api/v1/api-keys/{id}")).await.expect(204);
    app.advance(Duration::from_hours(1));

    let unknown = ApiKeySecret::fresh();
    let (head, last) = good.split_at(good.len() - 1);
    let mistyped = format!("{head}{}", if last == "x" { "y" } else { "x" });
    let bearers = ["nonsense", "moor__", &mistyped, unknown.text.expose(), &expired, &revoked];
    let mut headers: Vec<_> = bearers.iter().map(|key| format!("Bearer {key}")).collect();
    headers.extend([good.clone(), format!("Basic {good}"), format!("Bearer{good}"), "Bearer ".to_owned()]);
    let mut answers = BTreeSet::new();
    for route in &ROUTES {
        answers.insert(refused(&route.call(&app.http, "acme", "").await));
        for header in &headers {
            let method = Method::from_bytes(route.method.as_bytes()).unwrap();
            let path = route.path.replace("{ref}", "acme").replace("{id}", "acme");
            let reply = app.http.request(method, &path).header("authorization", header).send().await;
            answers.insert(refused(&reply));
            assert!(!reply.text.contains("moor__") && !reply.text.contains(&good), "{}", reply.text);
        }
    }
    assert_eq!(answers.len(), 1, "it does not say what is wrong with a key: {answers:?}");
    app.http.with_key(&good).get("/api/v1/events").await.expect(200);
}

#[track_caller]
fn refused(reply: &Reply) -> String {
    assert_eq!(reply.status, 401, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("www-authenticate"), "Bearer", "RFC 9110 section 15.5.2");
    assert_eq!(reply.json()["code"], "invalid_api_key");
    without_request_id(reply).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_do_what_its_scopes_say_and_no_more() {
    let app = TestApp::start(On::Sqlite).await;
    let held = [READ, WRITE, "tokens:read", "proxy", "admin"];
    for scope in held {
        let program = app.program(&[scope]).await;
        for route in &ROUTES {
            let reply = route.call(&program, "no-such-thing", "").await;
            let enough = scope == route.scope || scope == "admin" || (scope == WRITE && route.scope == READ);
            let call = format!("{} {} with {scope}: {}", route.method, route.path, reply.text);
            if enough {
                assert!(![401, 403, 500].contains(&reply.status), "{call}");
            } else {
                assert_eq!(reply.status, 403, "{call}");
                assert_eq!(reply.header("content-type"), "application/problem+json");
                let problem = reply.json();
                assert_eq!(problem["code"], "insufficient_permission");
                assert!(problem["detail"].as_str().unwrap().contains(route.scope), "it says which: {call}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_scopes_of_one_key_add_up() {
    let app = TestApp::start(On::Sqlite).await;
    let program = app.program(&[READ, "tokens:read"]).await;
    program.get("/api/v1/connections").await.expect(200);
    program.get("/api/v1/connections/none/token").await.expect(404);
    program.delete("/api/v1/connections/none").await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_opens_nothing() {
    let app = TestApp::start(On::Sqlite).await;
    let (_, key) = make_key(&app.program(&["admin"]).await, json!({"name": "k", "scopes": ["admin"]})).await;
    let visitor = app.http.stranger();
    for name in ["session", "mooring", "authorization", "api_key"] {
        visitor.set_cookie(name, &key);
    }
    app.sign_in().await;
    app.http.get("/settings").await.expect(200);
    for program in [&visitor, &app.http] {
        for route in &ROUTES {
            refused(&route.call(program, "acme", "").await);
        }
    }
    refused(&visitor.get(&format!("/api/v1/connections?access_token={key}&api_key={key}")).await);
}

on_both!(a_tenant_sees_nothing_of_another, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let theirs = connect(&app, &admin, "theirs", json!({"tenant": "other"})).await;
    let nobodys = connect(&app, &admin, "nobodys", json!({})).await;
    for warm in ["theirs", "nobodys", id(&theirs), id(&nobodys)] {
        admin.get(&format!("/api/v1/connections/{warm}/token")).await.expect(200);
    }
    let bound = app.program_of(Some("acme"), &[WRITE, "tokens:read"]).await;
    let strange = "01890000-0000-7000-8000-000000000000";
    for route in ROUTES.iter().filter(|route| route.of_connection()) {
        let nothing = without_request_id(&route.call(&bound, strange, "").await.expect(404));
        for reference in ["theirs", "nobodys", id(&theirs), id(&nobodys), "none"] {
            for query in ["", "?tenant=other", "?tenant=", "?tenant=acme"] {
                let reply = route.call(&bound, reference, query).await.expect(404);
                assert_eq!(without_request_id(&reply), nothing, "{} {reference}{query}", route.path);
            }
        }
    }
    for query in ["", "?tenant=other", "?q=theirs", "?tenant="] {
        let list = bound.get(&format!("/api/v1/connections{query}")).await.expect(200).json();
        assert_eq!(list, json!({"items": [], "next_cursor": null}), "{query}");
    }
    for path in [id(&theirs), id(&nobodys)] {
        let now = admin.get(&format!("/api/v1/connections/{path}")).await.expect(200).json();
        assert_eq!((&now["generation"], &now["description"]), (&json!(1), &Value::Null), "nothing was done");
    }

    let own = connect(&app, &bound, "theirs", json!({})).await;
    assert_eq!(own["tenant"], "acme", "a bound key's connections are its tenant's");
    bound.get("/api/v1/connections/theirs/token").await.expect(200);
    let new = json!({"name": "x", "integration": "gitlab", "token": "glpat-x", "tenant": "other"});
    let reply = bound.post_json("/api/v1/connections", new).await.expect(403);
    assert_eq!(reply.json()["code"], "tenant_forbidden");
});

on_both!(a_name_that_two_tenants_have_is_ambiguous, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&[WRITE, "tokens:read"]).await;
    let first = connect(&app, &program, "same", json!({"tenant": "acme"})).await;
    for _ in 0..2 {
        program.get("/api/v1/connections/same/token").await.expect(200);
    }
    let second = connect(&app, &program, "same", json!({"tenant": "other"})).await;
    for route in ROUTES.iter().filter(|route| route.of_connection()) {
        let reply = route.call(&program, "same", "").await;
        assert_eq!(reply.status, 409, "{} {}: {}", route.method, route.path, reply.text);
        assert_eq!(reply.json()["code"], "ambiguous_name", "{}", route.path);
    }
    for (tenant, expected) in [("acme", &first), ("other", &second)] {
        let found =
            program.get(&format!("/api/v1/connections/same?tenant={tenant}")).await.expect(200).json();
        assert_eq!(found["id"], expected["id"]);
        let token = program.get(&format!("/api/v1/connections/same/token?tenant={tenant}")).await.expect(200);
        assert_eq!(token.json()["connection_id"], expected["id"]);
    }
    program.get("/api/v1/connections/same?tenant=third").await.expect(404);
    program.get(&format!("/api/v1/connections/{}?tenant=other", id(&first))).await.expect(404);
    program.delete("/api/v1/connections/same?tenant=acme").await.expect(204);
    let left = program.get("/api/v1/connections/same/token").await.expect(200).json();
    assert_eq!(left["connection_id"], second["id"]);
});

on_both!(an_empty_tenant_means_the_connection_of_none, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&[WRITE, "tokens:read"]).await;
    let nobodys = connect(&app, &program, "same", json!({})).await;
    connect(&app, &program, "same", json!({"tenant": "acme"})).await;
    program.get("/api/v1/connections/same").await.expect(409);
    let found = program.get("/api/v1/connections/same?tenant=").await.expect(200).json();
    assert_eq!(found["id"], nobodys["id"]);
    let token = program.get("/api/v1/connections/same/token?tenant=").await.expect(200).json();
    assert_eq!(token["connection_id"], nobodys["id"]);
});
