//! What the API shows of webhook endpoints and deliveries. No secret has a field here but where it is shown
//! once.

use crate::store::{DeliveryRecord, DeliveryState, EndpointStatus, WebhookEndpoint};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A receiver of webhooks.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub(super) struct WebhookEndpointView {
    id: String,
    url: String,
    description: Option<String>,
    /// Kinds of event, and families such as `connection.*`.
    events: Vec<String>,
    /// Null: it is told of every tenant.
    tenant: Option<String>,
    status: EndpointStatus,
    /// Why it is disabled.
    reason: Option<String>,
    /// In a row.
    failures: i64,
    /// It rests until then, and is tried with one notice after that.
    #[serde(with = "time::serde::rfc3339::option")]
    retry_at: Option<OffsetDateTime>,
    /// Notices that wait.
    pending: i64,
    /// Notices that were given up in the last 30 days.
    dead: i64,
    /// In the last seven days.
    #[serde(with = "time::serde::rfc3339::option")]
    last_delivered_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The signing secret, once: in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_…")]
    pub(super) secret: Option<String>,
}

impl From<WebhookEndpoint> for WebhookEndpointView {
    fn from(endpoint: WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            status: endpoint.status(),
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.events,
            tenant: endpoint.tenant,
            reason: endpoint.disabled_reason,
            failures: endpoint.failures,
            retry_at: endpoint.retry_at,
            pending: endpoint.pending,
            dead: endpoint.dead,
            last_delivered_at: endpoint.last_delivered_at,
            created_at: endpoint.created_at,
            secret: None,
        }
    }
}

/// A notice on its way to an endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    id: String,
    /// The `webhook-id` of every attempt.
    event_id: String,
    /// The kind of event.
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    state: DeliveryState,
    attempts: i64,
    /// Null once it is delivered or dead.
    #[serde(with = "time::serde::rfc3339::option")]
    next_attempt_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    delivered_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    dead_at: Option<OffsetDateTime>,
    /// What the endpoint answered last.
    last_status: Option<i64>,
    last_error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<DeliveryRecord> for DeliveryView {
    fn from(delivery: DeliveryRecord) -> Self {
        let state = delivery.state();
        Self {
            id: delivery.id.to_string(),
            event_id: delivery.event_id,
            kind: delivery.kind,
            subject: delivery.subject,
            state,
            attempts: delivery.attempts,
            next_attempt_at: (state == DeliveryState::Pending).then_some(delivery.next_attempt_at),
            delivered_at: delivery.delivered_at,
            dead_at: delivery.dead_at,
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            created_at: delivery.created_at,
        }
    }
}
