//! A stop that drops nothing: readiness goes first, requests are served on, and what is on the wire is finished.

use crate::support::{
    app::{On, TestApp, free_port},
    balancer::Balancer,
    process::Process,
    request::Http,
};
use futures_util::future::join_all;
use gitlab_sim::{Endpoint, Options};
use http::StatusCode;
use serde_json::Value;
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "/api/v1/connections/acme/token";
const PATIENCE: Duration = Duration::from_secs(20);

async fn listening_on(app: &TestApp, port: u16) -> Process {
    Process::start(app, &[("MOORING_LISTEN", &format!("127.0.0.1:{port}"))]).await
}

/// Two processes, each restarted twice, with some 400 reads a second and tokens that last six seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_drops_no_read() {
    let options = Options { access_token_life: Duration::from_secs(6), ..Options::default() };
    let mut app = TestApp::start_with(On::Postgres, options, &[]).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read"]).await;
    app.stop().await;

    let ports = [free_port(), free_port()];
    let mut processes = vec![listening_on(&app, ports[0]).await, listening_on(&app, ports[1]).await];
    let (balancer, done, reads) = (Balancer::before(&ports), CancellationToken::new(), AtomicUsize::new(0));
    let restarting = async {
        for nth in [0, 1, 0, 1] {
            balancer.all_ready().await;
            processes.remove(0).stop().await;
            processes.push(listening_on(&app, ports[nth]).await);
        }
        balancer.all_ready().await;
        done.cancel();
    };
    let reading = async {
        balancer.all_ready().await;
        let reader = || async {
            let mut pace = interval(Duration::from_millis(20));
            while !done.is_cancelled() {
                pace.tick().await;
                let (status, body) = balancer.get(TOKEN, program.key().unwrap()).await.expect("an answer");
                assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
                let token: Value = serde_json::from_slice(&body).expect("a whole answer");
                assert!(token["access_token"].is_string());
                reads.fetch_add(1, Relaxed);
            }
        };
        join_all((0..8).map(|_| reader())).await;
    };
    tokio::select! {
        () = balancer.watch() => {}
        _ = Box::pin(async { tokio::join!(restarting, reading) }) => {}
    }
    assert!(reads.load(Relaxed) > 1_000, "{} reads", reads.load(Relaxed));
    let counts = app.sim().counts();
    assert!(counts.refreshes_granted >= 2, "tokens were renewed meanwhile: {counts:?}");
    assert_eq!((counts.refreshes_denied, counts.refresh_tokens_presented_twice), (0, 0));
}

/// A replica, a program of it, and a read whose refresh GitLab is holding back.
async fn refreshing(app: &mut TestApp) -> (Process, Http, gitlab_sim::Gate, tokio::task::JoinHandle<Value>) {
    app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read"]).await;
    app.stop().await;
    let process = Process::replica(app).await;
    let program = process.http.with_key_of(&program);
    let held = program.get(TOKEN).await.expect(200).json();
    app.sim().expire(held["access_token"].as_str().unwrap());
    let gate = app.sim().hold_after(Endpoint::Token);
    let reader = program.clone();
    let reading =
        tokio::spawn(async move { reader.get(&format!("{TOKEN}?newer_than=1")).await.expect(200).json() });
    gate.reached().await;
    (process, program, gate, reading)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_says_so_first_and_finishes_what_it_began() {
    let mut app = TestApp::start(On::Postgres).await;
    let (process, program, gate, reading) = refreshing(&mut app).await;
    program.get("/readyz").await.expect(200);
    process.signal("TERM").await;
    let unready = async { while program.get("/readyz").await.status == 200 {} };
    timeout(PATIENCE, unready).await.expect("it is not ready any more");
    let served = program.get(TOKEN).await.expect(200);
    assert_eq!((served.header("connection"), &served.json()["generation"]), ("close", &Value::from(1)));

    process.signal("TERM").await;
    let address = process.address();
    let closed = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, closed).await.expect("nobody is let in any more");
    process.signal("TERM").await;
    process.signal("INT").await;
    gate.release();
    assert_eq!(reading.await.unwrap()["generation"], 2);
    assert!(process.ended().await.contains("not ready any more"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_the_terminal_does_not_wait_for_a_balancer() {
    let mut app = TestApp::start(On::Postgres).await;
    let (process, _, gate, reading) = refreshing(&mut app).await;
    process.signal("INT").await;
    gate.release();
    assert_eq!(reading.await.unwrap()["generation"], 2);
    assert!(!process.ended().await.contains("not ready any more"));
}
