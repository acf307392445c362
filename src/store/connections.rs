//! Connections with what may be told of their credentials. Nothing here opens a token.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, json, micros, tenant_column, tenant_from},
};
use crate::domain::{
    Actor, BaseUrl, Change, Connection, ConnectionId, CredentialFacts, EventKind, Failure, Reason,
    RenewalKind, Scopes, UseCaseCheck,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Which connections to list. Empty text means any.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    pub tenant: String,
    pub integration: String,
    pub method: String,
    /// Part of the name, the account or the base URL, in any case.
    pub q: String,
}

/// What a person may change of a connection, whole.
#[derive(Clone, Debug)]
pub struct ConnectionEdit {
    pub name: String,
    pub description: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub use_cases: Vec<String>,
    pub checks: Vec<UseCaseCheck>,
    pub renewal: RenewalKind,
}

/// The columns of [`ConnectionRow`], in a join of `connections c` and `credentials k`.
macro_rules! select_connections {
    ($rest:literal) => {
        concat!(
            "select c.connection_id, c.name, c.description, c.tenant, c.tags, c.integration, c.provider,
                    c.base_url, c.method, c.token_kind, c.account, c.use_cases, c.checks,
                    c.last_checked_at, c.last_used_at, c.created_at, c.updated_at,
                    k.generation, k.scopes, k.renewal, k.obtained_at, k.expires_at, k.renew_at,
                    k.last_renewed_at, k.stopped, k.failure_code, k.failure_message, k.failure_since,
                    k.failure_attempts, k.next_attempt_at, k.access_token, k.refresh_token
               from connections c
               join credentials k on k.connection_id = c.connection_id
              ",
            $rest
        )
    };
}
pub(super) use select_connections;

#[derive(sqlx::FromRow)]
pub(super) struct ConnectionRow {
    pub(super) connection_id: String,
    name: String,
    description: Option<String>,
    tenant: String,
    tags: String,
    integration: Option<String>,
    provider: String,
    base_url: String,
    method: String,
    token_kind: String,
    account: Option<String>,
    use_cases: String,
    checks: String,
    last_checked_at: Option<i64>,
    last_used_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
    generation: i64,
    scopes: String,
    renewal: String,
    obtained_at: i64,
    expires_at: Option<i64>,
    renew_at: Option<i64>,
    last_renewed_at: Option<i64>,
    stopped: Option<String>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    failure_since: Option<i64>,
    failure_attempts: i64,
    next_attempt_at: Option<i64>,
    pub(super) access_token: Vec<u8>,
    pub(super) refresh_token: Option<Vec<u8>>,
}

impl ConnectionRow {
    pub(super) fn connection(&self) -> Result<Connection, StoreError> {
        let read = Reader { table: "connections", row: &self.connection_id };
        Ok(Connection {
            id: read.word(&self.connection_id)?,
            name: self.name.clone(),
            description: self.description.clone(),
            tenant: tenant_from(self.tenant.clone()),
            tags: read.json(&self.tags)?,
            integration: self.integration.clone(),
            provider: self.provider.clone(),
            base_url: BaseUrl::parse_configured(&self.base_url).map_err(|e| read.error(e))?,
            method: read.word(&self.method)?,
            token_kind: read.word(&self.token_kind)?,
            account: self.account.as_deref().map(|a| read.json(a)).transpose()?,
            use_cases: read.json(&self.use_cases)?,
            checks: read.json(&self.checks)?,
            credential: self.facts(&read)?,
            last_checked_at: read.instant_if_any(self.last_checked_at)?,
            last_used_at: read.instant_if_any(self.last_used_at)?,
            created_at: read.instant(self.created_at)?,
            updated_at: read.instant(self.updated_at)?,
        })
    }

    fn facts(&self, read: &Reader<'_>) -> Result<CredentialFacts, StoreError> {
        Ok(CredentialFacts {
            generation: self.generation,
            scopes: Scopes::parse(&self.scopes),
            renewal: read.word(&self.renewal)?,
            obtained_at: read.instant(self.obtained_at)?,
            expires_at: read.instant_if_any(self.expires_at)?,
            renew_at: read.instant_if_any(self.renew_at)?,
            last_renewed_at: read.instant_if_any(self.last_renewed_at)?,
            stopped: self.stopped.as_deref().map(|r| read.word(r)).transpose()?,
            failure: self.failure(read)?,
        })
    }

    fn failure(&self, read: &Reader<'_>) -> Result<Option<Failure>, StoreError> {
        let (Some(code), Some(since)) = (&self.failure_code, self.failure_since) else { return Ok(None) };
        Ok(Some(Failure {
            code: read.word(code)?,
            message: self.failure_message.clone().unwrap_or_default(),
            since: read.instant(since)?,
            attempts: self.failure_attempts,
            next_attempt_at: read.instant_if_any(self.next_attempt_at)?,
        }))
    }
}

impl Store {
    pub async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
        let row: Option<ConnectionRow> =
            on!(self.db, read, |pool| sqlx::query_as(select_connections!("where c.connection_id = $1"))
                .bind(id.to_string())
                .fetch_optional(pool)
                .await?);
        row.map(|r| r.connection()).transpose()
    }

    /// The connections of that name: of one tenant if it is given (`Some("")` for none), else of all.
    pub async fn connections_named(
        &self,
        name: &str,
        tenant: Option<&str>,
    ) -> Result<Vec<Connection>, StoreError> {
        let rows: Vec<ConnectionRow> = on!(self.db, read, |pool| sqlx::query_as(select_connections!(
            "where c.name = $1 and ($2 = 0 or c.tenant = $3) order by c.connection_id limit 2"
        ))
        .bind(name)
        .bind(i64::from(tenant.is_some()))
        .bind(tenant.unwrap_or_default())
        .fetch_all(pool)
        .await?);
        rows.iter().map(ConnectionRow::connection).collect()
    }

    /// Connections, newest first, older than `before`.
    pub async fn list_connections(
        &self,
        filter: &ConnectionFilter,
        before: Option<ConnectionId>,
        limit: i64,
    ) -> Result<Vec<Connection>, StoreError> {
        let rows: Vec<ConnectionRow> = on!(self.db, read, |pool| {
            sqlx::query_as(select_connections!(
            "where ($1 = '' or c.connection_id < $1)
               and ($2 = '' or c.tenant = $2)
               and ($3 = '' or c.integration = $3)
               and ($4 = '' or c.method = $4)
               and ($5 = '' or lower(c.name) like lower($5) escape '!' or lower(c.account) like lower($5) escape '!'
                            or lower(c.base_url) like lower($5) escape '!')
             order by c.connection_id desc
             limit $6"
        ))
        .bind(before.map(|id| id.to_string()).unwrap_or_default())
        .bind(&filter.tenant)
        .bind(&filter.integration)
        .bind(&filter.method)
        .bind(like_pattern(&filter.q))
        .bind(limit)
        .fetch_all(pool)
        .await?
        });
        rows.iter().map(ConnectionRow::connection).collect()
    }

    /// Changes what a person may change. `false`: the connection is gone.
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
                sqlx::query(
                    "update credentials set renewal = $2 where connection_id = $1 and renewal <> 'refresh'",
                )
                .bind(was.id.to_string())
                .bind(edit.renewal.as_str())
                .execute(&mut *tx)
                .await?;
                append_event!(tx, &told);
            }
            changed == 1
        });
        self.tell(&Change::Connection(was.id));
        Ok(changed)
    }

    /// Keeps what a check found out about the account and the use cases.
    pub async fn keep_check(
        &self,
        checked: &Connection,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let told = event(EventKind::Checked, at, checked.id, checked.tenant.as_deref(), actor);
        in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update credentials
                    set scopes = $3, expires_at = $4
                  where connection_id = $1 and generation = $2",
            )
            .bind(checked.id.to_string())
            .bind(checked.credential.generation)
            .bind(checked.credential.scopes.to_string())
            .bind(checked.credential.expires_at.map(micros))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 1 {
                sqlx::query(FORGET_FAILED_CHECK).bind(checked.id.to_string()).execute(&mut *tx).await?;
                sqlx::query(
                    "update connections set account = $2, checks = $3, last_checked_at = $4
                      where connection_id = $1",
                )
                .bind(checked.id.to_string())
                .bind(checked.account.as_ref().map(json))
                .bind(json(&checked.checks))
                .bind(micros(at))
                .execute(&mut *tx)
                .await?;
                append_event!(tx, &told);
            }
        });
        self.tell(&Change::Connection(checked.id));
        Ok(())
    }
}

/// A failed renewal has its next attempt; what has none is a failed check, which a good one ends.
const FORGET_FAILED_CHECK: &str = "update credentials
    set failure_code = null, failure_message = null, failure_since = null, failure_attempts = 0
  where connection_id = $1 and next_attempt_at is null";

impl Store {
    /// Notes that a check could not be made, unless a renewal is failing, which says more. The credential
    /// stays as it is.
    pub async fn note_failed_check(
        &self,
        was: &Connection,
        code: Reason,
        message: &str,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update credentials
                set failure_code = $3, failure_message = $4, failure_since = coalesce(failure_since, $5),
                    failure_attempts = failure_attempts + 1
              where connection_id = $1 and generation = $2 and next_attempt_at is null",
        )
        .bind(was.id.to_string())
        .bind(was.credential.generation)
        .bind(code.as_str())
        .bind(message)
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
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
                              method, token_kind, account, use_cases, checks, last_checked_at, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)";

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
        credential: &crate::domain::Credential,
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

/// `%text%` with the text's own wildcards taken literally. Its case is the database's to fold, as it folds the
/// columns': SQLite knows ASCII alone.
fn like_pattern(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
