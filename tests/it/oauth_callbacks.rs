//! The browser's way back from GitLab: malformed answers, cookies, several tabs, reloads, and how each end is told.
//! What the table in the security notes calls O12 to O15, O22 to O25 and O30; one file, so that each row is found.

use crate::support::{
    app::{EMAIL, On, PASSWORD, TestApp, on_both},
    database::rows,
    flow::{Flow, callback, outcome},
    process::Process,
    request::Reply,
};
use futures_util::future::join_all;
use gitlab_sim::{Endpoint, Fault, Options};
use serde_json::json;
use std::{collections::HashSet, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use url::Url;

const MARKER: &str = "canary-4711";
const PATIENCE: Duration = Duration::from_secs(60);

async fn signed_in(on: On) -> TestApp {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    app
}

async fn nothing_came_of_it(app: &TestApp) {
    assert_eq!(app.sim().counts().token_requests, 0);
    assert_eq!((rows(app, "connections").await, rows(app, "credentials").await), (0, 0));
}

#[track_caller]
fn connected(reply: Reply) -> String {
    let location = reply.expect(303).location().to_owned();
    assert!(location.starts_with("/connections/"), "{location}");
    location
}

// O12

/// Queries that GitLab does not make, around a code and a state that are good.
fn malformed(code: &str, state: &str) -> Vec<String> {
    let good = format!("code={code}&state={state}");
    let long = "a".repeat(5_000);
    let mut queries = vec![
        String::new(),
        format!("code={code}"),
        format!("state={state}"),
        format!("state=&code={code}"),
        format!("code=&state={state}"),
        format!("code[]={code}&state={state}"),
        format!("code={code};state={state}"),
        format!("{good}&error=access_denied"),
        format!("error=access_denied&code={code}&state={state}&error_description=no"),
        format!("code={long}&state={state}"),
        format!("code={code}&state={long}"),
        format!("{good}&error_description={long}"),
        format!("{good}&{long}=1"),
        (0..21).fold(good.clone(), |query, n| format!("{query}&p{n}=1")),
    ];
    for twice in [
        format!("code={code}"),
        "code=other".into(),
        format!("state={state}"),
        "state=other".into(),
        "code=".into(),
    ] {
        queries.push(format!("{good}&{twice}"));
    }
    queries.push(format!("{good}&%73tate={state}"));
    for name in ["iss", "error", "error_description", "anything"] {
        queries.push(format!("{good}&{name}=a&{name}=a"));
    }
    for bytes in [
        "%00",
        "%0d%0aSet-Cookie:%20evil=1",
        "%0a",
        "%0d",
        "%09",
        "%1b[31m",
        "%7f",
        "%c2%85",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
    ] {
        queries.push(format!("code={code}{bytes}&state={state}"));
        queries.push(format!("code={code}&state={state}{bytes}"));
        queries.push(format!("{good}&error_description={bytes}"));
        queries.push(format!("{good}&a{bytes}=1"));
    }
    queries
}

on_both!(what_gitlab_never_sends_is_refused_whole, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let queries = malformed(&answer.code(), &answer.state());
    assert!(queries.len() >= 30);
    for query in &queries {
        let path = format!("/oauth/gitlab/callback?x={MARKER}%3Cscript%3E&{query}");
        let refused = app.http.get(&path).await;
        assert_eq!(refused.status, 400, "{query}");
        let code = answer.code();
        for shown in [MARKER, "<script>", code.as_str(), &answer.state(), "evil=1"] {
            assert!(!refused.text.contains(shown), "{query} shows {shown}");
            assert!(refused.headers.values().all(|v| !String::from_utf8_lossy(v.as_bytes()).contains(shown)));
        }
        assert!(refused.text.contains("This answer cannot be read"), "a page of ours:\n{}", refused.text);
    }
    nothing_came_of_it(&app).await;
    connected(app.http.get(&answer.path()).await);
    assert_eq!(app.sim().counts().codes_exchanged, 1, "the good answer is as good as before");
});

/// Sends bytes that no client library would.
async fn raw(app: &TestApp, target: &[u8]) -> String {
    let address = app.site().replace("http://localhost", "127.0.0.1");
    let mut socket = TcpStream::connect(&address).await.expect("the app listens");
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat();
    socket.write_all(&head).await.expect("it is sent");
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

on_both!(bytes_that_are_no_text_are_refused_too, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let good = answer.path();
    for bytes in [&b"\xff\xfe"[..], b"\xc3\x28", b"\x00", b"\x01", b"\x7f", b"\xed\xa0\x80", b" x"] {
        let target = [good.as_bytes(), b"&iss=canary-4711", bytes].concat();
        let answer = raw(&app, &target).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer:.60}");
        assert!(!answer.contains(MARKER));
    }
    let endless = [good.as_bytes(), b"&iss=", &b"a".repeat(100_000)].concat();
    let answer = raw(&app, &endless).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer:.60}");
    nothing_came_of_it(&app).await;
    connected(app.http.get(&good).await);
});

// O13

fn has_private_headers(reply: &Reply) {
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.header("cache-control"), "no-store");
}

on_both!(the_address_with_the_code_is_left_at_once, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let back = app.http.get(&answer.and("return_to", "https://evil.example/")).await.expect(303);
    has_private_headers(&back);
    let secrets = [answer.code(), answer.state()];
    let leaks = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    assert!(!back.location().contains(['?', '#']) && !leaks(back.location()) && !leaks(&back.text));
    let page = app.http.get(&connected(back)).await.expect(200);
    assert!(!leaks(&page.text) && page.text.contains("Connected."));
    for source in page.text.split("src=\"").skip(1) {
        assert!(source.starts_with('/') && !source.starts_with("//"), "of another site: {source:.40}");
    }

    let other = app.http.stranger().get(&answer.path()).await.expect(403);
    let malformed = app.http.get(&format!("{}&code=x", answer.path())).await.expect(400);
    let unknown = app
        .http
        .get(&callback("gitlab", &[("code", &answer.code()), ("state", "unknown")]))
        .await
        .expect(400);
    for refused in [&other, &malformed, &unknown] {
        has_private_headers(refused);
        assert!(!leaks(&refused.text));
    }
    let denied = Flow::begin(&app, "denied").await.deny(app.sim());
    has_private_headers(&app.http.get(&denied.path()).await.expect(303));
    has_private_headers(&outcome(&app.http, &denied.path(), "access_denied").await);
});

// O14

/// Addresses that have led people away from other sites, each also encoded once more.
fn ways_out() -> Vec<String> {
    let leads = [
        "//",
        "///",
        "////",
        "/\\",
        "\\/",
        "\\\\",
        "/\\/",
        "//\\",
        "\\",
        "https:",
        "https:/",
        "https://",
        "https:///",
        "http:",
        "HTTP://",
        "hTTps://",
        "ftp://",
        "javascript:alert(1)//",
        "JaVaScRiPt:alert(1)//",
        "data:text/html,",
        "vbscript:",
        "/%09/",
        "/%5c",
        "/%2f",
        "/%2f%2f",
        "%2f%2f",
        "%5c%5c",
        "/%0d/",
        "/%0a/",
        "//%00",
        "/\t/",
        "/\n/",
        "/\r/",
        "/\r\n/",
        "\t//",
        " //",
        "\u{a0}//",
        "/./",
        "/.//",
        "/..//",
        "/../../",
        "/;/",
        "/ /",
        ".",
        "@",
        "//user@",
        "https://localhost@",
        "//localhost:80@",
        "〱",
        "／／",
        "/／",
        "x://",
        "://",
        "/\u{200b}/",
        "?next=//",
        "#//",
        "/login?next=//",
        "\0//",
        "/\\\t\\",
        "\u{feff}//",
    ];
    let hosts = ["evil.example", "evil.example/a?b#c", "127.0.0.1:1/%2f.."];
    let plain: Vec<_> =
        leads.iter().flat_map(|lead| hosts.iter().map(move |host| format!("{lead}{host}"))).collect();
    let encoded =
        plain.iter().map(|way| url::form_urlencoded::byte_serialize(way.as_bytes()).collect::<String>());
    plain.iter().cloned().chain(encoded).collect()
}

fn asked_for(next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("/login?{query}")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sign_in_leads_to_another_site() {
    let app = signed_in(On::Sqlite).await;
    let ways = ways_out();
    assert!(ways.len() >= 300);
    let site = Url::parse(app.site()).unwrap();
    let stays = |location: &str| site.join(location).is_ok_and(|url| url.origin() == site.origin());
    assert!(
        !stays("//evil.example") && !stays("/\\evil.example"),
        "the judge reads addresses as browsers do"
    );
    let nobody = app.http.stranger();
    let (refused, ways): (Vec<_>, Vec<_>) = ways.into_iter().partition(|way| way.contains('\0'));
    for way in &refused {
        app.http.get(&asked_for(way)).await.expect(400);
    }
    for way in &ways {
        let location = app.http.get(&asked_for(way)).await.expect(303).location().to_owned();
        assert!(location.starts_with('/') && stays(&location), "{way:?} leads to {location}");
        let page = nobody.get(&asked_for(way)).await.expect(200).text;
        let field =
            page.split("name=\"next\" value=\"").nth(1).expect("the field").split('"').next().unwrap();
        let field = field.replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"");
        assert!(field.starts_with('/') && stays(&field), "{way:?} is kept as {field}");
    }
    for way in ways.iter().step_by(30) {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", way)];
        let location = app.http.stranger().post_form("/login", &form).await.expect(303).location().to_owned();
        assert!(location.starts_with('/') && stays(&location), "{way:?} leads to {location}");
    }
    for good in ["/audit", "/connections/new?integration=gitlab", "/audit?before=1#top"] {
        assert_eq!(app.http.get(&asked_for(good)).await.expect(303).location(), good);
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", good)];
        assert_eq!(app.http.stranger().post_form("/login", &form).await.expect(303).location(), good);
    }
}

// O15

#[tokio::test(flavor = "multi_thread")]
async fn what_an_error_says_of_itself_is_neither_shown_nor_logged() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.stop().await;
    let process = Process::start(&app, &[("MOORING_LOG", "trace")]).await;
    app.sign_in().await;
    let long = format!("{MARKER}{}", "a".repeat(4_000));
    let told = [
        ("access_denied", "canary-4711 <script>alert(1)</script>", "access_denied"),
        ("<script>alert('canary-4711')</script>", "x", "authorization_refused"),
        ("canary-4711\" onmouseover=\"alert(1)", "x", "authorization_refused"),
        ("ACCESS_DENIED canary-4711", "x", "authorization_refused"),
        ("server_error", "https://evil.example/canary-4711", "authorization_refused"),
        ("temporarily_unavailable", long.as_str(), "authorization_refused"),
        ("invalid_scope", "{{canary-4711}}${canary-4711}", "authorization_refused"),
    ];
    for (error, description, code) in told {
        let state = Flow::begin(&app, "acme").await.asked("state");
        let parameters = [
            ("error", error),
            ("error_description", description),
            ("error_uri", "https://evil.example/canary-4711"),
            ("state", &state),
        ];
        let page = outcome(&app.http, &callback("gitlab", &parameters), code).await;
        assert!(
            !page.text.contains(MARKER) && !page.text.contains("evil.example"),
            "{error}:\n{}",
            page.text
        );
    }
    let huge = "a".repeat(60_000);
    for description in
        ["canary-4711\r\nSet-Cookie: evil=1", "canary-4711\nINFO forged line", "canary-4711\u{1b}[2J", &huge]
    {
        let state = Flow::begin(&app, "acme").await.asked("state");
        let parameters = [("error", "access_denied"), ("error_description", description), ("state", &state)];
        let refused = app.http.get(&callback("gitlab", &parameters)).await.expect(400);
        assert!(!refused.text.contains(MARKER) && refused.header("set-cookie").is_empty());
    }
    let audit = app.http.get("/audit").await.expect(200);
    assert!(audit.text.contains("Authorization failed") && !audit.text.contains(MARKER));
    assert_eq!(app.sim().counts().token_requests, 0);
    let written = process.stop().await;
    assert!(written.contains("/oauth/gitlab/callback"), "the log was at its most talkative");
    assert!(
        !written.contains(MARKER) && !written.contains("forged line") && !written.contains(&huge[..5_000])
    );
}

// O22

/// The cookies that an answer sets: name, and attributes in lower case.
fn set_cookies(reply: &Reply) -> Vec<(String, Vec<String>)> {
    let lines = reply.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let read = |line: &str| {
        assert!(line.len() < 4_096);
        let (name, rest) = line.split_once('=').expect("a name and a value");
        let attributes = rest.split(';').skip(1).map(|a| a.trim().to_ascii_lowercase()).collect();
        (name.to_owned(), attributes)
    };
    lines.map(read).collect()
}

fn is_strict(attributes: &[String], is_https: bool) -> bool {
    let has = |wanted: &str| attributes.iter().any(|a| a == wanted);
    let age =
        attributes.iter().find_map(|a| a.strip_prefix("max-age=")).map(|age| age.parse::<u32>().unwrap());
    has("httponly")
        && has("path=/")
        && has("samesite=lax")
        && has("secure") == is_https
        && age.is_some_and(|age| age > 0)
        && !attributes.iter().any(|a| a.starts_with("domain"))
}

on_both!(cookies_on_loopback_are_as_strict_as_http_lets_them_be, async |on: On| {
    let app = TestApp::start(on).await;
    assert!(app.http.get("/login").await.expect(200).header("set-cookie").is_empty(), "none without need");
    let form = [("email", EMAIL), ("password", PASSWORD)];
    let session = app.http.post_form("/login", &form).await.expect(303);
    let begun = app.http.post_form("/connections/authorize", &[("integration", "gitlab")]).await.expect(303);
    let cookies = [set_cookies(&session), set_cookies(&begun)].concat();
    let names: Vec<_> = cookies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mooring", "mooring-browser"]);
    assert!(cookies.iter().all(|(_, attributes)| is_strict(attributes, false)), "{cookies:?}");
});

on_both!(cookies_on_https_belong_to_this_host_alone, async |on: On| {
    let site = "https://mooring.example";
    let key = mooring::vault::generate_key();
    let settings = [("MOORING_SITE_URL", site), ("MOORING_ENCRYPTION_KEY", key.as_str())];
    let app = TestApp::start_with(on, Options::default(), &settings).await;
    app.sim().set_redirect_uri(&app.world.application.client_id, &format!("{site}/oauth/gitlab/callback"));
    let form = [("email", EMAIL), ("password", PASSWORD)];
    let session = app.http.post_form("/login", &form).await.expect(303);
    let begun = app.http.post_form("/connections/authorize", &[("integration", "gitlab")]).await.expect(303);
    let cookies = [set_cookies(&session), set_cookies(&begun)].concat();
    let names: Vec<_> = cookies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["__Host-mooring", "__Host-mooring-browser"]);
    assert!(cookies.iter().all(|(_, attributes)| is_strict(attributes, true)), "{cookies:?}");

    let answer = Flow::of(&begun).approve(app.sim());
    let planted = app.http.stranger();
    for name in ["mooring", "mooring-browser"] {
        planted.set_cookie(name, &app.http.cookie(&format!("__Host-{name}")).expect("both are set"));
    }
    planted.get("/").await.expect(303);
    let answered = app.http.get(&answer.path()).await;
    connected(answered);
});

// O23

on_both!(an_answer_without_its_cookies_is_refused_plainly_and_noted, async |on: On| {
    let app = signed_in(on).await;
    let program = app.program(&["admin"]).await;
    let both = ["mooring", "mooring-browser"].map(|name| (name, app.http.cookie(name)));
    let session = both[0].1.clone().expect("signed in");
    let forged = "A".repeat(43);
    let jars: [&[(&str, &str)]; 5] = [
        &[],
        &[("mooring", &session)],
        &[("mooring", &session), ("mooring-browser", &forged)],
        &[("mooring", &session), ("mooring-browser", "'; drop table authorizations; --")],
        &[("mooring", &forged), ("mooring-browser", &forged)],
    ];
    for (n, cookies) in jars.iter().enumerate() {
        let answer = Flow::begin(&app, "acme").await.approve(app.sim());
        let browser = app.http.stranger();
        for (name, value) in *cookies {
            browser.set_cookie(name, value);
        }
        let refused = browser.get(&answer.path()).await.expect(403);
        assert!(
            refused.text.contains("This was begun somewhere else") && refused.text.contains("Start again")
        );
        assert!(refused.text.contains(app.site()), "it says where to go:\n{}", refused.text);
        outcome(&app.http, &answer.path(), "authorization_unfinished").await;
        let events = program.get("/api/v1/events").await.expect(200).json();
        let events = events["items"].as_array().unwrap().clone();
        let failed: Vec<_> = events.iter().filter(|e| e["kind"] == "authorization.failed").collect();
        assert_eq!(failed.len(), n + 1, "each is noted once");
        assert!(failed[0]["detail"].as_str().unwrap().starts_with("wrong_browser"));
        assert_eq!(failed[0]["subject"], "gitlab");
        assert!(!failed[0].to_string().contains(&answer.state()));
    }
    for path in ["/oauth/gitlab/callback?code=a&state=unknown", "/oauth/nobody/callback?code=a&state=unknown"]
    {
        app.http.stranger().get(path).await.expect(400);
    }
    nothing_came_of_it(&app).await;
    assert!(app.http.get("/audit").await.expect(200).text.contains("Authorization failed"));
});

// O24

on_both!(twelve_tabs_are_finished_in_reverse, async |on: On| {
    let app = signed_in(on).await;
    let mut answers = Vec::new();
    for n in 0..12 {
        answers.push(Flow::begin(&app, &format!("tab-{n}")).await.approve(app.sim()));
    }
    for (n, answer) in answers.iter().enumerate().rev() {
        let page = connected(app.http.get(&answer.path()).await);
        assert!(app.http.get(&page).await.expect(200).text.contains(&format!("tab-{n}")));
    }
    let counts = app.sim().counts();
    assert_eq!((counts.token_requests, counts.codes_exchanged), (12, 12));
    assert_eq!((rows(&app, "connections").await, app.sim().live_refresh_tokens().len()), (12, 12));
});

on_both!(two_tabs_may_want_the_same_name, async |on: On| {
    let app = signed_in(on).await;
    let (first, second) = (Flow::begin(&app, "acme").await, Flow::begin(&app, "acme").await);
    let nameless = Flow::begin_in(&app.http, &[("integration", "gitlab")]).await;
    for flow in [first, second, nameless] {
        connected(app.http.get(&flow.approve(app.sim()).path()).await);
    }
    let program = app.program(&["connections:read"]).await;
    for name in ["acme", "acme-2", "alice"] {
        program.get(&format!("/api/v1/connections/{name}")).await.expect(200);
    }
});

// O25

on_both!(a_reload_or_a_second_click_shows_the_same_page, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let path = answer.path();
    let clicks = join_all((0..3).map(|_| app.http.get(&path))).await;
    let pages: HashSet<_> = clicks.into_iter().map(connected).collect();
    assert_eq!(pages.len(), 1);
    let page = pages.into_iter().next().unwrap();
    app.advance(Duration::from_secs(1_800));
    assert_eq!(connected(app.http.get(&path).await), page, "half an hour later");
    let counts = app.sim().counts();
    assert_eq!((counts.token_requests, counts.codes_exchanged, rows(&app, "connections").await), (1, 1, 1));

    let denied = Flow::begin(&app, "denied").await.deny(app.sim());
    for _ in 0..2 {
        outcome(&app.http, &denied.path(), "access_denied").await.expect(403);
    }
    let other_code = callback("gitlab", &[("code", "another"), ("state", &answer.state())]);
    assert_eq!(connected(app.http.get(&other_code).await), page, "a used state takes no other code");
    assert_eq!(app.sim().counts().token_requests, 1);
});

// O30 and how an authorization ends

on_both!(a_connection_that_is_reauthorized_stays_the_same_one, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read", "connections:read"]).await;
    let before = program.get("/api/v1/connections/acme").await.expect(200).json();
    let old = app.sim().live_refresh_tokens();
    let gate = app.sim().hold_after(Endpoint::Revoke);
    let page = connected(app.http.get(&Flow::reauthorize(&app, &id).await.approve(app.sim()).path()).await);
    assert_eq!(page, format!("/connections/{id}"));
    timeout(PATIENCE, gate.reached()).await.expect("the old grant is revoked");
    gate.release();

    let after = program.get("/api/v1/connections/acme").await.expect(200).json();
    for same in ["id", "name", "created_at", "use_cases", "account", "integration", "tenant"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!((&before["generation"], &after["generation"]), (&json!(1), &json!(2)));
    let live = app.sim().live_refresh_tokens();
    assert_eq!(live.len(), 1);
    assert!(!live.contains(&old[0]), "the old refresh token is dead at GitLab");
    let revoked = app.sim().last_request(Endpoint::Revoke).unwrap();
    assert_eq!(revoked.form("token").as_ref(), Some(&old[0]));
    let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    assert_eq!(token["generation"], 2);
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    app.advance(Duration::from_secs(7_200));
    assert_eq!(program.get("/api/v1/connections/acme/token").await.expect(200).json()["generation"], 3);
});

// The person who consents wins over a renewal that comes in between, and no grant is forgotten.
on_both!(a_reauthorization_wins_over_a_renewal_meanwhile, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let fields = [("name", "acme"), ("integration", "gitlab"), ("use_cases", "code-review")];
    let page = connected(app.http.get(&app.consent(&fields).await).await);
    let id = page.strip_prefix("/connections/").expect("a connection's page");
    let program = app.program(&["tokens:read", "connections:write"]).await;
    for (endpoint, generation) in [(Endpoint::User, 3), (Endpoint::Projects, 5)] {
        let answer = Flow::reauthorize(&app, id).await.approve(app.sim());
        let gate = app.sim().hold(endpoint);
        let (browser, path) = (app.http.clone(), answer.path());
        let coming_back = tokio::spawn(async move { browser.get(&path).await });
        timeout(PATIENCE, gate.reached()).await.expect("the new grant is looked at");
        let renewed = program.request(http::Method::POST, "/api/v1/connections/acme/renew").send().await;
        assert_eq!(renewed.expect(200).json()["generation"], generation - 1);
        gate.release();
        assert_eq!(connected(coming_back.await.unwrap()), page, "{endpoint:?}");
        let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
        assert_eq!(token["generation"], generation, "{endpoint:?}");
        app.app().state.disconnect.try_once().await.unwrap();
        assert_eq!(app.sim().live_refresh_tokens().len(), 1, "every older grant is dead");
        assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    }
});

on_both!(reauthorizing_mends_a_dead_grant, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read", "connections:read"]).await;
    app.sim().revoke_authorization(app.world.alice, &app.world.application.client_id);
    app.advance(Duration::from_secs(7_200));
    program.get("/api/v1/connections/acme/token").await.expect(503);
    connected(app.http.get(&Flow::reauthorize(&app, &id).await.approve(app.sim()).path()).await);
    let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    let connection = program.get("/api/v1/connections/acme").await.expect(200).json();
    assert_eq!((&connection["status"], &connection["failure"]), (&json!("active"), &json!(null)));
});

on_both!(a_person_who_says_no_reads_that_nothing_changed, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let asked = app.sim().counts().token_requests;
    for flow in [Flow::begin(&app, "other").await, Flow::reauthorize(&app, &id).await] {
        let page = outcome(&app.http, &flow.deny(app.sim()).path(), "access_denied").await.expect(403);
        assert!(page.text.contains("did not give") && page.text.contains("Nothing was connected or changed"));
        let again = page.text.contains("action=\"/connections/authorize\"")
            || page.text.contains(&format!("action=\"/connections/{id}/reauthorize\""));
        assert!(again, "the button begins the same again:\n{}", page.text);
    }
    assert_eq!(app.sim().counts().token_requests, asked);
    let program = app.program(&["tokens:read"]).await;
    assert_eq!(program.get("/api/v1/connections/acme/token").await.expect(200).json()["generation"], 1);
});

on_both!(a_gitlab_that_is_down_has_a_page_of_its_own, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let faults = [
        Fault::bad_gateway(),
        Fault::DropBefore,
        Fault::DropAfterCommit,
        Fault::Maintenance,
        Fault::RateLimitedRack { retry_after: 60 },
        Fault::RateLimitedEndpoint,
    ];
    for fault in faults {
        for flow in [Flow::begin(&app, "other").await, Flow::reauthorize(&app, &id).await] {
            let asked = app.sim().counts().token_requests;
            app.sim().fault(Endpoint::Token, fault.clone());
            let page =
                outcome(&app.http, &flow.approve(app.sim()).path(), "provider_unavailable").await.expect(502);
            assert!(page.text.contains("GitLab could not be reached"), "{fault:?}");
            assert!(!page.text.contains("Whoops"), "not GitLab's own page");
            assert_eq!(app.sim().counts().token_requests, asked + 1, "{fault:?}: a code is sent once");
        }
    }
    assert_eq!(rows(&app, "connections").await, 1);
    let program = app.program(&["tokens:read"]).await;
    let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    assert_eq!(token["generation"], 1);
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()), "what there was goes on working");
});

on_both!(a_gitlab_that_goes_down_after_the_exchange_keeps_no_grant, async |on: On| {
    let app = signed_in(on).await;
    for fault in [Fault::bad_gateway(), Fault::DropBefore] {
        let answer = Flow::begin(&app, "acme").await.approve(app.sim());
        app.sim().fault(Endpoint::User, fault);
        let gate = app.sim().hold_after(Endpoint::Revoke);
        let page = outcome(&app.http, &answer.path(), "provider_unreachable").await.expect(502);
        assert!(page.text.contains("GitLab could not be reached"), "{}", page.text);
        timeout(PATIENCE, gate.reached()).await.expect("the grant that nobody holds is revoked");
        gate.release();
        assert!(app.sim().live_refresh_tokens().is_empty());
    }
    assert_eq!((app.sim().counts().codes_exchanged, rows(&app, "connections").await), (2, 0));
});
