//! What a check found, and that one could not be made. Each writes its events in the same transaction.

use super::{
    Store, StoreError,
    connection_changes::account_name,
    db::in_transaction,
    events::{append_event, append_if_any, event, turn},
    rows::{json, micros},
};
use crate::domain::{Actor, Change, Connection, Event, EventKind, Failure, Reason, RenewalKind};
use time::OffsetDateTime;

impl Store {
    /// Keeps what a check found out about the account and the use cases. A token that only a person renews
    /// and that works after all is taken back. A check of our own that finds all as it was writes no event.
    pub async fn keep_check(
        &self,
        was: &Connection,
        checked: &Connection,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let next = found_well(checked);
        let turned = turn(was, &next, at, actor);
        let told = (asked_for(actor) || (turned.is_none() && differ(was, &next)))
            .then(|| event(EventKind::Checked, at, checked.id, checked.tenant.as_deref(), actor));
        in_transaction!(self.db, |tx| {
            sqlx::query(
                "update connections set account = $2, checks = $3, last_checked_at = $4, account_name = $5
                  where connection_id = $1",
            )
            .bind(checked.id.to_string())
            .bind(checked.account.as_ref().map(json))
            .bind(json(&checked.checks))
            .bind(micros(at))
            .bind(account_name(checked.account.as_ref()))
            .execute(&mut *tx)
            .await?;
            let changed = sqlx::query(
                "update credentials
                    set scopes = $3, expires_at = $4, stopped = case when renewal <> 'refresh' then null else stopped end
                  where connection_id = $1 and generation = $2",
            )
            .bind(checked.id.to_string())
            .bind(checked.credential.generation)
            .bind(checked.credential.scopes.to_string())
            .bind(checked.credential.expires_at.map(micros))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 0 {
                return Ok(());
            }
            sqlx::query(FORGET_FAILED_CHECK).bind(checked.id.to_string()).execute(&mut *tx).await?;
            append_if_any!(tx, &told);
            append_if_any!(tx, &turned);
        });
        self.tell(&Change::Connection(checked.id));
        Ok(())
    }

    /// Notes that a check could not be made, unless a renewal is failing, which says more. The credential
    /// stays as it is. A check of our own that fails as the one before writes no event.
    pub async fn note_failed_check(
        &self,
        was: &Connection,
        code: Reason,
        message: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut failing = was.clone();
        failing.credential.failure = was.credential.failure.clone().or_else(|| {
            Some(Failure { code, message: message.to_owned(), since: at, attempts: 1, next_attempt_at: None })
        });
        let turned = turn(was, &failing, at, actor);
        let is_news = turned.is_none() && self::code(was) != Some(code);
        let told = (asked_for(actor) || is_news).then(|| Event {
            detail: Some(message.to_owned()),
            ..event(EventKind::Checked, at, was.id, was.tenant.as_deref(), actor)
        });
        in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update credentials
                    set failure_code = $3, failure_message = $4, failure_since = coalesce(failure_since, $5),
                        failure_attempts = failure_attempts + 1
                  where connection_id = $1 and generation = $2 and next_attempt_at is null
                    and (failure_code is null or failure_code <> 'renewal_answer_lost')",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(code.as_str())
            .bind(message)
            .bind(micros(at))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 1 {
                append_if_any!(tx, &told);
                append_if_any!(tx, &turned);
            }
        });
        self.tell(&Change::Connection(was.id));
        Ok(())
    }
}

/// A connection as a check that could be made leaves it.
fn found_well(checked: &Connection) -> Connection {
    let mut connection = checked.clone();
    let facts = &mut connection.credential;
    if facts.renewal != RenewalKind::Refresh {
        facts.stopped = None;
    }
    facts.failure = facts.failure.take().filter(|failure| !is_of_a_check(failure));
    connection
}

/// A failed renewal has its next attempt; what has none is a failed check, which a good one ends. A refresh
/// token that was lost is no check's business: the access token works without it, for as long as it lives.
fn is_of_a_check(failure: &Failure) -> bool {
    failure.next_attempt_at.is_none() && failure.code != Reason::RenewalAnswerLost
}

const FORGET_FAILED_CHECK: &str = "update credentials
    set failure_code = null, failure_message = null, failure_since = null, failure_attempts = 0
  where connection_id = $1 and next_attempt_at is null and failure_code <> 'renewal_answer_lost'";

/// Whether a person, or a program, wanted to know: then the log says that it was looked.
fn asked_for(actor: &Actor) -> bool {
    !matches!(actor, Actor::Mooring)
}

/// Whether something that is shown or handed out is another after a check, so that other replicas must hear.
fn differ(was: &Connection, next: &Connection) -> bool {
    let (before, after) = (&was.credential, &next.credential);
    was.account != next.account
        || was.checks != next.checks
        || before.scopes != after.scopes
        || before.expires_at != after.expires_at
        || before.stopped != after.stopped
        || code(was) != code(next)
}

fn code(connection: &Connection) -> Option<Reason> {
    connection.credential.failure.as_ref().map(|failure| failure.code)
}
