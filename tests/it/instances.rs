//! Which GitLab is spoken to: base URLs that people type, private CAs, subpaths, and hosts that do not answer.

use crate::support::{
    app::{On, TestApp, free_port, on_both},
    request::{Http, Reply},
    tls::{ALLOW, Authority, beside_tls, ca_file},
};
use gitlab_sim::{Endpoint, Options, Sim};
use serde_json::{Value, json};

const CONNECTIONS: &str = "/api/v1/connections";

async fn connect_at(program: &Http, base_url: &str, token: &str) -> Reply {
    let body = json!({"name": "typed", "base_url": base_url, "token": token});
    program.post_json(CONNECTIONS, body).await
}

/// Refused with this status and code; nothing is stored.
async fn refused_at(program: &Http, base_url: &str, status: u16, code: &str) -> Value {
    let problem = connect_at(program, base_url, "glpat-canary").await.expect(status).json();
    assert_eq!(problem["code"], code, "{base_url}: {problem}");
    assert_eq!(program.get(CONNECTIONS).await.expect(200).json()["items"], json!([]), "{base_url}");
    problem
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().expect("a sentence")
}

fn alice(app: &TestApp) -> String {
    app.sim().mint_personal(app.world.alice, &["api"], None).token
}

/// A door on loopback that nobody may knock at.
fn trap() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    let port = listener.local_addr().expect("it has an address").port();
    (listener, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_that_is_none_is_refused_with_what_to_change() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    for (base_url, says) in [
        ("http://gitlab.example.com", "https"),
        ("gitlab.example.com", "https://"),
        ("ftp://gitlab.example.com", "https://"),
        ("https://alice:hunter2@gitlab.example.com", "@"),
        ("https://alice@gitlab.example.com", "@"),
        ("https://gitlab.example.com/?private_token=hunter2", "question mark"),
        ("https://gitlab.example.com/#hunter2", "#"),
        ("https://gitlab.example.com/../hunter2", ".."),
        ("https://gitlab.example.com:22", "port"),
        ("https://gitlab.example.com:99999", "port"),
        ("https://2130706433", "number"),
        ("https://0x7f.0.0.1", "number"),
        ("https://127.1", "number"),
        ("https://gitläb.example.com", "letters"),
        ("https://xn--gitlb-hra.example.com", "punycode"),
        ("https://git lab.example.com", "spaces"),
        ("https://gitlab.example.com\\@evil.example", "backslash"),
        ("https://", "host name"),
        ("", "base URL"),
    ] {
        let problem = refused_at(&program, base_url, 422, "base_url_invalid").await;
        assert!(detail(&problem).contains(says), "{base_url}: {problem}");
        assert!(!problem.to_string().contains("hunter2"), "what may be a password is repeated: {problem}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_and_never_connected_to() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    let (nobody, port) = trap();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("gitlab.localhost:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("0.0.0.0:{port}"),
        "10.0.0.1".into(),
        "172.16.5.4".into(),
        "192.168.1.10".into(),
        "100.64.0.1".into(),
        "169.254.169.254".into(),
        "168.63.129.16".into(),
        "[fd00::1]".into(),
        "[fe80::1]".into(),
        "metadata.google.internal".into(),
    ] {
        for path in ["", "/gitlab"] {
            let problem =
                refused_at(&program, &format!("https://{host}{path}"), 422, "base_url_forbidden").await;
            assert!(!detail(&problem).is_empty(), "{problem}");
        }
        let looked_up = json!({"base_url": format!("https://{host}"), "token": "glpat-canary"});
        let problem = program.post_json("/api/v1/tokens/inspect", looked_up).await.expect(422).json();
        assert_eq!(problem["code"], "base_url_forbidden", "{host}");
    }
    assert!(nobody.accept().is_err(), "somebody connected");
    assert_eq!(app.sim().count(Endpoint::Any), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_typing_is_switched_off_only_configured_addresses_are_taken() {
    let settings = [("MOORING_ALLOW_CUSTOM_BASE_URL", "false"), ("MOORING_OUTBOUND_ALLOW", "127.0.0.1")];
    let mut app = TestApp::start_with(On::Sqlite, Options::default(), &settings).await;
    let program = app.program(&["connections:write"]).await;
    let (nobody, port) = trap();
    let problem = refused_at(&program, &format!("https://127.0.0.1:{port}"), 422, "base_url_forbidden").await;
    assert!(detail(&problem).contains("MOORING_ALLOW_CUSTOM_BASE_URL"), "{problem}");
    refused_at(&program, "https://gitlab.example.com", 422, "base_url_forbidden").await;
    assert!(nobody.accept().is_err(), "somebody connected");

    let (url, token) = (app.sim().url(), alice(&app));
    let made = connect_at(&program, &url, &token).await.expect(201).json();
    assert_eq!(made["integration"], "gitlab");
    app.stop().await;
}

on_both!(a_typed_address_that_is_configured_is_that_integration, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let (url, token) = (app.sim().url(), alice(&app));
    for typed in [url.clone(), format!("{url}/"), format!("{url}/api/v4"), url.to_uppercase()] {
        let made = connect_at(&program, &typed, &token).await.expect(201).json();
        assert_eq!((&made["integration"], &made["base_url"]), (&json!("gitlab"), &json!(url)), "{typed}");
        program.delete(&format!("{CONNECTIONS}/typed?revoke=false")).await.expect(204);
    }
    app.stop().await;
});

on_both!(an_installation_below_a_subpath_is_asked_there, async |on: On| {
    let options = Options { base_path: "/gitlab".into(), ..Options::default() };
    let mut app = TestApp::start_with(on, options, &[]).await;
    let (url, token) = (app.sim().url(), alice(&app));
    assert!(url.ends_with("/gitlab"));
    let root = url.strip_suffix("/gitlab").unwrap();
    let program = app.program(&["connections:write", "tokens:read"]).await;
    for configured in [url.clone(), format!("{url}/"), format!("{url}/api/v4"), format!("{url}/api/v4/")] {
        app.restart_with(&[("MOORING_GITLAB_URL", &configured)]).await;
        let body =
            json!({"name": "sub", "integration": "gitlab", "token": token, "use_cases": ["code-review"]});
        let made = program.post_json(CONNECTIONS, body).await.expect(201).json();
        assert_eq!(
            (&made["base_url"], &made["checks"][0]["outcome"]),
            (&json!(url), &json!("ok")),
            "{configured}"
        );
        let typed = connect_at(&program, &format!("{url}//"), &token).await.expect(201).json();
        assert_eq!(typed["integration"], "gitlab");
        let handed_out = program.get(&format!("{CONNECTIONS}/sub/token")).await.expect(200).json();
        assert_eq!(handed_out["api_url"], format!("{url}/api/v4"));
        let projects = program.get(&format!("{CONNECTIONS}/sub/projects")).await.expect(200).json();
        assert_eq!(projects["items"][0]["path"], "acme/web");
        for name in ["sub", "typed"] {
            program.delete(&format!("{CONNECTIONS}/{name}?revoke=false")).await.expect(204);
        }
    }
    for endpoint in [Endpoint::TokenSelf, Endpoint::User, Endpoint::Projects] {
        let asked = app.sim().last_request(endpoint).expect("asked").path_and_query;
        assert!(asked.starts_with("/gitlab/api/v4/"), "{asked}");
    }

    // Its host alone is another place, where nothing is.
    app.restart_with(&[("MOORING_INTEGRATION_ROOT_URL", root)]).await;
    let problem = refused_at(&program, root, 502, "not_gitlab").await;
    assert!(detail(&problem).contains("subpath"), "{problem}");
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_is_told_with_the_step_that_failed() {
    let closed = format!("http://127.0.0.1:{}", free_port());
    let settings = [("MOORING_GITLAB_URL", closed.as_str())];
    let mut app = TestApp::start_with(On::Sqlite, Options::default(), &settings).await;
    let program = app.program(&["connections:write"]).await;

    let problem = refused_at(&program, "https://gitlab.invalid", 502, "provider_unreachable").await;
    assert_eq!(problem["step"], "dns", "{problem}");
    assert!(detail(&problem).starts_with("gitlab.invalid could not be reached"), "{problem}");
    let body = json!({"name": "a", "integration": "gitlab", "token": "glpat-canary"});
    let problem = program.post_json(CONNECTIONS, body).await.expect(502).json();
    assert_eq!((&problem["code"], &problem["step"]), (&json!("provider_unreachable"), &json!("connect")));
    assert!(detail(&problem).contains("refuses connections"), "{problem}");
    assert_eq!(app.sim().count(Endpoint::Any), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_installation_with_a_ca_of_its_own_is_connected_by_its_address() {
    let authority = Authority::for_host("127.0.0.1");
    let (_folder, file) = ca_file(&authority.pem);
    let (mut app, url) = beside_tls(&authority, &[ALLOW, ("MOORING_CA_FILE", &file)]).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let token = alice(&app);

    let made = connect_at(&program, &format!("{url}/api/v4/"), &token).await.expect(201).json();
    assert_eq!((&made["integration"], &made["base_url"]), (&Value::Null, &json!(url)));
    assert_eq!((&made["account"]["username"], &made["status"]), (&json!("alice"), &json!("active")));
    let handed_out = program.get(&format!("{CONNECTIONS}/typed/token")).await.expect(200).json();
    assert_eq!((&handed_out["access_token"], &handed_out["base_url"]), (&json!(token), &json!(url)));
    assert_eq!(handed_out["api_url"], format!("{url}/api/v4"));
    let projects = program.get(&format!("{CONNECTIONS}/typed/projects")).await.expect(200).json();
    assert_eq!(projects["items"][0]["path"], "acme/web");

    // An operator who switches this off stops us from going there, and says so.
    app.restart_with(&[("MOORING_ALLOW_CUSTOM_BASE_URL", "false")]).await;
    app.sim().reset_counts();
    let path = format!("{CONNECTIONS}/typed/check");
    let problem = program.request(http::Method::POST, &path).send().await.expect(409).json();
    assert_eq!(problem["code"], "integration_misconfigured");
    assert!(detail(&problem).contains("MOORING_ALLOW_CUSTOM_BASE_URL"), "{problem}");
    assert_eq!(app.sim().count(Endpoint::Any), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_ca_is_named_as_the_reason() {
    let authority = Authority::for_host("127.0.0.1");
    let (mut app, url) = beside_tls(&authority, &[ALLOW]).await;
    let program = app.program(&["connections:write"]).await;
    let problem = refused_at(&program, &url, 502, "provider_unreachable").await;
    assert_eq!(problem["step"], "tls", "{problem}");
    assert!(detail(&problem).contains("unknown issuer") && detail(&problem).contains("CA file"), "{problem}");

    // Another CA of the same name does not help.
    let (_folder, file) = ca_file(&Authority::for_host("127.0.0.1").pem);
    app.restart_with(&[("MOORING_CA_FILE", &file)]).await;
    assert_eq!(refused_at(&program, &url, 502, "provider_unreachable").await["step"], "tls");

    // The CA of one integration is trusted for that one and not for what people type.
    let (_folder, file) = ca_file(&authority.pem);
    let own = [("MOORING_INTEGRATION_ACME_URL", url.as_str()), ("MOORING_INTEGRATION_ACME_CA_FILE", &file)];
    app.restart_with(&own).await;
    let problem = refused_at(&program, &format!("{url}/elsewhere"), 502, "provider_unreachable").await;
    assert!(detail(&problem).contains("unknown issuer"), "{problem}");
    assert_eq!(app.sim().count(Endpoint::Any), 0, "nothing was sent without trust");
    let made = connect_at(&program, &url, &alice(&app)).await.expect(201).json();
    assert_eq!(made["integration"], "acme", "with its own CA it is reached");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_named_as_the_reason() {
    let authority = Authority::for_host("gitlab.example.com");
    let (_folder, file) = ca_file(&authority.pem);
    let (mut app, url) = beside_tls(&authority, &[ALLOW, ("MOORING_CA_FILE", &file)]).await;
    let program = app.program(&["connections:write"]).await;
    let problem = refused_at(&program, &url, 502, "provider_unreachable").await;
    assert_eq!(problem["step"], "tls", "{problem}");
    assert!(detail(&problem).contains("another host name"), "{problem}");
    assert_eq!(app.sim().count(Endpoint::Any), 0);
    app.stop().await;
}

on_both!(a_stored_token_is_never_sent_to_an_integration_that_moved, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let (old_url, token) = (app.sim().url(), alice(&app));
    let body = json!({"name": "one", "integration": "gitlab", "token": token, "use_cases": ["code-review"]});
    program.post_json(CONNECTIONS, body).await.expect(201);
    let (one, new) = (format!("{CONNECTIONS}/one"), Sim::start(Options::default()).await);
    app.restart_with(&[("MOORING_GITLAB_URL", &new.url())]).await;
    app.sim().reset_counts();

    let handed_out = program.get(&format!("{one}/token")).await.expect(200).json();
    assert_eq!((&handed_out["access_token"], &handed_out["base_url"]), (&json!(token), &json!(old_url)));
    let check = async || program.request(http::Method::POST, &format!("{one}/check")).send().await;
    let misconfigured = |reply: Reply| {
        let problem = reply.expect(409).json();
        assert_eq!(problem["code"], "integration_misconfigured");
        assert!(detail(&problem).contains("base URL"), "{problem}");
    };
    misconfigured(check().await);
    misconfigured(program.get(&format!("{one}/projects")).await);
    let another = alice(&app);
    misconfigured(program.put_json(&format!("{one}/token"), json!({"token": another})).await);
    let kept = program.get(&one).await.expect(200).json();
    assert_eq!((&kept["base_url"], &kept["status"]), (&json!(old_url), &json!("degraded")));
    assert_eq!(kept["reason"], "integration_misconfigured");
    assert_eq!((new.count(Endpoint::Any), app.sim().count(Endpoint::Any)), (0, 0), "nobody was asked");

    // Back at its old address everything is as it was.
    app.restart_with(&[("MOORING_GITLAB_URL", &old_url)]).await;
    let checked = check().await.expect(200).json();
    assert_eq!((&checked["status"], &checked["failure"]), (&json!("active"), &Value::Null));

    // Ended while it is away: the token is not revoked at the wrong place.
    app.restart_with(&[("MOORING_GITLAB_URL", &new.url())]).await;
    app.sim().reset_counts();
    program.delete(&one).await.expect(204);
    app.app().state.disconnect.try_once().await.expect("it runs");
    program.get(&format!("{one}/token")).await.expect(404);
    assert_eq!((new.count(Endpoint::Any), app.sim().count(Endpoint::Any)), (0, 0), "nobody was asked");
    assert!(app.sim().is_live(&token));
    app.stop().await;
});

on_both!(an_integration_that_is_no_longer_configured_takes_no_token_anywhere, async |on: On| {
    let elsewhere = Sim::start(Options::default()).await;
    let settings = [("MOORING_INTEGRATION_ACME_URL", elsewhere.url())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut app = TestApp::start_with(on, Options::default(), &settings).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let bob = elsewhere.add_user("bob");
    let token = elsewhere.mint_personal(bob, &["api"], None).token;
    let body = json!({"name": "one", "integration": "acme", "token": token});
    program.post_json(CONNECTIONS, body).await.expect(201);

    app.restart_with(&[("MOORING_INTEGRATION_ACME_URL", "")]).await;
    elsewhere.reset_counts();
    let path = format!("{CONNECTIONS}/one/check");
    let problem = program.request(http::Method::POST, &path).send().await.expect(409).json();
    assert_eq!(problem["code"], "integration_misconfigured");
    assert!(detail(&problem).contains("acme"), "{problem}");
    let handed_out = program.get(&format!("{CONNECTIONS}/one/token")).await.expect(200).json();
    assert_eq!(handed_out["access_token"], token);
    assert_eq!((elsewhere.count(Endpoint::Any), app.sim().count(Endpoint::Any)), (0, 0));
    app.stop().await;
});
