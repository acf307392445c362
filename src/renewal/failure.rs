//! What each kind of failure leads to. None of them deletes anything.

use super::schedule;
use crate::{
    domain::{Connection, Reason},
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
            let code = if in_doubt { Reason::RenewalAnswerLost } else { Reason::GrantRevoked };
            let next = schedule::confirm_after(facts.rejections + 1).map(|wait| now + wait);
            (RenewalOutcome::Rejected, noted(code, next, next.is_none().then_some(code)))
        }
        RenewError::Unavailable { trouble, retry_after, .. } => {
            let asked = retry_after.and_then(|d| Duration::try_from(d).ok());
            (RenewalOutcome::Unavailable, noted(trouble.reason(), later(asked), None))
        }
        RenewError::Misconfigured { .. } => {
            (RenewalOutcome::Misconfigured, noted(Reason::IntegrationMisconfigured, later(None), None))
        }
        RenewError::Uncertain { .. } => {
            (RenewalOutcome::Uncertain, noted(Reason::RenewalAnswerLost, later(None), None))
        }
        // The token lives on, so the connection does; asking again soon would bring the same answer.
        RenewError::Refused { reason, .. } => {
            (RenewalOutcome::Rejected, noted(*reason, later(Some(Duration::DAY)), None))
        }
        RenewError::NeedsPerson => (RenewalOutcome::Rejected, noted(Reason::TokenExpired, None, None)),
    }
}
