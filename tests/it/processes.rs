//! Several real processes on one PostgreSQL.

use crate::support::{
    app::{On, TestApp},
    process::Process,
};
use futures_util::future::join_all;
use gitlab_sim::Endpoint;
use std::{path::Path, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_refresh_a_refused_token_once() {
    let app = TestApp::start(On::Postgres).await;
    app.connect_by_oauth("acme").await;
    let key = app.program(&["tokens:read"]).await;
    let processes = join_all((0..3).map(|_| Process::replica(&app))).await;
    let programs: Vec<_> = processes.iter().map(|p| p.http.with_key_of(&key)).collect();

    let mut first = join_all(programs.iter().map(|p| p.get("/api/v1/connections/acme/token"))).await;
    let held = first.remove(0).expect(200).json()["access_token"].as_str().unwrap().to_owned();
    for other in first {
        assert_eq!(other.expect(200).json()["access_token"], held);
    }
    app.sim().expire(&held);
    let path = "/api/v1/connections/acme/token?newer_than=1";
    let answers = join_all((0..100).map(|n| programs[n % 3].get(path))).await;
    for answer in answers {
        let answer = answer.expect(200).json();
        assert_eq!(answer["generation"], 2);
        assert!(app.sim().is_live(answer["access_token"].as_str().unwrap()));
    }
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 0));
}

/// The promise of one second, without asking the replica to hurry: it is asked until it knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_known_everywhere_within_a_second() {
    let app = TestApp::start(On::Postgres).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let process = Process::replica(&app).await;
    let other = process.http.with_key_of(&program);
    other.get("/api/v1/connections/acme/token").await.expect(200);
    program.delete("/api/v1/connections/acme").await.expect(204);
    let known = async {
        while other.get("/api/v1/connections/acme/token").await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), known).await.expect("within a second");
}

/// The provider has answered, the database is gone, and then the process is killed: the worst order.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_the_database_and_the_process() {
    let mut app = TestApp::start(On::Postgres).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read"]).await;
    let held = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    app.stop().await;
    app.sim().expire(held["access_token"].as_str().unwrap());

    let database = sqlx::PgPool::connect(&app.vars()["MOORING_DATABASE_URL"]).await.unwrap();
    let first = Process::replica(&app).await;
    let reader = first.http.with_key_of(&program);
    let gate = app.sim().hold_after(Endpoint::Token);
    let reading =
        tokio::spawn(async move { reader.get("/api/v1/connections/acme/token?newer_than=1").await.status });
    gate.reached().await;
    sqlx::query("alter table renewals rename to renewals_gone").execute(&database).await.unwrap();
    gate.release();
    let spool = app.data.path().join("spool");
    let spooled = async {
        while !whole_answers(&spool) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), spooled).await.expect("the answer is in the spool");
    reading.abort();
    drop(first);

    sqlx::query("alter table renewals_gone rename to renewals").execute(&database).await.unwrap();
    sqlx::query("update credentials set lease_until = 0").execute(&database).await.unwrap();
    let second = Process::replica(&app).await;
    let reader = second.http.with_key_of(&program);
    let recovered = async {
        loop {
            let token = reader.get("/api/v1/connections/acme/token").await.expect(200).json();
            if token["generation"] == 2 {
                break token;
            }
        }
    };
    let token =
        tokio::time::timeout(Duration::from_secs(20), recovered).await.expect("the answer is replayed");
    assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refresh_tokens_presented_twice), (1, 0));
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
}

fn whole_answers(spool: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(spool) else { return false };
    entries.any(|entry| entry.unwrap().path().extension().is_none())
}
