//! Connect sessions: what a product asked for, and, for minutes, what its user brought, sealed.
//!
//! Each step is one update that asks for the step before, so that of any number of browsers and completions one goes on.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, json, micros},
};
use crate::{
    domain::{ConnectSession, ConnectSessionId, ConnectionId, Secret},
    vault::{Binding, Digest},
};
use time::OffsetDateTime;

/// The columns of [`SessionRow`].
macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "select connect_session_id, api_key_id, tenant, end_user, integration, methods, use_cases, return_url,
                    connection_id, state, error, waiting_until, created_at, expires_at
               from connect_sessions
              ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    connect_session_id: String,
    api_key_id: String,
    tenant: String,
    end_user: String,
    integration: Option<String>,
    methods: String,
    use_cases: String,
    return_url: String,
    connection_id: Option<String>,
    state: String,
    error: Option<String>,
    waiting_until: Option<i64>,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<SessionRow> for ConnectSession {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let read = Reader { table: "connect_sessions", row: &row.connect_session_id };
        Ok(Self {
            id: read.word(&row.connect_session_id)?,
            methods: read.json(&row.methods)?,
            use_cases: read.json(&row.use_cases)?,
            connection: row.connection_id.as_deref().map(|id| read.word(id)).transpose()?,
            state: read.word(&row.state)?,
            waiting_until: read.instant_if_any(row.waiting_until)?,
            created_at: read.instant(row.created_at)?,
            expires_at: read.instant(row.expires_at)?,
            api_key_id: row.api_key_id,
            tenant: row.tenant,
            end_user: row.end_user,
            integration: row.integration,
            return_url: row.return_url,
            error: row.error,
        })
    }
}

impl Store {
    /// `link`: the hash of the secret in the link.
    pub async fn add_connect_session(&self, new: &ConnectSession, link: &Digest) -> Result<(), StoreError> {
        on!(self.db, write, |pool| {
            sqlx::query(
            "insert into connect_sessions (connect_session_id, link_hash, api_key_id, tenant, end_user, integration,
                                           methods, use_cases, return_url, connection_id, state, created_at,
                                           expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(new.id.to_string())
        .bind(link)
        .bind(&new.api_key_id)
        .bind(&new.tenant)
        .bind(&new.end_user)
        .bind(&new.integration)
        .bind(json(&new.methods))
        .bind(json(&new.use_cases))
        .bind(&new.return_url)
        .bind(new.connection.map(|id| id.to_string()))
        .bind(new.state.as_str())
        .bind(micros(new.created_at))
        .bind(micros(new.expires_at))
        .execute(pool)
        .await?
        .rows_affected()
        });
        Ok(())
    }

    pub async fn connect_session(&self, id: ConnectSessionId) -> Result<Option<ConnectSession>, StoreError> {
        let row: Option<SessionRow> =
            on!(self.db, read, |pool| sqlx::query_as(select_sessions!("where connect_session_id = $1"))
                .bind(id.to_string())
                .fetch_optional(pool)
                .await?);
        row.map(ConnectSession::try_from).transpose()
    }

    pub async fn connect_session_behind(&self, link: &Digest) -> Result<Option<ConnectSession>, StoreError> {
        let row: Option<SessionRow> =
            on!(self.db, read, |pool| sqlx::query_as(select_sessions!("where link_hash = $1"))
                .bind(link)
                .fetch_optional(pool)
                .await?);
        row.map(ConnectSession::try_from).transpose()
    }

    /// Binds an open session to the first browser that acts in it. `false`: it belongs to another one, or is over.
    pub async fn bind_connect_session(
        &self,
        id: ConnectSessionId,
        binder: &Digest,
    ) -> Result<bool, StoreError> {
        let bound = on!(self.db, write, |pool| sqlx::query(
            "update connect_sessions set binder_hash = $2
              where connect_session_id = $1 and state = 'open' and (binder_hash is null or binder_hash = $2)",
        )
        .bind(id.to_string())
        .bind(binder)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(bound == 1)
    }

    /// Keeps what the person brought, sealed, until the product completes the session. `false`: it is not open.
    pub async fn keep_waiting(
        &self,
        session: &ConnectSession,
        brought: &Secret,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let row = session.id.to_string();
        let sealed = self.keyring.seal(brought.expose().as_bytes(), binding(&row, &session.return_url));
        let kept = on!(self.db, write, |pool| sqlx::query(
            "update connect_sessions set state = 'awaiting_completion', waiting = $2, waiting_until = $3
              where connect_session_id = $1 and state = 'open'",
        )
        .bind(&row)
        .bind(sealed)
        .bind(micros(until))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(kept == 1)
    }

    /// Puts a fresh handle in the place of the one before. `false`: nothing waits.
    pub async fn give_handle(&self, id: ConnectSessionId, handle: &Digest) -> Result<bool, StoreError> {
        let given = on!(self.db, write, |pool| sqlx::query(
            "update connect_sessions set handle_hash = $2
              where connect_session_id = $1 and waiting is not null",
        )
        .bind(id.to_string())
        .bind(handle)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(given == 1)
    }

    /// Whether this is the handle that was given last. It stays.
    pub async fn is_handle(&self, id: ConnectSessionId, handle: &Digest) -> Result<bool, StoreError> {
        let count: i64 = on!(self.db, read, |pool| sqlx::query_scalar(
            "select count(*) from connect_sessions where connect_session_id = $1 and handle_hash = $2"
        )
        .bind(id.to_string())
        .bind(handle)
        .fetch_one(pool)
        .await?);
        Ok(count == 1)
    }

    /// Takes what waits, once, with the handle that leads to it. How the session ends is told by
    /// [`Store::complete_connect_session`] or [`Store::fail_connect_session`]; if neither comes, it expires.
    pub async fn take_waiting(
        &self,
        session: &ConnectSession,
        handle: &Digest,
        now: OffsetDateTime,
    ) -> Result<Option<Secret>, StoreError> {
        let row = session.id.to_string();
        let sealed: Option<Option<Vec<u8>>> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select waiting from connect_sessions where connect_session_id = $1"
        )
        .bind(&row)
        .fetch_optional(pool)
        .await?);
        let taken = on!(self.db, write, |pool| {
            sqlx::query(
            "update connect_sessions
                set waiting = null, handle_hash = null
              where connect_session_id = $1 and waiting is not null and handle_hash = $2 and waiting_until > $3",
        )
        .bind(&row)
        .bind(handle)
        .bind(micros(now))
        .execute(pool)
        .await?
        .rows_affected()
        });
        let Some(sealed) = sealed.flatten().filter(|_| taken == 1) else { return Ok(None) };
        Ok(Some(self.keyring.open_secret(&sealed, binding(&row, &session.return_url))?))
    }

    pub async fn complete_connect_session(
        &self,
        id: ConnectSessionId,
        connection: ConnectionId,
    ) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update connect_sessions set state = 'completed', error = null, connection_id = $2
              where connect_session_id = $1",
        )
        .bind(id.to_string())
        .bind(connection.to_string())
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Ends a session that is not completed, and throws away what waits in it.
    pub async fn fail_connect_session(&self, id: ConnectSessionId, error: &str) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update connect_sessions set state = 'failed', error = $2, waiting = null, handle_hash = null
              where connect_session_id = $1 and state <> 'completed'",
        )
        .bind(id.to_string())
        .bind(error)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Ends a session in which the person has not connected yet. What waits in another one stays.
    pub async fn close_connect_session(&self, id: ConnectSessionId, error: &str) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update connect_sessions set state = 'failed', error = $2
              where connect_session_id = $1 and state = 'open'",
        )
        .bind(id.to_string())
        .bind(error)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Whether a session belongs to this browser.
    pub async fn is_connect_session_of(
        &self,
        id: ConnectSessionId,
        binder: &Digest,
    ) -> Result<bool, StoreError> {
        let count: i64 = on!(self.db, read, |pool| sqlx::query_scalar(
            "select count(*) from connect_sessions where connect_session_id = $1 and binder_hash = $2"
        )
        .bind(id.to_string())
        .bind(binder)
        .fetch_one(pool)
        .await?);
        Ok(count == 1)
    }
}

fn binding<'a>(row: &'a str, return_url: &'a str) -> Binding<'a> {
    Binding { table: "connect_sessions", row, field: "waiting", base_url: return_url, generation: 1 }
}
