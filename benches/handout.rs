//! How fast a warm hand-out is, beside a server that does nothing: whole processes, in one run, in turns.
//!
//! Prints requests a second for both and their ratio. Nothing passes or fails by the clock.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a load generator, not a part of Mooring")]

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use futures_util::future::join_all;
use gitlab_sim::{Options, Sim};
use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: usize = 5;
const CALLERS: usize = 32;
const REQUESTS_EACH: usize = 400;
const BODY: &str = r#"{"access_token":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","token_type":"Bearer","expires_at":"2027-01-31T00:00:00Z","expires_in":7012,"scopes":["api"],"connection_id":"01a1fda9-9093-70d8-ac71-6b8cb51b1af7","generation":8,"base_url":"https://gitlab.com","api_url":"https://gitlab.com/api/v4","git_username":"oauth2","warnings":[]}"#;

/// A process that ends with this one.
struct Server {
    child: Child,
    url: String,
    key: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Resident memory in MiB, as the kernel tells it.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if env::args().any(|a| a == "--baseline") {
        runtime.block_on(serve_baseline());
    } else {
        runtime.block_on(compare());
    }
}

/// The least that any server does for such an answer.
async fn serve_baseline() {
    let app = Router::new().route("/{*any}", get(async || ([(CONTENT_TYPE, "application/json")], BODY)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("it serves");
}

async fn compare() {
    let sim = Sim::start(Options::default()).await;
    let data = tempfile::tempdir().expect("a folder");
    let (mooring, baseline) = (mooring(&sim, data.path()).await, baseline());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (a, b) = (rate(&client, &mooring).await, rate(&client, &baseline).await);
        if round > 0 {
            println!("round {round}: hand-out {a:>8.0}/s   baseline {b:>8.0}/s   ratio {:.2}", a / b);
            ours.push(a);
            theirs.push(b);
        }
    }
    let (a, b) = (median(ours), median(theirs));
    println!("median:  hand-out {a:>8.0}/s   baseline {b:>8.0}/s   ratio {:.2}", a / b);
    println!("memory:  hand-out {:>6} MiB   baseline {:>6} MiB", mooring.resident(), baseline.resident());
    println!("requests at GitLab meanwhile: {}", sim.counts().requests_total);
}

/// Mooring with one connection by access token, in a process of its own.
async fn mooring(sim: &Sim, data: &std::path::Path) -> Server {
    let user = sim.add_user("bench");
    let token = sim.mint_personal(user, &["api"], None).token;
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}");
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mooring"));
        command.current_dir(data).env_clear();
        command.env("MOORING_LISTEN", format!("127.0.0.1:{port}")).env("MOORING_SITE_URL", &url);
        command.env("MOORING_GITLAB_URL", sim.url()).env("MOORING_LOG", "warn");
        command
    };
    let mut child = command().stderr(Stdio::piped()).spawn().expect("the binary was built");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    while !lines.next().expect("it says where it listens").expect("text").starts_with("Mooring listens") {}
    std::thread::spawn(move || lines.for_each(drop));
    let made =
        command().args(["api-key", "create", "--name", "bench", "--scope", "admin"]).output().expect("a key");
    let key = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let body = serde_json::json!({"name": "bench", "integration": "gitlab", "token": token});
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let connected =
        client.post(format!("{url}/api/v1/connections")).bearer_auth(&key).json(&body).send().await;
    assert_eq!(connected.expect("an answer").status(), 201);
    Server { child, url, key }
}

fn baseline() -> Server {
    let myself = env::current_exe().expect("this program");
    let mut child = Command::new(myself).arg("--baseline").stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
    Server { child, url: format!("http://{}", line.trim()), key: "none".into() }
}

/// Requests a second, from callers that each wait for their answer.
async fn rate(client: &reqwest::Client, server: &Server) -> f64 {
    let url = format!("{}/api/v1/connections/bench/token", server.url);
    let started = Instant::now();
    join_all((0..CALLERS).map(|_| async {
        for _ in 0..REQUESTS_EACH {
            let answer = client.get(&url).bearer_auth(&server.key).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.bytes().await.expect("a body");
        }
    }))
    .await;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let requests = (CALLERS * REQUESTS_EACH) as f64;
    requests / started.elapsed().max(Duration::from_millis(1)).as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
