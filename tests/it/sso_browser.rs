//! Single sign-on in a real browser, with and without script, on a desk and on a phone.

use crate::support::{
    app::{EMAIL, On, PASSWORD},
    browser::{Browser, BrowserOptions},
    oidc::Provider,
};
use serde_json::json;

const DESK: BrowserOptions = BrowserOptions { width: 1280, height: 800, dark: false, script: true };
const PHONE: BrowserOptions = BrowserOptions { width: 390, height: 844, dark: true, script: true };

async fn story(look: &str, options: BrowserOptions) {
    let provider = Provider::start().await;
    let app = provider.app(On::Sqlite, &[]).await;
    let shot = |name: &str| format!("sso-{look}-{name}");
    provider.tell(json!({"login": true, "denied": "access_denied"})).await;
    let browser = Browser::start(options).await;
    let judge = async |name: &str| {
        browser.screenshot(&shot(name)).await;
        if options.script {
            assert_eq!(browser.faults().await, Vec::<String>::new(), "{name}");
            assert_eq!(browser.console_errors().await, Vec::<String>::new(), "{name}");
        }
    };
    browser.goto(&format!("{}/login?next=/settings/account", app.site())).await;
    judge("login").await;
    browser.press("Sign in with 127.0.0.1").await;
    browser.press("Continue as Ada").await;
    browser.wait_for_text("127.0.0.1 did not let you in").await;
    assert!(browser.url().await.ends_with("/login?refused=sso_denied&next=%2Fsettings%2Faccount"));
    judge("denied").await;

    provider.tell(json!({"denied": null})).await;
    browser.press("Sign in with 127.0.0.1").await;
    browser.press("Continue as Ada").await;
    browser.wait_for_text("You have no password here").await;
    assert!(browser.url().await.ends_with("/settings/account"), "where they wanted to go");
    judge("account").await;
    browser.press("Sign out").await;

    browser.fill("E-mail", EMAIL).await;
    browser.fill("Password", PASSWORD).await;
    browser.press("Sign in").await;
    browser.goto(&format!("{}/settings/account", app.site())).await;
    judge("join").await;
    provider.user("ops-1", "ops@example.com").await;
    browser.fill("Your password here", PASSWORD).await;
    browser.press("Join my account at 127.0.0.1").await;
    browser.press("Continue as Ada").await;
    browser.wait_for_text("you can sign in by single sign-on").await;
    judge("joined").await;
    browser.goto(&format!("{}/settings/people", app.site())).await;
    judge("people").await;
    browser.press("Remove ada@example.com").await;
    judge("people-ask").await;
    browser.press("Yes, remove ada@example.com").await;
    browser.wait_for_text("They are removed").await;
    judge("people-removed").await;
    browser.press("Let in again ada@example.com").await;
    browser.wait_for_text("They may come in by single sign-on again").await;
    browser.goto(&format!("{}/settings/sso", app.site())).await;
    judge("settings").await;
    browser.press("Check the issuer").await;
    browser.wait_for_text("It answers").await;
    judge("checked").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_desk_with_script() {
    story("desk", DESK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_in_the_dark_without_script() {
    story("phone-plain", BrowserOptions { script: false, ..PHONE }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_in_the_dark() {
    story("phone", PHONE).await;
}
