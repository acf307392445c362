//! Changes of connections: made, imported and edited. Each writes its event in the same transaction.

use super::{
    Store, StoreError,
    credentials::{Held, SealedTokens, brought},
    db::in_transaction,
    events::{append_event, event},
    rows::{json, micros, tenant_column},
};
use crate::{
    domain::{Account, Actor, Change, Connection, Credential, EventKind, Reason, RenewalKind, UseCaseCheck},
    vault::Digest,
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

/// A connection of another installation, with what only its credential's row knows.
#[derive(Clone, Debug)]
pub struct ImportedConnection {
    pub held: Held,
    /// The hash of the access token that somebody brought last. `None`: it came by consent.
    pub brought_hash: Option<Digest>,
}

impl Store {
    /// Changes what a person may change, of the connection as it `was`. `false`: nothing was changed, because the
    /// connection is gone, somebody else edited it since, or it has another credential than the one that a renewal
    /// was chosen for.
    pub async fn edit_connection(
        &self,
        was: &Connection,
        edit: &ConnectionEdit,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::Updated, at, was.id, was.tenant.as_deref(), actor);
        let changed = in_transaction!(self.db, |tx| {
            let changed = sqlx::query(EDIT)
                .bind(was.id.to_string())
                .bind(&edit.name)
                .bind(edit.description.as_deref())
                .bind(json(&edit.tags))
                .bind(json(&edit.use_cases))
                .bind(json(&edit.checks))
                .bind(micros(at))
                .bind(&was.name)
                .bind(was.description.as_deref().unwrap_or_default())
                .bind(json(&was.tags))
                .bind(json(&was.use_cases))
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
}

/// Only what an edit changes is compared: renewals and checks in between are no reason to refuse one.
const EDIT: &str = "update connections
    set name = $2, description = $3, tags = $4, use_cases = $5, checks = $6, updated_at = $7
  where connection_id = $1 and name = $8 and coalesce(description, '') = $9 and tags = $10 and use_cases = $11";

/// A refresh token keeps its renewal, whatever is chosen.
const CHOOSE_RENEWAL: &str = "update credentials
    set renewal = $3, renew_at = $4
  where connection_id = $1 and generation = $2 and renewal <> 'refresh'";

/// Once a person chose anew, the failures of the renewal before say nothing any more.
const FORGET_FAILED_RENEWAL: &str = "update credentials
    set failure_code = null, failure_message = null, failure_since = null, failure_attempts = 0,
        next_attempt_at = null, rejections = 0
  where connection_id = $1 and next_attempt_at is not null";

pub(super) fn name_taken(error: sqlx::Error) -> StoreError {
    match error.as_database_error() {
        Some(e) if e.is_unique_violation() => StoreError::NameTaken,
        _ => error.into(),
    }
}

const INSERT_CONNECTION: &str =
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

const INSERT_CREDENTIAL: &str =
    "insert into credentials (connection_id, generation, access_token, refresh_token, scopes, renewal, obtained_at,
                              expires_at, renew_at, last_renewed_at, stopped, brought_hash)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Inserts a connection with its credential, in an open transaction.
macro_rules! insert {
    ($tx:expr, $connection:expr, $credential:expr, $sealed:expr, $brought_hash:expr) => {{
        let (c, credential, sealed): (&Connection, &Credential, &SealedTokens) =
            ($connection, $credential, $sealed);
        bind_connection!(c).execute(&mut *$tx).await.map_err(name_taken)?;
        sqlx::query(INSERT_CREDENTIAL)
            .bind(c.id.to_string())
            .bind(c.credential.generation)
            .bind(&sealed.access_token)
            .bind(sealed.refresh_token.as_deref())
            .bind(credential.scopes.to_string())
            .bind(credential.renewal.kind().as_str())
            .bind(micros(credential.obtained_at))
            .bind(credential.expires_at.map(micros))
            .bind(c.credential.renew_at.map(micros))
            .bind(c.credential.last_renewed_at.map(micros))
            .bind(c.credential.stopped.map(Reason::as_str))
            .bind($brought_hash)
            .execute(&mut *$tx)
            .await?;
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
        let (at, tenant) = (connection.created_at, connection.tenant.as_deref());
        let told = event(EventKind::Connected, at, connection.id, tenant, actor);
        let sealed = self.seal_tokens(connection.id, &connection.base_url, 1, credential);
        in_transaction!(self.db, |tx| {
            insert!(tx, connection, credential, &sealed, brought(credential));
            append_event!(tx, &told);
        });
        self.tell(&Change::Connection(connection.id));
        Ok(())
    }

    /// Takes in connections of another installation as they were there, all of them or none.
    pub async fn import_connections(
        &self,
        imported: &[ImportedConnection],
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let seal = |one: &ImportedConnection| {
            let c = &one.held.connection;
            self.seal_tokens(c.id, &c.base_url, c.credential.generation, &one.held.credential)
        };
        let sealed: Vec<_> = imported.iter().map(seal).collect();
        in_transaction!(self.db, |tx| {
            for (one, sealed) in imported.iter().zip(&sealed) {
                let connection = &one.held.connection;
                insert!(tx, connection, &one.held.credential, sealed, one.brought_hash.as_deref());
                let tenant = connection.tenant.as_deref();
                append_event!(tx, &event(EventKind::Imported, at, connection.id, tenant, actor));
            }
        });
        for one in imported {
            self.tell(&Change::Connection(one.held.connection.id));
        }
        Ok(())
    }
}

/// What a search finds an account by: its user name and its name.
pub(super) fn account_name(account: Option<&Account>) -> String {
    let names = account.into_iter().flat_map(|a| [a.username.as_deref(), a.name.as_deref()]).flatten();
    names.collect::<Vec<_>>().join(" ")
}
