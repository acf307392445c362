//! Operators' sessions, kept under the hash of their id: a stolen database holds no usable cookie.

use super::{Store, StoreError, db::on, rows::micros};
use time::{Duration, OffsetDateTime};

/// How long the journal of renewals and the counts of hand-outs look back.
const JOURNAL_KEPT: Duration = Duration::days(90);
const USAGE_KEPT: Duration = Duration::days(400);

impl Store {
    /// `false`: a session with that id is there already.
    pub async fn create_session(
        &self,
        id_hash: &[u8],
        data: &str,
        expires_at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(on!(self.db, write, |pool| sqlx::query(
            "insert into sessions (id_hash, data, expires_at) values ($1, $2, $3) on conflict do nothing"
        )
        .bind(id_hash)
        .bind(data)
        .bind(micros(expires_at))
        .execute(pool)
        .await?
        .rows_affected())
            == 1)
    }

    /// Updates only: a slow request must not bring back a session that a sign-out deleted meanwhile.
    pub async fn save_session(
        &self,
        id_hash: &[u8],
        data: &str,
        expires_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update sessions set data = $2, expires_at = $3 where id_hash = $1"
        )
        .bind(id_hash)
        .bind(data)
        .bind(micros(expires_at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// The data and the end of a session that has not ended, in microseconds since 1970.
    pub async fn load_session(
        &self,
        id_hash: &[u8],
        now: OffsetDateTime,
    ) -> Result<Option<(String, i64)>, StoreError> {
        Ok(on!(self.db, read, |pool| sqlx::query_as(
            "select data, expires_at from sessions where id_hash = $1 and expires_at > $2"
        )
        .bind(id_hash)
        .bind(micros(now))
        .fetch_optional(pool)
        .await?))
    }

    pub async fn delete_session(&self, id_hash: &[u8]) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query("delete from sessions where id_hash = $1")
            .bind(id_hash)
            .execute(pool)
            .await?
            .rows_affected());
        Ok(())
    }

    /// Forgets what has ended: sessions, authorizations an hour after their time, what nobody completed in a
    /// connect session, closed renewals and connect sessions after 90 days, hand-outs after 400, and breakers
    /// that no connection could close any more.
    pub async fn sweep(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| {
            sqlx::query("delete from sessions where expires_at <= $1")
                .bind(micros(now))
                .execute(pool)
                .await?;
            sqlx::query("delete from authorizations where expires_at <= $1")
                .bind(micros(now - Duration::HOUR))
                .execute(pool)
                .await?;
            sqlx::query(
                "update connect_sessions
                    set state = 'failed', error = 'completion_expired', waiting = null, handle_hash = null
                  where waiting_until <= $1 and waiting is not null",
            )
            .bind(micros(now))
            .execute(pool)
            .await?;
            sqlx::query("delete from connect_sessions where expires_at < $1")
                .bind(micros(now - JOURNAL_KEPT))
                .execute(pool)
                .await?;
            sqlx::query("delete from renewals where finished_at < $1")
                .bind(micros(now - JOURNAL_KEPT))
                .execute(pool)
                .await?;
            sqlx::query(
                "delete from breakers
                  where circuit not in (select c.method || ' ' || coalesce(c.integration, c.base_url)
                                          from connections c
                                          join credentials k on k.connection_id = c.connection_id
                                         where k.renewal <> 'manual')",
            )
            .execute(pool)
            .await?;
            sqlx::query("delete from usage where day < $1")
                .bind((now - USAGE_KEPT).unix_timestamp() / 86_400)
                .execute(pool)
                .await?;
        });
        Ok(())
    }
}
