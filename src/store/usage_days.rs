//! Days of hand-outs that are over, and that they were told in the log: once, by whichever replica.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros, readable, tenant_from},
    usage::{date, days},
};
use crate::domain::{Actor, ConnectionId, EventKind};
use time::{Date, OffsetDateTime};

/// Hand-outs of one connection to one caller on one day in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDay {
    pub connection: ConnectionId,
    /// `None` too where the connection is gone.
    pub tenant: Option<String>,
    pub api_key_id: String,
    pub day: Date,
    pub hand_outs: i64,
}

#[derive(sqlx::FromRow)]
struct DayRow {
    connection_id: String,
    tenant: String,
    api_key_id: String,
    day: i64,
    hand_outs: i64,
}

impl DayRow {
    fn day(self) -> Result<UsageDay, StoreError> {
        let read = Reader { table: "usage", row: &self.connection_id };
        Ok(UsageDay {
            connection: read.word(&self.connection_id)?,
            day: date(&read, self.day)?,
            tenant: tenant_from(self.tenant),
            api_key_id: self.api_key_id,
            hand_outs: self.hand_outs,
        })
    }
}

const TOLD: &str = "update usage
    set told_at = $4
  where connection_id = $1 and api_key_id = $2 and day = $3 and told_at is null";

impl Store {
    /// Days before `today` of which nothing was told, oldest first.
    pub async fn untold_usage(&self, today: Date, limit: i64) -> Result<Vec<UsageDay>, StoreError> {
        let rows: Vec<DayRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select u.connection_id, coalesce(c.tenant, '') as tenant, u.api_key_id, u.day, u.hand_outs
               from usage u
               left join connections c on c.connection_id = u.connection_id
              where u.told_at is null and u.day < $1
              order by u.day, u.connection_id, u.api_key_id
              limit $2",
        )
        .bind(days(today))
        .bind(limit)
        .fetch_all(pool)
        .await?);
        let read = |row: DayRow| {
            let id = row.connection_id.clone();
            readable("usage", &id, row.day())
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Tells of these days, each with its sentence, and says how many were still to be told.
    pub async fn tell_usage(
        &self,
        usage: &[(UsageDay, String)],
        at: OffsetDateTime,
    ) -> Result<usize, StoreError> {
        let mut told = 0;
        in_transaction!(self.db, |tx| {
            for (one, sentence) in usage {
                let changed = sqlx::query(TOLD)
                    .bind(one.connection.to_string())
                    .bind(&one.api_key_id)
                    .bind(days(one.day))
                    .bind(micros(at))
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
                if changed == 1 {
                    let caller = Actor::ApiKey(one.api_key_id.clone());
                    let tenant = one.tenant.as_deref();
                    let mut event = event(EventKind::HandedOut, at, one.connection, tenant, &caller);
                    event.detail = Some(sentence.clone());
                    append_event!(tx, &event);
                    told += 1;
                }
            }
        });
        Ok(told)
    }
}
