//! What became of the notices for one endpoint, for those who ask, and one sent again.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros, tenant_from},
};
use crate::domain::{Actor, DeliveryId, EventKind, WebhookEndpointId, words};
use time::OffsetDateTime;

words! {
    /// How a delivery stands.
    pub enum DeliveryState {
        Pending = "pending",
        Delivered = "delivered",
        /// Given up; it can be sent again.
        Dead = "dead",
    }
}

/// A delivery as it is shown.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub event_id: String,
    pub kind: String,
    pub subject: Option<String>,
    pub attempts: i64,
    pub next_attempt_at: OffsetDateTime,
    pub delivered_at: Option<OffsetDateTime>,
    pub dead_at: Option<OffsetDateTime>,
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
    pub created_at: OffsetDateTime,
}

impl DeliveryRecord {
    pub fn state(&self) -> DeliveryState {
        match (self.delivered_at, self.dead_at) {
            (Some(_), _) => DeliveryState::Delivered,
            (None, Some(_)) => DeliveryState::Dead,
            (None, None) => DeliveryState::Pending,
        }
    }
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    delivery_id: String,
    event_id: String,
    kind: String,
    subject: Option<String>,
    attempts: i64,
    next_attempt_at: i64,
    delivered_at: Option<i64>,
    dead_at: Option<i64>,
    last_status: Option<i64>,
    last_error: Option<String>,
    created_at: i64,
}

impl TryFrom<RecordRow> for DeliveryRecord {
    type Error = StoreError;

    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        let read = Reader { table: "deliveries", row: &row.delivery_id };
        Ok(Self {
            id: read.word(&row.delivery_id)?,
            next_attempt_at: read.instant(row.next_attempt_at)?,
            delivered_at: read.instant_if_any(row.delivered_at)?,
            dead_at: read.instant_if_any(row.dead_at)?,
            created_at: read.instant(row.created_at)?,
            event_id: row.event_id,
            kind: row.kind,
            subject: row.subject,
            attempts: row.attempts,
            last_status: row.last_status,
            last_error: row.last_error,
        })
    }
}

impl Store {
    /// The deliveries to an endpoint, newest first, below `before`; those of one state where one is named.
    pub async fn list_deliveries(
        &self,
        endpoint: WebhookEndpointId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: i64,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let rows: Vec<RecordRow> = on!(self.db, read, |pool| {
            sqlx::query_as(
            "select delivery_id, event_id, kind, subject, attempts, next_attempt_at, delivered_at, dead_at,
                    last_status, last_error, created_at
               from deliveries
              where channel = $1
                and ($2 = '' or delivery_id < $2)
                and ($3 = '' or $3 = case when delivered_at is not null then 'delivered'
                                          when dead_at is not null then 'dead' else 'pending' end)
              order by delivery_id desc
              limit $4",
        )
        .bind(endpoint.to_string())
        .bind(before.map(|id| id.to_string()).unwrap_or_default())
        .bind(state.map_or("", DeliveryState::as_str))
        .bind(limit)
        .fetch_all(pool)
        .await?
        });
        rows.into_iter().map(DeliveryRecord::try_from).collect()
    }

    /// Sends a delivery again from its first attempt on, whatever became of it. `false`: this endpoint has
    /// none of that id, or it is disabled.
    pub async fn redeliver(
        &self,
        endpoint: WebhookEndpointId,
        delivery: DeliveryId,
        at: OffsetDateTime,
        give_up_at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        Ok(in_transaction!(self.db, |tx| {
            let again: Option<(String, String)> = sqlx::query_as(
                "update deliveries
                    set attempts = 0, next_attempt_at = $3, give_up_at = $4, delivered_at = null, dead_at = null
                  where delivery_id = $2 and channel = $1
                    and exists (select 1 from webhook_endpoints where endpoint_id = $1 and disabled_at is null)
                 returning kind, (select tenant from webhook_endpoints where endpoint_id = $1)",
            )
            .bind(endpoint.to_string())
            .bind(delivery.to_string())
            .bind(micros(at))
            .bind(micros(give_up_at))
            .fetch_optional(&mut *tx)
            .await?;
            if let Some((kind, tenant)) = &again {
                let tenant = tenant_from(tenant.clone());
                let mut told =
                    event(EventKind::WebhookRedelivered, at, endpoint.to_string(), tenant.as_deref(), actor);
                told.detail = Some(format!("{kind}, delivery {delivery}"));
                append_event!(tx, &told);
            }
            again.is_some()
        }))
    }
}
