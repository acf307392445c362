//! What each error of a verb becomes on the outside: its status, its code and what to do next.

use super::{
    error::{FieldError, Problem},
    state::AppState,
};
use crate::{
    connect::{ConnectError, ImportError, RefusedConnection, SessionError, inspect_code},
    disconnect::DisconnectError,
    domain::{Action, ConnectSessionState, Standing},
    handout::HandoutError,
    health::CheckError,
    notify::EndpointError,
    providers::{ExchangeError, InspectError, UnknownInstance},
    proxy::ProxyError,
    renewal::RenewalError,
    store::StoreError,
};
use axum::http::StatusCode;
use std::time::Duration;
use time::OffsetDateTime;

impl Problem {
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

    /// What the proxy says itself; what the provider says goes back as it is.
    pub fn of_proxy(error: ProxyError, state: &AppState) -> Self {
        let because = |status, code| Self::new(status, code, error.to_string());
        match error {
            ProxyError::Handout(HandoutError::AmbiguousName) => {
                let detail = "Several tenants have a connection of that name. Use its id in its place.";
                Self::new(StatusCode::CONFLICT, "ambiguous_name", detail)
            }
            ProxyError::Handout(error) => Self::of_handout(error, state),
            ProxyError::Instance(_) => because(StatusCode::CONFLICT, "integration_misconfigured"),
            ProxyError::Path => because(StatusCode::BAD_REQUEST, "invalid_path"),
            ProxyError::CredentialInQuery => because(StatusCode::BAD_REQUEST, "credential_in_query"),
            ProxyError::OwnCredential => because(StatusCode::FORBIDDEN, "own_credential"),
            ProxyError::NotAllowed(_) | ProxyError::Disguised => {
                because(StatusCode::FORBIDDEN, "request_not_allowed")
            }
            ProxyError::Upgrade => because(StatusCode::NOT_IMPLEMENTED, "upgrade_not_supported"),
            ProxyError::Method => because(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            ProxyError::Body => because(StatusCode::BAD_REQUEST, "body_incomplete"),
            ProxyError::Unreachable(ref cause) => {
                let status =
                    if cause.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
                let mut problem = because(status, "provider_unreachable");
                problem.0.step = Some(cause.step());
                problem
            }
        }
    }

    pub fn of_store(error: &StoreError) -> Self {
        Self::internal(error)
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
            | ConnectError::Exchange(ExchangeError::Misconfigured { .. })
            | ConnectError::DifferentAccount { .. }
            | ConnectError::Elsewhere(_)
            | ConnectError::MadeByOAuth
            | ConnectError::MadeByAccessToken
            | ConnectError::AlreadyHere
            | ConnectError::ExportedToken
            | ConnectError::ChangedMeanwhile => StatusCode::CONFLICT,
            ConnectError::Gone => StatusCode::NOT_FOUND,
            ConnectError::Exchange(ExchangeError::Unavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        match error {
            ConnectError::Field { field, message } => Self::field(field, message),
            ConnectError::Inspect(error) => error.into(),
            ConnectError::Store(error) => error.into(),
            ConnectError::InsufficientScope { mend_at, .. }
            | ConnectError::InsufficientRole { mend_at, .. }
            | ConnectError::NoRotationScope { mend_at, .. } => {
                let mut problem = Self::new(status, code, detail);
                problem.0.help_url = Some(mend_at);
                problem
            }
            ConnectError::Exchange(ExchangeError::Unavailable { .. }) => {
                Self::new(status, code, detail).retry_after(Duration::from_secs(60))
            }
            _ => Self::new(status, code, detail),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let detail = error.to_string();
        match error {
            ImportError::Unreadable(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "export_unreadable", detail)
            }
            ImportError::Refused(refused) => {
                let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "import_refused", detail);
                problem.0.errors = refused.into_iter().map(field_error).collect();
                problem
            }
            ImportError::ChangedMeanwhile => Self::new(StatusCode::CONFLICT, "changed_meanwhile", detail),
            ImportError::Store(error) => error.into(),
        }
    }
}

fn field_error(refused: RefusedConnection) -> FieldError {
    let of = refused.tenant.map(|tenant| format!(" of {tenant}")).unwrap_or_default();
    let message = format!("{}{of}: {}", refused.name, refused.message);
    FieldError { field: refused.id.to_string(), code: refused.code, message }
}

impl From<DisconnectError> for Problem {
    fn from(error: DisconnectError) -> Self {
        match error {
            DisconnectError::Exported => Self::new(StatusCode::CONFLICT, "exported", error.to_string()),
            DisconnectError::Store(error) => error.into(),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        let status = match error {
            SessionError::Connect(error) => return error.into(),
            SessionError::ReturnUrl => StatusCode::UNPROCESSABLE_ENTITY,
            SessionError::Handle
            | SessionError::OtherKey
            | SessionError::EndUser
            | SessionError::OtherBrowser => StatusCode::FORBIDDEN,
            SessionError::Over(ConnectSessionState::Expired) => StatusCode::GONE,
            SessionError::Over(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.code(), error.to_string())
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
            CheckError::Store(e) => Self::of_store(&e),
        }
    }
}

impl From<EndpointError> for Problem {
    fn from(error: EndpointError) -> Self {
        let url = |code| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string());
        match &error {
            EndpointError::Url(reason) if reason.is_forbidden() => url("webhook_url_forbidden"),
            EndpointError::Url(_) => url("webhook_url_invalid"),
            EndpointError::Kinds(reason) => Self::field("events", reason.to_string()),
            EndpointError::Field { field, message } => Self::field(*field, *message),
            EndpointError::Store(error) => Self::of_store(error),
        }
    }
}
