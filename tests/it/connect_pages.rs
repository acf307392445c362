//! The form that connects, as a browser without script sends it: what a base URL turned out to be, what a refusal
//! says, and that nothing that was chosen is lost.

use crate::support::{
    app::{On, TestApp, free_port, on_both},
    database::rows,
    flow::{Flow, outcome},
    request::Reply,
    tls::{ALLOW, Authority, beside_tls, beside_tls_at, ca_file},
};
use gitlab_sim::{Endpoint, Fault, Options};

const LOOK: &str = "/connections/preflight";

async fn looked(app: &TestApp, base_url: &str) -> String {
    let form = [
        ("integration", "self_hosted"),
        ("base_url", base_url),
        ("name", "acme"),
        ("use_cases", "read-only"),
    ];
    app.http.post_form(LOOK, &form).await.expect(200).text
}

fn plain(html: &str) -> String {
    html.replace("&#38;", "&").replace("&amp;", "&")
}

async fn connect(app: &TestApp, fields: &[(&str, &str)]) -> Reply {
    app.http.post_form("/connections", fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_names_the_step_that_failed() {
    let mut app = TestApp::start_with(On::Sqlite, Options::default(), &[ALLOW]).await;
    app.sign_in().await;
    let closed = format!("https://127.0.0.1:{}", free_port());
    for (base_url, words) in [
        ("https://10.0.0.1", "MOORING_OUTBOUND_ALLOW=10.0.0.1"),
        ("https://169.254.169.254", "This address is not allowed"),
        ("https://gitlab.invalid", "The name gitlab.invalid cannot be looked up"),
        (&closed, "No connection to 127.0.0.1"),
        ("http://gitlab.example.com", "https://"),
        ("https://", "host name"),
    ] {
        let html = looked(&app, base_url).await;
        assert!(html.contains(words), "{base_url}: {html}");
        assert!(!html.contains("data-use"), "{base_url} has nothing better: {html}");
    }
    let known = looked(&app, &app.sim().url()).await;
    assert!(known.contains("GitLab answers at") && known.contains("set up here as gitlab"), "{known}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_shows_who_issued_a_certificate_that_is_not_trusted() {
    let authority = Authority::for_host("127.0.0.1");
    let (mut app, url) = beside_tls(&authority, &[ALLOW]).await;
    app.sign_in().await;
    let html = looked(&app, &url).await;
    assert!(html.contains("Acme Root CA") && html.contains("MOORING_CA_FILE"), "{html}");
    assert_eq!(app.sim().count(Endpoint::Any), 0, "nothing is sent without trust");

    let (_folder, file) = ca_file(&authority.pem);
    app.restart_with(&[("MOORING_CA_FILE", &file)]).await;
    assert!(looked(&app, &url).await.contains("GitLab answers at"));
    let asked = app.sim().last_request(Endpoint::Version).expect("it was asked");
    assert_eq!((asked.header("authorization"), asked.header("private-token")), (None, None));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_finds_the_path_that_was_left_out_or_pasted_too_much() {
    let authority = Authority::for_host("127.0.0.1");
    let (_folder, file) = ca_file(&authority.pem);
    let settings = [ALLOW, ("MOORING_CA_FILE", file.as_str())];
    let (mut app, host) = beside_tls_at(&authority, "/gitlab", &settings).await;
    app.sign_in().await;
    let right = format!("{host}/gitlab");
    for typed in [host.clone(), format!("{right}/acme/web")] {
        let html = looked(&app, &typed).await;
        assert!(html.contains("it is not GitLab"), "{typed}: {html}");
        assert!(html.contains(&format!("data-use=\"{right}\"")), "{typed}: {html}");
        let choices = "&name=acme&use_cases=read-only";
        assert!(plain(&html).contains(choices), "what was chosen is in the address: {html}");
    }
    assert!(looked(&app, &right).await.contains("GitLab answers at"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_tells_where_requests_are_sent_on_by_its_host_alone() {
    let authority = Authority::for_host("127.0.0.1");
    let (_folder, file) = ca_file(&authority.pem);
    let (mut app, url) = beside_tls(&authority, &[ALLOW, ("MOORING_CA_FILE", &file)]).await;
    app.sign_in().await;
    let sent_on = |to: &str| {
        let headers = vec![("Location".to_owned(), to.to_owned())];
        app.sim().fault(Endpoint::Version, Fault::Status { status: 302, headers, body: "raw words".into() });
    };
    sent_on("https://sso.example.com/saml?token=canary");
    let html = looked(&app, &url).await;
    assert!(html.contains("sends requests on to sso.example.com") && html.contains("sign-in page"), "{html}");
    assert!(!html.contains("canary") && !html.contains("raw words"), "{html}");
    sent_on("https://code.example.com/api/v4/version");
    assert!(looked(&app, &url).await.contains("data-use=\"https://code.example.com\""));
    app.sim().fault(Endpoint::Version, Fault::bad_gateway());
    let html = looked(&app, &url).await;
    assert!(html.contains("answers 502") && !html.contains("Whoops"), "{html}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_looks_through_a_network() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.http.post_form(LOOK, &[("base_url", "https://10.0.0.1")]).await.expect(403);
    app.sign_in().await;
    for n in 0..20 {
        looked(&app, &format!("https://10.0.0.{n}")).await;
    }
    let form = [("integration", "self_hosted"), ("base_url", "https://10.0.0.99")];
    let waits = async || app.http.post_form(LOOK, &form).await;
    let mut refused = waits().await;
    if refused.status == 200 {
        refused = waits().await;
    }
    let refused = refused.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(refused.text.contains("Look again in"), "{}", refused.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_base_url_comes_back_with_what_was_found_and_what_was_typed() {
    let authority = Authority::for_host("127.0.0.1");
    let (_folder, file) = ca_file(&authority.pem);
    let settings = [ALLOW, ("MOORING_CA_FILE", file.as_str())];
    let (mut app, host) = beside_tls_at(&authority, "/gitlab", &settings).await;
    app.sign_in().await;
    let minted = app.sim().mint_personal(app.world.alice, &["api"], None);
    let form = [
        ("integration", "self_hosted"),
        ("base_url", host.as_str()),
        ("name", "acme-review"),
        ("use_cases", "code-review"),
        ("token", minted.token.as_str()),
    ];
    let page = plain(&connect(&app, &form).await.expect(502).text);
    assert!(page.contains(&format!("Use {host}/gitlab")), "{page}");
    assert!(page.contains("value=\"acme-review\"") && page.contains(&format!("value=\"{host}\"")), "{page}");
    assert!(!page.contains(&minted.token), "never the token");
    assert_eq!(rows(&app, "connections").await, 0);

    // The offered address has everything filled in but the token.
    let before = page.split("\" data-use=").next().unwrap();
    let offered = before.rsplit("href=\"").next().unwrap();
    let form = app.http.get(offered).await.expect(200).text;
    assert!(
        form.contains(&format!("value=\"{host}/gitlab\"")) && form.contains("value=\"acme-review\""),
        "{form}"
    );
    app.stop().await;
}

on_both!(a_form_that_is_sent_twice_makes_one_connection, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let form = [("integration", "gitlab"), ("name", "acme"), ("token", minted.token.as_str())];
    let (first, second) = tokio::join!(connect(&app, &form), connect(&app, &form));
    let third = connect(&app, &form).await.expect(303);
    let pages = [first.expect(303), second.expect(303), third].map(|reply| reply.location().to_owned());
    assert!(pages[0] == pages[1] && pages[1] == pages[2], "{pages:?}");
    assert_eq!(rows(&app, "connections").await, 1);

    let other = app.sim().mint_personal(app.world.alice, &["api"], None);
    let form = [("integration", "gitlab"), ("name", "acme"), ("token", other.token.as_str())];
    let refused = connect(&app, &form).await.expect(409).text;
    assert!(refused.contains("That name is taken") && refused.contains(&pages[0]), "{refused}");
});

#[tokio::test(flavor = "multi_thread")]
async fn what_was_connected_is_said_on_the_next_page() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let form = [("integration", "gitlab"), ("name", "acme"), ("token", minted.token.as_str())];
    let location = connect(&app, &form).await.expect(303).location().to_owned();
    let page = app.http.get(&location).await.expect(200).text;
    let words = "Connected: a project access token of acme/web, role Maintainer, with the scope api.";
    assert!(page.contains(words), "{page}");
    let minted = app.sim().mint_group(app.world.group, &["api", "read_repository"], 50, None);
    let form = [("integration", "gitlab"), ("name", "group"), ("token", minted.token.as_str())];
    let location = connect(&app, &form).await.expect(303).location().to_owned();
    let page = app.http.get(&location).await.expect(200).text;
    assert!(
        page.contains("a group access token of acme, role Owner, with the scopes api, read_repository."),
        "{page}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_is_known_by_its_ending_and_a_new_one_is_a_link_away() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let minted = app.sim().mint_personal(app.world.alice, &["api"], None);
    app.sim().revoke(&minted.token);
    let form = [
        ("integration", "gitlab"),
        ("name", "acme"),
        ("use_cases", "remediation"),
        ("token", minted.token.as_str()),
    ];
    let page = plain(&connect(&app, &form).await.expect(422).text);
    let ending = &minted.token[minted.token.len() - 4..];
    assert!(page.contains(&format!("ends in “{ending}”")) && !page.contains(&minted.token), "{page}");
    assert!(page.contains("Make a new one at GitLab"));
    assert!(page.contains("name=acme&scopes=api%2Cread_repository%2Cwrite_repository"), "{page}");
    assert!(page.contains("value=\"remediation\" checked"), "what was chosen is still chosen");

    let narrow = app.sim().mint_personal(app.world.alice, &["read_api"], None);
    let form = [
        ("integration", "gitlab"),
        ("name", "acme"),
        ("use_cases", "code-review"),
        ("token", narrow.token.as_str()),
    ];
    let page = connect(&app, &form).await.expect(422).text;
    assert!(page.contains("This access token has read_api."), "{page}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_says_what_each_kind_of_token_needs_and_where_it_is_made() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let chosen = "/connections/new?use_cases=secret-sync&use_cases=secret-scanning&name=acme";
    let page = plain(&app.http.get(chosen).await.expect(200).text);
    for words in [
        "data-role=\"project\">Owner<",
        "data-role=\"group\">Maintainer<",
        "data-scopes=\"oauth\"><code>api</code> <code>read_repository</code><",
        "data-scopes=\"group\"><code>api</code><",
        "Secret sync: Owner for group variables.",
        "/-/user_settings/personal_access_tokens?name=acme&scopes=api%2Cread_repository",
        "/oauth/gitlab/callback",
        "MOORING_GITLAB_OAUTH_CLIENT_ID",
        "Service account",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.len() < 100_000, "{} bytes", page.len());
    app.stop().await;
}

on_both!(a_wrong_secret_names_the_variables_and_the_redirect_uri, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let chosen = [("integration", "gitlab"), ("name", "acme"), ("use_cases", "read-only")];
    let flow = Flow::begin_in(&app.http, &chosen).await;
    app.sim().renew_secret(&app.world.application.client_id);
    let page = outcome(&app.http, &flow.approve(app.sim()).path(), "integration_misconfigured").await;
    let page = plain(&page.expect(502).text);
    for words in [
        "not your account’s fault",
        "MOORING_GITLAB_OAUTH_CLIENT_SECRET",
        "/oauth/gitlab/callback",
        "name=\"use_cases\" value=\"read-only\"",
        "integration=gitlab&name=acme&use_cases=read-only",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_took_too_long_starts_again_with_what_was_chosen() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let chosen = [("integration", "gitlab"), ("name", "acme"), ("use_cases", "read-only")];
    let answer = Flow::begin_in(&app.http, &chosen).await.approve(app.sim());
    app.clock.advance(std::time::Duration::from_secs(601));
    let page = outcome(&app.http, &answer.path(), "authorization_expired").await.expect(410).text;
    assert!(page.contains("What you chose is kept") && page.contains("value=\"read-only\""), "{page}");
    app.stop().await;
}
