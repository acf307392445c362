//! Between the wire and the `oauth2` crate: answers are made durable, then repaired, then understood.
//!
//! The crate refuses a good token for a missing `token_type` or a number in quotes, and after a rotation
//! that token would be lost. What real providers get wrong is put right here, before the crate looks; what
//! broke off is read as far as it came.

use super::{
    Instance,
    salvage::{self, BROKE_OFF, Found, is_sendable},
};
use crate::{
    domain::Secret,
    outbound::{ANSWER_LIMIT, Answer, OutboundError},
};
use async_trait::async_trait;
use http::StatusCode;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, basic::BasicTokenResponse};
use serde_json::{Map, Value};
use std::{pin::Pin, time::Duration};
use zeroize::Zeroizing;

/// Makes an answer durable before anyone tries to understand it.
#[async_trait]
pub trait KeepAnswer: Send + Sync {
    async fn keep(&self, answer: &[u8]);
}

/// For exchanges whose answer need not outlive a crash.
pub(super) struct KeepNothing;

#[async_trait]
impl KeepAnswer for KeepNothing {
    async fn keep(&self, _answer: &[u8]) {}
}

/// What the crate cannot express: it loses the status of an answer that is no OAuth answer, and every answer
/// that is less than a grant.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the provider answered {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("a part of the provider's answer is missing")]
    Part(Part),
    #[error("the provider's answer was not understood")]
    Unreadable,
    #[error("the request could not be built")]
    Request,
}

/// What is left of a grant that did not arrive whole.
#[derive(Debug)]
pub(super) enum Part {
    /// The refresh token that came with it is missing.
    Access(Box<BasicTokenResponse>),
    /// There is no access token that can be used.
    Refresh(Secret),
}

/// Our one HTTP client, as the `oauth2` crate wants it.
pub(super) struct Wire<'a> {
    pub(super) instance: &'a Instance,
    pub(super) keep: &'a dyn KeepAnswer,
}

impl<'c> AsyncHttpClient<'c> for Wire<'_> {
    type Error = WireError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, WireError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = request.try_into().map_err(|_| WireError::Request)?;
            match self.instance.send(request, ANSWER_LIMIT).await {
                Ok(answer) => {
                    self.keep_grant(answer.status, &answer.body).await;
                    normalize(&answer)
                }
                Err(error) => self.rescue(error).await,
            }
        })
    }
}

impl Wire<'_> {
    /// An answer that broke off may hold the tokens nevertheless.
    async fn rescue(&self, error: OutboundError) -> Result<HttpResponse, WireError> {
        let Some((status, arrived)) = error.arrived() else { return Err(error.into()) };
        let bytes = Zeroizing::new([arrived, &[BROKE_OFF]].concat());
        self.keep_grant(status, &bytes).await;
        match granted(status, &bytes) {
            Some(Granted::Whole(fields)) => response(200, &fields),
            Some(Granted::Part(part)) => Err(WireError::Part(part)),
            None => Err(error.into()),
        }
    }

    /// A success is kept whatever is in it; of all other answers only what is a grant nevertheless.
    async fn keep_grant(&self, status: StatusCode, body: &[u8]) {
        if status.is_success() || salvage::find(body).is_some_and(|found| found.is_beyond_doubt()) {
            self.keep.keep(body).await;
        }
    }
}

/// Makes an answer one that the crate reads, or an error that keeps the status.
pub(super) fn normalize(answer: &Answer) -> Result<HttpResponse, WireError> {
    let status = answer.status;
    match granted(status, &answer.body) {
        Some(Granted::Whole(fields)) => return response(200, &fields),
        Some(Granted::Part(part)) => return Err(WireError::Part(part)),
        None => {}
    }
    let is_error = |fields: &Map<String, Value>| {
        fields.get("error").is_some_and(Value::is_string) && !fields.contains_key("access_token")
    };
    let may_tell = status.is_success() || status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    match read_object(&answer.body).filter(is_error) {
        Some(error) if may_tell => response(400, &error),
        _ if status.is_success() => Err(WireError::Unreadable),
        _ => Err(WireError::Status { status, retry_after: answer.retry_after() }),
    }
}

fn response(status: u16, fields: &Map<String, Value>) -> Result<HttpResponse, WireError> {
    let body = serde_json::to_vec(fields).expect("a map of values has string keys");
    http::Response::builder().status(status).body(body).map_err(|_| WireError::Unreadable)
}

/// What the body of an answer grants.
pub(super) enum Granted {
    /// The fields as the crate reads them.
    Whole(Map<String, Value>),
    Part(Part),
}

/// The grant in an answer. A body with both tokens and without an error is one whatever the status: a proxy
/// that puts its own status on GitLab's answer does not bring the old tokens back, and to believe the body
/// loses nothing.
fn granted(status: StatusCode, body: &[u8]) -> Option<Granted> {
    let found = salvage::find(body)?;
    if status.is_success() || found.is_beyond_doubt() { granted_by(found) } else { None }
}

/// The grant in the body of an answer that was kept.
pub(super) fn granted_in(body: &[u8]) -> Option<Granted> {
    granted_by(salvage::find(body)?)
}

/// A document without a refresh token says that the old one stays good (RFC 6749 section 6), and so does an
/// empty one. Text without it says nothing: it may be on the way or cut off.
fn granted_by(found: Found) -> Option<Granted> {
    let given = found
        .fields
        .get("refresh_token")
        .is_some_and(|v| !matches!(v, Value::Null | Value::Bool(_)) && v != "");
    let is_document = found.is_document;
    let fields = repair(found.fields);
    let refresh_token = fields.get("refresh_token").and_then(Value::as_str);
    // A token of another type (`mac`, `dpop`) must not be sent as a bearer token. Its refresh token is kept:
    // the next answer may be better.
    let is_bearer = fields["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer || !fields.get("access_token").and_then(Value::as_str).is_some_and(is_sendable) {
        return refresh_token.map(|token| Granted::Part(Part::Refresh(Secret::new(token))));
    }
    if refresh_token.is_some() || is_document && !given {
        return Some(Granted::Whole(fields));
    }
    let access = serde_json::from_value(Value::Object(fields)).ok()?;
    Some(Granted::Part(Part::Access(Box::new(access))))
}

/// The JSON object of a body, also behind a byte order mark. Of a key that stands twice the last counts.
pub(super) fn read_object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_str(&salvage::decode(body)).ok()
}

/// Puts right what the crate would refuse in an answer that holds a good token.
fn repair(mut fields: Map<String, Value>) -> Map<String, Value> {
    let seconds = fields.get("expires_in").and_then(whole_seconds);
    match seconds {
        Some(seconds) => fields.insert("expires_in".into(), seconds.into()),
        None => fields.remove("expires_in"),
    };
    let kind =
        fields.get("token_type").and_then(Value::as_str).map(str::trim).filter(|kind| !kind.is_empty());
    let kind = kind.unwrap_or("bearer").to_owned();
    fields.insert("token_type".into(), kind.into());
    let scope = match fields.remove("scope") {
        Some(Value::String(text)) => text,
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    if !scope.trim().is_empty() {
        fields.insert("scope".into(), scope.into());
    }
    for key in ["access_token", "refresh_token"] {
        // No token has white space around it (RFC 6749 appendix A), and without it the provider knows it.
        let token = fields.remove(key).and_then(|v| Some(v.as_str()?.trim().to_owned()));
        if let Some(token) = token.filter(|t| !t.is_empty()) {
            fields.insert(key.into(), token.into());
        }
    }
    fields.retain(|key, _| {
        ["access_token", "token_type", "expires_in", "scope", "refresh_token"].contains(&key.as_str())
    });
    fields
}

/// A lifetime as a number, a number with a fraction, or a number in quotes. Nonsense counts as absent, and so
/// does "it has ended": a provider that says so of a new token is wrong about the number, not about the token,
/// and to believe it would renew the connection every second.
fn whole_seconds(value: &Value) -> Option<u64> {
    const TEN_YEARS: f64 = 10.0 * 365.0 * 86_400.0;
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (1.0..=TEN_YEARS).contains(&seconds).then_some(seconds as u64)
}

#[cfg(test)]
mod tests;
