//! One process: an engine with a runtime, a database pool, a way out and a spool of its own, so that it can be
//! killed between any two steps.

use gitlab_sim::{App, Sim};
use mooring::{
    domain::{BaseUrl, Clock, Integration, OAuthApplication, Scopes, Secret, Tending},
    outbound::{CaBundle, Outbound},
    providers::{GitLab, Instances, Provider},
    renewal::{Renewals, Spool, Worker},
    store::{Location, Store},
    vault::Keyring,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What all processes of a run share.
pub(super) struct Ground {
    pub(super) location: Location,
    pub(super) key: String,
    pub(super) clock: Clock,
    pub(super) sim: Sim,
    pub(super) application: App,
}

impl Ground {
    pub(super) async fn open_store(&self) -> Store {
        open_store(self.location.clone(), self.key.clone()).await
    }

    pub(super) fn base_url(&self) -> BaseUrl {
        BaseUrl::parse_configured(&self.sim.url()).expect("the simulator has a base URL")
    }

    pub(super) fn instances(&self) -> Instances {
        let redirect_uri = "http://localhost/oauth/gitlab/callback".to_owned();
        let application = OAuthApplication {
            client_id: self.application.client_id.clone(),
            client_secret: Secret::new(self.application.client_secret.clone()),
            redirect_uri: redirect_uri.clone(),
            scopes: Scopes::default(),
        };
        let integration = Integration {
            id: "gitlab".into(),
            provider: "gitlab".into(),
            base_url: self.base_url(),
            application: Some(application),
            redirect_uri,
        };
        let http = Outbound::trusted(&CaBundle::default()).expect("a client can be built");
        Instances::new([(integration, http)], None)
    }
}

async fn open_store(location: Location, key: String) -> Store {
    let keyring = Keyring::new(&key, []).expect("this is a key");
    Store::open(&location, Arc::new(keyring)).await.expect("the store opens")
}

pub(super) const TENDING: Tending = Tending { before: time::Duration::minutes(10) };

pub(super) struct Replica {
    runtime: Option<Runtime>,
    pub(super) renewals: Renewals,
    pub(super) worker: Worker,
    pub(super) spool: PathBuf,
}

impl Replica {
    pub(super) async fn start(ground: &Ground, spool: PathBuf) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("it starts");
        let opening = runtime.spawn(open_store(ground.location.clone(), ground.key.clone()));
        let store = opening.await.expect("the store opens");
        let (clock, tracker) = (ground.clock.clone(), TaskTracker::new());
        let renewals = Renewals::new(
            store.clone(),
            (Provider::new(GitLab), ground.instances()),
            clock.clone(),
            (TENDING, Spool::new(spool.clone())),
            (tracker.clone(), CancellationToken::new()),
        );
        let worker = Worker::new(store, renewals.clone(), clock, tracker);
        Self { runtime: Some(runtime), renewals, worker, spool }
    }

    /// Begins work in this process.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it runs").spawn(work)
    }

    /// Does work in this process.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.begin(work).await.expect("no work panics")
    }

    /// Ends every task where it stands.
    pub(super) async fn kill(&mut self) {
        let runtime = self.runtime.take().expect("it runs");
        spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10))).await.expect("it ends");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
