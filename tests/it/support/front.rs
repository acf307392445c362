//! A web server in front of the simulated GitLab, at the same base URL: what the simulator has no reason to answer is
//! answered here, as plainly as a test wants it; everything else goes on to the simulator. It records what came.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::HeaderMap,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::any,
};
use futures_util::{StreamExt, stream};
use gitlab_sim::Sim;
use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use tokio::{net::TcpListener, sync::Notify};

use super::{
    git::{self, Repositories},
    lfs::{self, Objects},
};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) method: String,
    /// Path and query, byte for byte.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body_bytes: usize,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header is text"))
    }
}

struct Inner {
    sim: Sim,
    came: Mutex<Vec<Came>>,
    answer: Mutex<Vec<(String, String)>>,
    go_on: Notify,
    repositories: Repositories,
    objects: Objects,
    url: String,
}

/// A running front; it ends with the test.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

impl Front {
    pub(crate) async fn start(sim: &Sim) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let inner = Inner {
            sim: sim.clone(),
            came: Mutex::default(),
            answer: Mutex::default(),
            go_on: Notify::new(),
            repositories: Repositories::new(),
            objects: Objects::default(),
            url: url.clone(),
        };
        let inner = Arc::new(inner);
        let router = Router::new()
            .route("/api/v4/echo/{*rest}", any(echo))
            .route("/api/v4/drip", any(drip))
            .route("/api/v4/bulk/{mebibytes}", any(bulk))
            .with_state(Arc::clone(&inner))
            .fallback_service(sim.router())
            .layer(from_fn_with_state(Arc::clone(&inner), repositories));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    pub(crate) fn repositories(&self) -> &Repositories {
        &self.inner.repositories
    }

    /// The objects of LFS that were uploaded.
    pub(crate) fn objects(&self) -> &Objects {
        &self.inner.objects
    }

    /// What came to the echo, in order.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.inner.came.lock().unwrap().clone()
    }

    /// Headers that the echo answers with from now on.
    pub(crate) fn answer_with(&self, headers: &[(&str, &str)]) {
        let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        *self.inner.answer.lock().unwrap() = owned.collect();
    }

    /// Lets the drip fall once more.
    pub(crate) fn drop_falls(&self) {
        self.inner.go_on.notify_one();
    }
}

/// What lies below a repository's name is git's.
async fn repositories(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.contains(".git/info/lfs/") || path.contains(".git/gitlab-lfs/") {
        return lfs::serve(&inner.sim, &inner.objects, &inner.url, request).await;
    }
    if path.contains(".git/") {
        return git::serve(&inner.sim, inner.repositories.root(), request).await;
    }
    next.run(request).await
}

/// Reads everything, records it, and says how much it was. A token that does not live is answered with 401.
async fn echo(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = body.into_data_stream().fold(0, async |sum, chunk| sum + chunk.map_or(0, |c| c.len())).await;
    let target = parts.uri.path_and_query().expect("a path").to_string();
    let live = bearer(&parts.headers).is_some_and(|token| inner.sim.is_live(&token));
    let came = Came { method: parts.method.to_string(), target, headers: parts.headers, body_bytes: bytes };
    inner.came.lock().unwrap().push(came);
    let mut response = Response::new(Body::from(format!("{{\"bytes\":{bytes}}}")));
    *response.status_mut() = if live { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in inner.answer.lock().unwrap().iter() {
        let name = http::HeaderName::try_from(name.as_str()).expect("a header's name");
        response.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
    }
    response
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.to_owned())
}

/// One piece at a time, each when it is told to.
async fn drip(State(inner): State<Arc<Inner>>) -> Response {
    let drops = stream::unfold((inner, 0), async |(inner, nth)| {
        if nth == 3 {
            return None;
        }
        inner.go_on.notified().await;
        Some((Ok::<_, Infallible>(Bytes::from(format!("drop {nth}\n"))), (inner, nth + 1)))
    });
    Response::new(Body::from_stream(drops))
}

/// As many mebibytes of zeros.
async fn bulk(Path(mebibytes): Path<usize>) -> Response {
    static ZEROS: Bytes = Bytes::from_static(&[0; 65_536]);
    let pieces = stream::iter((0..mebibytes * 16).map(|_| Ok::<_, Infallible>(ZEROS.clone())));
    Response::new(Body::from_stream(pieces))
}
