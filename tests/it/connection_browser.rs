//! The pages of one connection in a real browser: with and without script, on a desk and on a phone, in the dark.

use crate::support::{
    app::{On, TestApp},
    browser::{Browser, BrowserOptions},
};
use gitlab_sim::Endpoint;
use mooring::store::UsageCount;
use serde_json::json;
use std::time::Duration;

const TABS: [&str; 6] = ["Overview", "Projects and groups", "History", "Usage", "Use it", "Edit"];

/// A connection by OAuth with something on each of its pages.
async fn busy(app: &TestApp) -> String {
    for (path, level) in [("acme/docs", 20), ("acme/handbook", 10), ("acme/infra/terraform", 50)] {
        let project = app.sim().add_project(path);
        app.sim().add_member_project(project, app.world.alice, level);
    }
    app.sim().add_member_group(app.world.group, app.world.alice, 30);
    let id = app.connect_by_oauth("acme review").await;
    let program = app.program(&["admin"]).await;
    let url = format!("/api/v1/connections/{id}");
    let fields = json!({"description": "Reviews merge requests of the web team.",
        "tags": {"team": "security", "env": "production", "on-call": ""}, "use_cases": ["code-review", "remediation"]});
    program.patch_json(&url, fields).await.expect(200);
    for nth in 0..6 {
        app.advance(Duration::from_hours(7));
        if nth == 3 {
            let busy = gitlab_sim::Fault::Status { status: 502, headers: vec![], body: String::new() };
            app.sim().fault(Endpoint::Token, busy);
            program.post_json(&format!("{url}/renew"), json!({})).await;
        }
        app.advance(Duration::from_mins(10));
        program.post_json(&format!("{url}/renew"), json!({})).await;
    }
    program.post_json(&format!("{url}/check"), json!({})).await.expect(200);
    let store = &app.app().state.store;
    let keys = program.get("/api/v1/api-keys").await.expect(200).json();
    let own = keys["items"][0]["id"].as_str().unwrap().to_owned();
    let new = json!({"name": "nightly scan", "scopes": ["tokens:read"]});
    let nightly = program.post_json("/api/v1/api-keys", new).await.expect(201).json();
    let nightly = nightly["id"].as_str().unwrap().to_owned();
    let count = |key: &String, day: u32, hand_outs| UsageCount {
        connection: id.parse().unwrap(),
        api_key_id: key.clone(),
        hand_outs,
        last_at: app.clock.now() - Duration::from_hours(24 * u64::from(day)),
    };
    let days = (0..30).filter(|day| day % 7 != 5);
    let mut usage: Vec<_> = days.map(|day| count(&own, day, 40 + i64::from(day * 13 % 37))).collect();
    usage.extend((2..20).map(|day| count(&nightly, day, 12 + i64::from(day % 4))));
    store.add_usage(&usage).await.unwrap();
    id
}

async fn fits(browser: &Browser, what: &str) {
    let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.execute(over).await, 0, "{what} is not wider than the screen");
    let ids = "const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); \
               return ids.filter((id, at) => ids.indexOf(id) !== at)";
    assert_eq!(browser.execute(ids).await, json!([]), "{what} has no id twice");
    let nameless = "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea')] \
                    .filter((e) => !e.labels.length && !e.ariaLabel).map((e) => e.name)";
    assert_eq!(browser.execute(nameless).await, json!([]), "every field of {what} has a label");
}

async fn every_tab(app: &TestApp, id: &str, options: BrowserOptions, shot: &str) {
    let browser = app.browser(options).await;
    browser.goto(&format!("{}/connections/{id}", app.site())).await;
    for tab in TABS {
        browser.follow(tab).await;
        browser.wait_for_text("acme review").await;
        browser.screenshot(&format!("one-{shot}-{}", tab.to_lowercase().replace(' ', "-"))).await;
        fits(&browser, tab).await;
    }
    browser.goto(&format!("{}/connections/{id}/reach?kind=groups", app.site())).await;
    browser.wait_for_text("Developer").await;
    browser.screenshot(&format!("one-{shot}-groups")).await;
    browser.press("Disconnect").await;
    browser.wait_for_text("nightly scan").await;
    browser.screenshot(&format!("one-{shot}-disconnect")).await;
    fits(&browser, "disconnect").await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_connection_is_one_press_away() {
    let app = TestApp::start(On::Sqlite).await;
    let id = busy(&app).await;
    every_tab(&app, &id, BrowserOptions::DESK, "desk").await;
    every_tab(&app, &id, BrowserOptions::PHONE.without_script(), "phone").await;
    every_tab(
        &app,
        &id,
        BrowserOptions { width: 360, dark: true, script: true, ..BrowserOptions::PHONE.without_script() },
        "dark",
    )
    .await;
}

/// Changes everything that can be changed, and meets a change of somebody else.
async fn edits(app: &TestApp, options: BrowserOptions, shot: &str) {
    app.sign_in().await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    let new =
        json!({"name": shot, "integration": "gitlab", "token": token, "tags": {"team": "sec", "old": "1"}});
    let made = program.post_json("/api/v1/connections", new).await.expect(201).json();
    let (id, renamed) = (made["id"].as_str().unwrap(), format!("{shot} renamed"));
    let browser = app.browser(options).await;
    browser.goto(&format!("{}/connections/{id}", app.site())).await;
    browser.follow("Edit").await;
    browser.fill("Name", &renamed).await;
    browser.fill("Value of tag 2", "security").await;
    browser.fill("Key of tag 1", "").await;
    browser.fill("Value of tag 1", "").await;
    browser.fill("Key of tag 3", "env").await;
    browser.fill("Value of tag 3", "prod").await;
    browser.execute("document.querySelector('[value=remediation]').click()").await;
    let url = format!("/api/v1/connections/{id}");
    program.patch_json(&url, json!({"description": "somebody else was here"})).await.expect(200);
    browser.press("Save").await;
    browser.wait_for_text("Somebody else changed this connection").await;
    browser.wait_for_text("somebody else was here").await;
    assert_eq!(browser.value("Name").await, renamed, "what was typed is there");
    browser.screenshot(&format!("{shot}-stale")).await;
    fits(&browser, "a refused form").await;
    browser.press("Save").await;
    browser.wait_for_text("needs read_repository, write_repository, which this token does not have").await;
    browser.wait_for_text("A scope is missing").await;
    browser.screenshot(&format!("{shot}-saved")).await;
    let now = program.get(&url).await.expect(200).json();
    assert_eq!(now["name"], renamed);
    assert_eq!(now["tags"], json!({"team": "security", "env": "prod"}));
    assert_eq!(now["use_cases"], json!(["remediation"]));
    let own = browser.console_errors().await.into_iter().filter(|error| !error.contains("409 (Conflict)"));
    assert_eq!(own.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_edited_with_and_without_script() {
    let app = TestApp::start(On::Postgres).await;
    edits(&app, BrowserOptions::DESK, "edit-desk").await;
    edits(&app, BrowserOptions::PHONE.without_script(), "edit-phone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_projects_works_with_and_without_script() {
    let app = TestApp::start(On::Sqlite).await;
    let id = busy(&app).await;
    for options in [BrowserOptions::DESK, BrowserOptions::PHONE.without_script()] {
        let browser = app.browser(options).await;
        browser.goto(&format!("{}/connections/{id}/reach", app.site())).await;
        browser.wait_for_text("acme/web").await;
        browser.fill("Search", "terra").await;
        browser.press("Search").await;
        browser.wait_for_text("acme/infra/terraform").await;
        assert!(!browser.has_text("acme/web").await);
        browser.choose("What to list", "Groups").await;
        if !options.script {
            browser.press("Search").await;
        }
        browser.wait_for_text("Nothing matches").await;
        browser.follow("Show all").await;
        browser.wait_for_text("acme/infra").await;
        browser.close().await;
    }
    app.sim().fault_always(Endpoint::Projects, gitlab_sim::Fault::DropBefore);
    let browser = app.browser(BrowserOptions::DESK).await;
    browser.goto(&format!("{}/connections/{id}/reach", app.site())).await;
    browser.wait_for_text("does not answer").await;
    browser.screenshot("one-reach-nobody").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snippets_are_copied_with_script_and_selected_without() {
    let app = TestApp::start(On::Sqlite).await;
    let id = app.connect_by_oauth("acme").await;
    let visible = "return [...document.querySelectorAll('[data-copy]')].filter((b) => !b.hidden).length";
    for (options, buttons) in [(BrowserOptions::DESK, 4), (BrowserOptions::PHONE.without_script(), 0)] {
        let browser = app.browser(options).await;
        browser.goto(&format!("{}/connections/{id}/use", app.site())).await;
        assert_eq!(browser.execute(visible).await, buttons);
        browser.wait_for_text("/api/v1/connections/acme/token").await;
        browser.close().await;
    }
}
