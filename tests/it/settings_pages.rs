//! The settings pages and the audit log in a real browser, with and without script, on a desk and on a phone.

use crate::{
    support::{
        app::{EMAIL, On, PASSWORD, TestApp},
        browser::{Browser, BrowserOptions},
        database::run,
        receiver::Receiver,
        smtp::SmtpServer,
    },
    viewers::{VIEWER, viewer},
};
use gitlab_sim::Options;

const SECTIONS: [&str; 8] =
    ["", "/account", "/people", "/api-keys", "/webhooks", "/mail", "/integrations", "/encryption"];

async fn nothing_is_wrong(browser: &Browser, what: &str) {
    let wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(browser.execute(wide).await, false, "{what} is wider than the screen");
    assert_eq!(browser.console_errors().await, Vec::<String>::new(), "{what}");
}

async fn look_at_all(app: &TestApp, email: &str, options: BrowserOptions, shot: &str) {
    let browser = app.browser_of(email, options).await;
    for section in SECTIONS {
        browser.goto(&format!("{}/settings{section}", app.site())).await;
        let name = section.trim_start_matches('/');
        browser
            .screenshot(&format!("settings-{shot}-{}", if name.is_empty() { "overview" } else { name }))
            .await;
        nothing_is_wrong(&browser, &format!("/settings{section} {shot}")).await;
    }
    browser.goto(&format!("{}/audit", app.site())).await;
    browser.screenshot(&format!("settings-{shot}-audit")).await;
    nothing_is_wrong(&browser, "/audit").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_its_screen() {
    let app = TestApp::start(On::Sqlite).await;
    app.connect_by_oauth("acme").await;
    app.program_of(Some("acme"), &["tokens:read", "connections:read"]).await;
    viewer(&app).await;
    look_at_all(&app, EMAIL, BrowserOptions::DESK, "desk").await;
    look_at_all(&app, EMAIL, BrowserOptions::PHONE, "phone").await;
    look_at_all(&app, EMAIL, BrowserOptions::DESK.dark(), "dark").await;
    look_at_all(&app, VIEWER, BrowserOptions::DESK, "viewer").await;
}

async fn invite(app: &TestApp, options: BrowserOptions, email: &str) {
    let browser = app.browser(options).await;
    browser.follow("Settings").await;
    browser.goto(&format!("{}/settings/people", app.site())).await;
    browser.fill("E-mail", email).await;
    browser.press("Make an invitation link").await;
    browser.wait_for_text(&format!("Send this link to {email}")).await;
    browser.screenshot(&format!("invited-{}", options.width)).await;
    let link = browser.execute("return document.querySelector('#made').textContent.trim()").await;
    let his = Browser::start(options).await;
    his.goto(link.as_str().unwrap()).await;
    his.screenshot(&format!("invitation-{}", options.width)).await;
    his.fill("Password", "a password of his own").await;
    his.press("Accept the invitation").await;
    his.wait_for_text("You are a viewer").await;
    assert!(!his.text().await.contains("Make the key"));
    his.goto(&format!("{}/connections/new", app.site())).await;
    his.wait_for_text("Only an administrator may do this").await;
    his.screenshot(&format!("forbidden-{}", options.width)).await;
    his.close().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_invited_with_and_without_script() {
    let app = TestApp::start(On::Postgres).await;
    invite(&app, BrowserOptions::DESK, "bob@example.com").await;
    invite(&app, BrowserOptions::PHONE.without_script(), "eve@example.com").await;
}

async fn make_and_revoke_a_key(app: &TestApp, options: BrowserOptions) {
    let browser = app.browser(options).await;
    browser.goto(&format!("{}/settings/api-keys", app.site())).await;
    browser.fill("Name", "ci-runner").await;
    browser.choose("Ends", "never").await;
    browser.press("Make the key").await;
    browser.wait_for_text("Your new API key “ci-runner”").await;
    browser.screenshot(&format!("key-made-{}", options.width)).await;
    let key = browser.execute("return document.querySelector('#made').textContent.trim()").await;
    let program = app.http.stranger().with_key(key.as_str().unwrap());
    program.get("/api/v1/connections/acme/token").await.expect(200);
    app.app().state.handout.usage.flush(&app.app().state.store).await.unwrap();
    browser.press("Revoke ci-runner").await;
    browser.wait_for_text("What will stop").await;
    browser.wait_for_text("acme: 1 time").await;
    browser.screenshot(&format!("key-revoke-{}", options.width)).await;
    browser.press("Revoke").await;
    browser.wait_for_text("The API key is revoked").await;
    program.get("/api/v1/connections/acme/token").await.expect(401);
    browser.follow("Expired and revoked keys (1)").await;
    browser.wait_for_text("ci-runner").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_and_revoked_on_a_desk() {
    let app = TestApp::start(On::Sqlite).await;
    app.connect_by_oauth("acme").await;
    make_and_revoke_a_key(&app, BrowserOptions::DESK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_and_revoked_on_a_phone_without_script() {
    let app = TestApp::start(On::Postgres).await;
    app.connect_by_oauth("acme").await;
    make_and_revoke_a_key(&app, BrowserOptions::PHONE.without_script()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_added_tested_paused_and_removed() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(On::Sqlite).await;
    let browser = app.browser(BrowserOptions::DESK.without_script()).await;
    browser.goto(&format!("{}/settings/webhooks", app.site())).await;
    browser.fill("URL", "ftp://example.com").await;
    browser.press("Add the endpoint").await;
    browser.screenshot("webhook-refused").await;
    assert!(browser.has_text("Add an endpoint").await, "it says what is wrong with the URL");
    browser.fill("URL", &receiver.url).await;
    browser.press("Add the endpoint").await;
    browser.wait_for_text("Copy the signing secret now").await;
    browser.screenshot("webhook-made").await;
    browser.press("Send a test").await;
    browser.wait_for_text("The test was taken").await;
    assert!(!browser.has_text("whsec_").await, "the secret is shown once");
    browser.press("Pause").await;
    browser.wait_for_text("Paused.").await;
    browser.press("Resume").await;
    browser.wait_for_text("Resumed.").await;
    browser.choose("Both sign for", "a week").await;
    browser.press("Make a new secret").await;
    browser.wait_for_text("The new secret").await;
    app.connect_by_oauth("acme").await;
    let page = browser.url().await.replace("/rotate-secret", "");
    let delivered = async {
        loop {
            browser.goto(&page).await;
            if browser.has_text("Delivered 1 attempt").await {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), delivered).await.expect("it is told");
    browser.screenshot("webhook-deliveries").await;
    browser.press("Send again connection.connected").await;
    browser.wait_for_text("It is sent again in a moment").await;
    browser.press("Remove this endpoint").await;
    browser.screenshot("webhook-remove").await;
    browser.press("Yes, remove this endpoint").await;
    browser.wait_for_text("The endpoint is removed").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_mail_is_sent_and_a_silent_server_is_told() {
    let mut server = SmtpServer::start(None, &[]).await;
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let settings = [
        ("MOORING_SMTP_URL", url.as_str()),
        ("MOORING_MAIL_FROM", "mooring@example.com"),
        ("MOORING_MAIL_TO", "ops@example.com"),
    ];
    let app = TestApp::start_with(On::Sqlite, Options::default(), &settings).await;
    let browser = app.browser(BrowserOptions::DESK).await;
    browser.goto(&format!("{}/settings/mail", app.site())).await;
    browser.press("Send a test mail").await;
    browser.wait_for_text("The mail server took the test mail").await;
    assert_eq!(server.mail().await["headers"]["subject"], "Mooring: this is a test");
    browser.screenshot("mail").await;
    server.stop().await;
    browser.press("Send a test mail").await;
    browser.wait_for_text("The test mail was not sent").await;
    browser.screenshot("mail-refused").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_is_checked() {
    let app = TestApp::start(On::Sqlite).await;
    let browser = app.browser(BrowserOptions::DESK.without_script()).await;
    browser.goto(&format!("{}/settings/integrations", app.site())).await;
    browser.press("Check gitlab").await;
    browser.wait_for_text("told to a connected account only").await;
    app.connect_by_oauth("acme").await;
    browser.press("Check gitlab").await;
    browser.wait_for_text("It answers").await;
    browser.wait_for_text("GitLab 1").await;
    browser.screenshot("integration-reached").await;
    browser.close().await;

    let nowhere = [("MOORING_GITLAB_URL", "http://127.0.0.1:9")];
    let app = TestApp::start_with(On::Sqlite, Options::default(), &nowhere).await;
    let browser = app.browser(BrowserOptions::DESK.dark()).await;
    browser.goto(&format!("{}/settings/integrations", app.site())).await;
    browser.press("Check gitlab").await;
    browser.wait_for_text("It cannot be reached").await;
    browser.wait_for_text("Connect: failed").await;
    browser.screenshot("integration-failed").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_costs_nothing_that_was_typed() {
    let app = TestApp::start(On::Sqlite).await;
    let browser = app.browser(BrowserOptions::DESK.without_script()).await;
    browser.goto(&format!("{}/settings/api-keys", app.site())).await;
    browser.fill("Name", "typed with care").await;
    let hash = mooring::vault::hash_password(PASSWORD.into()).await;
    let (store, now) = (&app.app().state.store, app.clock.now());
    assert!(store.reset_password(EMAIL, &hash, now, &mooring::domain::Actor::CommandLine).await.unwrap());
    browser.press("Make the key").await;
    browser.wait_for_text("Your session has ended").await;
    browser.screenshot("expired").await;
    let first = browser.tab().await;
    browser.new_tab().await;
    browser.goto(&format!("{}/login", app.site())).await;
    browser.fill("E-mail", EMAIL).await;
    browser.fill("Password", PASSWORD).await;
    browser.press("Sign in").await;
    browser.wait_for_text("Connections").await;
    browser.switch_to(&first).await;
    browser.press("Send again").await;
    browser.wait_for_text("Your new API key “typed with care”").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_is_reached_page_by_page() {
    let app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let insert = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 230)
        insert into webhook_endpoints (endpoint_id, url, events, tenant, secret, created_at)
        select printf('00000000-0000-7000-8000-%012d', i), 'https://hook-' || i || '.example.com', '[]', '', x'00', i from n";
    run(&app, insert).await;
    assert!(app.http.get("/settings").await.expect(200).text.contains("230 endpoints"));
    let (mut address, mut seen) = ("/settings/webhooks".to_owned(), 0);
    loop {
        let page = app.http.get(&address).await.expect(200).text;
        seen += page.matches("https://hook-").count();
        assert!(page.len() < 100_000, "{} bytes", page.len());
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        address = next.split('"').next().unwrap().to_owned();
    }
    assert_eq!(seen, 230);
}

/// What a long life leaves: the page stays small and quick.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_keys_are_no_burden() {
    let app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let insert = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
        insert into api_keys (api_key_id, name, tenant, permissions, secret_hash, created_at, expires_at)
        select 'key' || i, 'robot ' || i, '', '[\"tokens:read\"]', x'00', i, case when i % 5 = 0 then null else 1 end from n";
    run(&app, insert).await;
    let began = std::time::Instant::now();
    for path in ["", "?state=ended", "?q=robot+4999&state=ended", "?after=key1000"] {
        let page = app.http.get(&format!("/settings/api-keys{path}")).await.expect(200).text;
        assert!(page.len() < 100_000, "{path}: {} bytes", page.len());
        assert!(page.matches("<code>moor_key").count() <= 50);
    }
    let page = app.http.get("/settings/api-keys?q=robot&state=ended&after=key1000").await.expect(200).text;
    assert!(page.contains("href=\"/settings/api-keys?state=ended&#38;q=robot\">Newest"), "the search stays");
    let took = began.elapsed() / 5;
    assert!(took < std::time::Duration::from_secs(1), "{took:?} for a page");
    assert!(
        app.http.get("/settings/api-keys").await.expect(200).text.contains("Expired and revoked keys (4000)")
    );
}
