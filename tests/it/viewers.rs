//! A viewer sees everything and changes nothing: every route of the pages, taken from the source, has its line
//! here, and a route without one fails.

use crate::support::{
    app::{On, PASSWORD, TestApp, on_both},
    database::rows,
    request::Http,
};
use http::Method;
use mooring::{
    domain::{Actor, Role},
    operator::new_operator,
};
use std::{collections::BTreeSet, fs, path::Path};

pub(crate) const VIEWER: &str = "viewer@example.com";

/// Adds a viewer and signs them in, in a browser of their own.
pub(crate) async fn viewer(app: &TestApp) -> Http {
    let operator = new_operator(VIEWER.into(), PASSWORD.into(), Role::Viewer).await;
    app.app().state.store.add_operator(&operator, app.clock.now(), &Actor::CommandLine).await.unwrap();
    let browser = app.http.stranger();
    browser.post_form("/login", &[("email", VIEWER), ("password", PASSWORD)]).await.expect(303);
    browser
}

/// What a viewer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// The page, or what anybody would get there.
    It,
    /// The page that says that this is for administrators.
    Refused,
}
use Gets::{It, Refused};

const TABLE: &[(&str, &str, Gets)] = &[
    ("GET", "/", It),
    ("GET", "/connections", It),
    ("POST", "/connections", Refused),
    ("GET", "/connections/new", Refused),
    ("POST", "/connections/authorize", Refused),
    ("POST", "/connections/inspect", Refused),
    ("GET", "/connections/{id}", It),
    ("GET", "/connections/{id}/live", It),
    ("POST", "/connections/{id}/check", Refused),
    ("POST", "/connections/{id}/take-back", Refused),
    ("POST", "/connections/{id}/reauthorize", Refused),
    ("POST", "/connections/{id}/edit", Refused),
    ("POST", "/connections/{id}/renewal", Refused),
    ("GET", "/connections/{id}/rotate", Refused),
    ("POST", "/connections/{id}/rotate", Refused),
    ("GET", "/connections/{id}/disconnect", Refused),
    ("POST", "/connections/{id}/disconnect", Refused),
    ("GET", "/live", It),
    ("GET", "/live/rows", It),
    ("GET", "/live/summary", It),
    ("GET", "/connections/{id}/reach", It),
    ("GET", "/connections/{id}/history", It),
    ("GET", "/connections/{id}/usage", It),
    ("GET", "/connections/{id}/use", It),
    ("GET", "/connections/{id}/edit", Refused),
    ("POST", "/connections/preflight", Refused),
    ("GET", "/connect/{link}", It),
    ("POST", "/connect/{link}", It),
    ("POST", "/connect/{link}/authorize", It),
    ("POST", "/connect/{link}/decline", It),
    ("GET", "/oauth/{integration}/callback", It),
    ("GET", "/oauth/{integration}/outcome/{state}", It),
    ("GET", "/login", It),
    ("POST", "/login", It),
    ("POST", "/login/sso", It),
    ("GET", "/login/sso/callback", It),
    ("POST", "/logout", It),
    ("GET", "/setup", It),
    ("POST", "/setup", It),
    ("GET", "/invite", It),
    ("POST", "/invite", It),
    ("GET", "/audit", It),
    ("POST", "/audit/export", Refused),
    ("GET", "/settings", It),
    ("GET", "/settings/account", It),
    ("POST", "/settings/account/sso/join", It),
    ("POST", "/settings/account/sso/part", It),
    ("POST", "/settings/people/let-in", Refused),
    ("GET", "/settings/sso", It),
    ("POST", "/settings/sso/check", Refused),
    ("POST", "/settings/password", It),
    ("POST", "/settings/sessions/{id}/end", It),
    ("POST", "/settings/sessions/end-others", It),
    ("GET", "/settings/people", It),
    ("POST", "/settings/people/invite", Refused),
    ("POST", "/settings/people/withdraw", Refused),
    ("POST", "/settings/people/{id}/role", Refused),
    ("POST", "/settings/people/{id}/remove", Refused),
    ("GET", "/settings/api-keys", It),
    ("POST", "/settings/api-keys", Refused),
    ("GET", "/settings/api-keys/{id}/revoke", Refused),
    ("POST", "/settings/api-keys/{id}/revoke", Refused),
    ("GET", "/settings/webhooks", It),
    ("POST", "/settings/webhooks", Refused),
    ("GET", "/settings/webhooks/{id}", It),
    ("POST", "/settings/webhooks/{id}/test", Refused),
    ("POST", "/settings/webhooks/{id}/pause", Refused),
    ("POST", "/settings/webhooks/{id}/resume", Refused),
    ("POST", "/settings/webhooks/{id}/rotate-secret", Refused),
    ("POST", "/settings/webhooks/{id}/remove", Refused),
    ("POST", "/settings/webhooks/{id}/deliveries/{delivery}/redeliver", Refused),
    ("GET", "/settings/mail", It),
    ("POST", "/settings/mail/test", Refused),
    ("GET", "/settings/integrations", It),
    ("POST", "/settings/integrations/{id}/check", Refused),
    ("GET", "/settings/encryption", It),
];

/// Every method and path that the pages' routers name.
fn routes() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut stack = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/pages")];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        for route in source.split(".route(").skip(1) {
            let mut quoted = route.split('"');
            let (_, path) = (quoted.next(), quoted.next().expect("a path"));
            let end = route.find("\n        .").unwrap_or(route.len());
            let handlers = &route[..end];
            for (call, method) in [("get(", "GET"), ("post(", "POST")] {
                if handlers.contains(call) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
        }
    }
    found
}

#[test]
fn every_route_of_the_pages_has_a_line() {
    let table: BTreeSet<_> = TABLE.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(table.len(), TABLE.len(), "each stands once");
    let routes = routes();
    let missing: Vec<_> = routes.difference(&table).collect();
    assert!(missing.is_empty(), "say what a viewer gets at {missing:?}");
    let gone: Vec<_> = table.difference(&routes).collect();
    assert!(gone.is_empty(), "there is no such route: {gone:?}");
}

on_both!(a_connection_offers_a_viewer_nothing_that_is_refused, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let browser = viewer(&app).await;
    for path in ["", "/history", "/usage", "/use"] {
        let path = format!("/connections/{id}{path}");
        let [theirs, ours] = [&browser, &app.http].map(|http| http.get(&path));
        let (theirs, ours) = (theirs.await.expect(200).text, ours.await.expect(200).text);
        for form in ["rotate", "reauthorize", "disconnect", "check", "edit"] {
            let address = format!("/connections/{id}/{form}\"");
            assert!(!theirs.contains(&address), "{path} offers {form}");
            assert_eq!(ours.contains(&address), form != "rotate", "{path}: {form}");
        }
    }
});

on_both!(a_viewer_sees_everything_and_changes_nothing, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["admin"]).await;
    let keys = program.get("/api/v1/api-keys").await.expect(200).json();
    let key = keys["items"][0]["id"].as_str().unwrap().to_owned();
    let browser = viewer(&app).await;
    let tables = [
        "connections",
        "api_keys where revoked_at is null",
        "operators",
        "invitations",
        // A viewer who mistypes the own password is told of, as at sign-in.
        "events where kind <> 'operator.sign_in_failed'",
        "authorizations",
    ];
    let mut before = Vec::new();
    for table in tables {
        before.push(rows(&app, table).await);
    }
    let asked = app.sim().counts().requests_total;
    // Signing in and out comes elsewhere; one answer never ends, and one page asks GitLab, which is looking too.
    let elsewhere = |path: &str| path.starts_with("/log") || path == "/live" || path.ends_with("/reach");
    for (method, path, gets) in TABLE.iter().filter(|(_, path, _)| !elsewhere(path)) {
        let id = if path.starts_with("/settings/api-keys") { &key } else { &id };
        let path = path.replace("{id}", id).replace("{integration}", "gitlab").replace("{state}", "x");
        let path = path.replace("{link}", "x");
        let path = path.replace("{delivery}", "x");
        let call = browser.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
        let call = if *method == "POST" { call.form(&[("role", "viewer"), ("name", "x")]) } else { call };
        let reply = call.send().await;
        let refused = reply.status == 403 && reply.text.contains("Only an administrator may do this");
        assert_eq!(refused, *gets == Refused, "{method} {path}: {}\n{}", reply.status, reply.text);
        if reply.status == 200 && (path.starts_with("/settings") || path == "/audit") {
            let forms = reply.text.matches("method=\"post\"").count();
            let own = reply.text.matches("own\" method=\"post\"").count()
                + reply.text.matches("class=\"stack own\"").count();
            assert_eq!(forms, own + 1, "{path} offers what it refuses:\n{}", reply.text);
        }
        if reply.status == 200 && reply.text.contains("<body") {
            assert!(reply.text.contains("<body class=\"viewer\">"), "{path}");
        }
    }
    for (table, count) in tables.iter().zip(before) {
        assert_eq!(rows(&app, table).await, count, "{table}");
    }
    assert_eq!(app.sim().counts().requests_total, asked, "GitLab heard of nothing");
    program.get("/api/v1/connections/acme").await.expect(200);
});
