//! The handle of a running simulator. The other files in this folder add what a test does with it.

mod people;
mod tokens;
mod watch;

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch as signal;

use crate::options::Options;
use crate::serve::{self, Shared};
use crate::tasks;
use crate::world::World;

/// A running simulator. Clones are handles of the same one; it stops when the last handle is dropped.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
    /// Held by the handles only: the server stops when it is dropped or set.
    stop: Arc<signal::Sender<bool>>,
}

impl Sim {
    /// Starts on a free port of the loopback address.
    pub async fn start(options: Options) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_on(address, options).await.expect("a free loopback port can be had")
    }

    /// Starts on the given address.
    pub async fn start_on(address: SocketAddr, options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}{}", listener.local_addr()?, options.base_path);
        let shared = Arc::new(Shared::new(World::new(options, url)));
        let (stop, mut stopped) = signal::channel(false);
        let server = axum::serve(listener, serve::router(Arc::clone(&shared)));
        let server = server.with_graceful_shutdown(async move {
            let _ = stopped.changed().await;
        });
        tasks::spawn(async move {
            let _ = server.await;
        });
        Ok(Self { shared, stop: Arc::new(stop) })
    }

    /// Stops listening and closes idle connections; requests under way are finished.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Where it listens, with the base path and without a slash at the end.
    pub fn url(&self) -> String {
        self.world().url.clone()
    }

    /// The same world for a server of your own, for example behind TLS. Set `Options::external_url` then. A
    /// fault that drops the connection unwinds through this router, which ends the task of the connection.
    pub fn router(&self) -> Router {
        serve::router(Arc::clone(&self.shared))
    }

    /// Moves the simulator's clock forward; real time goes on as well.
    pub fn advance(&self, by: Duration) {
        self.world().advance(by.as_secs());
    }

    /// The life of OAuth access tokens from now on, in whole seconds, refreshed ones too.
    pub fn set_access_token_life(&self, life: Duration) {
        self.world().set_life(life.as_secs());
    }

    /// The life of the next OAuth access token.
    pub fn access_token_life(&self) -> Duration {
        self.world().options.access_token_life
    }

    /// The simulator's idea of now.
    pub fn now(&self) -> time::OffsetDateTime {
        self.world().now()
    }

    /// Maintenance mode: reading and `/oauth/token` work, everything else answers 503.
    pub fn set_maintenance(&self, on: bool) {
        self.world().maintenance = on;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }
}
