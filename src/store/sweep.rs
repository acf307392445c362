//! Forgets what is over, so that tables do not grow for ever.

use super::{Store, StoreError, db::on, rows::micros};
use time::{Duration, OffsetDateTime};

/// How long the journal of renewals and the counts of hand-outs look back.
const JOURNAL_KEPT: Duration = Duration::days(90);
const USAGE_KEPT: Duration = Duration::days(400);
/// How many events are forgotten in one statement, and in one sweep.
const SWEPT_AT_ONCE: i64 = 1_000;
const MOST_SWEPT: i64 = 50_000;

impl Store {
    /// Forgets what has ended: sessions, invitations a week after their time, authorizations an hour after theirs,
    /// what nobody completed in a connect session, closed renewals and connect sessions after 90 days, hand-outs
    /// after 400, and breakers that no connection could close any more.
    pub async fn sweep(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| {
            sqlx::query("delete from sessions where expires_at <= $1")
                .bind(micros(now))
                .execute(pool)
                .await?;
            sqlx::query("delete from invitations where expires_at <= $1")
                .bind(micros(now - Duration::WEEK))
                .execute(pool)
                .await?;
            sqlx::query("delete from authorizations where expires_at <= $1")
                .bind(micros(now - Duration::HOUR))
                .execute(pool)
                .await?;
            sqlx::query("delete from single_sign_ons where expires_at <= $1")
                .bind(micros(now))
                .execute(pool)
                .await?;
            sqlx::query(
                "update connect_sessions set waiting = null, handle_hash = null
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

    /// Forgets events before this instant, the oldest first and not all at once: renewals wait for SQLite's one writer.
    /// How many.
    pub async fn sweep_events(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        for _ in 0..MOST_SWEPT / SWEPT_AT_ONCE {
            let some = on!(self.db, write, |pool| {
                sqlx::query(
                "delete from events where at < $1 and seq in (select seq from events order by seq limit $2)"
            )
            .bind(micros(before))
            .bind(SWEPT_AT_ONCE)
            .execute(pool)
            .await?
            .rows_affected()
            });
            forgotten += some;
            if some < SWEPT_AT_ONCE.unsigned_abs() {
                break;
            }
        }
        Ok(forgotten)
    }
}
