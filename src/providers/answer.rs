//! Between the wire and the `oauth2` crate: answers are made durable, then repaired, then understood.
//!
//! The crate refuses a good token for a missing `token_type` or a number in quotes, and after a rotation
//! that token would be lost. What real providers get wrong is put right here, before the crate looks.

use super::Instance;
use crate::outbound::{ANSWER_LIMIT, Answer, OutboundError};
use async_trait::async_trait;
use http::StatusCode;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use std::{pin::Pin, time::Duration};

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

/// What the crate cannot express: it loses the status of an answer that is no OAuth answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the provider answered {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("the provider's answer was not understood")]
    Unreadable,
    #[error("the request could not be built")]
    Request,
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
            let answer = self.instance.send(request, ANSWER_LIMIT).await?;
            if answer.status.is_success() {
                self.keep.keep(&answer.body).await;
            }
            normalize(&answer)
        })
    }
}

/// Makes an answer one that the crate reads, or an error that keeps the status.
pub(super) fn normalize(answer: &Answer) -> Result<HttpResponse, WireError> {
    let retry_after = answer.retry_after();
    let refused = || WireError::Status { status: answer.status, retry_after };
    let client_error = answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS;
    if !answer.status.is_success() && !client_error {
        return Err(refused());
    }
    let Some(fields) = read_object(&answer.body) else {
        return Err(if answer.status.is_success() { WireError::Unreadable } else { refused() });
    };
    let is_error = fields.get("error").is_some_and(Value::is_string) && !fields.contains_key("access_token");
    if client_error && !is_error {
        return Err(refused());
    }
    let (status, body) = if is_error { (400, fields) } else { (200, repair(fields)) };
    let body = serde_json::to_vec(&body).expect("a map of values has string keys");
    http::Response::builder().status(status).body(body).map_err(|_| WireError::Unreadable)
}

/// The body of a successful answer as the crate reads it.
pub(super) fn repaired(body: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&repair(read_object(body)?)).ok()
}

/// The JSON object of a body, also behind a byte order mark. Of a key that stands twice the last counts.
pub(super) fn read_object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

/// Puts right what the crate would refuse in an answer that holds a good token.
fn repair(mut fields: Map<String, Value>) -> Map<String, Value> {
    let seconds = fields.get("expires_in").and_then(whole_seconds);
    match seconds {
        Some(seconds) => fields.insert("expires_in".into(), seconds.into()),
        None => fields.remove("expires_in"),
    };
    if !fields.get("token_type").is_some_and(Value::is_string) {
        fields.insert("token_type".into(), "bearer".into());
    }
    let scope = match fields.remove("scope") {
        Some(Value::String(text)) => text,
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    if !scope.trim().is_empty() {
        fields.insert("scope".into(), scope.into());
    }
    if fields.get("refresh_token").and_then(Value::as_str).is_none_or(str::is_empty) {
        fields.remove("refresh_token");
    }
    fields.retain(|key, _| {
        ["access_token", "token_type", "expires_in", "scope", "refresh_token"].contains(&key.as_str())
    });
    fields
}

/// A lifetime as a number, a number with a fraction, or a number in quotes. Nonsense counts as absent.
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
mod tests {
    use super::*;
    use http::HeaderMap;
    use oauth2::{AccessToken, TokenResponse, basic::BasicTokenResponse};

    fn answer(status: u16, body: &[u8], headers: &[(&'static str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: map, body: body.to_vec() }
    }

    fn granted(body: &[u8]) -> BasicTokenResponse {
        let answer = normalize(&answer(200, body, &[]))
            .unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(body)));
        serde_json::from_slice(answer.body())
            .unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(body)))
    }

    /// Answers that hold a good token, each wrong in a way that the crate alone refuses.
    #[test]
    fn no_good_token_is_thrown_away() {
        let odd: [&[u8]; 14] = [
            br#"{"access_token":"a"}"#,
            br#"{"access_token":"a","token_type":"Bearer","expires_in":"7200"}"#,
            br#"{"access_token":"a","token_type":"Bearer","expires_in":7200.0}"#,
            br#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
            br#"{"access_token":"a","token_type":"Bearer","expires_in":1e20}"#,
            br#"{"access_token":"a","token_type":"Bearer","expires_in":null}"#,
            br#"{"access_token":"a","token_type":7}"#,
            br#"{"access_token":"a","token_type":"bearer","scope":["api","read_user"]}"#,
            br#"{"access_token":"a","token_type":"bearer","scope":""}"#,
            br#"{"access_token":"a","token_type":"bearer","scope":null}"#,
            br#"{"access_token":"x","access_token":"a","token_type":"bearer"}"#,
            br#"{"access_token":"a","token_type":"bearer","refresh_token":""}"#,
            br#"{"access_token":"a","token_type":"bearer","refresh_token":null,"error":"no"}"#,
            b"\xef\xbb\xbf{\"access_token\":\"a\",\"token_type\":\"bearer\"}",
        ];
        for body in odd {
            assert_eq!(granted(body).access_token().secret(), AccessToken::new("a".into()).secret());
            assert!(granted(body).refresh_token().is_none());
        }
        let whole = granted(
            br#"{"access_token":"a","expires_in":"7200","refresh_token":"r","scope":["api","read_user"]}"#,
        );
        assert_eq!(whole.expires_in(), Some(Duration::from_hours(2)));
        assert_eq!(whole.scopes().unwrap().len(), 2);
        assert_eq!(whole.refresh_token().unwrap().secret(), "r");
    }

    #[test]
    fn what_holds_no_token_is_no_grant() {
        for body in [&b"<html>"[..], b"", b"null", b"[]", b"{", b"\0\0", b"\xff\xfe{\0}\0"] {
            assert!(matches!(normalize(&answer(200, body, &[])), Err(WireError::Unreadable)), "{body:?}");
        }
        assert!(
            serde_json::from_slice::<BasicTokenResponse>(normalize(&answer(200, b"{}", &[])).unwrap().body())
                .is_err()
        );
    }

    #[test]
    fn a_status_is_not_lost() {
        for (status, body) in [
            (502, &b"<html>"[..]),
            (503, b"{}"),
            (429, b"Retry later"),
            (302, b""),
            (403, b"<html>"),
            (404, b"{}"),
        ] {
            let error = normalize(&answer(status, body, &[("retry-after", "7")])).unwrap_err();
            assert!(
                matches!(error, WireError::Status { status: s, retry_after: Some(wait) }
                    if s.as_u16() == status && wait == Duration::from_secs(7)),
                "{status}"
            );
        }
        let refused = normalize(&answer(401, br#"{"error":"invalid_client"}"#, &[])).unwrap();
        assert_eq!(refused.status(), 400, "the crate reads an error answer at any status but 200");
    }
}
