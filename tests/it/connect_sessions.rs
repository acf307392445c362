//! Connect sessions: whoever opens a link, nothing is connected before the product says that it was its user.

use crate::support::{
    app::{On, TestApp, on_both},
    browser::{Browser, BrowserOptions},
    flow::Flow,
    request::{Http, Reply},
    tls::{ALLOW, Authority, beside_tls, ca_file},
};
use gitlab_sim::{Endpoint, Options};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

const BACK: &str = "https://app.example.com/connected?from=mooring";

/// A product with a key of its tenant.
struct Product {
    app: TestApp,
    program: Http,
}

/// A session that was begun: its id, and the path of its link.
struct Begun {
    id: String,
    link: String,
}

impl Product {
    async fn start(on: On) -> Self {
        let app = TestApp::start_with(on, Options::default(), &[("MOORING_RETURN_URLS", BACK)]).await;
        let program = app.program_of(Some("acme"), &["connections:write", "tokens:read"]).await;
        Self { app, program }
    }

    async fn begin(&self) -> Begun {
        self.begin_with(json!({})).await
    }

    async fn begin_with(&self, more: Value) -> Begun {
        let mut new =
            json!({ "tenant": "acme", "end_user": "ada", "return_url": BACK, "use_cases": ["code-review"] });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let begun = self.program.post_json("/api/v1/connect-sessions", new).await.expect(201);
        assert_eq!(begun.header("cache-control"), "no-store");
        let begun = begun.json();
        let link = begun["url"].as_str().unwrap().strip_prefix(self.app.site()).unwrap().to_owned();
        assert!(link.starts_with("/connect/") && !link.contains(begun["id"].as_str().unwrap()));
        Begun { id: begun["id"].as_str().unwrap().to_owned(), link }
    }

    async fn state(&self, begun: &Begun) -> Value {
        self.program.get(&format!("/api/v1/connect-sessions/{}", begun.id)).await.expect(200).json()
    }

    async fn complete(&self, begun: &Begun, handle: &str, end_user: &str) -> Reply {
        let path = format!("/api/v1/connect-sessions/{}/complete", begun.id);
        self.program.post_json(&path, json!({ "handle": handle, "end_user": end_user })).await
    }

    /// A browser of somebody without an account here consents, and comes back.
    async fn consent(&self, browser: &Http, begun: &Begun) -> Reply {
        let flow =
            Flow::begin_at(browser, &format!("{}/authorize", begun.link), &[("integration", "gitlab")]).await;
        browser.get(&flow.approve(self.app.sim()).path()).await
    }

    async fn connections(&self) -> usize {
        let list = self.program.get("/api/v1/connections").await.expect(200).json();
        list["items"].as_array().unwrap().len()
    }

    fn token_requests(&self) -> u64 {
        self.app.sim().count(Endpoint::Token)
    }
}

/// What the browser brings back to the product.
fn brought(reply: &Reply, name: &str) -> Option<String> {
    assert_eq!(reply.status, 303, "{}", reply.text);
    let url = Url::parse(reply.location()).unwrap();
    assert!(reply.location().starts_with(BACK), "{}", reply.location());
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

on_both!(consent_waits_until_the_product_completes_it, async |on: On| {
    let product = Product::start(on).await;
    let begun = product.begin().await;
    assert_eq!(product.state(&begun).await["state"], "open");
    // A chat program and a mail scanner look at the link first.
    for _ in 0..2 {
        let page = product.app.http.stranger().get(&begun.link).await.expect(200);
        assert!(page.text.contains("app.example.com") && page.text.contains("Code review"));
    }
    let browser = product.app.http.stranger();
    let back = product.consent(&browser, &begun).await;
    let handle = brought(&back, "handle").expect("a handle");
    assert_eq!(brought(&back, "session").as_deref(), Some(&*begun.id));
    assert_eq!(
        (product.token_requests(), product.connections().await),
        (0, 0),
        "nothing is exchanged or stored"
    );
    assert_eq!(product.state(&begun).await["state"], "awaiting_completion");

    let made = product.complete(&begun, &handle, "ada").await.expect(201).json();
    assert_eq!((&made["tenant"], &made["method"]), (&json!("acme"), &json!("oauth")));
    assert_eq!(made["use_cases"], json!(["code-review"]));
    let state = product.state(&begun).await;
    assert_eq!((&state["state"], &state["connection_id"]), (&json!("completed"), &made["id"]));
    let path = format!("/api/v1/connections/{}/token", made["id"].as_str().unwrap());
    product.program.get(&path).await.expect(200);
    let again = product.complete(&begun, &handle, "ada").await.expect(409).json();
    assert_eq!(again["code"], "session_completed");
    assert_eq!((product.token_requests(), product.connections().await), (1, 1));
    browser.get(&begun.link).await.expect(409);
});

#[tokio::test(flavor = "multi_thread")]
async fn a_second_click_and_a_second_tab_lead_where_the_first_did() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    let path = format!("{}/authorize", begun.link);
    let late = Flow::begin_at(&browser, &path, &[]).await.deny(product.app.sim());
    let back = product.consent(&browser, &begun).await;
    let first = brought(&back, "handle").expect("a handle");
    // The other tab says no afterwards: what waits is not lost by it.
    let second = brought(&browser.get(&late.path()).await, "handle").expect("a fresh handle");
    let again = browser.post_form(&path, &[]).await;
    let third = brought(&again, "handle").expect("a double click leads back");
    let reloaded = brought(&browser.get(&begun.link).await, "handle").expect("and so does a reload");
    product.app.http.stranger().get(&begun.link).await.expect(409);
    for old in [&first, &second, &third] {
        product.complete(&begun, old, "ada").await.expect(403);
    }
    product.complete(&begun, &reloaded, "ada").await.expect(201);
    assert_eq!(product.token_requests(), 1);
}

on_both!(a_pasted_token_waits_as_well, async |on: On| {
    let product = Product::start(on).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    let weak = product.app.sim().mint_project(product.app.world.project, &["read_api"], 40, None);
    let strong = product.app.sim().mint_project(product.app.world.project, &["api"], 40, None);
    for (token, status) in [("glpat-not-a-token", 422), (weak.token.as_str(), 422)] {
        let refused = browser.post_form(&begun.link, &[("integration", "gitlab"), ("token", token)]).await;
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(!refused.text.contains(token), "a page never shows a token");
    }
    assert_eq!(product.state(&begun).await["state"], "open", "the person may try another one");
    let back = browser.post_form(&begun.link, &[("integration", "gitlab"), ("token", &strong.token)]).await;
    let handle = brought(&back, "handle").expect("a handle");
    assert_eq!(product.connections().await, 0);
    let made = product.complete(&begun, &handle, "ada").await.expect(201).json();
    assert_eq!((&made["method"], &made["token_kind"]), (&json!("access_token"), &json!("project")));
    let path = format!("/api/v1/connections/{}/token", made["id"].as_str().unwrap());
    assert_eq!(product.program.get(&path).await.expect(200).json()["access_token"], strong.token);
});

// The attacker begins a session in the product and sends the link to somebody, who consents.
on_both!(what_another_user_brought_back_is_void, async |on: On| {
    let product = Product::start(on).await;
    let begun = product.begin().await;
    let victim = product.app.http.stranger();
    let back = product.consent(&victim, &begun).await;
    let handle = brought(&back, "handle").expect("a handle");
    let refused = product.complete(&begun, &handle, "victim").await.expect(403).json();
    assert_eq!(refused["code"], "wrong_end_user");
    let late = product.complete(&begun, &handle, "ada").await.expect(409).json();
    assert_eq!(late["code"], "session_failed");
    assert_eq!((product.token_requests(), product.connections().await), (0, 0));
    assert_eq!(product.state(&begun).await["error"], "wrong_end_user");
    let admin = product.app.program(&["admin"]).await;
    let events = admin.get("/api/v1/events?limit=3").await.expect(200).text;
    assert!(events.contains("wrong_end_user") && events.contains(&begun.id), "{events}");
});

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_handle_a_wrong_key_and_a_random_id_lead_nowhere() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let early = product.complete(&begun, "x", "ada").await.expect(409).json();
    assert_eq!(early["code"], "session_not_ready");
    let browser = product.app.http.stranger();
    let back = product.consent(&browser, &begun).await;
    let handle = brought(&back, "handle").expect("a handle");
    for wrong in ["", "x", &handle[1..]] {
        let refused = product.complete(&begun, wrong, "ada").await.expect(403).json();
        assert_eq!(refused["code"], "handle_invalid");
    }
    let other = product.app.program_of(Some("other"), &["connections:write"]).await;
    let path = format!("/api/v1/connect-sessions/{}", begun.id);
    let body = json!({ "handle": handle, "end_user": "ada" });
    other.get(&path).await.expect(404);
    other.post_json(&format!("{path}/complete"), body.clone()).await.expect(404);
    let random = "/api/v1/connect-sessions/0199a3c2-9f4e-7c3a-8d1e-2f3a4b5c6d7e/complete";
    product.program.post_json(random, body.clone()).await.expect(404);
    let second = product.app.program_of(Some("acme"), &["connections:write"]).await;
    let refused = second.post_json(&format!("{path}/complete"), body).await.expect(403);
    assert_eq!(refused.json()["code"], "wrong_api_key");
    let reader = product.app.program_of(Some("acme"), &["connections:read"]).await;
    reader.get(&path).await.expect(403);
    assert_eq!(product.token_requests(), 0);
    product.complete(&begun, &handle, "ada").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_browser_that_acts_has_the_link_for_itself() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let (first, second) = (product.app.http.stranger(), product.app.http.stranger());
    let path = format!("{}/authorize", begun.link);
    let flow = Flow::begin_at(&first, &path, &[("integration", "gitlab")]).await;
    let refused = second.post_form(&path, &[("integration", "gitlab")]).await.expect(403);
    assert!(refused.text.contains("another browser"));
    let answer = flow.approve(product.app.sim());
    second.get(&answer.path()).await.expect(403);
    assert_eq!(product.token_requests(), 0);
    // The state is burned; the same browser may begin again.
    let back = product.consent(&first, &begun).await;
    product.complete(&begun, &brought(&back, "handle").expect("a handle"), "ada").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_the_way_back_gives_a_new_handle_and_ends_the_old_one() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    let path = format!("{}/authorize", begun.link);
    let answer = Flow::begin_at(&browser, &path, &[]).await.approve(product.app.sim()).path();
    let first = brought(&browser.get(&answer).await, "handle").expect("a handle");
    let second = brought(&browser.get(&answer).await, "handle").expect("a handle");
    assert_ne!(first, second);
    product.complete(&begun, &first, "ada").await.expect(403);
    product.complete(&begun, &second, "ada").await.expect(201);
    assert_eq!(brought(&browser.get(&answer).await, "handle"), None);
    assert_eq!(product.token_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_what_waits_end_by_themselves() {
    let product = Product::start(On::Sqlite).await;
    let (unused, used) = (product.begin().await, product.begin().await);
    let browser = product.app.http.stranger();
    let handle = brought(&product.consent(&browser, &used).await, "handle").expect("a handle");
    product.app.advance(Duration::from_secs(5 * 60));
    let late = product.complete(&used, &handle, "ada").await.expect(410).json();
    assert_eq!(late["code"], "session_expired");
    assert_eq!(product.state(&used).await["state"], "expired");
    product.app.advance(Duration::from_secs(26 * 60));
    browser.get(&unused.link).await.expect(410);
    browser.post_form(&format!("{}/authorize", unused.link), &[("integration", "gitlab")]).await.expect(410);
    let store = &product.app.app().state.store;
    store.sweep(product.app.clock.now()).await.unwrap();
    assert_eq!(product.state(&used).await["state"], "expired");
    assert_eq!(product.token_requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_comes_back_with_its_code() {
    let product = Product::start(On::Sqlite).await;
    let (denied, declined) = (product.begin().await, product.begin().await);
    let browser = product.app.http.stranger();
    let path = format!("{}/authorize", denied.link);
    let answer = Flow::begin_at(&browser, &path, &[]).await.deny(product.app.sim());
    let back = browser.get(&answer.path()).await;
    assert_eq!(brought(&back, "error").as_deref(), Some("access_denied"));
    let back = browser.post_form(&format!("{}/decline", declined.link), &[]).await;
    assert_eq!(brought(&back, "error").as_deref(), Some("access_denied"));
    for begun in [&denied, &declined] {
        let state = product.state(begun).await;
        assert_eq!((&state["state"], &state["error"]), (&json!("failed"), &json!("access_denied")));
        browser.get(&begun.link).await.expect(409);
    }
    browser.get("/connect/no-such-link").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_their_mind_after_connecting_takes_back_what_waits() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    let handle = brought(&product.consent(&browser, &begun).await, "handle").expect("a handle");
    product.app.http.stranger().post_form(&format!("{}/decline", begun.link), &[]).await.expect(409);
    let back = browser.post_form(&format!("{}/decline", begun.link), &[]).await;
    assert_eq!(brought(&back, "error").as_deref(), Some("access_denied"));
    let late = product.complete(&begun, &handle, "ada").await.expect(409).json();
    assert_eq!(late["code"], "session_failed");
    assert_eq!((product.token_requests(), product.connections().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_clicks_at_once_come_from_one_browser() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    browser.get(&begun.link).await.expect(200);
    let token = product.app.sim().mint_project(product.app.world.project, &["api"], 40, None).token;
    let fields = [("integration", "gitlab"), ("token", &*token)];
    let (first, second) =
        tokio::join!(browser.post_form(&begun.link, &fields), browser.post_form(&begun.link, &fields));
    let handles =
        [brought(&first, "handle").expect("a handle"), brought(&second, "handle").expect("a handle")];
    let mut done = 0;
    for handle in &handles {
        done += u32::from(product.complete(&begun, handle, "ada").await.status == 201);
    }
    assert_eq!((done, product.connections().await), (1, 1), "the handle that was given last is good");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_looks_through_a_network_by_a_link() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    let typed = [("integration", "self_hosted"), ("base_url", "https://10.0.0.7"), ("token", "glpat-x")];
    for _ in 0..20 {
        browser.post_form(&begun.link, &typed).await.expect(422);
    }
    let refused = browser.post_form(&begun.link, &typed).await.expect(429);
    assert!(refused.text.contains("second"), "{}", refused.text);
    product.app.advance(Duration::from_secs(2));
    browser.post_form(&begun.link, &typed).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_reconnected_under_its_id_by_the_same_account_alone() {
    let product = Product::start(On::Sqlite).await;
    let begun = product.begin().await;
    let browser = product.app.http.stranger();
    let handle = brought(&product.consent(&browser, &begun).await, "handle").expect("a handle");
    let made = product.complete(&begun, &handle, "ada").await.expect(201).json();

    let again = product.begin_with(json!({ "connection": made["name"] })).await;
    let page = browser.get(&again.link).await.expect(200);
    assert!(page.text.contains("Reconnect GitLab") && !page.text.contains("Paste an access token"));
    let handle = brought(&product.consent(&browser, &again).await, "handle").expect("a handle");
    let remade = product.complete(&again, &handle, "ada").await.expect(201).json();
    assert_eq!((&remade["id"], &remade["generation"]), (&made["id"], &json!(2)));

    let other = product.begin_with(json!({ "connection": made["id"] })).await;
    let bob = product.app.sim().add_user("bob");
    product.app.sim().sign_in_as(bob);
    let handle = brought(&product.consent(&browser, &other).await, "handle").expect("a handle");
    let refused = product.complete(&other, &handle, "ada").await.expect(409).json();
    assert_eq!(refused["code"], "different_account");
    assert_eq!(product.state(&other).await["error"], "different_account");
    let unknown = json!({ "tenant": "acme", "end_user": "ada", "return_url": BACK, "connection": "nobody" });
    product.program.post_json("/api/v1/connect-sessions", unknown).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_an_integration_is_reconnected_at_its_own_address() {
    let authority = Authority::for_host("127.0.0.1");
    let (_folder, file) = ca_file(&authority.pem);
    let settings = [ALLOW, ("MOORING_CA_FILE", file.as_str()), ("MOORING_RETURN_URLS", BACK)];
    let (app, url) = beside_tls(&authority, &settings).await;
    let program = app.program_of(Some("acme"), &["connections:write"]).await;
    let product = Product { app, program };
    let mint = || product.app.sim().mint_project(product.app.world.project, &["api"], 40, None).token;
    let new = json!({ "name": "typed", "base_url": url, "token": mint() });
    let made = product.program.post_json("/api/v1/connections", new).await.expect(201).json();

    let again = product.begin_with(json!({ "connection": "typed" })).await;
    let browser = product.app.http.stranger();
    let page = browser.get(&again.link).await.expect(200).text;
    assert!(page.contains(&url) && !page.contains("type=\"radio\""), "there is nothing to choose: {page}");
    let fields = [("base_url", "https://evil.example.com"), ("token", &*mint())];
    let handle = brought(&browser.post_form(&again.link, &fields).await, "handle").expect("a handle");
    let remade = product.complete(&again, &handle, "ada").await.expect(201).json();
    assert_eq!((&remade["id"], &remade["base_url"]), (&made["id"], &json!(url)));
    assert_eq!(remade["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_says_cannot_be_overridden() {
    let product = Product::start(On::Sqlite).await;
    let new = |more: Value| {
        let mut new = json!({ "tenant": "acme", "end_user": "ada", "return_url": BACK });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        new
    };
    for (more, status, code) in [
        (json!({ "return_url": "https://app.example.com/connected" }), 422, "return_url_not_registered"),
        (json!({ "return_url": "https://evil.example.com/" }), 422, "return_url_not_registered"),
        (json!({ "tenant": "other" }), 403, "tenant_forbidden"),
        (json!({ "end_user": "" }), 422, "invalid_field"),
        (json!({ "integration": "nobody" }), 422, "unknown_integration"),
        (json!({ "use_cases": ["nothing"] }), 422, "unknown_use_case"),
        (json!({ "methods": [] }), 422, "invalid_field"),
        (json!({ "scopes": ["api"] }), 422, "invalid_field"),
    ] {
        let refused = product.program.post_json("/api/v1/connect-sessions", new(more.clone())).await;
        assert_eq!((refused.status, &refused.json()["code"]), (status, &json!(code)), "{more}");
    }
    let begun = product.begin_with(json!({ "methods": ["oauth"] })).await;
    let browser = product.app.http.stranger();
    let token = product.app.sim().mint_project(product.app.world.project, &["api"], 40, None).token;
    let forged = [("integration", "gitlab"), ("token", &*token), ("return_url", "https://evil.example.com/")];
    browser.post_form(&begun.link, &forged).await.expect(422);
    let more = [("integration", "gitlab"), ("tenant", "other"), ("return_url", "https://evil.example.com/")];
    let flow = Flow::begin_at(&browser, &format!("{}/authorize", begun.link), &more).await;
    let back = browser.get(&flow.approve(product.app.sim()).path()).await;
    let handle = brought(&back, "handle").expect("a handle");
    let made = product.complete(&begun, &handle, "ada").await.expect(201).json();
    assert_eq!(made["tenant"], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_without_an_account_here() {
    let product = Product::start(On::Sqlite).await;
    for (name, options) in
        [("desk", BrowserOptions::DESK), ("phone", BrowserOptions::PHONE.dark().without_script())]
    {
        let begun = product.begin().await;
        let browser = Browser::start(options).await;
        browser.goto(&format!("{}{}", product.app.site(), begun.link)).await;
        browser.screenshot(&format!("session-{name}")).await;
        browser.fill("Access token", "glpat-not-a-token").await;
        browser.press("Connect").await;
        browser.wait_for_text("did not accept").await;
        browser.screenshot(&format!("session-{name}-refused")).await;
        browser.press("Connect to GitLab").await;
        browser.wait_for_text("Authorize").await;
        browser.close().await;
    }
}
