//! A receiver of webhooks on loopback: it records what comes, and answers as it is told.

use axum::{Router, body::Bytes, extract::State, http::HeaderMap as Headers, response::IntoResponse};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;
use standardwebhooks::Webhook;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// One request that came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a notice is JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    /// Whether this secret signed it, by the published library; its time is not looked at.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let at = self.header("webhook-timestamp").parse().expect("seconds since 1970");
        let verifier = Webhook::new(secret).expect("a secret of the standard's form");
        let expected = verifier.sign(self.header("webhook-id"), at, self.body.as_bytes()).expect("text");
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

#[derive(Default)]
struct Inner {
    came: Mutex<Vec<Received>>,
    answer: Mutex<Answer>,
    news: Notify,
    held: watch::Sender<bool>,
}

#[derive(Clone, Default)]
struct Answer {
    status: StatusCode,
    retry_after: Option<u64>,
    /// Only what holds this text is answered so; the rest is taken.
    only: String,
}

/// A running receiver; it ends with the test.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/hooks", listener.local_addr().expect("it is bound"));
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.set(status, None, "");
    }

    /// The same, and asks to be left alone for so many seconds.
    pub(crate) fn answer_later(&self, status: u16, seconds: u64) {
        self.set(status, Some(seconds), "");
    }

    /// Answers so to what holds this text, and takes the rest.
    pub(crate) fn refuse_what_holds(&self, text: &str) {
        self.set(500, None, text);
    }

    /// Whether answers are kept back for now.
    pub(crate) fn hold(&self, held: bool) {
        self.inner.held.send_replace(held);
    }

    fn set(&self, status: u16, retry_after: Option<u64>, only: &str) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.inner.answer.lock().unwrap() = Answer { status, retry_after, only: only.to_owned() };
    }

    /// Everything that came so far.
    pub(crate) fn came(&self) -> Vec<Received> {
        self.inner.came.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.inner.came.lock().unwrap().len()
    }

    /// What came, once it is so many or more.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let enough = async {
            loop {
                let news = self.inner.news.notified();
                if self.count() >= count {
                    return self.came();
                }
                news.await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, enough).await;
        came.unwrap_or_else(|_| panic!("{} of {count} came: {:?}", self.count(), self.came()))
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: Headers, body: Bytes) -> impl IntoResponse {
    let body = String::from_utf8(body.to_vec()).expect("a notice is text");
    let answer = inner.answer.lock().unwrap().clone();
    let status = if body.contains(&answer.only) { answer.status } else { StatusCode::NO_CONTENT };
    inner.came.lock().unwrap().push(Received { headers, body });
    inner.news.notify_waiters();
    inner.held.subscribe().wait_for(|held| !held).await.expect("the receiver lives");
    let mut more = HeaderMap::new();
    if let Some(seconds) = answer.retry_after {
        more.insert(RETRY_AFTER, seconds.into());
    }
    (status, more)
}
