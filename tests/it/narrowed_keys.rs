//! API keys that are narrowed to methods and paths: what they send, and that no spelling gets around it.

use crate::{
    api::{connect, make_key},
    support::{
        app::{On, TestApp, on_both},
        request::Http,
    },
};
use gitlab_sim::Endpoint;
use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn narrowed(app: &TestApp, admin: &Http, allow: &[&str]) -> Http {
    let (_, key) = make_key(admin, json!({"name": "narrow", "scopes": ["proxy"], "allow": allow})).await;
    app.http.with_key(&key)
}

/// Sends a request as it is: every URL library would resolve its path first. The status, and the code if it is ours.
async fn raw(program: &Http, site: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(site.trim_start_matches("http://").replace("localhost", "127.0.0.1"))
        .await
        .unwrap();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let (method, path) = line.split_once(' ').unwrap();
    let more = headers.lines().fold(String::new(), |more, header| more + header + "\r\n");
    let request = format!(
        "{method} /proxy/acme/{path} HTTP/1.1\r\nhost: localhost\r\nprivate-token: {}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        program.key().unwrap(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let code = answer.lines().find_map(|line| line.strip_prefix("x-mooring-error: ")).unwrap_or_default();
    (status, code.to_owned())
}

on_both!(a_narrowed_key_sends_what_it_is_for, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    connect(&app, &admin, "acme", json!({})).await;
    let program = narrowed(&app, &admin, &["GET /api/v4/user", "* /api/v4/projects/**"]).await;
    program.get("/proxy/acme/api/v4/user").await.expect(200);
    program.request(Method::HEAD, "/proxy/acme/api/v4/user").send().await.expect(200);
    program.get(&format!("/proxy/acme/api/v4/projects/{}", app.world.project)).await.expect(200);
    let asked = app.sim().count(Endpoint::Any);
    for path in ["acme/api/v4/groups", "acme/api/v4/projects", "no-such-thing/api/v4/groups"] {
        let refused = program.get(&format!("/proxy/{path}")).await.expect(403);
        let problem = refused.json();
        assert_eq!(
            (&problem["code"], refused.header("x-mooring-error")),
            (&json!("request_not_allowed"), "request_not_allowed")
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("GET /api/v4/user, * /api/v4/projects/**"), "it says what it may: {detail}");
    }
    program.request(Method::POST, "/proxy/acme/api/v4/user").send().await.expect(403);
    assert_eq!(app.sim().count(Endpoint::Any), asked, "GitLab is not asked");
    program.get("/api/v1/connections/acme/token").await.expect(403);

    let listed = admin.get("/api/v1/api-keys").await.expect(200).json();
    let narrow = |key: &&Value| key["name"] == "narrow";
    let listed = listed["items"].as_array().unwrap().iter().find(narrow).unwrap();
    assert_eq!(listed["allow"], json!(["GET /api/v4/user", "* /api/v4/projects/**"]));
});

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_walks_around_it() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    connect(&app, &admin, "acme", json!({})).await;
    let program =
        narrowed(&app, &admin, &["GET /api/v4/projects/1/issues/**", "POST /api/v4/projects/*/issues"]).await;
    let form = "content-type: application/x-www-form-urlencoded";
    let attempts = [
        ("GET api/v4/user", ""),
        ("GET api/v4/projects/1/issues/../../../user", ""),
        ("GET api/v4/projects/1/issues/..%2F..%2F..%2Fuser", ""),
        ("GET api/v4/projects/1/issues/%2e%2e/members", ""),
        ("GET api/v4/projects/1/issues/.%2e/members", ""),
        ("GET api/v4/projects/1/issues/%2E%2E%2fmembers", ""),
        ("GET api/v4/projects/1/issues/..%5cmembers", ""),
        ("GET api/v4/projects/1/issues//..//members", ""),
        ("GET api/v4/projects/1/issues/;/../members", ""),
        ("GET api/v4/projects/1;a=b/issues/2", ""),
        ("GET api/v4//projects/1/issues/2", ""),
        ("GET /api/v4/projects/1/issues/2", ""),
        ("GET api/v4/projects/1%2Fissues/2", ""),
        ("GET api%2Fv4%2Fprojects%2F1%2Fissues%2F2", ""),
        ("GET api/v4/projects/1/ISSUES/2", ""),
        ("GET api/v4/projects/1/issues.json/2", ""),
        ("GET api/v4/projects/1/issues/%00", ""),
        ("GET api/v4/projects/1/issues/%252e%252e", "fine"),
        ("DELETE api/v4/projects/1/issues/2", ""),
        ("delete api/v4/projects/1/issues/2", ""),
        ("GET api/v4/projects/1/members?_method=x", ""),
        ("DELETE api/v4/projects/1/issues/2\nx-http-method-override: GET", ""),
        ("POST api/v4/projects/1/members\nx-http-method-override: GET", ""),
        (&format!("POST api/v4/projects/1/issues\n{form}"), "_method=DELETE"),
        (&format!("POST api/v4/projects/1/issues\n{form}"), "title=a&%5F%6Dethod=DELETE"),
        ("POST api/v4/projects/1/issues\ncontent-type: multipart/form-data; boundary=x", "--x"),
        ("POST api/v4/projects/1/issues", "_method=DELETE"),
        ("POST api/v4/projects/1/issues.json", ""),
        ("POST api/v4/projects/1/issues/", ""),
    ];
    let before = app.sim().count(Endpoint::Any);
    for (head, body) in attempts.iter().filter(|(_, body)| *body != "fine") {
        let (status, code) = raw(&program, app.site(), head, body).await;
        assert!(
            matches!(status, 400 | 403) && ["request_not_allowed", "invalid_path"].contains(&code.as_str()),
            "{head} {body}: {status} {code}"
        );
    }
    assert_eq!(app.sim().count(Endpoint::Any), before, "nothing of it went to GitLab");
    for (head, body) in [
        ("GET api/v4/projects/1/issues/%252e%252e", ""),
        ("GET api/v4/projects/1/issues/2", ""),
        (
            "POST api/v4/projects/acme%2Fweb/issues\ncontent-type: application/json",
            "{\"title\": \"_method\"}",
        ),
        (&format!("POST api/v4/projects/1/issues\n{form}\nx-http-method-override: DELETE"), "title=a"),
    ] {
        let (_, code) = raw(&program, app.site(), head, body).await;
        assert_eq!(code, "", "{head} went on, without the header that could change it");
    }
    assert_eq!(app.sim().count(Endpoint::Any), before + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_gets_tokens_cannot_be_narrowed() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    let allow = json!(["GET /api/v4/user"]);
    for scopes in [json!(["proxy", "tokens:read"]), json!(["proxy", "admin"]), json!(["connections:read"])] {
        let new = json!({"name": "k", "scopes": scopes, "allow": allow});
        let problem = admin.post_json("/api/v1/api-keys", new).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], "allow");
    }
    for wrong in
        ["/api/v4/user", "get /x", "GET /a/../b", "GET /a*", "GET /**/b", "GET https://x.org/a", "GET /a?b=c"]
    {
        let new = json!({"name": "k", "scopes": ["proxy"], "allow": [wrong]});
        let problem = admin.post_json("/api/v1/api-keys", new).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], "allow", "{wrong}");
    }
    let many = json!({"name": "k", "scopes": ["proxy"], "allow": vec!["GET /a"; 51]});
    admin.post_json("/api/v1/api-keys", many).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_page_narrows_a_key() {
    let app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let send = async |scope: &str, allow: &str| {
        let fields = [("name", "narrow"), ("scopes", scope), ("expires_in", "30"), ("allow", allow)];
        app.http.post_form("/settings/api-keys", &fields).await
    };
    let refused = send("proxy", "GET /api/v4/user\r\nnonsense").await.expect(422).text;
    assert!(
        refused.contains("Give a method and a path") && refused.contains("nonsense"),
        "it keeps what was typed"
    );
    send("tokens:read", "GET /api/v4/user").await.expect(422);
    let made = send("proxy", " GET /api/v4/user \r\n\r\nPOST /api/graphql").await.expect(201).text;
    assert!(
        made.contains("<code>GET /api/v4/user</code>") && made.contains("<code>POST /api/graphql</code>")
    );
}
