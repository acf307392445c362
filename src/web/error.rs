//! The only place that makes error answers of the API: RFC 9457 problem details with a stable code.
//!
//! A public sentence goes out; the cause goes to the log, once. A handler answers with a [`Problem`], and
//! the outermost layer writes its body with the request's id, also for what the framework refused.

use crate::domain::{Action, Reason};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::time::Duration;
use tower_http::request_id::RequestId;
use utoipa::ToSchema;

/// Problem details (RFC 9457), boxed because every handler's error is one.
#[derive(Clone, Debug)]
pub struct Problem(pub(super) Box<Details>);

/// Problem details (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// `urn:mooring:problem:<code>`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) title: &'static str,
    pub(super) status: u16,
    /// What happened and what to do next.
    pub(super) detail: String,
    /// Stable; programs go by this.
    pub(super) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<Action>,
    /// The page here that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action_url: Option<String>,
    /// The page at the provider that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help_url: Option<String>,
    /// Which step of reaching the provider failed: `dns`, `connect`, `tls` or `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<&'static str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u64>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldError {
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind: format!("urn:mooring:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            request_id: None,
            errors: Vec::new(),
            reason: None,
            action: None,
            action_url: None,
            help_url: None,
            step: None,
            retry_after: None,
        }))
    }

    /// A field of the request's body is wrong.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::wrong("invalid_field", field.into(), message.into())
    }

    /// A parameter of the request's query is wrong.
    pub fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::wrong("invalid_parameter", name.into(), message.into())
    }

    fn wrong(code: &'static str, field: String, message: String) -> Self {
        let detail = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        problem.0.errors = vec![FieldError { field, code, message }];
        problem
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such thing, or this key may not see it.")
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait.as_secs().max(1));
        self
    }

    /// An error of our own. Its cause goes to the log and nowhere else.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(cause = %chain(cause), "a request failed");
        let detail =
            "Something went wrong here. Give the request id to the operator, who finds the cause in the log.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// An empty answer that carries the problem; [`write_problems`] fills it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Marks an answer that a provider gave: whatever its status, it is none of our problems.
#[derive(Clone, Copy)]
pub struct Foreign;

/// Writes the bodies of problems, and turns what the framework refused into problems.
pub async fn write_problems(request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok().map(str::to_owned));
    let mut response = next.run(request).await;
    if response.extensions().get::<Foreign>().is_some() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| refused_by_framework(&response));
    let Some(mut problem) = problem else { return response };
    problem.0.request_id = id;
    let body = serde_json::to_vec(&problem.0).expect("problem details have string keys");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(seconds) = problem.0.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status() == StatusCode::UNAUTHORIZED && !headers.contains_key(header::WWW_AUTHENTICATE) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let code = HeaderValue::from_static(problem.0.code);
    headers.insert("x-mooring-error", code);
    *response.body_mut() = Body::from(body);
    response
}

/// 404, 405, 413 and their like come from the framework as plain text or with no body. A page is ours.
fn refused_by_framework(response: &Response) -> Option<Problem> {
    let status = response.status();
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => {
            ("not_found", "There is nothing at this address. The API is described at /docs.")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "This address does not take this method. See the Allow header.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("body_too_large", "A request body is 256 KiB at most, and 32 MiB for an import.")
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            ("timeout", "The request took too long. Try again.")
        }
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("internal_error", "Something went wrong here. Give the request id to the operator.")
        }
        status if status.is_client_error() => ("bad_request", "The request could not be read."),
        _ => return None,
    };
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or_default();
    let known = kind == "application/problem+json" || kind.starts_with("text/html");
    (!known).then(|| Problem::new(status, code, detail))
}

/// An error with everything below it, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    text
}
