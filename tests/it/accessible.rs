//! Every page as a machine can judge it, on a desk in the light and on the narrowest phone in the dark: nothing that
//! axe-core objects to, nothing wider than the screen, no error in the console, and not too many bytes.

use crate::support::{
    app::{EMAIL, On, PASSWORD, TestApp},
    browser::{Browser, BrowserOptions},
    request::Http,
};
use gitlab_sim::Options;
use mooring::domain::Actor;
use serde_json::json;

const BACK: &str = "https://app.example.com/connected";

const NARROW: BrowserOptions = BrowserOptions { width: 360, height: 740, dark: true, script: true };

/// What is wrong, each with the name of its page.
struct Findings {
    look: &'static str,
    found: Vec<String>,
}

impl Findings {
    async fn look_at(&mut self, browser: &Browser, address: &str, name: &str) {
        browser.goto(address).await;
        self.judge(browser, name).await;
    }

    async fn judge(&mut self, browser: &Browser, name: &str) {
        browser.screenshot(&format!("{}-{name}", self.look)).await;
        let mut faults = browser.faults().await;
        faults.extend(browser.console_errors().await.into_iter().filter(|error| !is_a_status(error)));
        self.found.extend(faults.into_iter().map(|fault| format!("{} {name}: {fault}", self.look)));
    }
}

/// The console also tells that a page was answered with 404, which is what was asked for.
fn is_a_status(error: &str) -> bool {
    error.contains("the server responded with a status of 4")
}

async fn pages(look: &'static str, options: BrowserOptions) {
    let app = TestApp::start_with(On::Sqlite, Options::default(), &[("MOORING_RETURN_URLS", BACK)]).await;
    let site = app.site().to_owned();
    let browser = Browser::start(options).await;
    let mut findings = Findings { look, found: Vec::new() };
    findings.look_at(&browser, &format!("{site}/login"), "login").await;
    browser.fill("E-mail", EMAIL).await;
    browser.fill("Password", "not the password").await;
    browser.press("Sign in").await;
    findings.judge(&browser, "login-refused").await;
    browser.fill("E-mail", EMAIL).await;
    browser.fill("Password", PASSWORD).await;
    browser.press("Sign in").await;
    findings.judge(&browser, "empty").await;
    let program = app.program(&["admin"]).await;
    let ids = connections(&app, &program).await;
    let mut addresses = vec![
        ("list".to_owned(), "/".to_owned()),
        ("list-narrowed".into(), "/?status=action_required&sort=expiry&tenant=acme".into()),
        ("nothing-matches".into(), "/?q=nothing-has-this-name".into()),
        ("new".into(), "/connections/new".into()),
        ("new-chosen".into(), "/connections/new?integration=self_hosted&use_cases=remediation".into()),
        ("settings".into(), "/settings".into()),
        ("audit".into(), "/audit".into()),
        ("audit-narrowed".into(), "/audit?kind=connection.checked&from=2020-01-01".into()),
        ("not-found".into(), "/no/such/page".into()),
        ("session".into(), session(&app, &program).await),
        ("session-unknown".into(), "/connect/no-such-link".into()),
        ("denied".into(), denied(&app, &browser).await),
    ];
    for section in ["account", "people", "sso", "api-keys", "webhooks", "mail", "integrations", "encryption"]
    {
        addresses.push((format!("settings-{section}"), format!("/settings/{section}")));
    }
    addresses.push(("webhook".into(), format!("/settings/webhooks/{}", endpoint(&program).await)));
    for (name, id) in &ids {
        for part in ["", "/disconnect", "/edit", "/reach", "/reach?kind=groups", "/history", "/usage", "/use"]
        {
            let shot = part.replace(['/', '?', '='], "-");
            addresses.push((format!("connection-{name}{shot}"), format!("/connections/{id}{part}")));
        }
    }
    addresses.push(("rotate".into(), format!("/connections/{}/rotate", ids[2].1)));
    for (name, address) in addresses {
        findings.look_at(&browser, &format!("{site}{address}"), &name).await;
    }
    browser.close().await;
    assert_eq!(findings.found, Vec::<String>::new());
}

/// The link of a connect session.
async fn session(app: &TestApp, program: &Http) -> String {
    let new =
        json!({ "tenant": "acme", "end_user": "ada", "return_url": BACK, "use_cases": ["code-review"] });
    let begun = program.post_json("/api/v1/connect-sessions", new).await.expect(201).json();
    let url = begun["url"].as_str().expect("a link");
    url.strip_prefix(app.site()).expect("it leads here").to_owned()
}

/// The page that says how an authorization ended that came to nothing.
async fn denied(app: &TestApp, browser: &Browser) -> String {
    browser.goto(&format!("{}/connections/new", app.site())).await;
    browser.press("Connect to GitLab").await;
    browser.press("Cancel").await;
    browser.wait_for_url("/outcome/").await;
    browser.url().await.strip_prefix(app.site()).expect("it is here").to_owned()
}

async fn endpoint(program: &Http) -> String {
    let new = json!({ "url": "http://127.0.0.1:9/hooks", "description": "ours" });
    let made = program.post_json("/api/v1/webhook-endpoints", new).await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

/// One by OAuth, one pasted that works, one that ends soon, one that was revoked, and one that was exported.
async fn connections(app: &TestApp, program: &Http) -> Vec<(&'static str, String)> {
    let mut ids = vec![("oauth", app.connect_by_oauth("acme by OAuth").await)];
    ids.push(("exported", app.connect_by_oauth("acme exported").await));
    let (state, id) = (&app.app().state, ids[1].1.parse().expect("an id"));
    let exported = state.store.connection(id).await.expect("the store answers").expect("it is there");
    let recipient = state.store.recipient();
    state.transfer.export(vec![exported], recipient, &Actor::CommandLine).await.expect("it is exported");
    let soon = (app.clock.now() + time::Duration::days(5)).date();
    for (name, ends) in [("pasted", None), ("ending", Some(soon)), ("dead", None)] {
        let scopes = ["api", "read_repository", "write_repository"];
        let minted = app.sim().mint_project(app.world.project, &scopes, 40, ends);
        let body = json!({ "name": format!("acme {name}"), "integration": "gitlab", "token": minted.token,
            "tenant": "acme", "use_cases": ["code-review", "remediation"], "tags": { "team": "sec" } });
        let made = program.post_json("/api/v1/connections", body).await.expect(201).json();
        let id = made["id"].as_str().expect("an id").to_owned();
        if name == "dead" {
            app.sim().revoke(&minted.token);
            program.post_json(&format!("/api/v1/connections/{id}/check"), json!({})).await.expect(200);
        }
        program.get(&format!("/api/v1/connections/{id}/token")).await;
        ids.push((name, id));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_desk_in_the_light() {
    pages("desk", BrowserOptions::DESK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_narrowest_phone_in_the_dark() {
    pages("narrow", NARROW).await;
}
