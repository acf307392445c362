//! Connecting in a real browser: the form that follows what is chosen, the address that is looked at, the token
//! that is told before it is saved, and everything a person does twice.

use crate::support::{
    app::{On, TestApp},
    browser::{Browser, BrowserOptions},
    database::rows,
    tls::{ALLOW, Authority, beside_tls, beside_tls_at, ca_file},
};
use gitlab_sim::Endpoint;
use std::time::Instant;

async fn at_the_form(app: &TestApp, options: BrowserOptions) -> Browser {
    let browser = app.browser(options).await;
    browser.goto(&format!("{}/connections/new", app.site())).await;
    browser
}

async fn no_complaints(browser: &Browser, app: &TestApp) {
    let own = browser.console_errors().await.into_iter().filter(|e| e.contains(app.site()));
    assert_eq!(own.collect::<Vec<_>>(), Vec::<String>::new());
}

/// A text that is typed, and then the key that leaves the field.
fn left(text: &str) -> String {
    format!("{text}\u{E004}")
}

/// What the page's own script says of an expression.
async fn says(browser: &Browser, expression: &str) -> String {
    browser.execute(&format!("return {expression}")).await.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_follows_what_is_chosen() {
    let app = TestApp::start(On::Sqlite).await;
    for (options, shot) in [
        (BrowserOptions::DESK, "connect-desk"),
        (BrowserOptions::PHONE, "connect-phone"),
        (BrowserOptions::DESK.dark(), "connect-dark"),
    ] {
        let browser = at_the_form(&app, options).await;
        browser.screenshot(&format!("{shot}-fresh")).await;
        browser.check("Secret sync").await;
        browser.check("Remediation").await;
        let text =
            async |css: &str| says(&browser, &format!("document.querySelector('{css}').textContent")).await;
        assert_eq!(text("[data-role=project]").await, "Owner");
        assert_eq!(text("[data-role=group]").await, "Maintainer");
        assert_eq!(text("[data-scopes=oauth]").await, "api read_repository write_repository");
        assert_eq!(text("[data-note=group]").await, "Secret sync: Owner for group variables.");
        browser.fill("Name", "acme review").await;
        let href = says(&browser, "document.querySelector('[data-link=personal]').href").await;
        let wanted = "/-/user_settings/personal_access_tokens?name=acme+review&scopes=api%2Cread_repository%2Cwrite_repository";
        assert!(href.starts_with(&app.sim().url()) && href.ends_with(wanted), "{href}");
        browser.execute("for (const guide of document.querySelectorAll('details')) { guide.removeAttribute('name'); guide.open = true; }").await;
        browser.screenshot(&format!("{shot}-guides")).await;
        let wider = browser.execute("return document.documentElement.scrollWidth - innerWidth").await;
        assert!(wider.as_i64().unwrap() <= 0, "{shot} scrolls sideways by {wider}");

        // A GitLab of one's own: the links follow the typed address.
        browser.check("Self-hosted / GitLab Enterprise").await;
        assert_eq!(
            browser.execute("return document.querySelector('[data-link=personal]').hidden").await,
            true
        );
        browser.fill("Base URL", "https://gitlab.example.com/gitlab/").await;
        let href = says(&browser, "document.querySelector('[data-link=group]').href").await;
        assert_eq!(href, "https://gitlab.example.com/gitlab/dashboard/groups");
        no_complaints(&browser, &app).await;
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_looked_at_when_its_field_is_left() {
    let authority = Authority::for_host("127.0.0.1");
    let (_folder, file) = ca_file(&authority.pem);
    let (app, host) = beside_tls_at(&authority, "/gitlab", &[ALLOW, ("MOORING_CA_FILE", &file)]).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    for (options, shot) in
        [(BrowserOptions::DESK, "preflight-desk"), (BrowserOptions::PHONE, "preflight-phone")]
    {
        let browser = at_the_form(&app, options).await;
        browser.check("Self-hosted / GitLab Enterprise").await;
        browser.fill("Base URL", &left("https://10.0.0.1")).await;
        browser.wait_for_text("is a private address").await;
        browser.screenshot(&format!("{shot}-private")).await;
        browser.fill("Access token", &left(&token)).await;
        browser.fill("Base URL", &left("https://gitlab.invalid")).await;
        browser.wait_for_text("cannot be looked up").await;
        browser.screenshot(&format!("{shot}-dns")).await;
        browser.fill("Base URL", &left(&host)).await;
        browser.wait_for_text("it is not GitLab").await;
        browser.screenshot(&format!("{shot}-path")).await;
        browser.press(&format!("Use {host}/gitlab")).await;
        browser.wait_for_text("GitLab answers at").await;
        assert_eq!(browser.value("Base URL").await, format!("{host}/gitlab"), "one press mends it");
        browser.screenshot(&format!("{shot}-found")).await;

        // The token that was there before goes to this address alone.
        browser.wait_for_text("This is a project access token of acme/web, role Maintainer").await;
        assert_eq!(browser.value("Name").await, "acme-web", "a name is offered");
        browser.fill("Name", shot).await;
        browser.press("Connect").await;
        browser.wait_for_text("Connected: a project access token of acme/web").await;
        no_complaints(&browser, &app).await;
        browser.close().await;
    }
    let asked = app.sim().last_request(Endpoint::Version).expect("it was looked at");
    assert_eq!(asked.header("authorization"), None, "a look takes no token along");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_script_the_same_is_said_when_connect_is_pressed() {
    let authority = Authority::for_host("127.0.0.1");
    let (app, url) = beside_tls(&authority, &[ALLOW]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    for (options, shot) in [
        (BrowserOptions::DESK.without_script(), "noscript-desk"),
        (BrowserOptions::PHONE.without_script(), "noscript-phone"),
    ] {
        let browser = at_the_form(&app, options).await;
        browser.screenshot(&format!("{shot}-form")).await;
        browser.check("Self-hosted / GitLab Enterprise").await;
        browser.fill("Base URL", &url).await;
        browser.fill("Name", "acme").await;
        browser.check("Code review").await;
        browser.fill("Access token", &token).await;
        browser.press("Connect").await;
        browser.wait_for_text("It was issued by “Acme Root CA”").await;
        browser.screenshot(&format!("{shot}-tls")).await;
        assert_eq!(browser.value("Name").await, "acme");
        assert_eq!(browser.value("Base URL").await, url);
        assert_eq!(browser.value("Access token").await, "", "the token alone is not kept");
        browser.close().await;
    }
    assert_eq!(app.sim().count(Endpoint::Any), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_token_says_what_it_lacks_and_where_a_better_one_is_made() {
    let app = TestApp::start(On::Sqlite).await;
    let narrow = app.sim().mint_project(app.world.project, &["read_api"], 30, None).token;
    for (options, shot) in
        [(BrowserOptions::DESK, "token-desk"), (BrowserOptions::PHONE, "token-phone-narrow")]
    {
        let browser = at_the_form(&app, options).await;
        browser.check("Code review").await;
        browser.fill("Access token", &narrow).await;
        browser.wait_for_text("needs the scope api").await;
        browser.wait_for_text("of acme/web, role Developer").await;
        let href = says(&browser, "document.querySelector('.found a').href").await;
        assert!(href.ends_with("/acme/web/-/settings/access_tokens"), "{href}");
        browser.screenshot(&format!("{shot}-lacks")).await;
        browser.press("Connect").await;
        browser.wait_for_text("The access token lacks a scope").await;
        browser.screenshot(&format!("{shot}-refused")).await;
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clicks_and_the_back_button_make_one_connection() {
    let app = TestApp::start(On::Sqlite).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    let browser = at_the_form(&app, BrowserOptions::DESK).await;
    browser.fill("Name", "acme by token").await;
    browser.fill("Access token", &token).await;
    browser
        .execute("const b = document.querySelector('[name=way][value=token]'); b.click(); b.click();")
        .await;
    browser.wait_for_text("Connected: a project access token").await;
    let page = browser.url().await;
    browser.reload().await;
    assert_eq!(browser.url().await, page);
    browser.back().await;
    browser.wait_for_text("New connection").await;
    assert_eq!(browser.value("Access token").await, "", "the token is gone from the form");
    browser.fill("Name", "acme by token").await;
    browser.fill("Access token", &token).await;
    browser.press("Connect").await;
    browser.wait_for_url(page.rsplit('/').next().unwrap()).await;
    assert_eq!(rows(&app, "connections").await, 1);
    browser.close().await;
}

async fn by_oauth_in_two_tabs(app: &TestApp, options: BrowserOptions, shot: &str) {
    let browser = at_the_form(app, options).await;
    let first = browser.tab().await;
    browser.check("Read only").await;
    browser.fill("Name", &format!("{shot} one")).await;
    browser.press("Connect to GitLab").await;
    browser.wait_for_text("Authorize").await;
    let consent = browser.url().await;

    let second = browser.new_tab().await;
    browser.goto(&format!("{}/connections/new", app.site())).await;
    browser.fill("Name", &format!("{shot} two")).await;
    browser.press("Connect to GitLab").await;
    browser.wait_for_text("Authorize").await;
    browser.press("Authorize").await;
    browser.wait_for_url("/connections/").await;
    browser.wait_for_text(&format!("{shot} two")).await;

    browser.switch_to(&first).await;
    browser.press("Authorize").await;
    browser.wait_for_url("/connections/").await;
    browser.wait_for_text(&format!("{shot} one")).await;
    let page = browser.url().await;
    browser.reload().await;
    assert_eq!(browser.url().await, page);

    // Back at GitLab's question, the answer leads to the connection that is there.
    browser.goto(&consent).await;
    browser.press("Authorize").await;
    browser.wait_for_url("/connections/").await;
    assert_eq!(browser.url().await, page, "consenting twice makes one connection");
    browser.switch_to(&second).await;
    browser.wait_for_text(&format!("{shot} two")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_a_reload_and_a_second_consent() {
    let app = TestApp::start(On::Sqlite).await;
    by_oauth_in_two_tabs(&app, BrowserOptions::DESK, "script").await;
    by_oauth_in_two_tabs(&app, BrowserOptions::PHONE.without_script(), "plain").await;
    assert_eq!(rows(&app, "connections").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_starts_again_with_what_was_chosen() {
    let app = TestApp::start(On::Sqlite).await;
    for (options, shot) in
        [(BrowserOptions::DESK, "denied-desk"), (BrowserOptions::PHONE.without_script(), "denied-phone")]
    {
        let browser = at_the_form(&app, options).await;
        browser.check("Read only").await;
        browser.fill("Name", shot).await;
        browser.press("Connect to GitLab").await;
        browser.wait_for_text("Authorize").await;
        browser.press("Cancel").await;
        browser.wait_for_text("You did not give access").await;
        browser.screenshot(shot).await;
        browser.press("Go back").await;
        assert_eq!(browser.value("Name").await, shot);
        browser.back().await;
        browser.press("Start again").await;
        browser.wait_for_text("read everything through the API").await;
        browser.press("Authorize").await;
        browser.wait_for_text(shot).await;
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_and_another_browser_have_pages() {
    let app = TestApp::start(On::Sqlite).await;
    let browser = at_the_form(&app, BrowserOptions::DESK).await;
    browser.press("Connect to GitLab").await;
    browser.wait_for_text("Authorize").await;
    let stranger = app.browser(BrowserOptions::DESK).await;
    stranger.goto(&browser.url().await).await;
    stranger.press("Authorize").await;
    stranger.wait_for_text("This was begun somewhere else").await;
    stranger.screenshot("other-browser").await;
    stranger.close().await;

    app.sim().renew_secret(&app.world.application.client_id);
    browser.goto(&format!("{}/connections/new", app.site())).await;
    browser.press("Connect to GitLab").await;
    browser.wait_for_text("Authorize").await;
    browser.press("Authorize").await;
    browser.wait_for_text("MOORING_GITLAB_OAUTH_CLIENT_SECRET").await;
    browser.screenshot("wrong-secret").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_an_application_says_how_to_make_one() {
    let without = [("MOORING_GITLAB_OAUTH_CLIENT_ID", ""), ("MOORING_GITLAB_OAUTH_CLIENT_SECRET", "")];
    let app = TestApp::start_with(On::Sqlite, gitlab_sim::Options::default(), &without).await;
    let browser = at_the_form(&app, BrowserOptions::DESK).await;
    browser.press("Set it up: the OAuth application How it is made, and what must stand in it").await;
    browser.wait_for_text("MOORING_GITLAB_OAUTH_CLIENT_ID=").await;
    browser.wait_for_text(&format!("{}/oauth/gitlab/callback", app.site())).await;
    browser.screenshot("without-application").await;
    browser.close().await;
}

/// The list's own button.
async fn to_the_form(browser: &Browser) {
    browser.execute("document.querySelector('a[href^=\"/connections/new\"]').click()").await;
    browser.wait_for_text("Sign in at GitLab").await;
}

/// The bar: somebody who has read no manual connects GitLab within a minute, counted from the empty list.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_connects_within_a_minute_and_a_few_clicks() {
    let app = TestApp::start(On::Sqlite).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    let browser = app.browser(BrowserOptions::DESK).await;
    let (began, mut clicks) = (Instant::now(), 1);
    to_the_form(&browser).await;
    for step in ["Connect to GitLab", "Authorize"] {
        browser.press(step).await;
        clicks += 1;
    }
    browser.wait_for_text("From now on this renews itself").await;
    println!("by OAuth: {clicks} clicks, {:.1} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed().as_secs() < 60);

    browser.goto(app.site()).await;
    let began = Instant::now();
    to_the_form(&browser).await;
    browser.fill("Access token", &token).await;
    browser.wait_for_text("This is a project access token of acme/web").await;
    browser.press("Connect").await;
    browser.wait_for_text("Connected: a project access token of acme/web").await;
    println!("by access token: 2 clicks and a paste, {:.1} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed().as_secs() < 60);
    browser.close().await;
}
