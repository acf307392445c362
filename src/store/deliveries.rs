//! Notices on their way: taken when their time has come, and ended, put off or given up after an attempt.
//!
//! The rule it guards: of one subject and channel the later notice waits for the earlier one.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, micros, readable},
};
use crate::domain::DeliveryId;
use time::{Duration, OffsetDateTime};

const DELIVERED_KEPT: Duration = Duration::days(7);
const DEAD_KEPT: Duration = Duration::days(30);

/// Whether the delivery `d` may be sent at $1: its time has come, and nothing of its subject goes before it.
macro_rules! is_ready {
    () => {
        "d.next_attempt_at <= $1 and d.delivered_at is null and d.dead_at is null
         and not exists (
             select 1 from deliveries o
              where o.channel = d.channel and o.subject = d.subject and o.event_seq < d.event_seq
                and o.delivered_at is null and o.dead_at is null)"
    };
}
pub(super) use is_ready;

/// A notice that is to be sent now.
#[derive(Debug)]
pub struct TakenDelivery {
    pub id: DeliveryId,
    pub event_seq: i64,
    pub event_id: String,
    pub body: String,
    /// With this one.
    pub attempts: i64,
    pub give_up_at: OffsetDateTime,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Attempted {
    /// The status that was answered, if one was.
    pub status: Option<u16>,
    /// What failed, as a sentence.
    pub error: Option<String>,
    pub end: AttemptEnd,
}

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    Delivered,
    TryAgainAt(OffsetDateTime),
    GivenUp,
}

#[derive(sqlx::FromRow)]
struct TakenRow {
    delivery_id: String,
    event_seq: i64,
    event_id: String,
    body: String,
    attempts: i64,
    give_up_at: i64,
}

impl TryFrom<TakenRow> for TakenDelivery {
    type Error = StoreError;

    fn try_from(row: TakenRow) -> Result<Self, StoreError> {
        let read = Reader { table: "deliveries", row: &row.delivery_id };
        Ok(Self {
            id: read.word(&row.delivery_id)?,
            event_seq: row.event_seq,
            give_up_at: read.instant(row.give_up_at)?,
            event_id: row.event_id,
            body: row.body,
            attempts: row.attempts,
        })
    }
}

impl Store {
    /// What is to be sent to a channel now, oldest first. Each is put off by `hold` at once, so that two
    /// replicas do not take the same one, and so that what a crash cut off is sent again.
    pub async fn take_deliveries(
        &self,
        channel: &str,
        now: OffsetDateTime,
        hold: Duration,
        limit: i64,
    ) -> Result<Vec<TakenDelivery>, StoreError> {
        let mut rows: Vec<TakenRow> = on!(self.db, write, |pool| sqlx::query_as(concat!(
            "update deliveries set attempts = attempts + 1, next_attempt_at = $2
              where next_attempt_at <= $1 and delivered_at is null and dead_at is null
                and delivery_id in (
                    select d.delivery_id from deliveries d
                     where d.channel = $3 and ",
            is_ready!(),
            "        order by d.event_seq
                     limit $4)
             returning delivery_id, event_seq, event_id, body, attempts, give_up_at",
        ))
        .bind(micros(now))
        .bind(micros(now + hold))
        .bind(channel)
        .bind(limit)
        .fetch_all(pool)
        .await?);
        rows.sort_unstable_by_key(|row| row.event_seq);
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let id = row.delivery_id.clone();
                readable("deliveries", &id, row.try_into())
            })
            .collect())
    }

    /// Notes how an attempt ended. What was ended meanwhile in another way stays so.
    pub async fn end_attempt(
        &self,
        id: DeliveryId,
        attempted: &Attempted,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let (mut delivered_at, mut dead_at, mut next) = (None, None, None);
        match attempted.end {
            AttemptEnd::Delivered => delivered_at = Some(micros(at)),
            AttemptEnd::GivenUp => dead_at = Some(micros(at)),
            AttemptEnd::TryAgainAt(time) => next = Some(micros(time)),
        }
        on!(self.db, write, |pool| sqlx::query(
            "update deliveries
                set delivered_at = $2, dead_at = $3, next_attempt_at = coalesce($4, next_attempt_at),
                    last_status = $5, last_error = $6
              where delivery_id = $1 and delivered_at is null and dead_at is null"
        )
        .bind(id.to_string())
        .bind(delivered_at)
        .bind(dead_at)
        .bind(next)
        .bind(attempted.status.map(i64::from))
        .bind(&attempted.error)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Gives up what is too old to be of use where an endpoint rests or is paused or mail is not sent any more, and
    /// forgets what has ended long ago.
    pub async fn sweep_deliveries(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| {
            sqlx::query(
                "update deliveries set dead_at = $1
                  where give_up_at < $1 and delivered_at is null and dead_at is null
                    and (channel = 'mail'
                         or channel in (select endpoint_id from webhook_endpoints
                                         where retry_at is not null or paused_at is not null))",
            )
            .bind(micros(now))
            .execute(pool)
            .await?;
            sqlx::query(
                "delete from deliveries
                  where delivered_at < $1 or dead_at < $2
                     or channel <> 'mail' and channel not in (select endpoint_id from webhook_endpoints)",
            )
            .bind(micros(now - DELIVERED_KEPT))
            .bind(micros(now - DEAD_KEPT))
            .execute(pool)
            .await?;
        });
        Ok(())
    }
}
