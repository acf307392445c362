//! How a renewal ended: the fenced write, the journal's entry and the event, in one transaction.

use super::{
    NextCredential, Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, append_if_any, event, turn},
    renewals::{RenewalOutcome, finish},
    rows::micros,
};
use crate::domain::{Actor, Change, Connection, EventKind, Failure, Reason, RenewalId, RenewalKind};
use time::OffsetDateTime;

/// What a failed renewal leaves behind.
#[derive(Clone, Debug)]
pub struct RenewalFailure {
    pub code: Reason,
    pub message: String,
    pub next_attempt_at: Option<OffsetDateTime>,
    /// Set when only a person's act brings the connection back.
    pub stopped: Option<Reason>,
}

/// What a renewal brought.
#[derive(Clone, Debug)]
pub struct Renewed<'a> {
    pub next: NextCredential<'a>,
    /// What of the answer could not be had; `None`: nothing is missing.
    pub lost: Option<RenewalFailure>,
}

impl Store {
    /// Keeps the outcome of a renewal: the fenced write, the journal's entry and the event, together.
    /// `None`: the credential was replaced, or the connection ended, while the provider was asked.
    pub async fn commit_renewal(
        &self,
        was: &Connection,
        attempt: RenewalId,
        Renewed { next, lost }: &Renewed<'_>,
        at: OffsetDateTime,
    ) -> Result<Option<i64>, StoreError> {
        let generation = was.credential.generation + 1;
        let sealed = self.seal_tokens(was.id, &was.base_url, generation, next.credential);
        let told = event(EventKind::Renewed, at, was.id, was.tenant.as_deref(), &Actor::Mooring);
        let turned = turn(was, &renewed(was, next, lost.as_ref(), at), at, &Actor::Mooring);
        let committed = in_transaction!(self.db, |tx| {
            if was.credential.renewal == RenewalKind::SelfRotate {
                // The provider's word on the new token: that it works, and when it ends.
                sqlx::query(
                    "update connections set next_check_at = $3
                      where connection_id = $1
                        and $2 = (select generation from credentials where connection_id = $1)",
                )
                .bind(was.id.to_string())
                .bind(was.credential.generation)
                .bind(micros(at))
                .execute(&mut *tx)
                .await?;
            }
            let changed = sqlx::query(
                "update credentials
                    set generation = generation + 1, access_token = $3, refresh_token = $4, scopes = $5,
                        obtained_at = $6, expires_at = $7,
                        renew_at = case when renewal <> 'manual' then $8 end, last_renewed_at = $9, stopped = null,
                        failure_code = $10, failure_message = $11,
                        failure_since = case when $10 is null then null else $9 end,
                        failure_attempts = case when $10 is null then 0 else 1 end, next_attempt_at = null,
                        rejections = 0, told_before = null, exported_at = null, exported_to = null
                  where connection_id = $1 and generation = $2",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(&sealed.access_token)
            .bind(sealed.refresh_token.as_deref())
            .bind(next.credential.scopes.to_string())
            .bind(micros(next.credential.obtained_at))
            .bind(next.credential.expires_at.map(micros))
            .bind(next.renew_at.map(micros))
            .bind(micros(at))
            .bind(lost.as_ref().map(|lost| lost.code.as_str()))
            .bind(lost.as_ref().map(|lost| lost.message.as_str()))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            let outcome = if changed == 1 { RenewalOutcome::Renewed } else { RenewalOutcome::Superseded };
            finish!(at, attempt, outcome, None, &mut *tx);
            if changed == 1 {
                append_event!(tx, &told);
                append_if_any!(tx, &turned);
            }
            changed == 1
        });
        self.tell(&Change::Connection(was.id));
        Ok(committed.then_some(generation))
    }

    /// Notes that a renewal failed, with the journal's entry. Never touches a token. From now on it is due, also if
    /// somebody asked for it before its time. A rejection before its planned time confirms nothing.
    pub async fn fail_renewal(
        &self,
        was: &Connection,
        attempt: RenewalId,
        outcome: RenewalOutcome,
        failure: &RenewalFailure,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut told = event(EventKind::RenewalFailed, at, was.id, was.tenant.as_deref(), &Actor::Mooring);
        told.detail = Some(failure.message.clone());
        let turned = turn(was, &failed(was, failure, at), at, &Actor::Mooring);
        in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update credentials
                    set failure_code = $3, failure_message = $4, failure_since = coalesce(failure_since, $5),
                        failure_attempts = failure_attempts + 1, next_attempt_at = $6, stopped = $7,
                        rejections = rejections + case when next_attempt_at > $5 then 0 else $8 end,
                        renew_at = case when renewal <> 'manual' and $6 is not null and (renew_at is null or renew_at > $5)
                                        then $5 else renew_at end
                  where connection_id = $1 and generation = $2",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(failure.code.as_str())
            .bind(&failure.message)
            .bind(micros(at))
            .bind(failure.next_attempt_at.map(micros))
            .bind(failure.stopped.map(Reason::as_str))
            .bind(i64::from(outcome == RenewalOutcome::Rejected))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            finish!(at, attempt, outcome, Some(failure.message.as_str()), &mut *tx);
            if changed == 1 {
                append_event!(tx, &told);
                append_if_any!(tx, &turned);
            }
        });
        self.tell(&Change::Connection(was.id));
        Ok(())
    }

    /// Notes that a renewal failed for a reason that is not this connection's. It stands as it stood, and others
    /// are asked with first.
    pub async fn fail_with_circuit(
        &self,
        was: &Connection,
        attempt: RenewalId,
        outcome: RenewalOutcome,
        failure: &RenewalFailure,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        in_transaction!(self.db, |tx| {
            sqlx::query(PUT_OFF)
                .bind(was.id.to_string())
                .bind(was.credential.generation)
                .bind(failure.next_attempt_at.map(micros))
                .execute(&mut *tx)
                .await?;
            finish!(at, attempt, outcome, Some(failure.message.as_str()), &mut *tx);
        });
        Ok(())
    }

    /// Lets nothing be sent for this credential in the background before `until`.
    pub async fn put_off_renewal(&self, was: &Connection, until: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(PUT_OFF)
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(Some(micros(until)))
            .execute(pool)
            .await?
            .rows_affected());
        Ok(())
    }

    /// Notes that the provider refuses this token and that only a person can bring another. An end that was told as
    /// such is not told again.
    pub async fn stop(
        &self,
        was: &Connection,
        reason: Reason,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut told = event(EventKind::ActionRequired, at, was.id, was.tenant.as_deref(), actor);
        told.detail = Some(reason.to_string());
        in_transaction!(self.db, |tx| {
            let stopped: Option<(Option<i64>,)> = sqlx::query_as(
                "update credentials set stopped = $3
                  where connection_id = $1 and generation = $2 and stopped is null
              returning told_before",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(reason.as_str())
            .fetch_optional(&mut *tx)
            .await?;
            if let Some((told_before,)) = stopped
                && !(reason == Reason::TokenExpired && told_before == Some(0))
            {
                append_event!(tx, &told);
            }
        });
        self.tell(&Change::Connection(was.id));
        Ok(())
    }
}

const PUT_OFF: &str = "update credentials
    set next_attempt_at = $3,
        renew_at = case when renewal <> 'manual' and (renew_at is null or renew_at > $3) then $3 else renew_at end
  where connection_id = $1 and generation = $2";

/// A connection as a renewal leaves it.
fn renewed(
    was: &Connection,
    next: &NextCredential<'_>,
    lost: Option<&RenewalFailure>,
    at: OffsetDateTime,
) -> Connection {
    let mut connection = was.clone();
    let facts = &mut connection.credential;
    (facts.stopped, facts.failure, facts.expires_at) = (None, None, next.credential.expires_at);
    lost.map_or(connection.clone(), |lost| failed(&connection, lost, at))
}

/// A connection as a failed renewal leaves it.
fn failed(was: &Connection, failure: &RenewalFailure, at: OffsetDateTime) -> Connection {
    let mut connection = was.clone();
    let facts = &mut connection.credential;
    facts.stopped = failure.stopped;
    facts.failure = Some(Failure {
        code: failure.code,
        message: failure.message.clone(),
        since: facts.failure.as_ref().map_or(at, |f| f.since),
        attempts: facts.failure.as_ref().map_or(0, |f| f.attempts) + 1,
        next_attempt_at: failure.next_attempt_at,
    });
    connection
}
