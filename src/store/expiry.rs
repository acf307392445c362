//! Credentials that end and that nobody renews: which of them are to be told of, and that it was told.
//!
//! The mark and the event are one transaction, fenced on the generation: each warning is told once, whatever
//! the number of replicas, and a new token starts afresh.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros, readable, tenant_from},
};
use crate::domain::{Actor, ConnectionId, EventKind, Method, RenewalKind};
use time::{Duration, OffsetDateTime};

/// A credential that ends, of which something is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub connection: ConnectionId,
    pub tenant: Option<String>,
    pub generation: i64,
    pub expires_at: OffsetDateTime,
    pub method: Method,
    pub renewal: RenewalKind,
}

/// Whose end is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enders {
    /// Those that a person renews.
    Manual,
    /// Those that rotate themselves as well.
    AllButRefreshed,
}

#[derive(sqlx::FromRow)]
struct EndingRow {
    connection_id: String,
    tenant: String,
    generation: i64,
    expires_at: i64,
    method: String,
    renewal: String,
}

impl EndingRow {
    fn ending(self) -> Result<Ending, StoreError> {
        let read = Reader { table: "credentials", row: &self.connection_id };
        Ok(Ending {
            connection: read.word(&self.connection_id)?,
            expires_at: read.instant(self.expires_at)?,
            method: read.word(&self.method)?,
            renewal: read.word(&self.renewal)?,
            generation: self.generation,
            tenant: tenant_from(self.tenant),
        })
    }
}

const TOLD: &str = "update credentials
    set told_before = $3
  where connection_id = $1
    and generation = $2
    and stopped is null
    and exported_at is null
    and (told_before is null or told_before > $3)";

/// A rotation that did not come about for so long will not by itself.
const OVERDUE: Duration = Duration::hours(6);

impl Store {
    /// Working credentials that end within `before` of `now`, of whose end no warning as late as that was told;
    /// those that end first come first. A `before` of zero asks for those that have ended. Before its end, what
    /// rotates itself is no matter as long as it is not overdue.
    pub async fn ending_untold(
        &self,
        whose: Enders,
        before: Duration,
        now: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<Ending>, StoreError> {
        let rows: Vec<EndingRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select k.connection_id, c.tenant, k.generation, k.expires_at, c.method, k.renewal
               from credentials k
               join connections c on c.connection_id = k.connection_id
              where k.renewal <> 'refresh'
                and k.stopped is null
                and k.exported_at is null
                and (k.told_before is null or k.told_before > 0)
                and k.expires_at <= $1
                and (k.told_before is null or k.told_before > $2)
                and ($3 = 1 or k.renewal = 'manual')
                and ($2 = 0 or k.renewal = 'manual' or k.renew_at is null or k.renew_at <= $5)
              order by k.expires_at, k.connection_id
              limit $4",
        )
        .bind(micros(now).saturating_add(span(before)))
        .bind(span(before))
        .bind(i64::from(whose == Enders::AllButRefreshed))
        .bind(limit)
        .bind(micros(now - OVERDUE))
        .fetch_all(pool)
        .await?);
        let read = |row: EndingRow| {
            let id = row.connection_id.clone();
            readable("credentials", &id, row.ending())
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Tells of these ends, each with its sentence, and says how many were still to be told: another replica,
    /// a new token or a refusal may have been faster.
    pub async fn tell_endings(
        &self,
        kind: EventKind,
        before: Duration,
        endings: &[(Ending, String)],
        at: OffsetDateTime,
    ) -> Result<usize, StoreError> {
        let mut told = 0;
        in_transaction!(self.db, |tx| {
            for (ending, sentence) in endings {
                let changed = sqlx::query(TOLD)
                    .bind(ending.connection.to_string())
                    .bind(ending.generation)
                    .bind(span(before))
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
                if changed == 1 {
                    let tenant = ending.tenant.as_deref();
                    let mut event = event(kind, at, ending.connection, tenant, &Actor::Mooring);
                    event.detail = Some(sentence.clone());
                    append_event!(tx, &event);
                    told += 1;
                }
            }
        });
        Ok(told)
    }
}

fn span(before: Duration) -> i64 {
    i64::try_from(before.whole_microseconds()).unwrap_or(i64::MAX)
}
