//! The only place that builds and wires things. It owns every task, and stops in two steps.

mod build;
mod check;
mod figures;
mod first_start;
mod key;
mod notices;
#[cfg_attr(not(feature = "otlp"), path = "app/no_traces.rs")]
mod traces;

use crate::{
    config::Config,
    domain::{Change, Clock},
    feed::{self, Feed},
    renewal::{Worker, repeat},
    store::StoreError,
    telemetry::Metrics,
    web::{self, AppState},
};
use anyhow::Context;
use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use figures::Board;

pub use build::{connect, instances, issuer, look_at_store, open_store, recipient, renewals, transfer};
pub use check::check;
pub use key::{KEEP_A_COPY, generate_missing_key};
pub use notices::mailer;
pub use traces::traces;

const RENEWALS_EVERY: Duration = Duration::from_secs(1);
const RECOVERY_EVERY: Duration = Duration::from_secs(30);
const REVOCATIONS_EVERY: Duration = Duration::from_secs(2);
const CHECKS_EVERY: Duration = Duration::from_secs(10);
const USAGE_EVERY: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// As long as a lease: a flight may take two calls and a commit, and what is on the wire is not cut off.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long serving goes on after readiness is gone, so that what sends requests here can see it.
const DRAIN: Duration = Duration::from_secs(3);

/// A running Mooring.
pub struct App {
    pub state: AppState,
    pub address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
    /// The link that makes the first operator, where there is none.
    pub setup_link: Option<String>,
    pub feed: Arc<Feed>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl App {
    /// Migrates the database, starts serving and the work in the background.
    pub async fn start(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let state = build::state(config, clock, tracker.clone(), stop.clone()).await?;
        let setup_link = first_start::operators(config, &state).await?;
        let metrics = Metrics::default();
        let listener = bind(config.listen, "MOORING_LISTEN").await?;
        let address = listener.local_addr()?;
        let feed = Arc::new(Feed::begin(state.store.clone()).await?);
        let mut app = Self { state, address, metrics_address: None, setup_link, feed, stop, tracker };
        app.work().await?;
        app.tell(config)?;
        app.serve(listener, web::router(app.state.clone(), metrics.clone()));
        if let Some(at) = config.metrics_listen {
            let listener = bind(at, "MOORING_METRICS_LISTEN").await?;
            app.metrics_address = Some(listener.local_addr()?);
            let board = Board::new(app.state.clone(), metrics);
            app.serve(listener, metrics_router(board));
        }
        Ok(app)
    }

    /// Says that it is not ready and serves on, so that a balancer takes its requests elsewhere before the
    /// stop. `cut_short` ends it early.
    pub async fn drain(&self, cut_short: impl Future<Output = ()>) {
        self.state.draining.cancel();
        tokio::select! {
            () = tokio::time::sleep(DRAIN) => {}
            () = cut_short => {}
        }
    }

    /// Stops in two steps: takes no more work, then waits for what is under way.
    pub async fn stop(self) {
        self.state.draining.cancel();
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::error!("some work did not end in time and is cut off");
        }
        if let Err(error) = self.state.handout.usage.flush(&self.state.store).await {
            tracing::warn!(%error, "the last counts of hand-outs could not be written");
        }
        self.state.store.close().await;
    }

    /// Everything in the background, each in a task of its own.
    async fn work(&self) -> Result<(), StoreError> {
        let state = self.state.clone();
        state.store.watch({
            let (memory, followers) = (state.memory.clone(), state.followers.clone());
            Arc::new(move |change| {
                memory.forget(change);
                followers.tell(change);
            })
        });
        let worker = Worker::new(
            state.store.clone(),
            state.renewals.clone(),
            state.clock.clone(),
            self.tracker.clone(),
        );
        state.store.allow_probe(None, state.clock.now()).await?;
        state.store.drop_leases_of_predecessor().await?;
        let disconnect = state.disconnect.clone();
        let stop = || self.stop.clone();
        let (feed, stopping) = (Arc::clone(&self.feed), stop());
        self.tracker.spawn(async move { feed.follow(feed::PERIOD, stopping).await });
        let (feed, stopping) = (Arc::clone(&self.feed), stop());
        self.tracker.spawn(async move { feed.listen(stopping).await });
        self.tracker.spawn(repeat("renewals", RENEWALS_EVERY, stop(), async move || {
            worker.begin_round().await.map(drop)
        }));
        let renewals = state.renewals.clone();
        self.tracker.spawn(repeat("recovery", RECOVERY_EVERY, stop(), async move || {
            renewals.recover().await.map(drop)
        }));
        self.tracker.spawn(repeat("revocations", REVOCATIONS_EVERY, stop(), async move || {
            disconnect.try_once().await.map(drop)
        }));
        let health = state.health.clone();
        self.tracker
            .spawn(repeat("checks", CHECKS_EVERY, stop(), async move || health.try_once().await.map(drop)));
        let (usage, store) = (state.handout.usage.clone(), state.store.clone());
        let followers = state.followers.clone();
        self.tracker.spawn(repeat("usage", USAGE_EVERY, stop(), async move || {
            for id in usage.flush(&store).await? {
                followers.tell(&Change::Connection(id));
            }
            Ok::<_, StoreError>(())
        }));
        self.tracker.spawn(repeat("sweep", SWEEP_EVERY, stop(), async move || {
            state.store.sweep_deliveries(state.clock.now()).await?;
            state.store.sweep_calls(state.clock.now()).await?;
            if let Some(kept) = state.keep_events {
                state.store.sweep_events(state.clock.now() - kept).await?;
            }
            state.store.sweep(state.clock.now()).await
        }));
        Ok(())
    }

    fn serve(&self, listener: TcpListener, router: Router) {
        let stop = self.stop.clone();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        self.tracker.spawn(async move {
            let serving = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "the HTTP server broke off");
            }
        });
    }
}

async fn bind(at: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    let hint = || format!("{variable}: cannot listen on {at}; another program may have that port");
    TcpListener::bind(at).await.with_context(hint)
}

fn metrics_router(board: Board) -> Router {
    let kind = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new().route("/metrics", get(async move || (kind, board.text().await)))
}
