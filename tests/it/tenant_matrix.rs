//! Every route with every kind of reference and every kind of key: what another tenant has is answered like what does not
//! exist, byte for byte, nobody upstream hears of it, and nothing happens to it.
//!
//! The routes are those of the OpenAPI document, so that a new one is tried too.

use crate::{
    api::{ROUTES, connect, id},
    support::{
        app::{On, TestApp, on_both},
        request::{Http, Reply},
    },
};
use gitlab_sim::Endpoint;
use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const RETURN_URL: &str = "https://app.example.com/back";
const SCOPES: [&str; 5] = ["connections:read", "connections:write", "tokens:read", "proxy", "admin"];
const RANDOM: &str = "01890000-0000-7000-8000-000000000000";

/// An operation of the document, with the scope that it needs and a body that it can read.
struct Operation {
    method: Method,
    path: String,
    scope: &'static str,
    body: String,
}

fn operations() -> Vec<Operation> {
    let document = mooring::web::document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, told) in
            item.as_object().unwrap().iter().filter(|(_, told)| told["operationId"].is_string())
        {
            if told["security"] == json!([]) {
                continue;
            }
            let method = method.to_uppercase();
            let known = ROUTES.iter().find(|route| route.method == method && route.path == path.as_str());
            let (scope, body) = match known {
                Some(route) => (route.scope, route.body),
                None if path.starts_with("/proxy/") => ("proxy", ""),
                None => panic!("add {method} {path} to ROUTES"),
            };
            let body = body.replace("https://app.example.com/back", RETURN_URL);
            all.push(Operation { method: method.parse().unwrap(), path: path.clone(), scope, body });
        }
    }
    all
}

impl Operation {
    fn has_reference(&self) -> bool {
        self.path.contains('{')
    }

    /// The kind of thing that it is about.
    fn noun(&self) -> &'static str {
        match self.path.as_str() {
            path if path.contains("connect-sessions") => "session",
            path if path.contains("webhook-endpoints") => "endpoint",
            path if path.contains("api-keys") => "key",
            _ => "connection",
        }
    }

    /// Whether a reference that leads nowhere is an answer of 404: not under a name that is to be made.
    fn finds(&self) -> bool {
        self.has_reference() && !self.path.contains("by-name")
    }

    async fn call(&self, program: &Http, reference: &str, query: &str) -> Reply {
        let path = self.path.replace("{path}", "api/v4/user").replace("{delivery}", RANDOM);
        let path =
            ["{ref}", "{id}", "{name}"].iter().fold(path, |path, place| path.replace(place, reference));
        let mut call = program.request(self.method.clone(), &format!("{path}{query}"));
        if !self.body.is_empty() {
            call = call.header("content-type", "application/json").body(self.body.clone());
        }
        call.send().await
    }

    fn is_enough(&self, scope: &str) -> bool {
        scope == self.scope
            || scope == "admin"
            || (scope == "connections:write" && self.scope == "connections:read")
    }
}

/// An answer without what differs from one request to the next.
fn bare(reply: &Reply) -> String {
    let mut body: Value = serde_json::from_str(&reply.text).unwrap_or_else(|_| json!(reply.text));
    if let Some(problem) = body.as_object_mut() {
        problem.remove("request_id");
    }
    let is_own = |name: &str| ["x-request-id", "date"].contains(&name);
    let headers: BTreeMap<_, _> = reply
        .headers
        .iter()
        .filter(|(name, _)| !is_own(name.as_str()))
        .map(|(n, v)| (n.to_string(), format!("{v:?}")))
        .collect();
    format!("{} {headers:?} {body}", reply.status)
}

/// One thing of each kind, of one tenant.
struct Things(BTreeMap<&'static str, String>);

impl Things {
    async fn of(app: &TestApp, admin: &Http, tenant: &str, name: &str) -> Self {
        let connection = connect(app, admin, name, json!({"tenant": tenant})).await;
        let session = json!({"tenant": tenant, "end_user": "ada", "return_url": RETURN_URL});
        let session = admin.post_json("/api/v1/connect-sessions", session).await.expect(201).json();
        // Of what is not told to it nothing is sent, so that it changes by nobody but a caller.
        let endpoint =
            json!({"url": "http://127.0.0.1:9/hooks", "tenant": tenant, "events": ["integration.*"]});
        let endpoint = admin.post_json("/api/v1/webhook-endpoints", endpoint).await.expect(201).json();
        let key = json!({"name": "x", "scopes": ["proxy"], "tenant": tenant});
        let key = admin.post_json("/api/v1/api-keys", key).await.expect(201).json();
        let all = [("connection", connection), ("session", session), ("endpoint", endpoint), ("key", key)];
        Self(all.into_iter().map(|(noun, thing)| (noun, id(&thing).to_owned())).collect())
    }

    /// What everybody who may know of them sees of them.
    async fn seen(&self, admin: &Http) -> Vec<String> {
        let lists = ["webhook-endpoints", "api-keys"].map(|list| format!("/api/v1/{list}?limit=200"));
        let alone = [("connections", "connection"), ("connect-sessions", "session")]
            .map(|(path, noun)| format!("/api/v1/{path}/{}", self.0[noun]));
        let mut seen = Vec::new();
        for path in alone {
            seen.push(admin.get(&path).await.expect(200).text);
        }
        for path in lists {
            let list = admin.get(&path).await.expect(200).json();
            let own = |thing: &&Value| self.0.values().any(|id| thing["id"] == id.as_str());
            seen.extend(list["items"].as_array().unwrap().iter().filter(own).map(Value::to_string));
        }
        seen
    }
}

async fn events_of(admin: &Http, tenant: &str) -> Vec<Value> {
    let (mut of_tenant, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/api/v1/events?limit=200{cursor}")).await.expect(200).json();
        let items = page["items"].as_array().unwrap().iter();
        of_tenant.extend(items.filter(|event| event["tenant"] == tenant).cloned());
        let Some(next) = page["next_cursor"].as_str() else { return of_tenant };
        cursor = format!("&cursor={next}");
    }
}

/// Keys of a tenant that open nothing any more, and none at all.
async fn strangers(app: &TestApp, admin: &Http) -> Vec<(&'static str, Http)> {
    let make = async |end: Option<&str>| {
        let key = json!({"name": "k", "tenant": "acme", "scopes": ["admin"], "expires_in": end});
        admin.post_json("/api/v1/api-keys", key).await.expect(201).json()
    };
    let (expired, revoked) = (make(Some("1h")).await, make(None).await);
    admin.delete(&format!("/api/v1/api-keys/{}", id(&revoked))).await.expect(204);
    app.advance(Duration::from_hours(1));
    let with = |key: &Value| app.http.with_key(key["key"].as_str().unwrap());
    vec![
        ("no key", app.http.stranger()),
        ("an expired key", with(&expired)),
        ("a revoked key", with(&revoked)),
    ]
}

on_both!(what_is_anothers_is_as_if_it_were_not_there, async |on: On| {
    let settings = [("MOORING_RETURN_URLS", RETURN_URL)];
    let app = TestApp::start_with(on, gitlab_sim::Options::default(), &settings).await;
    let admin = app.program(&["admin"]).await;
    let strangers = strangers(&app, &admin).await;
    let own = Things::of(&app, &admin, "acme", "mine").await;
    let foreign = Things::of(&app, &admin, "other", "theirs").await;
    let deleted = Things::of(&app, &admin, "acme", "gone").await;
    for (path, noun) in [("connections", "connection"), ("webhook-endpoints", "endpoint")] {
        admin.delete(&format!("/api/v1/{path}/{}?revoke=false", deleted.0[noun])).await.expect(204);
    }
    // Also what is remembered here is told to nobody else.
    admin.get(&format!("/api/v1/connections/{}/token", foreign.0["connection"])).await.expect(200);
    admin.get("/api/v1/connections/theirs/token").await.expect(200);
    let state = &app.app().state;
    state.handout.usage.flush(&state.store).await.expect("what the administrator just did is counted");

    let operations = operations();
    let (seen, events) = (foreign.seen(&admin).await, events_of(&admin, "other").await);
    let asked = app.sim().count(Endpoint::Any);
    let mut cells = 0;
    for operation in &operations {
        let noun = operation.noun();
        let upper = foreign.0[noun].to_uppercase();
        let other_noun = if noun == "connection" { "endpoint" } else { "connection" };
        // Sessions and keys are not deleted, they end: theirs stays a reference of its own.
        let gone = if matches!(noun, "session" | "key") { RANDOM } else { deleted.0[noun].as_str() };
        let missing =
            [foreign.0[noun].as_str(), gone, &upper, "theirs", foreign.0[other_noun].as_str(), "none"];
        let references: &[&str] = match operation.finds() {
            true => &missing,
            false if operation.has_reference() => &["theirs", "gone", "none"],
            false => &[],
        };
        let nowhere = if operation.finds() { RANDOM } else { "nobody" };
        let what = |key: &str, reference: &str| {
            format!("{} {} {reference} with {key}", operation.method, operation.path)
        };
        for (kind, program) in &strangers {
            let expected = bare(&operation.call(program, nowhere, "").await.expect(401));
            for reference in references.iter().copied().chain([own.0[noun].as_str()]) {
                assert_eq!(
                    bare(&operation.call(program, reference, "").await),
                    expected,
                    "{}",
                    what(kind, reference)
                );
                cells += 1;
            }
        }
        for scope in SCOPES {
            let program = app.program_of(Some("acme"), &[scope]).await;
            let random = operation.call(&program, nowhere, "").await;
            let is_enough = operation.is_enough(scope);
            if !is_enough {
                assert_eq!(random.status, 403, "{}: {}", what(scope, nowhere), random.text);
                assert_eq!(random.header("x-mooring-error"), "insufficient_permission");
            } else if operation.finds() {
                // What governs all is refused to a key of a tenant before anything is looked for.
                let status = if noun == "key" { 403 } else { 404 };
                assert_eq!(random.status, status, "{}: {}", what(scope, nowhere), random.text);
            }
            assert_ne!(random.status, 500, "{}", what(scope, nowhere));
            let expected = bare(&random);
            for reference in references {
                for query in ["", "?tenant=other", "?tenant="] {
                    let reply = operation.call(&program, reference, query).await;
                    assert!(query.is_empty() || reply.status >= 400, "{}{query}", what(scope, reference));
                    if operation.finds() && !operation.path.starts_with("/proxy/") {
                        assert_eq!(bare(&reply), expected, "{}{query}", what(scope, reference));
                    } else if query.is_empty() {
                        assert_eq!(bare(&reply), expected, "{}", what(scope, reference));
                    }
                    assert!(!foreign.0.values().any(|id| reply.text.contains(id.as_str())), "{}", reply.text);
                    cells += 1;
                }
            }
            if !operation.has_reference() && operation.method == Method::GET {
                let list = operation.call(&program, "", "").await.text;
                assert!(!foreign.0.values().any(|id| list.contains(id.as_str())), "{}", what(scope, "list"));
                cells += 1;
            }
        }
    }
    let reference = json!({"tenant": "acme", "end_user": "ada", "return_url": RETURN_URL, "connection": foreign.0["connection"]});
    let bound = app.program_of(Some("acme"), &["connections:write"]).await;
    bound.post_json("/api/v1/connect-sessions", reference).await.expect(404);
    assert_eq!(app.sim().count(Endpoint::Any), asked, "nobody upstream heard of it");
    assert_eq!(foreign.seen(&admin).await, seen, "nothing happened to it");
    assert_eq!(events_of(&admin, "other").await, events, "and nothing is told of it");

    for (nth, operation) in operations.iter().filter(|operation| operation.finds()).enumerate() {
        for scope in SCOPES.iter().filter(|scope| operation.is_enough(scope)) {
            // What a call before ended is made anew.
            let own =
                Things::of(&app, &admin, "acme", &format!("own-{nth}-{}", scope.replace(':', "-"))).await;
            let program = app.program_of(Some("acme"), &[scope]).await;
            let reply = operation.call(&program, &own.0[operation.noun()], "").await;
            let is_missing = reply.header("x-mooring-error") == "not_found";
            let leads_on = operation.path.contains("{delivery}") || operation.noun() == "key";
            assert!(
                !is_missing || leads_on,
                "{} {} {scope}: {}",
                operation.method,
                operation.path,
                reply.text
            );
            assert!(
                ![401, 500].contains(&reply.status),
                "{} {}: {}",
                operation.method,
                operation.path,
                reply.text
            );
            cells += 1;
        }
    }
    tell_size(operations.len(), cells);
});

#[expect(clippy::print_stdout, reason = "how much was tried is a figure of its own")]
fn tell_size(operations: usize, cells: usize) {
    println!("tenant matrix: {operations} operations, {cells} calls compared");
    assert!(operations >= 40 && cells >= 2_500, "{operations} operations, {cells} calls");
}
