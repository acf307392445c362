//! Credentials: the one place where a connection's tokens are sealed and opened.
//!
//! Every write is fenced on the generation that the writer read. A stale writer changes nothing.

use super::{
    Store, StoreError,
    connection_changes::account_name,
    connections::{ConnectionRow, select_connections},
    db::{in_transaction, on},
    events::{append_event, append_if_any, event, turn},
    rows::{json, micros},
};
use crate::{
    domain::{
        Actor, BaseUrl, Change, Connection, ConnectionId, Credential, EventKind, Renewal, RenewalKind, Secret,
    },
    vault::{Binding, Digest, Keyring, VaultError, digest},
};
use time::OffsetDateTime;

/// A connection with its opened credential.
#[derive(Clone, Debug)]
pub struct Held {
    pub connection: Connection,
    pub credential: Credential,
}

/// The next credential of a connection and when to renew it in turn.
#[derive(Clone, Debug)]
pub struct NextCredential<'a> {
    pub credential: &'a Credential,
    pub renew_at: Option<OffsetDateTime>,
}

pub(super) struct SealedTokens {
    pub(super) access_token: Vec<u8>,
    pub(super) refresh_token: Option<Vec<u8>>,
}

impl Store {
    pub(super) fn seal_tokens(
        &self,
        id: ConnectionId,
        base_url: &BaseUrl,
        generation: i64,
        credential: &Credential,
    ) -> SealedTokens {
        let row = id.to_string();
        let seal = |field, secret: &Secret| {
            self.keyring.seal(secret.expose().as_bytes(), binding(&row, field, base_url.as_str(), generation))
        };
        SealedTokens {
            access_token: seal("access_token", &credential.access_token),
            refresh_token: match &credential.renewal {
                Renewal::Refresh(token) => Some(seal("refresh_token", token)),
                Renewal::SelfRotate | Renewal::Manual => None,
            },
        }
    }

    /// A connection with its tokens in the open.
    pub async fn open_credential(&self, id: ConnectionId) -> Result<Option<Held>, StoreError> {
        let row: Option<ConnectionRow> =
            on!(self.db, read, |pool| sqlx::query_as(select_connections!("where c.connection_id = $1"))
                .bind(id.to_string())
                .fetch_optional(pool)
                .await?);
        row.map(|r| held(&self.keyring, &r)).transpose()
    }

    /// Replaces a credential by one that a person brought: a pasted token, or a new consent.
    /// `None`: somebody else was faster, it was exported or taken back meanwhile, or the connection is gone.
    pub async fn replace_credential(
        &self,
        was: &Connection,
        next: &Connection,
        credential: NextCredential<'_>,
        kind: EventKind,
        actor: &Actor,
    ) -> Result<Option<i64>, StoreError> {
        let at = next.updated_at;
        let generation = was.credential.generation + 1;
        let sealed = self.seal_tokens(was.id, &was.base_url, generation, credential.credential);
        let told = event(kind, at, was.id, was.tenant.as_deref(), actor);
        let turned = turn(was, next, at, actor);
        in_transaction!(self.db, |tx| {
            // Connections before credentials, in every transaction: two that lock in turns never wait in a ring.
            sqlx::query(
                "update connections
                    set token_kind = $2, account = $3, use_cases = $4, checks = $5,
                        last_checked_at = $6, updated_at = $6, account_name = $7, next_check_at = null
                  where connection_id = $1",
            )
            .bind(was.id.to_string())
            .bind(next.token_kind.as_str())
            .bind(next.account.as_ref().map(json))
            .bind(json(&next.use_cases))
            .bind(json(&next.checks))
            .bind(micros(at))
            .bind(account_name(next.account.as_ref()))
            .execute(&mut *tx)
            .await?;
            let changed = sqlx::query(
                "update credentials
                    set generation = generation + 1, access_token = $3, refresh_token = $4, scopes = $5,
                        renewal = $6, obtained_at = $7, expires_at = $8, renew_at = $9, brought_hash = $10, stopped = null,
                        failure_code = null, failure_message = null, failure_since = null,
                        failure_attempts = 0, next_attempt_at = null, rejections = 0, told_before = null, exported_at = null, exported_to = null
                  where connection_id = $1 and generation = $2 and coalesce(exported_at, 0) = $11",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(&sealed.access_token)
            .bind(sealed.refresh_token.as_deref())
            .bind(credential.credential.scopes.to_string())
            .bind(credential.credential.renewal.kind().as_str())
            .bind(micros(credential.credential.obtained_at))
            .bind(credential.credential.expires_at.map(micros))
            .bind(credential.renew_at.map(micros))
            .bind(brought(credential.credential))
            .bind(was.credential.exported_at.map_or(0, micros))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 0 {
                return Ok(None);
            }
            append_event!(tx, &told);
            append_if_any!(tx, &turned);
        });
        self.tell(&Change::Connection(was.id));
        Ok(Some(generation))
    }

    /// Whether this is the access token that was brought last, or the one that is held now.
    pub async fn is_brought(&self, id: ConnectionId, token: &Secret) -> Result<bool, StoreError> {
        let hash: Option<Option<Vec<u8>>> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select brought_hash from credentials where connection_id = $1"
        )
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?);
        if hash.flatten() == Some(digest(token.expose())) {
            return Ok(true);
        }
        let held = self.open_credential(id).await?;
        Ok(held.is_some_and(|held| held.credential.access_token.is_same(token)))
    }

    /// Credentials whose time to renew has come, longest due first: up to `limit` of each circuit, so that one
    /// with many that hang holds up no other, and one alone where a breaker is open and may be probed. Those
    /// under a lease are left out.
    pub async fn due_for_renewal(
        &self,
        now: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let ids: Vec<String> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select connection_id
               from (select k.connection_id, k.renew_at, b.opened_at,
                            row_number() over (partition by c.method, coalesce(c.integration, c.base_url)
                                               order by k.renew_at) as place
                       from credentials k
                       join connections c on c.connection_id = k.connection_id
                       left join breakers b
                         on b.circuit = c.method || ' ' || coalesce(c.integration, c.base_url)
                      where k.stopped is null
                        and k.exported_at is null
                        and k.renew_at <= $1
                        and (k.renewal = 'refresh' or k.expires_at is null or k.expires_at > $1)
                        and (k.next_attempt_at is null or k.next_attempt_at <= $1)
                        and (k.lease_until is null or k.lease_until <= (select now from clock))
                        and (b.probe_at is null or b.probe_at <= $1)) as due
              where place <= case when opened_at is null then $2 else 16 end
              order by renew_at",
        )
        .bind(micros(now))
        .bind(limit)
        .fetch_all(pool)
        .await?);
        let read = |id: &String| super::rows::Reader { table: "credentials", row: id }.word(id);
        ids.iter().map(read).collect()
    }
}

/// The hash of an access token that somebody brought. `None`: it came by consent, and no one could bring it again.
pub(super) fn brought(credential: &Credential) -> Option<Digest> {
    let by_consent = matches!(credential.renewal, Renewal::Refresh(_));
    (!by_consent).then(|| digest(credential.access_token.expose()))
}

fn binding<'a>(row: &'a str, field: &'static str, base_url: &'a str, generation: i64) -> Binding<'a> {
    Binding { table: "credentials", row, field, base_url, generation }
}

fn held(keyring: &Keyring, row: &ConnectionRow) -> Result<Held, StoreError> {
    let connection = row.connection()?;
    let facts = &connection.credential;
    let open = |field, sealed: &[u8]| -> Result<Secret, VaultError> {
        let bound = binding(&row.connection_id, field, connection.base_url.as_str(), facts.generation);
        keyring.open_secret(sealed, bound)
    };
    let renewal = match (facts.renewal, &row.refresh_token) {
        (RenewalKind::Refresh, Some(sealed)) => Renewal::Refresh(open("refresh_token", sealed)?),
        (RenewalKind::SelfRotate, _) => Renewal::SelfRotate,
        (RenewalKind::Manual | RenewalKind::Refresh, _) => Renewal::Manual,
    };
    let credential = Credential {
        access_token: open("access_token", &row.access_token)?,
        obtained_at: facts.obtained_at,
        expires_at: facts.expires_at,
        scopes: facts.scopes.clone(),
        renewal,
    };
    Ok(Held { connection, credential })
}
