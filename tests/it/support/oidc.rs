//! A real OpenID provider as a process of its own, which can be told to misbehave.

use super::{
    app::{On, TestApp},
    request::{Http, Reply},
};
use gitlab_sim::Options;
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Debian's own Python: its packages are not seen by another one.
const PYTHON: &str = "/usr/bin/python3";
pub(crate) const CLIENT_SECRET: &str = "canary-client-secret+/%~:0123456789";
pub(crate) const ALLOWED: &str = "example.com, guest@example.org";

/// A running provider. It ends with the test.
pub(crate) struct Provider {
    _child: Child,
    origin: String,
    http: Http,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/oidc_server.py");
        let mut child = Command::new(PYTHON)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python is installed: scripts/prepare-tests");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = lines.next_line().await.expect("its output can be read");
        let line = line.expect("python3-cryptography is installed: scripts/prepare-tests");
        let said: Value = serde_json::from_str(&line).expect("it speaks JSON");
        let origin = said["origin"].as_str().expect("an origin").to_owned();
        Self { _child: child, http: Http::new(&origin), origin }
    }

    /// A Mooring that knows this provider, with more settings.
    pub(crate) async fn app(&self, on: On, more: &[(&str, &str)]) -> TestApp {
        let issuer = self.issuer();
        let mut settings = vec![
            ("MOORING_OIDC_ISSUER", issuer.as_str()),
            ("MOORING_OIDC_CLIENT_ID", "mooring"),
            ("MOORING_OIDC_CLIENT_SECRET", CLIENT_SECRET),
            ("MOORING_OIDC_ALLOWED", ALLOWED),
        ];
        settings.extend(more);
        let app = TestApp::start_with(on, Options::default(), &settings).await;
        self.serve(app.site()).await;
        app
    }

    /// Registers the redirect URI of this site.
    pub(crate) async fn serve(&self, site: &str) {
        let client = json!({"id": "mooring", "secret": CLIENT_SECRET, "redirect_uri": format!("{site}/login/sso/callback")});
        self.tell(json!({"client": client})).await;
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}/realm", self.origin)
    }

    /// Changes how it behaves.
    pub(crate) async fn tell(&self, what: Value) {
        self.http.post_json("/control", what).await.expect(200);
    }

    /// Somebody else is signed in at it now.
    pub(crate) async fn user(&self, sub: &str, email: &str) {
        self.tell(json!({"user": {"sub": sub, "email": email, "email_verified": true}})).await;
    }

    /// How often it was asked: `document`, `keys`, `authorize`, `token`, `elsewhere`.
    pub(crate) async fn count(&self, what: &str) -> i64 {
        self.http.get("/counts").await.expect(200).json()[what].as_i64().unwrap_or_default()
    }

    /// What the last token request and its answer held.
    pub(crate) async fn last(&self) -> Value {
        self.http.get("/last").await.expect(200).json()
    }

    /// Presses the button in this browser and consents: the callback's path and query.
    pub(crate) async fn consent(&self, browser: &Http) -> String {
        let begun = browser.post_form("/login/sso", &[]).await.expect(303);
        self.consented(begun.location()).await
    }

    /// Consents to an authorization request: the callback's path and query.
    pub(crate) async fn consented(&self, authorize: &str) -> String {
        let path =
            authorize.strip_prefix(&self.origin).unwrap_or_else(|| panic!("to the issuer, not {authorize}"));
        let back = self.http.get(path).await.expect(302);
        let back = url::Url::parse(back.location()).expect("the redirect URI");
        format!("{}?{}", back.path(), back.query().expect("an answer"))
    }

    /// The whole way in, in this browser: what the callback answers.
    pub(crate) async fn sign_in(&self, browser: &Http) -> Reply {
        let back = self.consent(browser).await;
        browser.get(&back).await.expect(303)
    }

    /// Presses the button, which leads nowhere: the code that the sign-in page tells.
    pub(crate) async fn refused_at_once(&self, browser: &Http) -> String {
        refusal(browser, &browser.post_form("/login/sso", &[]).await.expect(303)).await
    }

    /// The whole way, to nothing: the code that the sign-in page tells.
    pub(crate) async fn refused(&self, browser: &Http) -> String {
        refusal(browser, &self.sign_in(browser).await).await
    }
}

/// The reason that an answer leads to, on the page that tells it.
pub(crate) async fn refusal(browser: &Http, reply: &Reply) -> String {
    let location = reply.location().to_owned();
    let code = location.split_once("?refused=").unwrap_or_else(|| panic!("refused, not {location}")).1;
    let code = code.split('&').next().unwrap_or(code);
    let page = browser.get(&location).await.expect(200);
    assert!(page.text.contains(&format!("<code>{code}</code>")), "{code} is not told:\n{}", page.text);
    assert!(!page.text.contains("canary"), "nothing of the provider's:\n{}", page.text);
    code.to_owned()
}
