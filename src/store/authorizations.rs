//! Authorizations under way: `state`, who may finish it, and the code verifier, sealed.
//!
//! One is consumed by a single update before the token request, so that of any number of callbacks one
//! goes on. Its outcome stays for an hour, for the same browser's reload or second click.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, micros},
};
use crate::{
    domain::{BaseUrl, Scopes, Secret},
    vault::{Binding, Digest},
};
use time::OffsetDateTime;

/// An authorization to begin. `purpose` is the starter's own JSON.
pub struct NewAuthorization {
    pub state: Digest,
    pub binder: Digest,
    pub session: Digest,
    pub integration: String,
    pub base_url: BaseUrl,
    pub redirect_uri: String,
    pub code_verifier: Secret,
    pub scopes: Scopes,
    pub purpose: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// An authorization that a callback named. It has no `Debug`: its hashes tell of a browser and a session.
pub struct Authorization {
    pub binder: Digest,
    pub session: Digest,
    pub integration: String,
    pub base_url: BaseUrl,
    pub scopes: Scopes,
    pub purpose: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub consumed_at: Option<OffsetDateTime>,
    pub outcome: Option<String>,
}

#[derive(sqlx::FromRow)]
struct AuthorizationRow {
    binder_hash: Vec<u8>,
    session_hash: Vec<u8>,
    integration: String,
    base_url: String,
    scopes: String,
    purpose: String,
    created_at: i64,
    expires_at: i64,
    consumed_at: Option<i64>,
    outcome: Option<String>,
}

impl TryFrom<AuthorizationRow> for Authorization {
    type Error = StoreError;

    fn try_from(row: AuthorizationRow) -> Result<Self, StoreError> {
        let read = Reader { table: "authorizations", row: "of that state" };
        Ok(Self {
            base_url: BaseUrl::parse_configured(&row.base_url).map_err(|e| read.error(e))?,
            scopes: Scopes::parse(&row.scopes),
            created_at: read.instant(row.created_at)?,
            expires_at: read.instant(row.expires_at)?,
            consumed_at: read.instant_if_any(row.consumed_at)?,
            binder: row.binder_hash,
            session: row.session_hash,
            integration: row.integration,
            purpose: row.purpose,
            outcome: row.outcome,
        })
    }
}

impl Store {
    pub async fn begin_authorization(&self, new: &NewAuthorization) -> Result<(), StoreError> {
        let row = hex(&new.state);
        let sealed =
            self.keyring.seal(new.code_verifier.expose().as_bytes(), verifier(&row, new.base_url.as_str()));
        on!(self.db, write, |pool| sqlx::query(
            "insert into authorizations (state_hash, binder_hash, session_hash, integration, base_url,
                                         redirect_uri, code_verifier, scopes, purpose, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(&new.state)
        .bind(&new.binder)
        .bind(&new.session)
        .bind(&new.integration)
        .bind(new.base_url.as_str())
        .bind(&new.redirect_uri)
        .bind(sealed)
        .bind(new.scopes.to_string())
        .bind(&new.purpose)
        .bind(micros(new.created_at))
        .bind(micros(new.expires_at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    pub async fn authorization(&self, state: &Digest) -> Result<Option<Authorization>, StoreError> {
        let row: Option<AuthorizationRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select binder_hash, session_hash, integration, base_url, scopes, purpose,
                    created_at, expires_at, consumed_at, outcome
               from authorizations
              where state_hash = $1",
        )
        .bind(state)
        .fetch_optional(pool)
        .await?);
        row.map(Authorization::try_from).transpose()
    }

    /// Consumes an authorization and gives out its code verifier, once. `None`: it was consumed before.
    pub async fn consume_authorization(
        &self,
        state: &Digest,
        found: &Authorization,
        at: OffsetDateTime,
    ) -> Result<Option<Secret>, StoreError> {
        let sealed: Option<Option<Vec<u8>>> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select code_verifier from authorizations where state_hash = $1"
        )
        .bind(state)
        .fetch_optional(pool)
        .await?);
        let consumed = on!(self.db, write, |pool| sqlx::query(
            "update authorizations set consumed_at = $2, code_verifier = null
              where state_hash = $1 and consumed_at is null",
        )
        .bind(state)
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        let Some(sealed) = sealed.flatten().filter(|_| consumed == 1) else { return Ok(None) };
        Ok(Some(self.keyring.open_secret(&sealed, verifier(&hex(state), found.base_url.as_str()))?))
    }

    /// Keeps how it ended, for the same browser's reload.
    pub async fn finish_authorization(&self, state: &Digest, outcome: &str) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update authorizations set outcome = $2 where state_hash = $1"
        )
        .bind(state)
        .bind(outcome)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }
}

fn verifier<'a>(row: &'a str, base_url: &'a str) -> Binding<'a> {
    Binding { table: "authorizations", row, field: "code_verifier", base_url, generation: 1 }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}
