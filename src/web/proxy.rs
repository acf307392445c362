//! `/proxy/{ref}/{path}`: the caller's request goes to the connection's base URL, with the credential attached.

use super::{
    auth::Key,
    error::{Foreign, Problem},
    state::AppState,
};
use crate::{
    domain::Permission,
    proxy::{Ask, BodyError, Chunks, Streamed},
};
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;

/// Git sends its credentials only after this; other clients do not mind.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"Mooring\", charset=\"UTF-8\"");

/// What the proxy takes (RFC 9110 section 10.2.1). Other methods that are tokens go on as well.
const TAKEN: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE");

pub fn router() -> Router<AppState> {
    Router::new().route("/proxy/{ref}/{*path}", any(forward))
}

async fn forward(State(state): State<AppState>, request: Request) -> Response {
    match proxied(&state, request).await {
        Ok(answer) => answer,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            ([(WWW_AUTHENTICATE, CHALLENGE)], problem).into_response()
        }
        Err(problem) if problem.status() == StatusCode::METHOD_NOT_ALLOWED => {
            ([(ALLOW, TAKEN)], problem).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn proxied(state: &AppState, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let caller = Key::of_proxied(&parts.headers, state).await?.may(Permission::Proxy)?;
    // The raw path: a decoded one could not be told from another.
    let below = parts.uri.path().strip_prefix("/proxy/").unwrap_or_default();
    let (segment, path) = below.split_once('/').unwrap_or((below, ""));
    let reference = percent_decode_str(segment).decode_utf8().map_err(|_| Problem::not_found())?;
    let ask = Ask {
        reference: &reference,
        path,
        query: parts.uri.query(),
        method: parts.method,
        headers: parts.headers,
        body: (!body.is_end_stream()).then(|| chunks(body)),
        proxy_url: &format!("{}/proxy/{segment}", state.site_url),
    };
    let answer = state.proxy.forward(&caller, ask).await.map_err(|error| Problem::of_proxy(error, state))?;
    Ok(response(answer))
}

fn chunks(body: Body) -> Chunks {
    body.into_data_stream().map(|chunk| chunk.map_err(BodyError::from)).boxed()
}

fn response(answer: Streamed) -> Response {
    let mut response = Response::new(Body::from_stream(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.extensions_mut().insert(Foreign);
    response
}
