//! Reads on when a request was refused before its body was read: closing on a client that still sends may
//! cost it the answer.

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;

/// As much is read and dropped, and for so long.
const MOST: usize = 2 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn read_on(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let rest = Rest(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(rest.clone()))).await;
    // Whoever sends more than that, or more slowly, is cut off.
    let _ = timeout(PATIENCE, rest.drain()).await;
    response
}

/// A body that the handler reads, and whose rest is read after it.
#[derive(Clone)]
struct Rest(Arc<Mutex<Body>>);

impl Rest {
    async fn drain(mut self) {
        let mut seen = 0;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > MOST {
                return;
            }
        }
    }
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.0.lock().expect("nothing panics under this lock")).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().expect("nothing panics under this lock").is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().expect("nothing panics under this lock").size_hint()
    }
}
