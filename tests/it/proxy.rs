//! Requests that go through Mooring: what arrives at the provider, what comes back, and what never does.

use crate::support::{
    app::{On, TestApp, on_both},
    front::Front,
    request::{Http, Reply},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An app with a front before its GitLab, a pasted token there, and a program that may only send requests.
struct Through {
    app: TestApp,
    front: Front,
    program: Http,
    token: String,
}

impl Through {
    async fn start(on: On) -> Self {
        let mut app = TestApp::start(on).await;
        let front = Front::start(app.sim()).await;
        app.restart_with(&[("MOORING_INTEGRATION_FRONT_URL", &front.url)]).await;
        let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
        let new = json!({ "name": "acme", "integration": "front", "token": minted.token });
        let writer = app.program(&["connections:write"]).await;
        writer.post_json("/api/v1/connections", new).await.expect(201);
        let program = app.program(&["proxy"]).await;
        Self { app, front, program, token: minted.token }
    }

    /// Sends a path as it is: every URL library would resolve it first.
    async fn raw(&self, path: &str) -> String {
        let address = self.app.site().trim_start_matches("http://").replace("localhost", "127.0.0.1");
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let key = self.program.key().expect("it has one");
        let request = format!(
            "GET /proxy/acme/{path} HTTP/1.1\r\nhost: localhost\r\nprivate-token: {key}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    async fn get(&self, path: &str) -> Reply {
        self.program.get(&format!("/proxy/acme/{path}")).await
    }
}

on_both!(a_request_arrives_with_the_credential_and_without_the_key, async |on: On| {
    let through = Through::start(on).await;
    let path = "api/v4/echo/a%2Fb%20c//d?x=%2F&y[]=1+2";
    let reply = through
        .program
        .request(Method::PATCH, &format!("/proxy/acme/{path}"))
        .header("cookie", "session=mine")
        .header("x-forwarded-host", "evil.example.com")
        .header("accept", "application/json")
        .json(&json!({ "title": "ä" }))
        .send()
        .await
        .expect(200);
    assert_eq!(reply.json(), json!({ "bytes": 14 }));
    let came = through.front.came().remove(0);
    assert_eq!((came.method.as_str(), came.target.as_str()), ("PATCH", &*format!("/{path}")));
    assert_eq!(came.header("authorization"), Some(&*format!("Bearer {}", through.token)));
    assert_eq!(came.header("accept"), Some("application/json"));
    assert_eq!(came.header("content-length"), Some("14"));
    for stays in ["cookie", "x-forwarded-host", "private-token", "x-request-id"] {
        assert_eq!(came.header(stays), None, "{stays}");
    }
    let key = through.program.key().expect("it has one");
    assert!(!format!("{:?}", came.headers).contains(key), "the key stays here");
});

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_taken_as_clients_of_gitlab_and_git_send_theirs() {
    let through = Through::start(On::Sqlite).await;
    let key = through.program.key().expect("it has one").to_owned();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("oauth2:{key}")));
    let stranger = through.app.http.stranger();
    for (name, value) in [("private-token", key.as_str()), ("authorization", &basic)] {
        let request = stranger.request(Method::GET, "/proxy/acme/api/v4/echo/x").header(name, value);
        request.send().await.expect(200);
    }
    for came in through.front.came() {
        assert_eq!(came.header("authorization"), Some(&*format!("Bearer {}", through.token)));
        assert_eq!(came.header("private-token"), None);
    }
    let refused = stranger.get("/proxy/acme/api/v4/echo/x").await.expect(401);
    assert!(refused.header("www-authenticate").starts_with("Basic"), "git asks for credentials only then");
    assert_eq!(refused.header("x-mooring-error"), "invalid_api_key");
    let reader = through.app.program(&["tokens:read"]).await;
    let refused = reader.get("/proxy/acme/api/v4/echo/x").await.expect(403);
    assert_eq!(refused.header("x-mooring-error"), "insufficient_permission");
    assert_eq!(through.front.came().len(), 2, "nothing of these went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_caller_sends_leads_elsewhere() {
    let through = Through::start(On::Sqlite).await;
    for path in ["api/v4/%2e%2e/%2e%2e/x", "api/v4/../../x", "api/v4/..%2f..%2fuser"] {
        let answer = through.raw(path).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_path"), "{path}: {answer}");
    }
    for (path, code) in [
        ("api/v4/echo/x?private_token=glpat-other", "credential_in_query"),
        ("oauth/token/info", "own_credential"),
    ] {
        let refused = through.get(path).await;
        assert!(matches!(refused.status, 400 | 403), "{path}");
        assert_eq!(refused.header("x-mooring-error"), code, "{path}");
        assert_eq!(refused.json()["code"], code);
    }
    let rotate = "/proxy/acme/api/v4/personal_access_tokens/self/rotate";
    let refused = through.program.post_json(rotate, json!({})).await.expect(403);
    assert_eq!(refused.header("x-mooring-error"), "own_credential");
    let upgrade = through.program.request(Method::GET, "/proxy/acme/api/v4/echo/x");
    let upgrade = upgrade.header("connection", "upgrade").header("upgrade", "websocket");
    assert_eq!(upgrade.send().await.expect(501).header("x-mooring-error"), "upgrade_not_supported");
    through.get("https://evil.example.com/").await.expect(404);
    through.get("/evil.example.com/").await.expect(404);
    assert!(through.front.came().is_empty());
    assert!(through.app.sim().is_live(&through.token));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_the_providers_without_its_credentials_and_rules() {
    let through = Through::start(On::Sqlite).await;
    let base = through.front.url.clone();
    let next = format!("<{base}/api/v4/echo/list?page=2>; rel=\"next\"");
    through.front.answer_with(&[
        ("set-cookie", "_gitlab_session=x"),
        ("content-type", "text/html"),
        ("content-security-policy", "script-src *"),
        ("strict-transport-security", "max-age=1"),
        ("access-control-allow-origin", "*"),
        ("x-mooring-error", "forged"),
        ("x-echo", &through.token),
        ("ratelimit-remaining", "1999"),
        ("x-next-page", "2"),
        ("link", &next),
    ]);
    let reply = through.get("api/v4/echo/list").await.expect(200);
    assert!(reply.headers.get("set-cookie").is_none());
    for gone in ["strict-transport-security", "access-control-allow-origin", "x-mooring-error", "x-echo"] {
        assert_eq!(reply.header(gone), "", "{gone}");
    }
    assert_eq!(reply.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(reply.header("content-disposition"), "attachment");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!((reply.header("ratelimit-remaining"), reply.header("x-next-page")), ("1999", "2"));
    let site = through.app.site();
    assert_eq!(reply.header("link"), format!("<{site}/proxy/acme/api/v4/echo/list?page=2>; rel=\"next\""));
    assert!(!format!("{:?}{}", reply.headers, reply.text).contains(&through.token));
    let unknown = through.get("api/v4/no-such-thing").await.expect(404);
    assert_eq!(unknown.json(), json!({ "error": "404 Not Found" }), "the provider's words, not ours");
    assert_eq!(unknown.header("x-mooring-error"), "");
}

/// Tokens that live two seconds, and a GitLab that has just ended the one that is held.
async fn refused_once(on: On) -> (TestApp, Http, String) {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["proxy", "tokens:read"]).await;
    let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    app.advance(Duration::from_secs(60));
    app.sim().expire(token["access_token"].as_str().expect("a token"));
    (app, program, id)
}

on_both!(a_refused_credential_is_renewed_once_and_the_request_sent_again, async |on: On| {
    let (app, program, _) = refused_once(on).await;
    let before = app.sim().counts();
    let calls = (0..50).map(|_| program.get("/proxy/acme/api/v4/user"));
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.expect(200).json()["username"], "alice");
    }
    let after = app.sim().counts();
    assert_eq!(after.refreshes_granted - before.refreshes_granted, 1, "one refresh for fifty callers");
    assert_eq!(after.refreshes_denied, before.refreshes_denied);
});

#[tokio::test(flavor = "multi_thread")]
async fn what_was_streamed_is_not_sent_again() {
    let through = Through::start(On::Sqlite).await;
    through.app.sim().revoke(&through.token);
    let large = vec![7_u8; 200_000];
    let call = through.program.request(Method::POST, "/proxy/acme/api/v4/echo/x").body(large);
    call.send().await.expect(401);
    assert_eq!(through.front.came().len(), 1);
    assert_eq!(through.front.came()[0].body_bytes, 200_000);
    let small = through.program.request(Method::POST, "/proxy/acme/api/v4/echo/x").body("x");
    let reply = small.send().await;
    assert!(matches!(reply.status, 401 | 409), "there is no newer token: {}", reply.status);
    assert!(through.front.came().len() <= 2, "and nothing is sent twice with a dead one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connection_says_what_mends_it() {
    let through = Through::start(On::Sqlite).await;
    through.app.sim().revoke(&through.token);
    let checker = through.app.program(&["connections:read"]).await;
    checker.post_json("/api/v1/connections/acme/check", json!({})).await.expect(200);
    let refused = through.get("api/v4/echo/x").await.expect(409);
    assert_eq!(refused.header("x-mooring-error"), "action_required");
    assert!(refused.json()["action_url"].as_str().is_some_and(|url| url.ends_with("/rotate")));
    assert!(through.front.came().is_empty(), "GitLab is not asked with a token that is known to be dead");
    through.program.get("/proxy/nobody/api/v4/user").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let through = Through::start(On::Sqlite).await;
    let mut answer = through.program.request(Method::GET, "/proxy/acme/api/v4/drip").begin().await;
    for nth in 0..3 {
        through.front.drop_falls();
        let drop = answer.chunk().await.expect("it goes on").expect("a piece");
        assert_eq!(drop, format!("drop {nth}\n"), "each piece comes when it falls");
    }
    let mut bulk = through.program.request(Method::GET, "/proxy/acme/api/v4/bulk/64").begin().await;
    let mut bytes = 0;
    while let Some(piece) = bulk.chunk().await.expect("it goes on") {
        bytes += piece.len();
    }
    assert_eq!(bytes, 64 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_provider_is_our_own_error() {
    let app = TestApp::start(On::Sqlite).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["proxy"]).await;
    app.sim().stop();
    let refused = program.get("/proxy/acme/api/v4/user").await.expect(502);
    assert_eq!(refused.header("x-mooring-error"), "provider_unreachable");
    assert_eq!(refused.json()["step"], "connect");
}
