//! Where events are sent. A key of a tenant sees and makes endpoints of that tenant alone.

use super::{
    actor,
    connections::own_tenant,
    page::{Page, PageQuery},
    webhook_view::WebhookEndpointView,
};
use crate::{
    domain::{Caller, Permission, Secret, WebhookEndpointId},
    notify::{EndpointRequest, LONGEST_OVERLAP, Tested, USUAL_OVERLAP},
    store::WebhookEndpoint,
    web::{
        auth::Key,
        error::Problem,
        extract::{JsonBody, Query, Segment},
        state::AppState,
    },
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;

/// All webhook endpoints that the key may see.
#[utoipa::path(get, path = "/api/v1/webhook-endpoints", tag = "administration", security(("api_key" = [])),
    params(PageQuery), responses(
    (status = 200, description = "A page of webhook endpoints", body = Page<WebhookEndpointView>)))]
pub(super) async fn list_webhook_endpoints(
    key: Key,
    State(state): State<AppState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<WebhookEndpointView>>, Problem> {
    let caller = key.may(Permission::Admin)?;
    let (limit, after) = (page.limit()?, page.cursor::<WebhookEndpointId>()?);
    let rows = state.store.list_webhook_endpoints(caller.tenant.as_deref(), after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |e| e.id.to_string(), WebhookEndpointView::from)))
}

/// A webhook endpoint to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhookEndpoint {
    /// `https`; plain `http` to this machine while the site URL is loopback, and to hosts that the operator allows.
    url: String,
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Kinds of event, and families such as `connection.*`. Without it `connection.*`, `authorization.*` and
    /// `integration.*`.
    events: Option<Vec<String>>,
    /// Tells it this tenant's events and no other.
    #[schema(min_length = 1, max_length = 200)]
    tenant: Option<String>,
}

/// Makes a webhook endpoint. What is sent is signed as Standard Webhooks, with the secret in the answer.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints", tag = "administration", security(("api_key" = [])),
    request_body = NewWebhookEndpoint, responses(
    (status = 201, description = "The endpoint, with its signing secret shown this once", body = WebhookEndpointView)))]
pub(super) async fn create_webhook_endpoint(
    key: Key,
    State(state): State<AppState>,
    JsonBody(new): JsonBody<NewWebhookEndpoint>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may(Permission::Admin)?;
    let request = EndpointRequest {
        tenant: own_tenant(&caller, new.tenant)?,
        url: new.url,
        description: new.description,
        events: new.events,
    };
    let (id, secret) = state.webhook_endpoints.add(request, &actor(&caller)).await?;
    let view = shown_once(&state, id, &secret).await?;
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(view)))
}

/// Removes a webhook endpoint and whatever waits for it.
#[utoipa::path(delete, path = "/api/v1/webhook-endpoints/{id}", tag = "administration", security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id")), responses(
    (status = 204, description = "Removed")))]
pub(super) async fn delete_webhook_endpoint(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let caller = key.may(Permission::Admin)?;
    let id = find(&state, &caller, &id).await?.id;
    let removed = state.store.remove_webhook_endpoint(id, state.clock.now(), &actor(&caller)).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}

/// How to change over to a new secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretRotation {
    /// How long both secrets sign: a day if not given, 30 days at most, 0 for not at all.
    #[schema(minimum = 0, maximum = 2_592_000, default = 86_400)]
    overlap_seconds: Option<i64>,
}

/// Gives a webhook endpoint a new signing secret. For a while the one before signs as well.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints/{id}/rotate-secret", tag = "administration",
    security(("api_key" = [])), params(("id" = String, Path, description = "The endpoint's id")),
    request_body = Option<SecretRotation>, responses(
    (status = 200, description = "The endpoint, with its new signing secret shown this once", body = WebhookEndpointView)))]
pub(super) async fn rotate_webhook_secret(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
    rotation: Option<JsonBody<SecretRotation>>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may(Permission::Admin)?;
    let seconds = rotation.and_then(|JsonBody(rotation)| rotation.overlap_seconds);
    let overlap = seconds.map_or(USUAL_OVERLAP, Duration::seconds);
    if overlap.is_negative() || overlap > LONGEST_OVERLAP {
        return Err(Problem::field("overlap_seconds", "Give a number from 0 to 2592000, which is 30 days."));
    }
    let id = find(&state, &caller, &id).await?.id;
    let rotated = state.webhook_endpoints.rotate_secret(id, overlap, &actor(&caller)).await?;
    let view = shown_once(&state, id, &rotated.ok_or_else(Problem::not_found)?).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(view)))
}

/// What became of a test.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookTest {
    delivered: bool,
    /// What the endpoint answered; null if it did not.
    status: Option<u16>,
    error: Option<String>,
}

impl From<Tested> for WebhookTest {
    fn from(Tested { delivered, status, error }: Tested) -> Self {
        Self { delivered, status, error }
    }
}

/// Sends a `webhook_endpoint.test` notice now, and says what the endpoint answered.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints/{id}/test", tag = "administration",
    security(("api_key" = [])), params(("id" = String, Path, description = "The endpoint's id")), responses(
    (status = 200, description = "What became of it", body = WebhookTest)))]
pub(super) async fn test_webhook_endpoint(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
) -> Result<Json<WebhookTest>, Problem> {
    let caller = key.may(Permission::Admin)?;
    let id = find(&state, &caller, &id).await?.id;
    let tested = state.webhook_endpoints.test(id, &actor(&caller)).await?;
    Ok(Json(tested.ok_or_else(Problem::not_found)?.into()))
}

/// The endpoint of that id, if the caller may know of it.
pub(super) async fn find(state: &AppState, caller: &Caller, id: &str) -> Result<WebhookEndpoint, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found())?;
    let found = state.store.webhook_endpoint(id).await?;
    let visible = found.filter(|endpoint| caller.tenant.is_none() || caller.tenant == endpoint.tenant);
    visible.ok_or_else(Problem::not_found)
}

async fn shown_once(
    state: &AppState,
    id: WebhookEndpointId,
    secret: &Secret,
) -> Result<WebhookEndpointView, Problem> {
    let endpoint = state.store.webhook_endpoint(id).await?.ok_or_else(Problem::not_found)?;
    let mut view = WebhookEndpointView::from(endpoint);
    view.secret = Some(secret.expose().to_owned());
    Ok(view)
}
