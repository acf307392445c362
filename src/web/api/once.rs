//! `Idempotency-Key` on calls that make something: however often such a call is sent, it is made once.
//!
//! A call is claimed before it is made, and its answer kept, sealed, for a day. What was refused made nothing, so it may be
//! sent again, and differently. Where a process ended between the two nobody knows what was made: then that is said, and
//! nothing is made a second time.

use crate::{
    domain::Secret,
    store::{Claim, IdempotentCall},
    vault::{digest, digest_of},
    web::{auth::Key, error::Problem, extract::unreadable, state::AppState},
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use time::OffsetDateTime;
use tracing::Instrument;

/// The calls that take it.
const CREATING: [&str; 4] =
    ["/api/v1/connections", "/api/v1/connect-sessions", "/api/v1/api-keys", "/api/v1/webhook-endpoints"];
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What an answer is made of beside its status and body.
const KEPT: [HeaderName; 4] = [CONTENT_TYPE, LOCATION, ETAG, CACHE_CONTROL];
const LONGEST_KEY: usize = 255;
/// No call takes longer: one that is still open then ended with its process.
const LONGEST_CALL: time::Duration = time::Duration::minutes(5);
/// The largest answer that is kept, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Makes a call with an `Idempotency-Key` once.
pub(in crate::web) async fn once(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let takes_it = request.method() == Method::POST && CREATING.contains(&request.uri().path());
    match key(request.headers()).filter(|_| takes_it) {
        None => next.run(request).await,
        Some(Err(problem)) => problem.into_response(),
        Some(Ok(key)) => {
            made_once(state, &key, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
    }
}

fn key(headers: &HeaderMap) -> Option<Result<String, Problem>> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let first = given.next()?;
    let is_plain =
        |key: &&str| (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let key = first.to_str().ok().filter(is_plain).filter(|_| given.next().is_none());
    let detail = "Give one Idempotency-Key of 1 to 255 visible ASCII characters, such as a fresh UUID.";
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail);
    Some(key.map(str::to_owned).ok_or_else(wrong))
}

async fn made_once(state: AppState, key: &str, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Key::from_request_parts(&mut parts, &state).await?;
    let request = Request::from_parts(parts.clone(), body);
    let body = Bytes::from_request(request, &state).await.map_err(|e| unreadable(e.status()))?;
    let address = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let call = IdempotentCall {
        api_key_id: caller.id().to_owned(),
        key: digest(key),
        request: [digest(&address), digest_of(&body)].concat(),
        at: state.clock.now(),
    };
    match state.store.claim_call(&call).await? {
        Claim::Mine => {}
        Claim::Answered(answer) => return replayed(&answer),
        Claim::Begun(at) => return Err(begun(at, call.at)),
        Claim::Reused => {
            let detail = "This Idempotency-Key was used for another request within the last day. Use a fresh one for each.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail));
        }
    }
    let request = Request::from_parts(parts, Body::from(body));
    // A caller that hangs up does not leave a call without its answer.
    let tracker = state.connect.tracker.clone();
    let work = async move { kept(&state, &call, next.run(request).await).await };
    tracker.spawn(work.in_current_span()).await.map_err(|error| Problem::internal(&error))?
}

/// The answer, after it was kept. What came to nothing may be asked again; after an error of our own nobody knows.
async fn kept(state: &AppState, call: &IdempotentCall, response: Response) -> Result<Response, Problem> {
    if !response.status().is_success() {
        let is_clear = response.status() != StatusCode::INTERNAL_SERVER_ERROR;
        if is_clear && let Err(error) = state.store.give_up_call(call).await {
            tracing::warn!(%error, "a refused call stays claimed");
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_ANSWER).await.map_err(|error| Problem::internal(&error))?;
    let text =
        |name: &HeaderName| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()));
    let answer = Answer {
        status: parts.status.as_u16(),
        headers: KEPT.iter().filter_map(text).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answer = Secret::new(serde_json::to_string(&answer).expect("an answer is made of text"));
    match state.store.answer_call(call, &answer).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!("an answer came too late to be kept"),
        Err(error) => tracing::warn!(%error, "an answer could not be kept, and will not be given again"),
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replayed(answer: &Secret) -> Result<Response, Problem> {
    let answer: Answer = serde_json::from_str(answer.expose()).map_err(|error| Problem::internal(&error))?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn begun(at: OffsetDateTime, now: OffsetDateTime) -> Problem {
    if now - at < LONGEST_CALL {
        let detail = "A request with this Idempotency-Key is being answered. Ask again in a moment.";
        let problem = Problem::new(StatusCode::CONFLICT, "idempotency_in_flight", detail);
        return problem.retry_after(Duration::from_secs(1));
    }
    let detail = "A request with this Idempotency-Key was begun, and its answer was lost when the server stopped. See \
                  whether what it was to make is there. If it is not, ask with a fresh Idempotency-Key.";
    Problem::new(StatusCode::CONFLICT, "idempotency_answer_lost", detail)
}
