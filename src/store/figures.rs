//! What an operator watches, as numbers. No name, id or address of anybody leaves with them.
//!
//! Rows of connections are read one by one and not counted in SQL: that also tells of those that cannot be read. The
//! rest is one aggregate each, over an index or a small table.

use super::{
    Store, StoreError,
    connections::{ConnectionRow, select_connections},
    db::on,
    outbox::MAIL,
    rows::{Reader, micros},
};
use crate::domain::{Connection, RenewalKind, Status};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// For how many days ahead ends are counted.
pub const EXPIRING_WITHIN_DAYS: [i64; 3] = [1, 7, 30];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub connections: ConnectionFigures,
    pub renewals: RenewalFigures,
    pub revocations_owed: i64,
    pub webhooks: NoticeFigures,
    pub mail: NoticeFigures,
}

/// Of notices that are not delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeFigures {
    pub waiting: i64,
    /// Since when the oldest of them waits.
    pub longest: Option<OffsetDateTime>,
    /// Given up, and kept for a while so that somebody can see it.
    pub dead: i64,
}

/// Of connections, counted at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFigures {
    by_status: BTreeMap<Status, i64>,
    /// Rows that this version does not understand.
    pub unreadable: i64,
    soonest_end: BTreeMap<RenewalKind, OffsetDateTime>,
    /// Tokens that work, that nobody renews, and that end within [`EXPIRING_WITHIN_DAYS`].
    pub expiring: [i64; EXPIRING_WITHIN_DAYS.len()],
}

/// Of the queue and the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenewalFigures {
    /// Whose time has come, also those that wait for another attempt.
    pub due: i64,
    pub longest_due: Option<OffsetDateTime>,
    /// Attempts that may have spent a token which is still held.
    pub in_doubt: i64,
}

impl ConnectionFigures {
    pub fn with(&self, status: Status) -> i64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// The soonest end of a token among connections that work, by how its next one comes.
    pub fn soonest_end(&self, renewal: RenewalKind) -> Option<OffsetDateTime> {
        self.soonest_end.get(&renewal).copied()
    }

    fn count(&mut self, connection: &Connection, now: OffsetDateTime, warn_before: Duration) {
        let status = connection.standing(now, warn_before).status;
        *self.by_status.entry(status).or_default() += 1;
        let facts = &connection.credential;
        let goes_on = status != Status::ActionRequired && facts.exported_at.is_none();
        let Some(end) = facts.expires_at.filter(|_| goes_on) else { return };
        let soonest = self.soonest_end.entry(facts.renewal).or_insert(end);
        *soonest = end.min(*soonest);
        if !facts.renewal.renews_itself() {
            for (count, days) in self.expiring.iter_mut().zip(EXPIRING_WITHIN_DAYS) {
                *count += i64::from(end - now <= Duration::days(days));
            }
        }
    }
}

impl Store {
    /// All figures as they are now, where warnings start `warn_before` the end.
    pub async fn figures(&self, now: OffsetDateTime, warn_before: Duration) -> Result<Figures, StoreError> {
        let (webhooks, mail) = self.notice_figures().await?;
        Ok(Figures {
            webhooks,
            mail,
            connections: self.connection_figures(now, warn_before).await?,
            renewals: self.renewal_figures(now).await?,
            revocations_owed: self.revocations_owed().await?,
        })
    }

    async fn connection_figures(
        &self,
        now: OffsetDateTime,
        warn_before: Duration,
    ) -> Result<ConnectionFigures, StoreError> {
        let mut figures = ConnectionFigures::default();
        on!(self.db, read, |pool| {
            let mut rows = sqlx::query_as::<_, ConnectionRow>(select_connections!("")).fetch(pool);
            while let Some(row) = rows.try_next().await? {
                match row.connection() {
                    Ok(connection) => figures.count(&connection, now, warn_before),
                    Err(_) => figures.unreadable += 1,
                }
            }
        });
        Ok(figures)
    }

    async fn renewal_figures(&self, now: OffsetDateTime) -> Result<RenewalFigures, StoreError> {
        let (due, longest_due): (i64, Option<i64>) = on!(self.db, read, |pool| {
            sqlx::query_as(
            "select count(*), min(renew_at) from credentials where stopped is null and exported_at is null and renew_at <= $1"
        )
        .bind(micros(now))
        .fetch_one(pool)
        .await?
        });
        let in_doubt = on!(self.db, read, |pool| sqlx::query_scalar(
            "select count(*)
               from renewals r
               join credentials k on k.connection_id = r.connection_id and k.generation = r.generation
              where r.outcome is null or r.outcome = 'uncertain'"
        )
        .fetch_one(pool)
        .await?);
        let longest_due =
            Reader { table: "credentials", row: "of the longest due" }.instant_if_any(longest_due)?;
        Ok(RenewalFigures { due, longest_due, in_doubt })
    }

    async fn revocations_owed(&self) -> Result<i64, StoreError> {
        Ok(on!(self.db, read, |pool| sqlx::query_scalar("select count(*) from revocations")
            .fetch_one(pool)
            .await?))
    }

    /// Of webhooks, and of mail.
    async fn notice_figures(&self) -> Result<(NoticeFigures, NoticeFigures), StoreError> {
        let waiting: Vec<(String, i64, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select channel, count(*), min(created_at)
               from deliveries where delivered_at is null and dead_at is null group by channel"
        )
        .fetch_all(pool)
        .await?);
        let dead: Vec<(String, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select channel, count(*) from deliveries where dead_at is not null group by channel"
        )
        .fetch_all(pool)
        .await?);
        let (mut webhooks, mut mail) = <(NoticeFigures, NoticeFigures)>::default();
        for (channel, count, since) in waiting {
            let figures = if channel == MAIL { &mut mail } else { &mut webhooks };
            let since = Reader { table: "deliveries", row: &channel }.instant(since)?;
            figures.waiting += count;
            figures.longest = Some(figures.longest.map_or(since, |longest| longest.min(since)));
        }
        for (channel, count) in dead {
            if channel == MAIL { &mut mail } else { &mut webhooks }.dead += count;
        }
        Ok((webhooks, mail))
    }
}
