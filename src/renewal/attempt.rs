//! One attempt, under the lease: journal, provider, fenced write, event.

use super::{
    RenewalError, Renewals,
    engine::{How, Landed, Need},
    failure,
    journal::Journal,
};
use crate::{
    domain::{Connection, ConnectionId, Credential, RenewalId, RenewalKind, credential::lasts},
    failpoint,
    providers::RenewError,
    store::{Held, RenewalCause, RenewalFailure, RenewalOutcome},
};
use time::{Duration, OffsetDateTime};
use tracing::{Instrument, Span, field::Empty};

impl Renewals {
    /// Rule 2 again: what was read before the lease may be old by now. And what a crash left open comes first.
    pub(super) async fn renew_under_lease(
        &self,
        id: ConnectionId,
        need: Need,
        cause: RenewalCause,
    ) -> Result<Landed, RenewalError> {
        self.recover_one(id).await?;
        let held = self.read(id).await?;
        if self.meets(&held, need) {
            return Ok(Landed::new(held, How::AsKept));
        }
        self.may_renew(&held.connection, cause)?;
        if held.connection.credential.renewal == RenewalKind::SelfRotate {
            self.settle_rotation(&held).await?;
        }
        self.pass_breaker(&held.connection, cause).await?;
        let attempt = self.store.begin_renewal(&held.connection, cause, self.clock.now()).await?;
        failpoint::pass("intent");
        let span = span(&held.connection, cause);
        self.attempt(held, attempt).instrument(span).await
    }

    /// What a journal's entry was made for.
    async fn attempt(&self, held: Held, attempt: RenewalId) -> Result<Landed, RenewalError> {
        let id = held.connection.id;
        // A slow database, or a process that stood still, may have used the lease up.
        if !self.take_lease_anew(&held.connection).await {
            Span::current().record("outcome", RenewalOutcome::Unavailable.as_str());
            self.store.close_renewal(attempt, RenewalOutcome::Unavailable, self.clock.now()).await?;
            return Err(RenewalError::Busy);
        }
        let asked = self.ask(&held, attempt).await;
        if let Err(error) = self.heard(&held.connection, asked.as_ref().map(drop).map_err(|f| &f.error)).await
        {
            tracing::error!(connection = %id, %error, "what a renewal tells of its integration could not be noted");
        }
        match asked {
            Ok(next) => self.commit(held, attempt, next, None).await,
            Err(Failed { error, partial: Some(part), .. })
                if is_worth_keeping(&held.credential, &part, &error, self.clock.now()) =>
            {
                let now = self.clock.now();
                let lost = failure::partly_lost(&held.credential, &part, &error.to_string(), now);
                self.commit(held, attempt, part, Some(lost)).await
            }
            Err(failed) => return Err(self.note_failure(&held, attempt, &failed).await),
        }
        .map(|held| Landed::new(held, How::Renewed))
    }

    /// Asks the provider, and once more if the first request went out without an answer: see [`Failed`].
    async fn ask(&self, held: &Held, attempt: RenewalId) -> Result<Credential, Failed> {
        let connection = &held.connection;
        let keep = Journal::new(self, connection, attempt);
        let instance = self
            .instances
            .of(connection)
            .map_err(|e| Failed::clearly(RenewError::Misconfigured { message: e.to_string() }))?;
        let account = connection.account.as_ref();
        let renew = async |old: &Credential| {
            self.provider.renew(&instance, old, account, &keep, self.clock.now()).await
        };
        let (message, part) = match renew(&held.credential).await {
            Ok(next) => return Ok(next),
            Err(RenewError::Uncertain { message, partial }) => (message, partial.map(|part| *part)),
            Err(error) => return Err(Failed::clearly(error)),
        };
        tracing::warn!(connection = %connection.id, message, "a renewal was sent and not answered");
        if connection.credential.renewal == RenewalKind::SelfRotate || !self.take_lease_anew(connection).await
        {
            return Err(Failed::uncertain(message, part));
        }
        match renew(part.as_ref().unwrap_or(&held.credential)).await {
            Ok(next) => Ok(next),
            Err(RenewError::Uncertain { message, partial }) => {
                Err(Failed::uncertain(message, partial.map(|part| *part).or(part)))
            }
            Err(error) => Err(Failed { error, in_doubt: true, partial: part }),
        }
    }

    async fn take_lease_anew(&self, connection: &Connection) -> bool {
        match self.extend_lease(connection).await {
            Ok(ours) => ours,
            Err(error) => {
                tracing::warn!(connection = %connection.id, %error, "the lease could not be kept; nothing is sent again");
                false
            }
        }
    }

    async fn note_failure(&self, held: &Held, attempt: RenewalId, failed: &Failed) -> RenewalError {
        let connection = &held.connection;
        let now = self.clock.now();
        let in_doubt = failed.in_doubt || self.is_in_doubt(connection, attempt).await;
        let (outcome, noted) = failure::consequence(&failed.error, connection, in_doubt, now, rand::random());
        // What the second call said does not take back the doubt that the first one left.
        let outcome = if failed.in_doubt { RenewalOutcome::Uncertain } else { outcome };
        let noted = match failed.error {
            RenewError::Uncertain { .. } if connection.credential.renewal == RenewalKind::SelfRotate => {
                self.after_unanswered_rotation(held, noted).await
            }
            _ => noted,
        };
        self.tally.count(outcome);
        Span::current().record("outcome", outcome.as_str());
        tracing::warn!(connection = %connection.id, outcome = %outcome, message = noted.message, "a renewal failed");
        let written = match failed.error {
            RenewError::Misconfigured { .. } => {
                self.store.fail_with_circuit(connection, attempt, outcome, &noted, now).await
            }
            _ => self.store.fail_renewal(connection, attempt, outcome, &noted, now).await,
        };
        if let Err(e) = written {
            tracing::error!(connection = %connection.id, error = %e, "a failed renewal could not be noted");
        }
        RenewalError::of(noted)
    }

    /// Whether this credential may be spent although no answer said so.
    async fn is_in_doubt(&self, connection: &Connection, attempt: RenewalId) -> bool {
        let partly_lost = failure::is_partly_lost(connection);
        partly_lost
            || self.store.doubtful_since(connection, Some(attempt)).await.is_ok_and(|since| since.is_some())
    }
}

/// Tells of the integration, and of nobody's connection.
fn span(connection: &Connection, cause: RenewalCause) -> Span {
    let integration = connection.integration.as_deref().unwrap_or("typed");
    let (renews, cause) = (connection.credential.renewal.as_str(), cause.as_str());
    tracing::info_span!("renewal", integration, renews, cause, outcome = Empty)
}

/// A renewal without a whole credential. A refresh that was sent and not answered is sent once more: if the
/// first request was processed, its successor is lost already; if it was not, the second one works. A rotation
/// is never sent again.
struct Failed {
    error: RenewError,
    /// A request went out in this attempt whose outcome is not known.
    in_doubt: bool,
    /// What could be had of an answer that broke off: one of the two tokens.
    partial: Option<Credential>,
}

impl Failed {
    fn clearly(error: RenewError) -> Self {
        Self { error, in_doubt: false, partial: None }
    }

    fn uncertain(message: String, partial: Option<Credential>) -> Self {
        let error = RenewError::Uncertain { message, partial: None };
        Self { error, in_doubt: true, partial }
    }
}

/// Whether a part of a credential is better than the old one: its access token lives, or its refresh token is
/// another. One refusal of that proves nothing: it is confirmed like any other.
fn is_worth_keeping(old: &Credential, part: &Credential, error: &RenewError, now: OffsetDateTime) -> bool {
    lasts(part.expires_at, now, Duration::ZERO)
        || !part.has_same_refresh_token(old)
        || !matches!(error, RenewError::Rejected)
}

impl RenewalError {
    fn of(noted: RenewalFailure) -> Self {
        match noted.stopped {
            Some(reason) => Self::Stopped(reason),
            None => Self::Failed {
                reason: noted.code,
                message: noted.message,
                next_attempt_at: noted.next_attempt_at,
            },
        }
    }
}
