//! Ended connections: gone at once, while the provider is told to kill the token until it has heard.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros, readable},
};
use crate::{
    domain::{
        Actor, BaseUrl, Change, Connection, ConnectionId, Credential, EventKind, Renewal, RevocationId,
        Secret, words,
    },
    vault::Binding,
};
use time::OffsetDateTime;

words! {
    /// What kind of token is to be revoked (RFC 7009 section 2.1).
    pub enum TokenHint {
        RefreshToken = "refresh_token",
        AccessToken = "access_token",
    }
}

/// A token that its provider has still to be told to kill.
#[derive(Debug)]
pub struct OwedRevocation {
    pub id: RevocationId,
    pub connection: ConnectionId,
    pub integration: Option<String>,
    pub provider: String,
    pub base_url: BaseUrl,
    pub hint: TokenHint,
    pub token: Secret,
    pub attempts: i64,
}

#[derive(sqlx::FromRow)]
struct RevocationRow {
    revocation_id: String,
    connection_id: String,
    integration: Option<String>,
    provider: String,
    base_url: String,
    hint: String,
    token: Vec<u8>,
    attempts: i64,
}

const OWE: &str =
    "insert into revocations (revocation_id, connection_id, integration, provider, base_url, hint,
                                            token, attempts, next_attempt_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)";

/// A credential that nobody holds any more, and where it came from.
pub struct GivenUp<'a> {
    pub connection: ConnectionId,
    pub integration: Option<&'a str>,
    pub provider: &'a str,
    pub base_url: &'a BaseUrl,
    pub credential: &'a Credential,
}

impl<'a> GivenUp<'a> {
    pub fn of(connection: &'a Connection, credential: &'a Credential) -> Self {
        Self {
            connection: connection.id,
            integration: connection.integration.as_deref(),
            provider: &connection.provider,
            base_url: &connection.base_url,
            credential,
        }
    }
}

macro_rules! owe {
    ($store:expr, $executor:expr, $given_up:expr, $at:expr) => {{
        let given_up: &GivenUp<'_> = $given_up;
        let id = RevocationId::fresh().to_string();
        let (hint, token) = to_revoke(given_up.credential);
        let base_url = given_up.base_url.as_str();
        let sealed = $store.keyring.seal(token.expose().as_bytes(), binding(&id, base_url));
        sqlx::query(OWE)
            .bind(id)
            .bind(given_up.connection.to_string())
            .bind(given_up.integration)
            .bind(given_up.provider)
            .bind(base_url)
            .bind(hint.as_str())
            .bind(sealed)
            .bind(micros($at))
            .execute($executor)
            .await?
    }};
}

impl Store {
    /// Ends a connection. The revocation of `credentials` is owed to the provider from the same moment on.
    /// `false`: it was gone, or its credential changed since it was read, or was exported.
    pub async fn disconnect(
        &self,
        was: &Connection,
        credentials: &[Credential],
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let mut told = event(EventKind::Disconnected, at, was.id, was.tenant.as_deref(), actor);
        told.detail = Some(was.name.clone());
        let ended = in_transaction!(self.db, |tx| {
            // Both rows are held before anything is compared: a renewal or an export that is just committed shows in
            // the next statement, but not in one that began to wait for it.
            sqlx::query("update connections set updated_at = updated_at where connection_id = $1")
                .bind(was.id.to_string())
                .execute(&mut *tx)
                .await?;
            sqlx::query("update credentials set generation = generation where connection_id = $1")
                .bind(was.id.to_string())
                .execute(&mut *tx)
                .await?;
            let ended = sqlx::query(
                "delete from connections
                  where connection_id = $1
                    and $2 = (select generation from credentials where connection_id = $1)
                    and $3 = (select coalesce(exported_at, 0) from credentials where connection_id = $1)",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(was.credential.exported_at.map_or(0, micros))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if ended == 1 {
                for credential in credentials {
                    owe!(self, &mut *tx, &GivenUp::of(was, credential), at);
                }
                append_event!(tx, &told);
            }
            ended == 1
        });
        self.tell(&Change::Connection(was.id));
        Ok(ended)
    }

    /// Owes a revocation of a token that is no connection's (any more).
    pub async fn owe_revocation(&self, given_up: &GivenUp<'_>, at: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| owe!(self, pool, given_up, at).rows_affected());
        Ok(())
    }

    /// Revocations whose next attempt has come. Each is put off by `hold` at once, so that two replicas
    /// do not take the same one. A row that cannot be read is passed over until its next time.
    pub async fn take_revocations(
        &self,
        now: OffsetDateTime,
        hold: time::Duration,
        limit: i64,
    ) -> Result<Vec<OwedRevocation>, StoreError> {
        let rows: Vec<RevocationRow> = on!(self.db, write, |pool| sqlx::query_as(
            "update revocations set attempts = attempts + 1, next_attempt_at = $2
              where next_attempt_at <= $1
                and revocation_id in (
                    select revocation_id from revocations
                     where next_attempt_at <= $1
                     order by next_attempt_at
                     limit $3)
             returning revocation_id, connection_id, integration, provider, base_url, hint, token, attempts",
        )
        .bind(micros(now))
        .bind(micros(now + hold))
        .bind(limit)
        .fetch_all(pool)
        .await?);
        let owed = |row: &RevocationRow| readable("revocations", &row.revocation_id, self.owed(row));
        Ok(rows.iter().filter_map(owed).collect())
    }

    fn owed(&self, row: &RevocationRow) -> Result<OwedRevocation, StoreError> {
        let read = Reader { table: "revocations", row: &row.revocation_id };
        Ok(OwedRevocation {
            id: read.word(&row.revocation_id)?,
            connection: read.word(&row.connection_id)?,
            integration: row.integration.clone(),
            provider: row.provider.clone(),
            base_url: BaseUrl::parse_configured(&row.base_url).map_err(|e| read.error(e))?,
            hint: read.word(&row.hint)?,
            token: self.keyring.open_secret(&row.token, binding(&row.revocation_id, &row.base_url))?,
            attempts: row.attempts,
        })
    }

    /// Tries an owed revocation again at `at`.
    pub async fn put_off_revocation(&self, id: RevocationId, at: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update revocations set next_attempt_at = $2 where revocation_id = $1"
        )
        .bind(id.to_string())
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Strikes a revocation off: the provider confirmed it (`detail` is `None`), or never will.
    pub async fn settle_revocation(
        &self,
        owed: &OwedRevocation,
        detail: Option<String>,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let kind = if detail.is_none() { EventKind::Revoked } else { EventKind::RevocationFailed };
        let mut told = event(kind, at, owed.connection, None, &Actor::Mooring);
        told.detail = detail;
        in_transaction!(self.db, |tx| {
            sqlx::query("delete from revocations where revocation_id = $1")
                .bind(owed.id.to_string())
                .execute(&mut *tx)
                .await?;
            append_event!(tx, &told);
        });
        Ok(())
    }
}

/// The refresh token where there is one: it takes the whole grant with it, also after the access token
/// ended, when revoking the access token would do nothing.
fn to_revoke(credential: &Credential) -> (TokenHint, &Secret) {
    match &credential.renewal {
        Renewal::Refresh(token) => (TokenHint::RefreshToken, token),
        Renewal::SelfRotate | Renewal::Manual => (TokenHint::AccessToken, &credential.access_token),
    }
}

fn binding<'a>(row: &'a str, base_url: &'a str) -> Binding<'a> {
    Binding { table: "revocations", row, field: "token", base_url, generation: 1 }
}
