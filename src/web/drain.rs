//! While a stop is ahead, every answer ends its connection, so that the next request goes to another process.
//!
//! Without it a client that keeps its connections may send a request at the very moment they are closed.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header::CONNECTION},
    middleware::Next,
    response::Response,
};
use tokio_util::sync::CancellationToken;

pub(super) async fn let_go(
    State(draining): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if draining.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
