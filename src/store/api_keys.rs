//! API keys: what each may do, and the hash that proves one.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, json, like_pattern, micros, tenant_column, tenant_from},
};
use crate::{
    domain::{Actor, Change, EventKind, Permission, RequestPattern},
    vault::Digest,
};
use std::{fmt, sync::Arc};
use time::OffsetDateTime;

/// An API key as kept: never the key itself.
#[derive(Clone)]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    pub tenant: Option<String>,
    pub permissions: Vec<Permission>,
    /// The requests that it may send through the proxy. Empty: all.
    pub allow: Arc<[RequestPattern]>,
    pub digest: Digest,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
}

/// What makes a key.
#[derive(Clone)]
pub struct NewApiKey {
    pub id: String,
    pub digest: Digest,
    pub name: String,
    pub tenant: Option<String>,
    pub permissions: Vec<Permission>,
    pub allow: Arc<[RequestPattern]>,
    pub expires_at: Option<OffsetDateTime>,
}

/// Which keys are looked for.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyFilter {
    /// Those that are expired or revoked, and else those that are good.
    pub ended: bool,
    /// Part of the name, the tenant or the id, in any case. Empty text means any.
    pub q: String,
}

/// Names the key; its digest is nobody's to read.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl ApiKey {
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[derive(sqlx::FromRow)]
struct ApiKeyRow {
    api_key_id: String,
    name: String,
    tenant: String,
    permissions: String,
    allow: String,
    secret_hash: Vec<u8>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self, StoreError> {
        let read = Reader { table: "api_keys", row: &row.api_key_id };
        Ok(Self {
            permissions: read.json(&row.permissions)?,
            allow: patterns(&read, &row.allow)?,
            created_at: read.instant(row.created_at)?,
            expires_at: read.instant_if_any(row.expires_at)?,
            revoked_at: read.instant_if_any(row.revoked_at)?,
            last_used_at: read.instant_if_any(row.last_used_at)?,
            id: row.api_key_id,
            name: row.name,
            tenant: tenant_from(row.tenant),
            digest: row.secret_hash,
        })
    }
}

/// A pattern that this version does not understand allows nothing: its key cannot be read.
fn patterns(read: &Reader<'_>, column: &str) -> Result<Arc<[RequestPattern]>, StoreError> {
    let texts: Vec<String> = read.json(column)?;
    texts.iter().map(|text| read.word(text)).collect()
}

impl Store {
    pub async fn add_api_key(
        &self,
        key: &NewApiKey,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let told = event(EventKind::ApiKeyCreated, at, &key.id, key.tenant.as_deref(), actor);
        in_transaction!(self.db, |tx| {
            sqlx::query(
                "insert into api_keys (api_key_id, name, tenant, permissions, secret_hash, created_at, expires_at,
                                       allow)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&key.id)
            .bind(&key.name)
            .bind(tenant_column(key.tenant.as_deref()))
            .bind(json(&key.permissions))
            .bind(&key.digest)
            .bind(micros(at))
            .bind(key.expires_at.map(micros))
            .bind(json(&key.allow.iter().map(ToString::to_string).collect::<Vec<_>>()))
            .execute(&mut *tx)
            .await?;
            append_event!(tx, &told);
        });
        Ok(())
    }

    pub async fn api_key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let row: Option<ApiKeyRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select api_key_id, name, tenant, permissions, allow, secret_hash,
                    created_at, expires_at, revoked_at, last_used_at
               from api_keys
              where api_key_id = $1",
        )
        .bind(id)
        .fetch_optional(pool)
        .await?);
        row.map(ApiKey::try_from).transpose()
    }

    /// Keys of a filter, newest first, `limit` of them after the key `after`; from the newest on where it is empty.
    pub async fn find_api_keys(
        &self,
        filter: &ApiKeyFilter,
        after: &str,
        now: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let rows: Vec<ApiKeyRow> = on!(self.db, read, |pool| {
            sqlx::query_as(
            "select api_key_id, name, tenant, permissions, allow, secret_hash,
                    created_at, expires_at, revoked_at, last_used_at
               from api_keys
              where $1 = case when revoked_at is null and (expires_at is null or expires_at > $2)
                              then 0 else 1 end
                and ($3 = '' or lower(name) like lower($3) escape '!' or lower(tenant) like lower($3) escape '!'
                             or lower(api_key_id) like lower($3) escape '!')
                and ($4 = '' or (created_at, api_key_id) <
                                (select a.created_at, a.api_key_id from api_keys a where a.api_key_id = $4))
              order by created_at desc, api_key_id desc
              limit $5",
        )
        .bind(i64::from(filter.ended))
        .bind(micros(now))
        .bind(like_pattern(&filter.q))
        .bind(after)
        .bind(limit)
        .fetch_all(pool)
        .await?
        });
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// How many keys are good, and how many are expired or revoked.
    pub async fn count_api_keys(&self, now: OffsetDateTime) -> Result<(i64, i64), StoreError> {
        let (all, good): (i64, i64) = on!(self.db, read, |pool| sqlx::query_as(
            "select count(*),
                    count(*) filter (where revoked_at is null and (expires_at is null or expires_at > $1))
               from api_keys"
        )
        .bind(micros(now))
        .fetch_one(pool)
        .await?);
        Ok((good, all - good))
    }

    /// All keys, also revoked ones, in the order of their ids after `after`.
    pub async fn list_api_keys(&self, after: Option<&str>, limit: i64) -> Result<Vec<ApiKey>, StoreError> {
        let rows: Vec<ApiKeyRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select api_key_id, name, tenant, permissions, allow, secret_hash,
                    created_at, expires_at, revoked_at, last_used_at
               from api_keys
              where api_key_id > $1
              order by api_key_id
              limit $2",
        )
        .bind(after.unwrap_or_default())
        .bind(limit)
        .fetch_all(pool)
        .await?);
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Revokes a key; `false` if there is none, or it was revoked before.
    pub async fn revoke_api_key(
        &self,
        id: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::ApiKeyRevoked, at, id, None, actor);
        let revoked = in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update api_keys set revoked_at = $2 where api_key_id = $1 and revoked_at is null",
            )
            .bind(id)
            .bind(micros(at))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 1 {
                append_event!(tx, &told);
            }
            changed == 1
        });
        self.tell(&Change::ApiKey(id.to_owned()));
        Ok(revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_digest() {
        let key = ApiKey {
            id: "id".into(),
            name: "ci".into(),
            tenant: None,
            permissions: vec![],
            allow: Arc::default(),
            digest: vec![213],
            created_at: OffsetDateTime::UNIX_EPOCH,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        assert_eq!(format!("{key:?}"), "ApiKey { id: \"id\", name: \"ci\", .. }");
    }
}
