//! Hand-outs by caller and day, written in batches: a hand-out itself writes nothing.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    rows::{Reader, micros},
};
use crate::domain::ConnectionId;
use std::collections::BTreeMap;
use time::{Date, OffsetDateTime};

/// Hand-outs of one connection to one caller that were counted in memory.
#[derive(Clone, Debug)]
pub struct UsageCount {
    pub connection: ConnectionId,
    pub api_key_id: String,
    pub hand_outs: i64,
    pub last_at: OffsetDateTime,
}

/// What one API key got of a connection so far.
#[derive(Clone, Debug)]
pub struct KeyUsage {
    pub api_key_id: String,
    /// `None`: there is no such key any more.
    pub name: Option<String>,
    pub revoked_at: Option<OffsetDateTime>,
    pub hand_outs: i64,
    /// The last day in UTC on which it got a token.
    pub last_day: Date,
}

#[derive(sqlx::FromRow)]
struct KeyUsageRow {
    api_key_id: String,
    name: Option<String>,
    revoked_at: Option<i64>,
    hand_outs: i64,
    last_day: i64,
}

impl TryFrom<KeyUsageRow> for KeyUsage {
    type Error = StoreError;

    fn try_from(row: KeyUsageRow) -> Result<Self, StoreError> {
        let read = Reader { table: "usage", row: &row.api_key_id };
        Ok(Self {
            revoked_at: read.instant_if_any(row.revoked_at)?,
            last_day: date(&read, row.last_day)?,
            name: row.name,
            hand_outs: row.hand_outs,
            api_key_id: row.api_key_id,
        })
    }
}

/// What an API key did with one connection.
#[derive(Clone, Debug)]
pub struct KeyUse {
    pub connection: ConnectionId,
    /// The name of the connection.
    pub name: String,
    pub hand_outs: i64,
    /// The day of the last hand-out, at its beginning in UTC.
    pub last_day: OffsetDateTime,
}

const ADD: &str = "insert into usage (connection_id, api_key_id, day, hand_outs) values ($1, $2, $3, $4)
     on conflict (connection_id, api_key_id, day)
     do update set hand_outs = usage.hand_outs + excluded.hand_outs";

const CONNECTION_USED: &str = "update connections set last_used_at = $2
  where connection_id = $1 and (last_used_at is null or last_used_at < $2)";

const KEY_USED: &str = "update api_keys set last_used_at = $2
  where api_key_id = $1 and (last_used_at is null or last_used_at < $2)";

impl Store {
    /// Adds counts to those of their day. Rows are written in one order, connections first: two replicas that
    /// write at once wait for each other and never in a circle.
    pub async fn add_usage(&self, counts: &[UsageCount]) -> Result<(), StoreError> {
        let mut sorted: Vec<_> = counts.iter().collect();
        sorted.sort_by_key(|c| (c.connection, c.api_key_id.clone()));
        let used = last_of(counts, |c| c.connection.to_string());
        let using = last_of(counts, |c| c.api_key_id.clone());
        in_transaction!(self.db, |tx| {
            for (connection, last_at) in &used {
                sqlx::query(CONNECTION_USED)
                    .bind(connection)
                    .bind(micros(*last_at))
                    .execute(&mut *tx)
                    .await?;
            }
            for count in &sorted {
                sqlx::query(ADD)
                    .bind(count.connection.to_string())
                    .bind(&count.api_key_id)
                    .bind(count.last_at.unix_timestamp() / 86_400)
                    .bind(count.hand_outs)
                    .execute(&mut *tx)
                    .await?;
            }
            for (key, last_at) in &using {
                sqlx::query(KEY_USED).bind(key).bind(micros(*last_at)).execute(&mut *tx).await?;
            }
        });
        Ok(())
    }

    /// The connections of which a key got the token since then, the latest first, `limit` of them.
    pub async fn used_by_api_key(
        &self,
        api_key_id: &str,
        since: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<KeyUse>, StoreError> {
        let rows: Vec<(String, String, i64, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select u.connection_id, c.name, cast(sum(u.hand_outs) as bigint), max(u.day)
               from usage u
               join connections c on c.connection_id = u.connection_id
              where u.api_key_id = $1 and u.day >= $2
              group by u.connection_id, c.name
              order by max(u.day) desc, c.name
              limit $3",
        )
        .bind(api_key_id)
        .bind(since.unix_timestamp() / 86_400)
        .bind(limit)
        .fetch_all(pool)
        .await?);
        let read = |(connection, name, hand_outs, day): (String, String, i64, i64)| {
            let reader = Reader { table: "usage", row: &connection };
            let last_day = reader.instant(day * 86_400_000_000)?;
            Ok(KeyUse { connection: reader.word(&connection)?, name, hand_outs, last_day })
        };
        rows.into_iter().map(read).collect()
    }

    /// Hand-outs of one connection so far by API key, the one that asked last first.
    pub async fn usage_of(&self, id: ConnectionId) -> Result<Vec<KeyUsage>, StoreError> {
        let rows: Vec<KeyUsageRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select u.api_key_id, k.name, k.revoked_at, cast(sum(u.hand_outs) as bigint) as hand_outs,
                    max(u.day) as last_day
               from usage u
               left join api_keys k on k.api_key_id = u.api_key_id
              where u.connection_id = $1
              group by u.api_key_id, k.name, k.revoked_at
              order by last_day desc, u.api_key_id",
        )
        .bind(id.to_string())
        .fetch_all(pool)
        .await?);
        rows.into_iter().map(KeyUsage::try_from).collect()
    }

    /// How many API keys got the token of one connection lately.
    pub async fn count_users(&self, id: ConnectionId) -> Result<i64, StoreError> {
        Ok(on!(self.db, read, |pool| sqlx::query_scalar(
            "select count(distinct api_key_id) from usage where connection_id = $1"
        )
        .bind(id.to_string())
        .fetch_one(pool)
        .await?))
    }

    /// Hand-outs of one connection to each API key on each day from `since` on, oldest day first.
    pub async fn daily_usage_of(
        &self,
        id: ConnectionId,
        since: Date,
    ) -> Result<Vec<(String, Date, i64)>, StoreError> {
        let rows: Vec<(String, i64, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select api_key_id, day, hand_outs
               from usage
              where connection_id = $1 and day >= $2
              order by day, api_key_id",
        )
        .bind(id.to_string())
        .bind(days(since))
        .fetch_all(pool)
        .await?);
        let read = |(key, day, hand_outs): (String, i64, i64)| {
            let day = date(&Reader { table: "usage", row: &key }, day)?;
            Ok((key, day, hand_outs))
        };
        rows.into_iter().map(read).collect()
    }
}

/// Days since 1970, as the column counts them.
pub(super) fn days(date: Date) -> i64 {
    date.midnight().assume_utc().unix_timestamp() / 86_400
}

/// The day that the column tells.
pub(super) fn date(read: &Reader<'_>, days: i64) -> Result<Date, StoreError> {
    let midnight = OffsetDateTime::from_unix_timestamp(days.saturating_mul(86_400));
    Ok(midnight.map_err(|e| read.error(e))?.date())
}

/// When each was last used, in the order of the ids.
fn last_of(counts: &[UsageCount], id: impl Fn(&UsageCount) -> String) -> BTreeMap<String, OffsetDateTime> {
    let mut last = BTreeMap::new();
    for count in counts {
        let at = last.entry(id(count)).or_insert(count.last_at);
        *at = count.last_at.max(*at);
    }
    last
}
