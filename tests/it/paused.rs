//! A replica that stands still, or dies, while GitLab answers it: the other one takes over, and nothing is overwritten.

use crate::support::{
    app::{On, TestApp},
    flow::Flow,
    process::Process,
    request::Http,
};
use gitlab_sim::{Endpoint, Gate};
use serde_json::Value;
use sqlx::PgPool;
use std::time::Duration;
use tokio::{
    task::{JoinHandle, yield_now},
    time::timeout,
};

const TOKEN: &str = "/api/v1/connections/acme/token";
const NEWER: &str = "/api/v1/connections/acme/token?newer_than=1";
const PATIENCE: Duration = Duration::from_secs(20);

/// A second process has the lease, and GitLab has its request.
struct Refreshing {
    app: TestApp,
    id: String,
    program: Http,
    first: Process,
    gate: Option<Gate>,
    reading: JoinHandle<u16>,
}

impl Refreshing {
    /// GitLab has done what was asked and holds the answer; or it holds the request, and has done nothing.
    async fn at(hold: impl FnOnce(&gitlab_sim::Sim) -> Gate) -> Self {
        let app = TestApp::start(On::Postgres).await;
        let id = app.connect_by_oauth("acme").await;
        let program = app.program(&["admin"]).await;
        let token = program.get(TOKEN).await.expect(200).json();
        app.sim().expire(token["access_token"].as_str().unwrap());
        let first = Process::replica(&app).await;
        let gate = hold(app.sim());
        let reader = first.http.with_key_of(&program);
        // The client may see its server die, which is no failure of the test.
        let reading = tokio::spawn(async move { reader.get(NEWER).await.status });
        gate.reached().await;
        Self { app, id, program, first, gate: Some(gate), reading }
    }

    /// As if the time of the lease had passed.
    async fn end_lease(&self) {
        let database = PgPool::connect(&self.app.vars()["MOORING_DATABASE_URL"]).await.unwrap();
        let ended = "update credentials set lease_until = 0 where lease_until > 0";
        let ended = sqlx::query(ended).execute(&database).await.unwrap().rows_affected();
        assert_eq!(ended, 1, "the first process has a lease");
    }

    async fn connection(&self) -> Value {
        self.program.get("/api/v1/connections/acme").await.expect(200).json()
    }

    /// Stops the first process beyond its lease with its answer on the way; the second one asks in vain,
    /// because its refresh token is spent.
    async fn paused() -> Self {
        let this = Self::at(|sim| sim.hold_after(Endpoint::Token)).await;
        this.first.signal("STOP").await;
        this.end_lease().await;
        this.program.get(NEWER).await.expect(503);
        let doubted = this.connection().await;
        assert_eq!((&doubted["status"], &doubted["generation"]), (&"degraded".into(), &1.into()));
        assert_eq!(doubted["reason"], "renewal_answer_lost");
        this
    }

    /// The first process goes on, and its answer arrives.
    async fn go_on(&mut self) {
        drop(self.gate.take());
        self.first.signal("CONT").await;
        assert_eq!((&mut self.reading).await.unwrap(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_kept_if_nobody_replaced_the_credential() {
    let mut it = Refreshing::paused().await;
    it.go_on().await;
    let kept = it.connection().await;
    assert_eq!((&kept["status"], &kept["failure"]), (&"active".into(), &Value::Null));
    let token = it.program.get(TOKEN).await.expect(200).json();
    assert_eq!(token["generation"], 2);
    assert!(it.app.sim().is_live(token["access_token"].as_str().unwrap()));
    let counts = it.app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refresh_tokens_presented_twice), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_does_not_overwrite_what_a_person_brought() {
    let mut it = Refreshing::paused().await;
    let consented = Flow::reauthorize(&it.app, &it.id).await.approve(it.app.sim());
    it.app.http.get(&consented.path()).await.expect(303);
    let brought = it.program.get(TOKEN).await.expect(200).json();
    assert_eq!(brought["generation"], 2);
    assert_eq!(it.app.sim().live_refresh_tokens().len(), 2, "the person's, and the one that comes late");

    it.go_on().await;
    let after = it.program.get(TOKEN).await.expect(200).json();
    assert_eq!((&after["generation"], &after["access_token"]), (&2.into(), &brought["access_token"]));
    let revoked = async {
        while it.app.sim().live_refresh_tokens().len() > 1 {
            yield_now().await;
        }
    };
    timeout(PATIENCE, revoked).await.expect("the grant that came late is revoked");
    assert!(it.app.sim().is_live(after["access_token"].as_str().unwrap()));
    assert_eq!(it.connection().await["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_process_takes_over_from_one_that_was_killed() {
    let it = Refreshing::at(|sim| sim.hold(Endpoint::Token)).await;
    let waiting = it.program.clone();
    let waiting = tokio::spawn(async move { waiting.get(NEWER).await });
    let waits = async {
        while it.app.app().state.renewals.waiting() == 0 {
            yield_now().await;
        }
    };
    timeout(PATIENCE, waits).await.expect("the second process waits for the first");
    it.reading.abort();
    it.first.signal("KILL").await;
    it.end_lease().await;
    let token = waiting.await.unwrap().expect(200).json();
    assert_eq!(token["generation"], 2);
    assert!(it.app.sim().is_live(token["access_token"].as_str().unwrap()));
    let counts = it.app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 0));
}
