//! What each kind of failure leads to. None of them deletes anything.

use super::schedule;
use crate::{
    domain::{Connection, Credential, Reason, RenewalKind},
    providers::RenewError,
    store::{RenewalFailure, RenewalOutcome},
};
use time::{Duration, OffsetDateTime};

/// What to note of a failed renewal. `in_doubt`: an attempt with this credential was sent and its answer
/// never understood, so a rejection now means that the answer was lost, not that a person withdrew the grant.
pub(super) fn consequence(
    error: &RenewError,
    connection: &Connection,
    in_doubt: bool,
    now: OffsetDateTime,
    chance: f64,
) -> (RenewalOutcome, RenewalFailure) {
    let facts = &connection.credential;
    let message = error.to_string();
    let failures = facts.failure.as_ref().map_or(0, |f| f.attempts) + 1;
    let later = |retry_after| Some(now + schedule::back_off(failures, retry_after, chance));
    let noted = |code, next_attempt_at, stopped| RenewalFailure { code, message, next_attempt_at, stopped };
    match error {
        RenewError::Rejected => {
            let code = rejected(facts.renewal, in_doubt);
            // Who asks before the planned time learns nothing that lets it be given up sooner.
            let planned = facts.failure.as_ref().and_then(|f| f.next_attempt_at).filter(|at| *at > now);
            let confirm = || schedule::confirm_after(facts.rejections + 1, in_doubt).map(|wait| now + wait);
            let next = planned.or_else(confirm);
            (RenewalOutcome::Rejected, noted(code, next, next.is_none().then_some(code)))
        }
        RenewError::Unavailable { trouble, retry_after, .. } => {
            let asked = retry_after.and_then(|d| Duration::try_from(d).ok());
            let outcome =
                if trouble.leaves_doubt() { RenewalOutcome::Uncertain } else { RenewalOutcome::Unavailable };
            (outcome, noted(trouble.reason(), later(asked), None))
        }
        RenewError::Misconfigured { .. } => {
            (RenewalOutcome::Misconfigured, noted(Reason::IntegrationMisconfigured, later(None), None))
        }
        RenewError::Uncertain { .. } => {
            (RenewalOutcome::Uncertain, noted(Reason::ProviderError, later(None), None))
        }
        // The token lives on, so the connection does; asking again soon would bring the same answer.
        RenewError::Refused { reason, .. } => {
            (RenewalOutcome::Refused, noted(*reason, later(Some(Duration::DAY)), None))
        }
        RenewError::NeedsPerson => (RenewalOutcome::Rejected, noted(Reason::TokenExpired, None, None)),
    }
}

fn rejected(renewal: RenewalKind, in_doubt: bool) -> Reason {
    match renewal {
        _ if in_doubt => Reason::RenewalAnswerLost,
        RenewalKind::Refresh => Reason::GrantRevoked,
        RenewalKind::SelfRotate | RenewalKind::Manual => Reason::TokenRevoked,
    }
}

/// What to note where an answer broke off and one of the two tokens came. An access token is kept for as long
/// as it lives, and its refresh token is gone. A refresh token is spent as soon as may be.
pub(super) fn partly_lost(
    old: &Credential,
    part: &Credential,
    why: &str,
    now: OffsetDateTime,
) -> RenewalFailure {
    if !part.has_same_refresh_token(old) {
        let message = format!("The provider renewed the token, but its answer broke off. {why}");
        return RenewalFailure {
            code: Reason::ProviderError,
            message,
            next_attempt_at: Some(now),
            stopped: None,
        };
    }
    let message = "The provider renewed the token, but its answer broke off before the refresh token. The access \
                   token works until it ends; then somebody must reauthorize.";
    RenewalFailure {
        code: Reason::RenewalAnswerLost,
        message: message.to_owned(),
        next_attempt_at: None,
        stopped: None,
    }
}

/// Whether the refresh token of this connection was lost in an answer that broke off.
pub(super) fn is_partly_lost(connection: &Connection) -> bool {
    connection.credential.failure.as_ref().is_some_and(|failure| failure.code == Reason::RenewalAnswerLost)
}
