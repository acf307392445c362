//! Hand-outs by caller and day, written in batches: a hand-out itself writes nothing.

use super::{Store, StoreError, db::in_transaction, rows::micros};
use crate::domain::ConnectionId;
use time::OffsetDateTime;

/// Hand-outs of one connection to one caller that were counted in memory.
#[derive(Clone, Debug)]
pub struct UsageCount {
    pub connection: ConnectionId,
    pub api_key_id: String,
    pub hand_outs: i64,
    pub last_at: OffsetDateTime,
}

impl Store {
    pub async fn add_usage(&self, counts: &[UsageCount]) -> Result<(), StoreError> {
        in_transaction!(self.db, |tx| for count in counts {
            let day = count.last_at.unix_timestamp() / 86_400;
            sqlx::query(
                "insert into usage (connection_id, api_key_id, day, hand_outs) values ($1, $2, $3, $4)
                 on conflict (connection_id, api_key_id, day)
                 do update set hand_outs = usage.hand_outs + excluded.hand_outs",
            )
            .bind(count.connection.to_string())
            .bind(&count.api_key_id)
            .bind(day)
            .bind(count.hand_outs)
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "update connections set last_used_at = $2
                  where connection_id = $1 and (last_used_at is null or last_used_at < $2)",
            )
            .bind(count.connection.to_string())
            .bind(micros(count.last_at))
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "update api_keys set last_used_at = $2
                  where api_key_id = $1 and (last_used_at is null or last_used_at < $2)",
            )
            .bind(&count.api_key_id)
            .bind(micros(count.last_at))
            .execute(&mut *tx)
            .await?;
        });
        Ok(())
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
