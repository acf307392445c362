//! Why there is no successor. The rule it guards: only GitLab's own clear word says that nothing was done, and
//! everything else after the request was sent is doubt.

use super::life::date_in;
use crate::{
    domain::Reason,
    outbound::{Answer, OutboundError, Sent},
    providers::{
        InspectError, RenewError, Trouble,
        answer::read_object,
        gitlab::{call::Call, inspect::knows_the_token},
    },
};
use http::StatusCode;
use time::Date;

/// What kept a token from being rotated. After the first two another request does no harm.
pub(super) enum NotRotated {
    /// This version has no such path.
    NoSuchRoute,
    /// The wanted end is too late. `limit`: the date that the refusal named.
    EndRefused {
        limit: Option<Date>,
    },
    Failed(RenewError),
}

impl NotRotated {
    /// The same, where there is nothing else to try.
    pub(super) fn for_good(self, call: &Call<'_>) -> RenewError {
        let reason = Reason::ProviderError;
        let host = call.host();
        match self {
            Self::NoSuchRoute => RenewError::Refused {
                reason,
                message: format!(
                    "{host} cannot rotate this token: its version or the token's kind does not allow it."
                ),
            },
            Self::EndRefused { .. } => RenewError::Refused {
                reason,
                message: format!("{host} refused every end date for the next token, so it was not rotated."),
            },
            Self::Failed(error) => error,
        }
    }
}

/// The token could not be asked whether it lives. Nothing was rotated by asking, so none of these leaves doubt.
pub(super) fn of_question(error: &InspectError) -> RenewError {
    let message = error.to_string();
    let (trouble, retry_after) = match error {
        InspectError::TokenInvalid { .. } | InspectError::TokenExpired | InspectError::TokenRevoked => {
            return RenewError::Rejected;
        }
        InspectError::Denied => {
            return RenewError::Refused { reason: Reason::InsufficientScope, message };
        }
        InspectError::AccountBlocked { .. } => (Trouble::Account, None),
        InspectError::RateLimited { retry_after } => (Trouble::RateLimited, *retry_after),
        InspectError::Unreachable { step: "http", .. }
        | InspectError::NotGitLab { .. }
        | InspectError::WrongKind { .. } => (Trouble::Instance, None),
        InspectError::Unreachable { .. } | InspectError::Forbidden { .. } => (Trouble::NotSent, None),
    };
    RenewError::Unavailable { trouble, message, retry_after }
}

/// No usable answer came to the request that spends the token.
pub(super) fn unanswered(call: &Call<'_>, error: &OutboundError) -> NotRotated {
    match error.was_sent() {
        Sent::Maybe => uncertain(call, &format!("did not answer properly: {error}")),
        Sent::No => NotRotated::Failed(RenewError::Unavailable {
            trouble: Trouble::NotSent,
            message: format!("{} could not be reached ({}): {error}.", call.host(), error.step()),
            retry_after: None,
        }),
    }
}

/// The token may be spent.
pub(super) fn uncertain(call: &Call<'_>, what: &str) -> NotRotated {
    let message = format!("The token was sent to be rotated, and {} {what}.", call.host());
    NotRotated::Failed(RenewError::Uncertain { message, partial: None })
}

/// What an answer that is no success means.
pub(super) fn of(call: &Call<'_>, answer: &Answer) -> NotRotated {
    let status = answer.status;
    if status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY) {
        return uncertain(call, &format!("answered {}", status.as_u16()));
    }
    match (status, read_object(&answer.body).is_some()) {
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, true) => NotRotated::NoSuchRoute,
        (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, true) => of_request(call, answer),
        (StatusCode::FORBIDDEN, true) => NotRotated::Failed(of_rights(call, answer)),
        _ => NotRotated::Failed(of_other(call, answer)),
    }
}

/// GitLab words a refused end in several ways; all of them name the field or the date.
fn of_request(call: &Call<'_>, answer: &Answer) -> NotRotated {
    let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    if ["expires_at", "expiration date", "must be before"].iter().any(|words| text.contains(words)) {
        return NotRotated::EndRefused { limit: date_in(&text) };
    }
    if text.contains("revoked") {
        return NotRotated::Failed(RenewError::Rejected);
    }
    let message = format!("{} refused to rotate this token (400).", call.host());
    NotRotated::Failed(RenewError::Refused { reason: Reason::ProviderError, message })
}

fn of_rights(call: &Call<'_>, answer: &Answer) -> RenewError {
    match call.refusal(answer) {
        InspectError::Denied if knows_the_token(answer) => RenewError::Refused {
            reason: Reason::InsufficientScope,
            message: "To rotate itself, the token needs the scope self_rotate, which it does not have."
                .into(),
        },
        InspectError::Denied => RenewError::Refused {
            reason: Reason::InsufficientRole,
            message: format!("{} does not let this token's account rotate it.", call.host()),
        },
        refusal => of_question(&refusal),
    }
}

/// A bare 401 is no death: the token lived a moment ago, and GitLab says so to tokens at the wrong place.
fn of_other(call: &Call<'_>, answer: &Answer) -> RenewError {
    match call.refusal(answer) {
        InspectError::TokenInvalid { .. } => RenewError::Refused {
            reason: Reason::ProviderError,
            message: format!("{} takes this token, but not to rotate itself (401).", call.host()),
        },
        refusal => of_question(&refusal),
    }
}
