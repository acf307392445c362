//! A simulated GitLab in this process, a database, and Mooring processes between them.

use crate::{
    base::{Base, On},
    cluster::free_port,
    process::Process,
};
use gitlab_sim::{Options, Sim, UserId};
use mooring::{
    api_key::{KeyRequest, create_key},
    domain::{
        Actor, BaseUrl, Clock, Connection, ConnectionId, Credential, CredentialFacts, Method, Permission,
        Renewal, RenewalKind, Scopes, Secret, Tending, TokenKind,
    },
    store::{Location, Store},
    vault::{Keyring, generate_key},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use time::OffsetDateTime;

/// A connection, and the refresh token that it began with: the first link of its chain at the simulator.
#[derive(Clone)]
pub(crate) struct Planted {
    pub(crate) id: ConnectionId,
    pub(crate) root: String,
}

/// A process that was killed, and when it was dead at the latest.
#[derive(Clone)]
pub(crate) struct Kill {
    pub(crate) process: String,
    pub(crate) at: OffsetDateTime,
}

pub(crate) struct World {
    pub(crate) on: On,
    pub(crate) begun: Instant,
    pub(crate) sim: Sim,
    pub(crate) application: gitlab_sim::App,
    pub(crate) store: Store,
    pub(crate) base: Base,
    pub(crate) location: Location,
    pub(crate) folder: TempDir,
    pub(crate) key: String,
    pub(crate) http: reqwest::Client,
    pub(crate) planted: Mutex<Vec<Planted>>,
    pub(crate) kills: Mutex<Vec<Kill>>,
    user: UserId,
    vars: BTreeMap<String, String>,
    ports: Vec<u16>,
    started: AtomicU64,
}

impl World {
    /// A world whose access tokens live so long, with some connections.
    pub(crate) async fn new(on: On, life: Duration, connections: usize) -> Arc<Self> {
        let shared = std::path::Path::new("/dev/shm");
        let place = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("mooring-chaos").tempdir_in(place).unwrap();
        Self::within(on, life, connections, folder).await
    }

    /// The same in a folder of the caller's choice.
    pub(crate) async fn within(on: On, life: Duration, connections: usize, folder: TempDir) -> Arc<Self> {
        let begun = Instant::now();
        let sim = Sim::start(Options { access_token_life: life, ..Options::default() }).await;
        let user = sim.add_user("alice");
        let application = sim.add_application("http://localhost/oauth/gitlab/callback", &["api"]);
        let key = generate_key();
        let keyring = Arc::new(Keyring::new(&key, []).unwrap());
        let location = Base::make(on, folder.path()).await;
        let store = Store::open(&location, keyring).await.unwrap();
        let base = Base::open(&location).await;
        let mut vars = BTreeMap::from([
            ("MOORING_SITE_URL".to_owned(), "http://localhost:8080".to_owned()),
            ("MOORING_GITLAB_URL".to_owned(), sim.url()),
            ("MOORING_GITLAB_OAUTH_CLIENT_ID".to_owned(), application.client_id.clone()),
            ("MOORING_GITLAB_OAUTH_CLIENT_SECRET".to_owned(), application.client_secret.clone()),
            ("MOORING_ENCRYPTION_KEY".to_owned(), key.to_string()),
            ("MOORING_LOG".to_owned(), "warn".to_owned()),
        ]);
        vars.extend(std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
        let request = KeyRequest {
            name: "chaos".into(),
            tenant: None,
            permissions: vec![Permission::Admin],
            allow: vec![],
            expires_in: None,
        };
        let made = create_key(&store, request, Clock::default().now(), &Actor::CommandLine).await.unwrap();
        let world = Self {
            on,
            begun,
            sim,
            application,
            store,
            base,
            location,
            folder,
            key: made.secret.expose().to_owned(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(70)).build().unwrap(),
            planted: Mutex::default(),
            kills: Mutex::default(),
            user,
            vars,
            ports: (0..on.replicas()).map(|_| free_port()).collect(),
            started: AtomicU64::new(0),
        };
        world.plant(connections).await;
        Arc::new(world)
    }

    /// Starts a process in one of the places that this database has. Each place has a port and a folder of its own.
    pub(crate) async fn start(&self, place: usize, failpoint: Option<&str>) -> Process {
        let name = format!("p{place}-{}", self.started.fetch_add(1, Ordering::Relaxed));
        let mut vars = self.vars.clone();
        let data = self.data(place);
        std::fs::create_dir_all(&data).unwrap();
        let mut set = |name: &str, value: String| vars.insert(name.to_owned(), value);
        set("MOORING_LISTEN", format!("127.0.0.1:{}", self.ports[place]));
        set("MOORING_DATA_DIR", data.display().to_string());
        if let Location::Postgres(url) = &self.location {
            set("MOORING_DATABASE_URL", format!("{url}?application_name={name}"));
        }
        if let Some(failpoint) = failpoint {
            set("FAILPOINT", failpoint.to_owned());
        }
        Process::start(name, &vars, &data).await
    }

    pub(crate) async fn start_all(&self) -> Vec<Process> {
        futures_util::future::join_all((0..self.ports.len()).map(|place| self.start(place, None))).await
    }

    /// The data directory of a place.
    pub(crate) fn data(&self, place: usize) -> PathBuf {
        match self.on {
            On::Sqlite => self.folder.path().to_owned(),
            On::Postgres | On::FragilePostgres => self.folder.path().join(place.to_string()),
        }
    }

    pub(crate) fn url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[place])
    }

    /// Notes that a process is dead and its leases with it.
    pub(crate) async fn buried(&self, process: &Process, at: OffsetDateTime) {
        self.kills.lock().unwrap().push(Kill { process: process.name.clone(), at });
        if self.on != On::Sqlite {
            self.base.outlive(&process.name).await;
            self.base.execute(&format!("insert into chaos_dead values ('{}')", process.name)).await;
            self.base.end_leases_of_the_dead().await;
        }
    }

    /// Adds connections, as if as many people had consented.
    pub(crate) async fn plant(&self, connections: usize) {
        let new: Vec<_> = (0..connections).map(|_| self.consented()).collect();
        let planted =
            new.iter().map(|(connection, _, root)| Planted { id: connection.id, root: root.clone() });
        let planted: Vec<_> = planted.collect();
        let store = self.store.clone();
        let adding = tokio::spawn(async move {
            for (connection, credential, _) in new {
                store.add_connection(&connection, &credential, &Actor::CommandLine).await.unwrap();
            }
        });
        adding.await.unwrap();
        self.planted.lock().unwrap().extend(planted);
    }

    /// A connection with its credential, and the refresh token in the open.
    fn consented(&self) -> (Connection, Credential, String) {
        let pair = self.sim.mint_oauth(self.user, &self.application, &["api"]);
        let now = Clock::default().now();
        let credential = Credential {
            access_token: Secret::new(pair.access),
            obtained_at: now,
            expires_at: Some(now + self.sim.access_token_life()),
            scopes: Scopes::parse("api"),
            renewal: Renewal::Refresh(Secret::new(pair.refresh.clone())),
        };
        (self.connection(&credential, now), credential, pair.refresh)
    }

    pub(crate) fn all(&self) -> Vec<Planted> {
        self.planted.lock().unwrap().clone()
    }

    fn connection(&self, credential: &Credential, now: OffsetDateTime) -> Connection {
        let id = ConnectionId::fresh();
        Connection {
            id,
            name: id.to_string(),
            description: None,
            tenant: None,
            tags: BTreeMap::new(),
            integration: Some("gitlab".into()),
            provider: "gitlab".into(),
            base_url: BaseUrl::parse_configured(&self.sim.url()).unwrap(),
            method: Method::OAuth,
            token_kind: TokenKind::OAuth,
            account: None,
            use_cases: vec![],
            checks: vec![],
            breaker: None,
            credential: CredentialFacts {
                generation: 1,
                scopes: credential.scopes.clone(),
                renewal: RenewalKind::Refresh,
                obtained_at: now,
                expires_at: credential.expires_at,
                renew_at: Tending { before: time::Duration::minutes(10) }.renew_at(credential, 0.5),
                last_renewed_at: None,
                stopped: None,
                failure: None,
                rejections: 0,
                exported_at: None,
            },
            last_checked_at: None,
            last_used_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}
