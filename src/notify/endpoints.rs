//! What people and programs do with endpoints: add one, give it a new secret, send it a test.

use super::{
    kinds::{Kinds, KindsError},
    notice::{Notice, NoticeData},
    post::{Message, post},
    schedule::LIFE,
    signature::fresh_secret,
    target_url::{WebhookUrlError, checked},
};
use crate::{
    domain::{Actor, Clock, DeliveryId, EventId, Secret, WebhookEndpointId},
    outbound::Outbound,
    store::{NewWebhookEndpoint, Store, StoreError},
};
use time::Duration;

/// The kind of a test. No event of the log has it.
const TEST: &str = "webhook_endpoint.test";
/// Between two secrets, so that a receiver can change over.
pub const USUAL_OVERLAP: Duration = Duration::days(1);
pub const LONGEST_OVERLAP: Duration = Duration::days(30);

/// What somebody wants an endpoint to be.
pub struct EndpointRequest {
    pub url: String,
    pub description: Option<String>,
    /// `None`: the usual kinds.
    pub events: Option<Vec<String>>,
    pub tenant: Option<String>,
}

/// Why an endpoint is not made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(transparent)]
    Url(#[from] WebhookUrlError),
    #[error(transparent)]
    Kinds(#[from] KindsError),
    #[error("{message}")]
    Field { field: &'static str, message: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a test.
pub struct Tested {
    pub delivered: bool,
    pub status: Option<u16>,
    pub error: Option<String>,
}

/// The verbs of endpoints.
#[derive(Clone)]
pub struct WebhookEndpoints {
    pub store: Store,
    pub http: Outbound,
    pub clock: Clock,
}

impl WebhookEndpoints {
    /// Makes an endpoint. The secret is shown once.
    pub async fn add(
        &self,
        request: EndpointRequest,
        actor: &Actor,
    ) -> Result<(WebhookEndpointId, Secret), EndpointError> {
        let url = checked(&request.url, &self.http)?;
        let kinds = request.events.map_or(Ok(Kinds::default()), Kinds::chosen)?;
        let description = description(request.description)?;
        let tenant = tenant(request.tenant)?;
        let (id, secret) = (WebhookEndpointId::fresh(), fresh_secret());
        let events = kinds.words().to_vec();
        let new =
            NewWebhookEndpoint { id, url: url.into(), description, events, tenant, secret: secret.clone() };
        self.store.add_webhook_endpoint(&new, self.clock.now(), actor).await?;
        Ok((id, secret))
    }

    /// Makes a new secret, which is shown once. The one before signs too while `overlap` lasts. `None`: the
    /// endpoint is gone.
    pub async fn rotate_secret(
        &self,
        id: WebhookEndpointId,
        overlap: Duration,
        actor: &Actor,
    ) -> Result<Option<Secret>, StoreError> {
        let (secret, now) = (fresh_secret(), self.clock.now());
        let rotated = self.store.rotate_webhook_secret(id, &secret, now + overlap, now, actor).await?;
        Ok(rotated.then_some(secret))
    }

    /// Sends a test now, whether the endpoint rests or not. It is not kept and counts for nothing. `None`: the
    /// endpoint is gone.
    pub async fn test(&self, id: WebhookEndpointId, actor: &Actor) -> Result<Option<Tested>, StoreError> {
        let now = self.clock.now();
        let Some(target) = self.store.webhook_target(id, now).await? else { return Ok(None) };
        let event_id = EventId::fresh().to_string();
        let notice = Notice {
            kind: TEST.to_owned(),
            timestamp: now,
            data: NoticeData {
                event_id: event_id.clone(),
                subject: Some(id.to_string()),
                tenant: target.tenant.clone(),
                actor: actor.to_string(),
                detail: Some("A test: nothing happened, and nothing is to be done.".to_owned()),
                connection: None,
            },
        };
        let body = serde_json::to_string(&notice).expect("a notice has string keys");
        let answered = post(&self.http, &target, &Message { id: &event_id, body: &body }, now).await;
        Ok(Some(Tested {
            delivered: answered.error.is_none(),
            status: answered.status.map(|status| status.as_u16()),
            error: answered.error,
        }))
    }

    /// Sends a delivery again, whatever became of it. `false`: there is none of that id, or the endpoint is
    /// disabled.
    pub async fn redeliver(
        &self,
        id: WebhookEndpointId,
        delivery: DeliveryId,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.store.redeliver(id, delivery, now, now + LIFE, actor).await
    }
}

fn description(text: Option<String>) -> Result<Option<String>, EndpointError> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > 200 || text.chars().any(char::is_control)) {
        let message = "A description is 200 characters of text at most.";
        return Err(EndpointError::Field { field: "description", message });
    }
    Ok(text)
}

fn tenant(text: Option<String>) -> Result<Option<String>, EndpointError> {
    if text.as_ref().is_some_and(|t| t.is_empty() || t.len() > 200 || t.chars().any(char::is_control)) {
        let message = "A tenant is 1 to 200 characters of text.";
        return Err(EndpointError::Field { field: "tenant", message });
    }
    Ok(text)
}
