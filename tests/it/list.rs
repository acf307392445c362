//! The list of connections: what narrows it, its pages, and how it follows what changes.

use crate::{
    api::{connect, id},
    support::{
        app::{On, TestApp, on_both},
        browser::{Browser, BrowserOptions},
        request::Http,
    },
};
use mooring::domain::{Actor, Connection, ConnectionId, Credential, Method, Renewal, Secret, TokenKind};
use serde_json::json;
use time::Duration;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// A connection like any other, to be made in numbers.
struct Plan {
    name: String,
    tenant: Option<&'static str>,
    kind: TokenKind,
    /// Days until its token ends; `None`: never.
    days: Option<i64>,
}

fn plan(name: impl Into<String>, days: Option<i64>) -> Plan {
    Plan { name: name.into(), tenant: None, kind: TokenKind::Project, days }
}

/// Adds connections beside one that was made over the API, without asking GitLab about each.
async fn add(app: &TestApp, plans: impl IntoIterator<Item = Plan>) {
    let program = app.program(&["connections:write"]).await;
    let made = connect(app, &program, "the first", json!({})).await;
    let store = &app.app().state.store;
    let like = store.connection(id(&made).parse().unwrap()).await.unwrap().unwrap();
    for plan in plans {
        let oauth = plan.kind == TokenKind::OAuth;
        let method = if oauth { Method::OAuth } else { Method::AccessToken };
        let connection = Connection {
            id: ConnectionId::fresh(),
            name: plan.name,
            tenant: plan.tenant.map(str::to_owned),
            token_kind: plan.kind,
            method,
            ..like.clone()
        };
        let credential = Credential {
            access_token: Secret::new("nobody shows this"),
            obtained_at: app.clock.now(),
            expires_at: plan.days.map(|days| app.clock.now() + Duration::days(days)),
            scopes: like.credential.scopes.clone(),
            renewal: if oauth { Renewal::Refresh(Secret::new("nor this")) } else { Renewal::Manual },
        };
        store.add_connection(&connection, &credential, &Actor::Mooring).await.unwrap();
    }
    program.delete(&format!("/api/v1/connections/{}?revoke=false", id(&made))).await.expect(204);
}

/// The names in the list at this address, in order.
async fn names(http: &Http, path: &str) -> Vec<String> {
    let page = http.get(path).await.expect(200);
    let rows = page.text.split("<th scope=\"row\"><a href=\"").skip(1);
    let name = |row: &str| row.split_once('>')?.1.split_once('<').map(|(name, _)| name.to_owned());
    rows.map(|row| name(row).expect("a row has a name")).collect()
}

on_both!(everything_that_narrows_the_list_is_in_its_address, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let plans = [
        Plan { kind: TokenKind::OAuth, ..plan("renewed", Some(1)) },
        Plan { tenant: Some("a&b"), kind: TokenKind::Group, ..plan("100%_group", Some(10)) },
        Plan { tenant: Some("other"), ..plan("100xxgroup", Some(50)) },
        plan("Zebra", None),
        plan("over", Some(-1)),
    ];
    add(&app, plans).await;
    let today = app.clock.now();
    let day = |days| (today + Duration::days(days)).date();
    let all = ["over", "100%_group", "100xxgroup", "renewed", "Zebra"];
    for (query, expected) in [
        ("", &all[..]),
        ("?status=action_required", &all[..1]),
        ("?status=expiring", &all[1..2]),
        ("?status=active", &all[2..]),
        ("?status=fine&method=magic&sort=luck&page=x&ends=soon", &all),
        ("?q=100%25_", &all[1..2]),
        ("?q=ALICE", &[]),
        ("?q=zebra", &all[4..]),
        (&format!("?q={}", "_".repeat(30_000)), &[]),
        ("?tenant=a%26b", &all[1..2]),
        ("?integration=gitlab&method=oauth", &all[3..4]),
        ("?integration=other", &[]),
        ("?kind=project", &["over", "100xxgroup", "Zebra"]),
        ("?kind=project&status=active&q=zeb", &["Zebra"]),
        (&format!("?ends={}..{}", day(10), day(50)), &all[1..3]),
        (&format!("?ends={}..{}", day(11), day(49)), &[]),
        ("?sort=name", &["100%_group", "100xxgroup", "over", "renewed", "Zebra"]),
        ("?sort=-name", &["Zebra", "renewed", "over", "100xxgroup", "100%_group"]),
        ("?sort=expiry", &["over", "100%_group", "100xxgroup", "renewed", "Zebra"]),
        ("?sort=-status", &["100xxgroup", "renewed", "Zebra", "100%_group", "over"]),
    ] {
        assert_eq!(names(&app.http, &format!("/{query}")).await, expected, "{query}");
    }
    app.http.get("/?q=%00").await.expect(400);
});

on_both!(a_long_list_comes_in_pages, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    add(&app, (0..120).map(|nth| plan(format!("c{nth:03}"), None))).await;
    let (mut all, mut path) = (Vec::new(), "/?sort=-name".to_owned());
    for told in ["1 to 50 of 120", "51 to 100 of 120", "101 to 120 of 120"] {
        let page = app.http.get(&path).await.expect(200).text;
        assert!(page.contains(told), "{told}");
        assert!(page.len() < 100_000, "{} bytes", page.len());
        all.extend(names(&app.http, &path).await);
        let next = page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        path = next.map_or_else(String::new, |next| next.replace("&#38;", "&"));
    }
    assert!(path.is_empty(), "the last page has no next one");
    let expected: Vec<_> = (0..120).rev().map(|nth| format!("c{nth:03}")).collect();
    assert_eq!(all, expected);
    let beyond = app.http.get("/?q=c&page=9").await.expect(303);
    assert_eq!(beyond.location(), "/?q=c&page=3");
});

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_told_anew_by_their_ids() {
    let app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let program = app.program(&["connections:write"]).await;
    let one = connect(&app, &program, "one", json!({})).await;
    connect(&app, &program, "two", json!({})).await;
    let ids = format!("/live/rows?ids={}+{}+nonsense", id(&one), ConnectionId::fresh());
    assert_eq!(names(&app.http, &ids).await, ["one"]);
    for path in ["/live/rows", "/live/rows?ids="] {
        assert_eq!(app.http.get(path).await.expect(200).text.trim(), "");
    }
    let summary = app.http.get("/live/summary?q=two").await.expect(200).text;
    assert!(summary.contains("1 of them matches.") && !summary.contains("<html"), "{summary}");
}

/// Some of everything, in more than a page.
async fn add_many(app: &TestApp) {
    let some = (0..70).map(|nth| {
        let kind = [TokenKind::OAuth, TokenKind::Project, TokenKind::Group, TokenKind::Personal][nth % 4];
        let days = i64::try_from(nth).unwrap() * 3 - 4;
        let tenant = ["acme", "globex"].get(nth % 3).copied();
        Plan { tenant, kind, ..plan(format!("{}-{nth}", ["review", "scan", "deploy"][nth % 3]), Some(days)) }
    });
    add(
        app,
        some.chain([plan("a-name-that-is-as-long-as-names-get-and-that-must-break-somewhere-in-it", None)]),
    )
    .await;
}

async fn no_errors(browser: &Browser, app: &TestApp) {
    let own = browser.console_errors().await.into_iter().filter(|e| e.contains(app.site()));
    assert_eq!(own.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_narrowed_sorted_and_paged_without_script() {
    let app = TestApp::start(On::Postgres).await;
    add_many(&app).await;
    let browser = app.browser(BrowserOptions::DESK.without_script()).await;
    browser.screenshot("list-desk").await;
    browser.wait_for_text("1 to 50 of 71").await;
    browser.press("Next").await;
    browser.wait_for_text("51 to 71 of 71").await;
    browser.press("Previous").await;
    browser.follow("Name").await;
    browser.wait_for_url("sort=name").await;
    browser.follow("Name").await;
    browser.wait_for_url("sort=-name").await;
    browser.fill("Search", "scan").await;
    browser.press("Search").await;
    browser.wait_for_text("23 of them match").await;
    assert!(!browser.url().await.contains("page="), "a new search begins at its first page");
    browser.press("Filter and sort").await;
    browser.choose("Token", "Project access token").await;
    browser.choose("Sort by", "Token that ends first").await;
    browser.fill("Tenant", "globex").await;
    browser.press("Search").await;
    browser.wait_for_text("6 of them match").await;
    browser.screenshot("list-filtered").await;
    browser.fill("Search", "nothing like it").await;
    browser.press("Search").await;
    browser.wait_for_text("Nothing matches").await;
    browser.screenshot("list-nothing").await;
    browser.press("Show all connections").await;
    browser.wait_for_text("1 to 50 of 71").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_used_on_a_phone_and_in_the_dark() {
    let app = TestApp::start(On::Sqlite).await;
    add_many(&app).await;
    let browser = app.browser(BrowserOptions::PHONE).await;
    browser.screenshot("list-phone").await;
    let too_wide = "return document.documentElement.scrollWidth > innerWidth";
    assert_eq!(browser.execute(too_wide).await, false, "nothing sticks out");
    browser.press("Filter and sort").await;
    browser.screenshot("list-phone-filter").await;
    browser.choose("Connected by", "OAuth").await;
    browser.wait_for_url("method=oauth").await;
    browser.wait_for_text("18 of them match").await;
    no_errors(&browser, &app).await;
    browser.close().await;
    let browser = app.browser(BrowserOptions::DESK.dark()).await;
    browser.screenshot("list-dark").await;
    browser.close().await;
}

/// Tab by Tab until the focus is on something of this name.
async fn tab_to(browser: &Browser, name: &str) {
    for _ in 0..60 {
        browser.keys(TAB).await;
        let focused = browser.execute("return document.activeElement.textContent.trim()").await;
        if focused.as_str().is_some_and(|text| text.split_whitespace().collect::<Vec<_>>().join(" ") == name)
        {
            return;
        }
    }
    panic!("Tab never comes to {name:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_used_by_keyboard_alone() {
    let app = TestApp::start(On::Sqlite).await;
    add(&app, [plan("alpha", Some(3)), plan("beta", None), plan("gamma", Some(40)), plan("delta", Some(41))])
        .await;
    let browser = app.browser(BrowserOptions::DESK).await;
    tab_to(&browser, "Expiring 1").await;
    browser.screenshot("list-focus").await;
    browser.keys(ENTER).await;
    browser.wait_for_url("status=expiring").await;
    tab_to(&browser, "All 4").await;
    browser.keys(ENTER).await;
    browser.wait_for_text("4 of 4").await;
    tab_to(&browser, "Token ends").await;
    browser.keys(ENTER).await;
    browser.wait_for_url("sort=expiry").await;
    tab_to(&browser, "beta").await;
    browser.keys(ENTER).await;
    browser.wait_for_url("/connections/").await;
    browser.close().await;
}

/// Waits until so many pages follow.
async fn followers(app: &TestApp, wanted: usize) {
    let following = async {
        while app.app().state.followers.count() != wanted {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(10), following).await;
    in_time.unwrap_or_else(|_| panic!("not {wanted} pages follow"));
}

/// Whether the page was not loaded anew since it was marked, where its focus is, and how far it is scrolled.
async fn place(browser: &Browser) -> serde_json::Value {
    browser.execute("return [window.marked === true, document.activeElement.textContent, scrollY]").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_follows_what_happens_and_leaves_the_reader_where_they_are() {
    let app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    add(&app, (0..30).map(|nth| plan(format!("other {nth}"), None))).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let new = json!({"name": "watched", "integration": "gitlab", "token": minted.token});
    program.post_json("/api/v1/connections", new).await.expect(201);
    let browser = app.browser(BrowserOptions::DESK).await;
    browser.wait_for_text("Everything works.").await;
    let focus = "window.marked = true;
        const link = [...document.querySelectorAll('th a')].find((a) => a.textContent === 'watched');
        link.focus(); link.scrollIntoView({ block: 'center' });";
    browser.execute(focus).await;
    let before = place(&browser).await;
    followers(&app, 1).await;

    app.sim().revoke(&minted.token);
    program.post_json("/api/v1/connections/watched/check", json!(null)).await;
    browser.wait_for_text("Token revoked").await;
    browser.wait_for_text("One connection needs a look.").await;
    assert_eq!(place(&browser).await, before, "not loaded anew, and nothing moved");
    let said = "return [...document.querySelectorAll('[role=status]')].map((e) => e.textContent)";
    assert_eq!(browser.execute(said).await, json!(["watched: Action required"]));
    browser.screenshot("list-live").await;

    app.program(&["tokens:read"]).await.get("/api/v1/connections/other%201/token").await.expect(200);
    browser.wait_for_text("ago").await;
    program.delete("/api/v1/connections/watched").await.expect(204);
    let has_row = "return [...document.querySelectorAll('th a')].some((a) => a.textContent === 'watched')";
    let gone = async { while browser.execute(has_row).await == true {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("its row goes");

    let tab = browser.tab().await;
    browser.new_tab().await;
    followers(&app, 0).await;
    browser.switch_to(&tab).await;
    followers(&app, 1).await;
    no_errors(&browser, &app).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_shown_week_by_week() {
    let app = TestApp::start(On::Sqlite).await;
    let browser = app.browser(BrowserOptions::DESK).await;
    browser.wait_for_text("Make your first connection").await;
    browser.screenshot("list-first").await;
    followers(&app, 1).await;
    add(&app, [plan("none", None)]).await;
    browser.wait_for_text("Nothing that a person must replace.").await;
    browser.goto(app.site()).await;
    browser.screenshot("strip-0").await;
    add(&app, [plan("one", Some(12))]).await;
    browser.goto(app.site()).await;
    browser.wait_for_text("1 token that nobody renews, in 11 days.").await;
    browser.screenshot("strip-1").await;
    add(&app, [plan("two", Some(45)), plan("three", Some(80))]).await;
    browser.goto(app.site()).await;
    browser.screenshot("strip-3").await;
    let week = browser.execute("return document.querySelector('.strip li a').textContent").await;
    let week = week.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    browser.follow(&week).await;
    browser.wait_for_text("Rotate token").await;
    assert!(browser.has_text("one").await, "the only one of its week is led to at once");
    add(&app, (0..300).map(|nth| plan(format!("more {nth}"), Some(1 + nth * nth / 1_000)))).await;
    browser.goto(app.site()).await;
    browser.screenshot("strip-300").await;
    let week = browser.execute("return document.querySelector('.strip li a').textContent").await;
    let week = week.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let count = week.split(' ').next().unwrap();
    browser.follow(&week).await;
    browser.wait_for_text(&format!("{count} of them match.")).await;
    browser.screenshot("strip-300-week").await;
    browser.close().await;
}
