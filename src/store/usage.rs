//! Hand-outs by caller and day, written in batches: a hand-out itself writes nothing.

use super::{Store, StoreError, db::in_transaction, rows::micros};
use crate::domain::ConnectionId;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Hand-outs of one connection to one caller that were counted in memory.
#[derive(Clone, Debug)]
pub struct UsageCount {
    pub connection: ConnectionId,
    pub api_key_id: String,
    pub hand_outs: i64,
    pub last_at: OffsetDateTime,
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
        let rows: Vec<(String, String, i64, i64)> = super::db::on!(self.db, read, |pool| sqlx::query_as(
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
            let reader = super::rows::Reader { table: "usage", row: &connection };
            let last_day = reader.instant(day * 86_400_000_000)?;
            Ok(KeyUse { connection: reader.word(&connection)?, name, hand_outs, last_day })
        };
        rows.into_iter().map(read).collect()
    }

    /// Hand-outs of one connection so far, by caller.
    pub async fn usage_of(&self, id: ConnectionId) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(super::db::on!(self.db, read, |pool| sqlx::query_as(
            "select api_key_id, cast(sum(hand_outs) as bigint)
               from usage
              where connection_id = $1
              group by api_key_id
              order by api_key_id",
        )
        .bind(id.to_string())
        .fetch_all(pool)
        .await?))
    }
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
