//! The only place that makes error answers of the API: RFC 9457 problem details with a stable code.
//!
//! A public sentence goes out; the cause goes to the log, once. A handler answers with a [`Problem`], and
//! the outermost layer writes its body with the request's id, also for what the framework refused.

use super::state::AppState;
use crate::{
    connect::{ConnectError, inspect_code},
    domain::{Action, Reason, Standing},
    handout::HandoutError,
    health::CheckError,
    providers::{InspectError, UnknownInstance},
    renewal::RenewalError,
    store::StoreError,
};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::time::Duration;
use time::OffsetDateTime;
use tower_http::request_id::RequestId;
use utoipa::ToSchema;

/// Problem details (RFC 9457), boxed because every handler's error is one.
#[derive(Clone, Debug)]
pub struct Problem(Box<Details>);

/// Problem details (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// `urn:mooring:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// What happened and what to do next.
    detail: String,
    /// Stable; programs go by this.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    /// The page here that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    action_url: Option<String>,
    /// The page at the provider that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help_url: Option<String>,
    /// Which step of reaching the provider failed: `dns`, `connect`, `tls` or `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
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

    /// A field of the request is wrong.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let detail = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail);
        problem.0.errors = vec![FieldError { field, code: "invalid_field", message }];
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

    /// A hand-out's errors, with the page that mends the connection.
    pub fn of_handout(error: HandoutError, state: &AppState) -> Self {
        match error {
            HandoutError::NotFound => Self::not_found(),
            HandoutError::AmbiguousName => {
                Self::new(StatusCode::CONFLICT, "ambiguous_name", error.to_string())
            }
            HandoutError::ActionRequired { id, standing } => {
                Self::action_required(standing, format!("{}/connections/{id}", state.site_url))
            }
            HandoutError::Unavailable { message, retry_at } => Self::unavailable(message, retry_at, state),
            HandoutError::Store(cause) => Self::of_store(&cause),
        }
    }

    pub fn action_required(standing: Standing, connection_page: String) -> Self {
        let detail = "This connection cannot work before a person acts. Open action_url to mend it.";
        let mut problem = Self::new(StatusCode::CONFLICT, "action_required", detail);
        problem.0.reason = standing.reason;
        problem.0.action = standing.action;
        problem.0.action_url = Some(match standing.action {
            Some(Action::Rotate) => format!("{connection_page}/rotate"),
            Some(Action::Reauthorize) | None => connection_page,
        });
        problem
    }

    fn unavailable(message: String, retry_at: Option<OffsetDateTime>, state: &AppState) -> Self {
        let wait = retry_at.map(|at| at - state.clock.now()).and_then(|left| left.try_into().ok());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", message)
            .retry_after(wait.unwrap_or(Duration::from_secs(5)))
    }

    /// A renewal that was asked for did not come about.
    pub fn of_renewal(error: RenewalError, page: String, standing: Standing, state: &AppState) -> Self {
        match error {
            RenewalError::Gone => Self::not_found(),
            RenewalError::Stopped(reason) => {
                Self::action_required(Standing { reason: Some(reason), ..standing }, page)
            }
            RenewalError::NeedsPerson => Self::new(
                StatusCode::CONFLICT,
                "renewal_is_manual",
                "Nobody but a person can renew this connection. Paste a new token on its page.",
            ),
            RenewalError::Failed { message, next_attempt_at, .. } => {
                Self::unavailable(message, next_attempt_at, state)
            }
            RenewalError::Busy | RenewalError::BrokeOff => {
                Self::unavailable("The token is being renewed. Ask again in a moment.".into(), None, state)
            }
            RenewalError::Store(cause) => Self::of_store(&cause),
        }
    }

    pub fn of_store(error: &StoreError) -> Self {
        Self::internal(error)
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of_store(&error)
    }
}

impl From<InspectError> for Problem {
    fn from(error: InspectError) -> Self {
        let status = match error {
            InspectError::Unreachable { .. } | InspectError::NotGitLab { .. } => StatusCode::BAD_GATEWAY,
            InspectError::RateLimited { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut problem = Self::new(status, inspect_code(&error), error.to_string());
        match error {
            InspectError::Unreachable { step, .. } => problem.0.step = Some(step),
            InspectError::RateLimited { retry_after } => {
                return problem.retry_after(retry_after.unwrap_or(Duration::from_secs(60)));
            }
            _ => {}
        }
        problem
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        let status = match &error {
            ConnectError::NameTaken(_)
            | ConnectError::Instance(UnknownInstance::Gone(_) | UnknownInstance::Moved(_))
            | ConnectError::DifferentAccount { .. }
            | ConnectError::MadeByOAuth
            | ConnectError::MadeByAccessToken
            | ConnectError::ChangedMeanwhile => StatusCode::CONFLICT,
            ConnectError::Gone => StatusCode::NOT_FOUND,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        match error {
            ConnectError::Field { field, message } => Self::field(field, message),
            ConnectError::Inspect(error) => error.into(),
            ConnectError::Store(error) => error.into(),
            ConnectError::InsufficientScope { mend_at, .. }
            | ConnectError::InsufficientRole { mend_at, .. } => {
                let mut problem = Self::new(status, code, detail);
                problem.0.help_url = Some(mend_at);
                problem
            }
            _ => Self::new(status, code, detail),
        }
    }
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Gone => Self::not_found(),
            CheckError::Instance(e) => {
                Self::new(StatusCode::CONFLICT, "integration_misconfigured", e.to_string())
            }
            CheckError::Inspect(e) => e.into(),
            CheckError::Store(e) => e.into(),
        }
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

/// Writes the bodies of problems, and turns what the framework refused into problems.
pub async fn write_problems(request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok().map(str::to_owned));
    let mut response = next.run(request).await;
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
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "A request body is 256 KiB at most."),
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
