//! A small load balancer, as strict as one can be: it keeps connections, asks each process whether it is ready, and
//! never sends a request a second time. Only when nobody listens does it take another process.

use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{interval, timeout};

const ASKS_EVERY: Duration = Duration::from_millis(200);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

type Body = Empty<&'static [u8]>;

struct Backend {
    base: String,
    is_ready: AtomicBool,
}

pub(crate) struct Balancer {
    backends: Vec<Backend>,
    client: Client<HttpConnector, Body>,
    turn: AtomicUsize,
}

impl Balancer {
    /// Before the processes that listen on these ports of this machine.
    pub(crate) fn before(ports: &[u16]) -> Self {
        let backend = |port| Backend { base: format!("http://127.0.0.1:{port}"), is_ready: false.into() };
        let backends = ports.iter().map(backend).collect();
        let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
        Self { backends, client, turn: AtomicUsize::new(0) }
    }

    /// Asks each of them for ever whether it is ready.
    pub(crate) async fn watch(&self) {
        join_all(self.backends.iter().map(async |backend| {
            let mut tick = interval(ASKS_EVERY);
            loop {
                tick.tick().await;
                let url = format!("{}/readyz", backend.base).parse().expect("this is a URL");
                let answer = timeout(ANSWERS_WITHIN, self.client.get(url)).await;
                let is_ready = matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK);
                backend.is_ready.store(is_ready, Relaxed);
            }
        }))
        .await;
    }

    /// Waits until all of them are ready.
    pub(crate) async fn all_ready(&self) {
        let all = async {
            while !self.backends.iter().all(|backend| backend.is_ready.load(Relaxed)) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, all).await.expect("every process becomes ready");
    }

    /// Sends a GET to the next process that is ready: the answer's status and body, or what went wrong.
    pub(crate) async fn get(&self, path: &str, key: &str) -> Result<(StatusCode, Vec<u8>), String> {
        let mut last = "nobody is ready".to_owned();
        for _ in 0..2 * self.backends.len() {
            let backend = &self.backends[self.turn.fetch_add(1, Relaxed) % self.backends.len()];
            if !backend.is_ready.load(Relaxed) {
                continue;
            }
            let request = Request::get(format!("{}{path}", backend.base));
            let request = request.header("authorization", format!("Bearer {key}"));
            match self.client.request(request.body(Body::new()).unwrap()).await {
                Ok(answer) => {
                    let status = answer.status();
                    let body = answer.into_body().collect().await.map_err(|e| format!("{e:?}"))?;
                    return Ok((status, body.to_bytes().to_vec()));
                }
                Err(refused) if refused.is_connect() => last = format!("{refused:?}"),
                Err(broken) => return Err(format!("{broken:?}")),
            }
        }
        Err(last)
    }
}
