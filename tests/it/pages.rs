//! The pages in a real browser: both ways in, with and without script, on a desk and on a phone.

use crate::support::{
    app::{On, TestApp},
    browser::{Browser, BrowserOptions},
};
use gitlab_sim::Options;
use std::time::Duration;

/// The OAuth way and the life of what it made, in one browser.
async fn connect_by_oauth(app: &TestApp, options: BrowserOptions, shot: &str) {
    let browser = app.browser(options).await;
    browser.screenshot(&format!("{shot}-empty")).await;
    browser.goto(&format!("{}/connections/new", app.site())).await;
    browser.screenshot(&format!("{shot}-new")).await;
    browser.fill("Name", "acme by oauth").await;
    browser.press("Connect to GitLab").await;
    browser.wait_for_text("Authorize").await;
    browser.screenshot(&format!("{shot}-consent")).await;
    browser.press("Authorize").await;
    browser.wait_for_url("/connections/").await;
    browser.wait_for_text("acme by oauth").await;
    assert!(!browser.url().await.contains("code="), "a clean address");
    browser.screenshot(&format!("{shot}-connection")).await;
    browser.press("Check now").await;
    browser.wait_for_text("acme by oauth").await;
    browser.press("Reauthorize").await;
    browser.wait_for_text("Authorize").await;
    browser.press("Authorize").await;
    browser.wait_for_url("/connections/").await;
    browser.goto(app.site()).await;
    browser.wait_for_text("acme by oauth").await;
    browser.screenshot(&format!("{shot}-list")).await;
    browser.follow("acme by oauth").await;
    browser.press("Disconnect").await;
    browser.screenshot(&format!("{shot}-disconnect")).await;
    browser.press("Disconnect").await;
    browser.goto(app.site()).await;
    assert!(!browser.has_text("acme by oauth").await);
    let own = browser.console_errors().await.into_iter().filter(|e| e.contains(app.site()));
    assert_eq!(own.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
    app.app().state.disconnect.try_once().await.unwrap();
    assert!(app.sim().live_refresh_tokens().is_empty(), "both grants are dead at GitLab");
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth_on_a_desk_with_script() {
    let app = TestApp::start(On::Sqlite).await;
    connect_by_oauth(&app, BrowserOptions::DESK, "oauth-desk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth_on_a_phone_without_script() {
    let app = TestApp::start(On::Postgres).await;
    connect_by_oauth(&app, BrowserOptions::PHONE.without_script(), "oauth-phone").await;
}

/// The access-token way and a rotation by hand.
async fn connect_by_token(app: &TestApp, options: BrowserOptions, shot: &str) {
    let script = options.script;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let browser = app.browser(options).await;
    browser.goto(&format!("{}/connections/new", app.site())).await;
    browser.fill("Name", "acme by token").await;
    browser.check("Code review").await;
    browser.fill("Access token", &minted.token).await;
    if script {
        browser.execute("document.querySelector('#token').blur()").await;
        browser.wait_for_text("This is a project access token").await;
        browser.screenshot(&format!("{shot}-inspected")).await;
    }
    browser.press("Connect").await;
    browser.wait_for_text("acme by token").await;
    browser.screenshot(&format!("{shot}-connection")).await;
    assert!(!browser.text().await.contains(&minted.token), "a page never shows a token");
    browser.press("Rotate token").await;
    browser.fill("Access token", "glpat-not-a-token").await;
    browser.press("Rotate token").await;
    browser.wait_for_text("does not accept").await;
    browser.screenshot(&format!("{shot}-rotate-refused")).await;
    browser.close().await;
    let program = app.program(&["tokens:read"]).await;
    let token = program.get("/api/v1/connections/acme%20by%20token/token").await.expect(200).json();
    assert_eq!(token["access_token"], minted.token, "the old token goes on working");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_on_a_phone_with_script() {
    let app = TestApp::start(On::Sqlite).await;
    connect_by_token(&app, BrowserOptions::PHONE, "token-phone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_dark_without_script() {
    let app = TestApp::start(On::Postgres).await;
    let options = BrowserOptions { dark: true, script: false, ..BrowserOptions::DESK };
    connect_by_token(&app, options, "token-dark").await;
}

/// What the demo promises: a newcomer watches a connection renew, without touching anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_shows_by_itself() {
    let options = Options { access_token_life: Duration::from_secs(4), ..Options::default() };
    let app = TestApp::start_with(On::Sqlite, options, &[]).await;
    let id = app.connect_by_oauth("acme").await;
    let browser = app.browser(BrowserOptions::DESK).await;
    browser.goto(&format!("{}/connections/{id}", app.site())).await;
    browser.wait_for_text("Generation").await;
    let renewed = async { while !browser.has_text("renewed").await {} };
    tokio::time::timeout(Duration::from_secs(20), renewed).await.expect("the page shows the renewal");
    browser.screenshot("renewing").await;
    browser.close().await;
}

/// The first minutes of a new installation.
#[tokio::test(flavor = "multi_thread")]
async fn the_setup_link_makes_the_first_administrator() {
    let nobody = [("MOORING_ADMIN_EMAIL", ""), ("MOORING_ADMIN_PASSWORD", "")];
    let app = TestApp::start_with(On::Sqlite, Options::default(), &nobody).await;
    let link = app.app().setup_link.clone().expect("nobody is there yet");
    let browser = Browser::start(BrowserOptions::DESK).await;
    browser.goto(&link).await;
    browser.screenshot("setup").await;
    browser.fill("E-mail", "first@example.com").await;
    browser.fill("Password", "a password of length").await;
    browser.press("Make me the administrator").await;
    browser.wait_for_text("Connections").await;
    browser.close().await;
    let again = Browser::start(BrowserOptions::DESK).await;
    again.goto(&link).await;
    assert!(!again.has_text("Make me the administrator").await, "a link works once");
    again.screenshot("setup-again").await;
    again.close().await;
}
