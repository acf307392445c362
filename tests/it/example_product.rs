//! The example product of `examples/`, in a real browser: its users connect, and it works for them.

use crate::support::{
    app::{On, TestApp, free_port},
    browser::{Browser, BrowserOptions},
};
use gitlab_sim::{Endpoint, Options};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

struct Product {
    app: TestApp,
    site: String,
    _process: Child,
}

impl Product {
    async fn start() -> Self {
        let port = free_port();
        let site = format!("http://localhost:{port}");
        let back = format!("{site}/connected");
        let app =
            TestApp::start_with(On::Sqlite, Options::default(), &[("MOORING_RETURN_URLS", &back)]).await;
        let key = app.program_of(Some("example"), &["connections:write", "proxy"]).await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/product/product.py");
        let mut command = Command::new("python3");
        command.arg("-B").arg(script).env("MOORING_URL", app.site()).env("PORT", port.to_string());
        command.env("MOORING_API_KEY", key.key().expect("it has one")).env("no_proxy", "localhost,127.0.0.1");
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("Python is here: `make test` installs it");
        let mut said = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let first = said.next_line().await.expect("it starts").expect("it says where it is");
        assert!(first.contains(&site), "{first}");
        // What it says later must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        Self { app, site, _process: process }
    }

    async fn signed_in(&self, user: &str, options: BrowserOptions) -> Browser {
        let browser = Browser::start(options).await;
        browser.goto(&self.site).await;
        browser.fill("Name", user).await;
        browser.press("Sign in").await;
        browser.wait_for_text(&format!("Hello {user}")).await;
        browser
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_connect_their_own_accounts_and_work() {
    let product = Product::start().await;
    for (user, options) in [("ada", BrowserOptions::DESK), ("grace", BrowserOptions::PHONE.without_script())]
    {
        let browser = product.signed_in(user, options).await;
        browser.press("Connect GitLab").await;
        browser.wait_for_text("asks for access to a GitLab account of yours").await;
        browser.press("Connect to GitLab").await;
        browser.press("Authorize").await;
        browser.wait_for_text("acme/web").await;
        assert_eq!(browser.url().await, format!("{}/", product.site), "the handle is not in the address");
        browser.screenshot(&format!("product-{user}")).await;
        browser.close().await;
    }
    assert_eq!(product.app.sim().count(Endpoint::Token), 2, "one exchange for each user");

    let browser = product.signed_in("ada", BrowserOptions::DESK).await;
    browser.wait_for_text("acme/web").await;
    let holder = product.app.program_of(Some("example"), &["admin"]).await;
    let all = holder.get("/api/v1/connections").await.expect(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_or_comes_by_a_foreign_link_connects_nothing() {
    let product = Product::start().await;
    let browser = product.signed_in("ada", BrowserOptions::DESK).await;
    browser.press("Connect GitLab").await;
    browser.press("Cancel and go back to localhost").await;
    browser.wait_for_text("Nothing was connected (access_denied)").await;
    browser.goto(&format!("{}/connected?session=another&handle=x", product.site)).await;
    browser.wait_for_text("not the connection that you began here").await;
    assert_eq!(product.app.sim().count(Endpoint::Token), 0);
    browser.close().await;
}
