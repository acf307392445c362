//! The real app on a real socket, beside a simulated GitLab: what every story starts from.

use super::{
    browser::{Browser, BrowserOptions},
    postgres,
    request::Http,
};
use gitlab_sim::{Options, Sim, UserId};
use mooring::{
    api_key::{KeyRequest, create_key},
    app::App,
    config::Config,
    domain::{Actor, Clock, Permission},
};
use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tempfile::TempDir;

pub(crate) const EMAIL: &str = "ops@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// Makes of one story two tests, one for each database.
macro_rules! on_both {
    ($(#[$meta:meta])* $name:ident, $story:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "a story may be written in place")]
            use super::*;

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let story = $story;
                story($crate::support::app::On::Sqlite).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let story = $story;
                story($crate::support::app::On::Postgres).await;
            }
        }
    };
}
pub(crate) use on_both;

/// A little GitLab: one person, who maintains one project in one group, and our OAuth application.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) alice: UserId,
    pub(crate) group: i64,
    pub(crate) project: i64,
    pub(crate) application: gitlab_sim::App,
}

impl World {
    async fn start(redirect_uri: &str, options: Options) -> Self {
        let sim = Sim::start(options).await;
        let alice = sim.add_named_user("alice", "Alice Adams");
        let group = sim.add_group("acme");
        let project = sim.add_project("acme/web");
        sim.add_member_project(project, alice, 40);
        sim.sign_in_as(alice);
        let scopes = ["api", "read_api", "read_user", "read_repository", "write_repository"];
        let application = sim.add_application(redirect_uri, &scopes);
        Self { sim, alice, group, project, application }
    }
}

/// A running Mooring with its database, its GitLab and a clock that can be moved.
pub(crate) struct TestApp {
    app: Option<App>,
    vars: BTreeMap<String, String>,
    pub(crate) clock: Clock,
    pub(crate) world: World,
    /// A browser's cookie jar on the site; `with_key` makes a program of it.
    pub(crate) http: Http,
    pub(crate) data: TempDir,
}

impl TestApp {
    /// Starts on a fresh database with an OAuth application configured.
    pub(crate) async fn start(on: On) -> Self {
        Self::start_with(on, Options::default(), &[]).await
    }

    /// The same, with other options of the simulator and more settings.
    pub(crate) async fn start_with(on: On, options: Options, settings: &[(&str, &str)]) -> Self {
        let site = format!("http://localhost:{}", free_port());
        let world = World::start(&format!("{site}/oauth/gitlab/callback"), options).await;
        let data = TempDir::new().expect("a temporary folder can be made");
        let mut vars = BTreeMap::new();
        let mut set = |name: &str, value: &str| vars.insert(name.to_owned(), value.to_owned());
        set("MOORING_SITE_URL", &site);
        set("MOORING_LISTEN", &site.replace("http://localhost", "127.0.0.1"));
        set("MOORING_DATA_DIR", &data.path().display().to_string());
        set("MOORING_GITLAB_URL", &world.sim.url());
        set("MOORING_GITLAB_OAUTH_CLIENT_ID", &world.application.client_id);
        set("MOORING_GITLAB_OAUTH_CLIENT_SECRET", &world.application.client_secret);
        set("MOORING_ADMIN_EMAIL", EMAIL);
        set("MOORING_ADMIN_PASSWORD", PASSWORD);
        if on == On::Postgres {
            let database = postgres::database().await;
            set("MOORING_DATABASE_URL", &database.url());
            set("MOORING_ENCRYPTION_KEY", &mooring::vault::generate_key());
        }
        for (name, value) in settings {
            set(name, value);
        }
        let clock = Clock::default();
        let app = App::start(&config(&vars), clock.clone()).await.expect("the app starts");
        Self { app: Some(app), vars, clock, world, http: Http::new(&site), data }
    }

    pub(crate) fn app(&self) -> &App {
        self.app.as_ref().expect("the app runs between start and stop")
    }

    pub(crate) fn site(&self) -> &str {
        &self.vars["MOORING_SITE_URL"]
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.world.sim
    }

    /// The settings, for another process on the same database.
    pub(crate) fn vars(&self) -> &BTreeMap<String, String> {
        &self.vars
    }

    /// Another replica on the same database, on a port of its own.
    pub(crate) async fn replica(&self) -> (App, Http) {
        let mut vars = self.vars.clone();
        vars.insert("MOORING_LISTEN".into(), "127.0.0.1:0".into());
        let app = App::start(&config(&vars), self.clock.clone()).await.expect("a replica starts");
        let http = Http::new(&format!("http://{}", app.address));
        (app, http)
    }

    /// Stops, and starts again on the same database and port.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.app =
            Some(App::start(&config(&self.vars), self.clock.clone()).await.expect("the app starts again"));
    }

    /// The same with other settings; an empty one counts as not given.
    pub(crate) async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        self.vars.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.restart().await;
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// Moves our clock and GitLab's.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.world.sim.advance(by);
    }

    /// A program with a key of these scopes.
    pub(crate) async fn program(&self, scopes: &[&str]) -> Http {
        self.program_of(None, scopes).await
    }

    /// The same, with a key that is bound to a tenant.
    pub(crate) async fn program_of(&self, tenant: Option<&str>, scopes: &[&str]) -> Http {
        let request = KeyRequest {
            name: "test".into(),
            tenant: tenant.map(str::to_owned),
            permissions: scopes.iter().map(|s| s.parse::<Permission>().expect("a scope")).collect(),
            allow: vec![],
            expires_in: None,
        };
        let store = &self.app().state.store;
        let made = create_key(store, request, self.clock.now(), &Actor::CommandLine).await;
        self.http.stranger().with_key(made.expect("the key is made").secret.expose())
    }

    /// Signs the browser in as the first administrator.
    pub(crate) async fn sign_in(&self) {
        self.http.post_form("/login", &[("email", EMAIL), ("password", PASSWORD)]).await.expect(303);
    }

    /// A real browser in which the first administrator is signed in.
    pub(crate) async fn browser(&self, options: BrowserOptions) -> Browser {
        self.browser_of(EMAIL, options).await
    }

    /// The same for somebody else with this password.
    pub(crate) async fn browser_of(&self, email: &str, options: BrowserOptions) -> Browser {
        let browser = Browser::start(options).await;
        browser.goto(&format!("{}/login", self.site())).await;
        browser.fill("E-mail", email).await;
        browser.fill("Password", PASSWORD).await;
        browser.press("Sign in").await;
        browser.wait_for_text("Connections").await;
        browser
    }

    /// Presses "Connect to GitLab", consents, and comes back: the new connection's id.
    pub(crate) async fn connect_by_oauth(&self, name: &str) -> String {
        self.sign_in().await;
        let back = self.consent(&[("name", name), ("integration", "gitlab")]).await;
        let reply = self.http.get(&back).await.expect(303);
        let location = reply.location().to_owned();
        location
            .strip_prefix("/connections/")
            .unwrap_or_else(|| panic!("connected, not {location}"))
            .to_owned()
    }

    /// Begins an authorization and consents as the signed-in person: the callback's path and query.
    pub(crate) async fn consent(&self, fields: &[(&str, &str)]) -> String {
        let begun = self.http.post_form("/connections/authorize", fields).await.expect(303);
        let back = self.sim().approve(begun.location()).expect("GitLab shows the consent page");
        back.strip_prefix(self.site()).expect("back to the redirect URI").to_owned()
    }
}

fn config(vars: &BTreeMap<String, String>) -> Config {
    Config::from_vars(vars).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A port that nobody else takes before we do. The redirect URI holds it, so it must be known before the
/// start. It lies below those that the system gives to outgoing connections, and no two tests get the same.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = std::process::id().wrapping_mul(97).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + nth % 20_000).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
