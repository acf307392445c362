//! The database crashes while GitLab is asked: what GitLab gave is not lost, and nobody has to restart anything.

use crate::support::{
    app::{On, TestApp},
    postgres::Cluster,
    request::Http,
};
use gitlab_sim::{Endpoint, Gate, Options};
use std::{fs, time::Duration};
use tokio::{
    task::{JoinHandle, yield_now},
    time::timeout,
};

const TOKEN: &str = "/api/v1/connections/acme/token";
const PATIENCE: Duration = Duration::from_secs(30);

/// A renewal whose answer GitLab holds back, on a server that may crash.
async fn refreshing() -> (Cluster, TestApp, Http, Gate, JoinHandle<u16>) {
    let cluster = Cluster::start();
    let settings = [("MOORING_DATABASE_URL", &*cluster.url())];
    let app = TestApp::start_with(On::Postgres, Options::default(), &settings).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read"]).await;
    let held = program.get(TOKEN).await.expect(200).json();
    app.sim().expire(held["access_token"].as_str().unwrap());
    let gate = app.sim().hold_after(Endpoint::Token);
    let reader = program.clone();
    let reading = tokio::spawn(async move { reader.get(&format!("{TOKEN}?newer_than=1")).await.status });
    gate.reached().await;
    (cluster, app, program, gate, reading)
}

/// The new token is handed out, whatever was answered meanwhile, and GitLab was asked once.
async fn nothing_is_lost(app: &TestApp, program: &Http) {
    let kept = async {
        loop {
            let answer = program.get(TOKEN).await;
            if answer.status == 200 && answer.json()["generation"] == 2 {
                break answer.json();
            }
        }
    };
    let token = timeout(PATIENCE, kept).await.expect("the answer is kept");
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 0));
    let ready = async { while program.get("/readyz").await.status != 200 {} };
    timeout(PATIENCE, ready).await.expect("the database is used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_answer_arrives_loses_nothing() {
    let (mut cluster, app, program, gate, reading) = refreshing().await;
    cluster.crash();
    cluster.come_back();
    gate.release();
    assert_eq!(reading.await.unwrap(), 200);
    nothing_is_lost(&app, &program).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_database_waits_for_it() {
    let (mut cluster, app, program, gate, reading) = refreshing().await;
    cluster.crash();
    gate.release();
    let spool = app.data.path().join("spool");
    let whole = |entry: fs::DirEntry| entry.path().extension().is_none();
    let spooled = async {
        while !fs::read_dir(&spool).is_ok_and(|mut entries| entries.any(|entry| whole(entry.unwrap()))) {
            yield_now().await;
        }
    };
    timeout(PATIENCE, spooled).await.expect("the answer is in the spool");
    cluster.come_back();
    nothing_is_lost(&app, &program).await;
    reading.await.unwrap();
    let taken = async {
        while fs::read_dir(&spool).unwrap().count() > 0 {
            yield_now().await;
        }
    };
    timeout(PATIENCE, taken).await.expect("the database has the answer");
}

/// After a failover the address may lead to a server that only reads, for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_until_it_writes() {
    let mut cluster = Cluster::start();
    let settings = [("MOORING_DATABASE_URL", &*cluster.url())];
    let app = TestApp::start_with(On::Postgres, Options::default(), &settings).await;
    app.http.get("/readyz").await.expect(200);
    cluster.crash();
    cluster.come_back_as_standby();
    app.http.get("/readyz").await.expect(503);
    cluster.promote();
    let works = async { while app.http.get("/readyz").await.status != 200 {} };
    timeout(PATIENCE, works).await.expect("it works again by itself");
    app.program(&["tokens:read"]).await;
}
