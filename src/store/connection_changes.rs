//! Changes of connections: made, edited, and what a check found. Each writes its event in the same transaction.

use super::{
    Store, StoreError,
    db::in_transaction,
    events::{append_event, append_if_any, event, turn},
    rows::{json, micros, tenant_column},
};
use crate::domain::{
    Account, Actor, Change, Connection, Credential, Event, EventKind, Failure, Reason, RenewalKind,
    UseCaseCheck,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What a person may change of a connection, whole.
#[derive(Clone, Debug)]
pub struct ConnectionEdit {
    pub name: String,
    pub description: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub use_cases: Vec<String>,
    pub checks: Vec<UseCaseCheck>,
    /// `None`: it renews as before.
    pub renewal: Option<RenewalChoice>,
}

/// Another renewal, chosen for the credential of this generation and no other.
#[derive(Clone, Copy, Debug)]
pub struct RenewalChoice {
    pub kind: RenewalKind,
    pub renew_at: Option<OffsetDateTime>,
    pub generation: i64,
}

impl Store {
    /// Changes what a person may change. `false`: nothing was changed, because the connection is gone, or has
    /// another credential than the one that a renewal was chosen for.
    pub async fn edit_connection(
        &self,
        was: &Connection,
        edit: &ConnectionEdit,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::Updated, at, was.id, was.tenant.as_deref(), actor);
        let changed = in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update connections
                    set name = $2, description = $3, tags = $4, use_cases = $5, checks = $6, updated_at = $7
                  where connection_id = $1",
            )
            .bind(was.id.to_string())
            .bind(&edit.name)
            .bind(edit.description.as_deref())
            .bind(json(&edit.tags))
            .bind(json(&edit.use_cases))
            .bind(json(&edit.checks))
            .bind(micros(at))
            .execute(&mut *tx)
            .await
            .map_err(name_taken)?
            .rows_affected();
            if changed == 1 {
                if let Some(chosen) = edit.renewal {
                    let changed = sqlx::query(CHOOSE_RENEWAL)
                        .bind(was.id.to_string())
                        .bind(chosen.generation)
                        .bind(chosen.kind.as_str())
                        .bind(chosen.renew_at.map(micros))
                        .execute(&mut *tx)
                        .await?
                        .rows_affected();
                    if changed == 0 {
                        return Ok(false);
                    }
                    sqlx::query(FORGET_FAILED_RENEWAL).bind(was.id.to_string()).execute(&mut *tx).await?;
                }
                append_event!(tx, &told);
            }
            changed == 1
        });
        self.tell(&Change::Connection(was.id));
        Ok(changed)
    }

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

/// A refresh token keeps its renewal, whatever is chosen.
const CHOOSE_RENEWAL: &str = "update credentials
    set renewal = $3, renew_at = $4
  where connection_id = $1 and generation = $2 and renewal <> 'refresh'";

/// Once a person chose anew, the failures of the renewal before say nothing any more.
const FORGET_FAILED_RENEWAL: &str = "update credentials
    set failure_code = null, failure_message = null, failure_since = null, failure_attempts = 0,
        next_attempt_at = null, rejections = 0
  where connection_id = $1 and next_attempt_at is not null";

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

impl Store {
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

pub(super) fn name_taken(error: sqlx::Error) -> StoreError {
    match error.as_database_error() {
        Some(e) if e.is_unique_violation() => StoreError::NameTaken,
        _ => error.into(),
    }
}

pub(super) const INSERT_CONNECTION: &str =
    "insert into connections (connection_id, name, description, tenant, tags, integration, provider, base_url,
                              method, token_kind, account, account_name, use_cases, checks, last_checked_at,
                              created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)";

/// Binds the columns of [`INSERT_CONNECTION`].
macro_rules! bind_connection {
    ($c:expr) => {{
        let c: &$crate::domain::Connection = $c;
        sqlx::query(INSERT_CONNECTION)
            .bind(c.id.to_string())
            .bind(&c.name)
            .bind(c.description.as_deref())
            .bind(tenant_column(c.tenant.as_deref()))
            .bind(json(&c.tags))
            .bind(c.integration.as_deref())
            .bind(&c.provider)
            .bind(c.base_url.as_str())
            .bind(c.method.as_str())
            .bind(c.token_kind.as_str())
            .bind(c.account.as_ref().map(json))
            .bind(account_name(c.account.as_ref()))
            .bind(json(&c.use_cases))
            .bind(json(&c.checks))
            .bind(c.last_checked_at.map(micros))
            .bind(micros(c.created_at))
    }};
}

impl Store {
    /// Makes a connection with its first credential. The one way in for both methods.
    pub async fn add_connection(
        &self,
        connection: &Connection,
        credential: &Credential,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let told = event(
            EventKind::Connected,
            connection.created_at,
            connection.id,
            connection.tenant.as_deref(),
            actor,
        );
        let sealed = self.seal_tokens(connection.id, &connection.base_url, 1, credential);
        in_transaction!(self.db, |tx| {
            bind_connection!(connection).execute(&mut *tx).await.map_err(name_taken)?;
            sqlx::query(
                "insert into credentials (connection_id, generation, access_token, refresh_token, scopes, renewal,
                                          obtained_at, expires_at, renew_at)
                 values ($1, 1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(connection.id.to_string())
            .bind(&sealed.access_token)
            .bind(sealed.refresh_token.as_deref())
            .bind(credential.scopes.to_string())
            .bind(credential.renewal.kind().as_str())
            .bind(micros(credential.obtained_at))
            .bind(credential.expires_at.map(micros))
            .bind(connection.credential.renew_at.map(micros))
            .execute(&mut *tx)
            .await?;
            append_event!(tx, &told);
        });
        self.tell(&Change::Connection(connection.id));
        Ok(())
    }
}

/// What a search finds an account by: its user name and its name.
pub(super) fn account_name(account: Option<&Account>) -> String {
    let names = account.into_iter().flat_map(|a| [a.username.as_deref(), a.name.as_deref()]).flatten();
    names.collect::<Vec<_>>().join(" ")
}
