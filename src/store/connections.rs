//! Connections with what may be told of their credentials. Nothing here opens a token.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, tenant_from},
};
use crate::domain::{BaseUrl, Breaker, Connection, ConnectionId, CredentialFacts, Failure, Scopes};
use std::collections::HashSet;

/// The columns of [`ConnectionRow`], in a join of `connections c` and `credentials k`.
macro_rules! select_connections {
    ($($rest:tt)*) => {
        concat!(
            "select c.connection_id, c.name, c.description, c.tenant, c.tags, c.integration, c.provider,
                    c.base_url, c.method, c.token_kind, c.account, c.use_cases, c.checks,
                    c.last_checked_at, c.last_used_at, c.created_at, c.updated_at,
                    k.generation, k.scopes, k.renewal, k.obtained_at, k.expires_at, k.renew_at,
                    k.last_renewed_at, k.stopped, k.failure_code, k.failure_message, k.failure_since,
                    k.failure_attempts, k.next_attempt_at, k.rejections, k.exported_at, k.access_token, k.refresh_token,
                    b.faults, b.code as fault_code, b.message as fault_message, b.opened_at, b.probe_at
               from connections c
               join credentials k on k.connection_id = c.connection_id
               left join breakers b on b.circuit = c.method || ' ' || coalesce(c.integration, c.base_url)
              ",
            $($rest)*
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
    rejections: i64,
    exported_at: Option<i64>,
    pub(super) access_token: Vec<u8>,
    pub(super) refresh_token: Option<Vec<u8>>,
    faults: Option<i64>,
    fault_code: Option<String>,
    fault_message: Option<String>,
    opened_at: Option<i64>,
    probe_at: Option<i64>,
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
            breaker: self.breaker(&read)?,
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
            rejections: self.rejections,
            exported_at: read.instant_if_any(self.exported_at)?,
        })
    }

    fn breaker(&self, read: &Reader<'_>) -> Result<Option<Breaker>, StoreError> {
        let (Some(attempts), Some(code)) = (self.faults, &self.fault_code) else { return Ok(None) };
        let failure = Failure {
            code: read.word(code)?,
            message: self.fault_message.clone().unwrap_or_default(),
            since: read.instant(self.opened_at.unwrap_or(self.updated_at))?,
            attempts,
            next_attempt_at: read.instant_if_any(self.probe_at)?,
        };
        Ok(Some(Breaker { failure, is_open: self.opened_at.is_some() }))
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

/// Which connections there are, to look many up at once.
#[derive(Debug, Default)]
pub struct AllNames {
    ids: HashSet<String>,
    names: HashSet<(String, String)>,
}

impl AllNames {
    pub fn has_id(&self, id: ConnectionId) -> bool {
        self.ids.contains(&id.to_string())
    }

    pub fn has_name(&self, name: &str, tenant: Option<&str>) -> bool {
        self.names.contains(&(tenant.unwrap_or_default().to_owned(), name.to_owned()))
    }
}

impl Store {
    /// The ids and names of all connections, as they are now.
    pub async fn all_names(&self) -> Result<AllNames, StoreError> {
        let rows: Vec<(String, String, String)> =
            on!(self.db, read, |pool| sqlx::query_as("select connection_id, tenant, name from connections")
                .fetch_all(pool)
                .await?);
        let mut all = AllNames::default();
        for (id, tenant, name) in rows {
            all.ids.insert(id);
            all.names.insert((tenant, name));
        }
        Ok(all)
    }

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
}
