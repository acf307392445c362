//! The log read on behind a cursor: which events are still to be told, and to whom.
//!
//! The cursor moves in the transaction that writes the deliveries, and only from where it was read. Of two
//! replicas that read the same events one moves it, and the other's deliveries are dropped with its move.

use super::{
    LoggedEvent, Store, StoreError,
    db::{in_transaction, on},
    events::EventRow,
    rows::{Reader, micros, tenant_from},
};
use crate::domain::{DeliveryId, WebhookEndpointId};
use time::OffsetDateTime;

const CURSOR: &str = "notices";

/// The channel of mails.
pub const MAIL: &str = "mail";

/// An endpoint that is told of events, and of which.
#[derive(Clone, Debug)]
pub struct Audience {
    pub endpoint: WebhookEndpointId,
    /// Kinds and families of kinds, as they were chosen.
    pub events: Vec<String>,
    /// `Some`: this tenant's events and no other.
    pub tenant: Option<String>,
}

/// A notice for one channel: an endpoint's id, or [`MAIL`].
#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub channel: String,
    pub event_seq: i64,
    pub event_id: String,
    pub kind: String,
    pub subject: Option<String>,
    /// As it will be sent.
    pub body: String,
    pub give_up_at: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct AudienceRow {
    endpoint_id: String,
    events: String,
    tenant: String,
}

impl Store {
    /// Where the cursor stands, and what is behind it, oldest first, each with its place: the event, or `None` where
    /// it cannot be read here. Such a one keeps nobody from hearing of the others.
    pub async fn untold_events(
        &self,
        limit: i64,
    ) -> Result<(i64, Vec<(i64, Option<LoggedEvent>)>), StoreError> {
        let cursor: i64 =
            on!(self.db, read, |pool| sqlx::query_scalar("select seq from cursors where name = $1")
                .bind(CURSOR)
                .fetch_one(pool)
                .await?);
        let rows: Vec<EventRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select seq, event_id, at, kind, subject, tenant, actor, detail
               from events
              where seq > $1
              order by seq
              limit $2",
        )
        .bind(cursor)
        .bind(limit)
        .fetch_all(pool)
        .await?);
        Ok((cursor, rows.into_iter().map(EventRow::readable).collect()))
    }

    /// The endpoints that are not disabled.
    pub async fn audiences(&self) -> Result<Vec<Audience>, StoreError> {
        let rows: Vec<AudienceRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select endpoint_id, events, tenant from webhook_endpoints where disabled_at is null"
        )
        .fetch_all(pool)
        .await?);
        let audience = |row: AudienceRow| {
            let read = Reader { table: "webhook_endpoints", row: &row.endpoint_id };
            Ok(Audience {
                endpoint: read.word(&row.endpoint_id)?,
                events: read.json(&row.events)?,
                tenant: tenant_from(row.tenant),
            })
        };
        rows.into_iter().map(audience).collect()
    }

    /// Moves the cursor over the events that `deliveries` tell of, and writes these. `false`: somebody else
    /// moved it meanwhile, and nothing was written.
    pub async fn pass_on(
        &self,
        (from, to): (i64, i64),
        deliveries: &[NewDelivery],
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let moved = in_transaction!(self.db, |tx| {
            let moved = sqlx::query("update cursors set seq = $2 where name = $3 and seq = $1")
                .bind(from)
                .bind(to)
                .bind(CURSOR)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if moved == 1 {
                for delivery in deliveries {
                    sqlx::query(
                        "insert into deliveries (delivery_id, channel, event_seq, event_id, kind, subject, body,
                                                 attempts, next_attempt_at, give_up_at, created_at)
                         values ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8)
                         on conflict do nothing",
                    )
                    .bind(DeliveryId::fresh().to_string())
                    .bind(&delivery.channel)
                    .bind(delivery.event_seq)
                    .bind(&delivery.event_id)
                    .bind(&delivery.kind)
                    .bind(&delivery.subject)
                    .bind(&delivery.body)
                    .bind(micros(now))
                    .bind(micros(delivery.give_up_at))
                    .execute(&mut *tx)
                    .await?;
                }
            }
            moved == 1
        });
        Ok(moved)
    }
}
