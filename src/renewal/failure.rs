//! What each kind of failure leads to. None of them deletes anything.

use super::schedule;
use crate::{
    domain::{Connection, Failure, Reason},
    providers::RenewError,
    store::{RenewalFailure, RenewalOutcome},
};
use time::{Duration, OffsetDateTime};

/// What to note of a failed renewal. `after_doubt`: an attempt before this one was sent without an answer,
/// so a rejection now means that the answer was lost, not that a person withdrew the grant.
pub(super) fn consequence(
    error: &RenewError,
    connection: &Connection,
    after_doubt: bool,
    now: OffsetDateTime,
    chance: f64,
) -> (RenewalOutcome, RenewalFailure) {
    let message = error.to_string();
    let in_a_row = attempts(connection.credential.failure.as_ref(), error) + 1;
    let later = |retry_after| Some(now + schedule::back_off(in_a_row, retry_after, chance));
    let noted = |code, next_attempt_at, stopped| RenewalFailure { code, message, next_attempt_at, stopped };
    match error {
        RenewError::Rejected => {
            let lost = after_doubt || was_in_doubt(connection);
            let code = if lost { Reason::RenewalAnswerLost } else { Reason::GrantRevoked };
            let next = schedule::confirm_after(in_a_row).map(|wait| now + wait);
            (RenewalOutcome::Rejected, noted(code, next, next.is_none().then_some(code)))
        }
        RenewError::Unavailable { reason, retry_after, .. } => {
            let asked = retry_after.and_then(|d| Duration::try_from(d).ok());
            (RenewalOutcome::Unavailable, noted(*reason, later(asked), None))
        }
        RenewError::Misconfigured { .. } => {
            (RenewalOutcome::Misconfigured, noted(Reason::IntegrationMisconfigured, later(None), None))
        }
        RenewError::Uncertain { .. } => {
            (RenewalOutcome::Uncertain, noted(Reason::RenewalAnswerLost, later(None), None))
        }
        RenewError::NeedsPerson => (RenewalOutcome::Rejected, noted(Reason::TokenExpired, None, None)),
    }
}

/// Failures of the same sort in a row before this one: a rejection is not confirmed by time-outs.
fn attempts(before: Option<&Failure>, error: &RenewError) -> i64 {
    let rejected = |code| matches!(code, Reason::GrantRevoked | Reason::RenewalAnswerLost);
    match (before, error) {
        (Some(failure), RenewError::Rejected) if !rejected(failure.code) => 0,
        (Some(failure), _) => failure.attempts,
        (None, _) => 0,
    }
}

fn was_in_doubt(connection: &Connection) -> bool {
    connection.credential.failure.as_ref().is_some_and(|f| f.code == Reason::RenewalAnswerLost)
}
