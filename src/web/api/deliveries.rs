//! What became of the notices for an endpoint, and one sent again.

use super::{
    actor,
    page::{Page, PageQuery},
    webhook_endpoints::find,
    webhook_view::DeliveryView,
};
use crate::{
    domain::{DeliveryId, Permission},
    store::DeliveryState,
    web::{
        auth::Key,
        error::Problem,
        extract::{Query, Segment, TwoSegments},
        state::AppState,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryQuery {
    state: Option<DeliveryState>,
    /// 1 to 200; 50 if not given.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The notices for a webhook endpoint, newest first. Delivered ones are kept 7 days, dead ones 30.
#[utoipa::path(get, path = "/api/v1/webhook-endpoints/{id}/deliveries", tag = "administration",
    security(("api_key" = [])), params(("id" = String, Path, description = "The endpoint's id"), DeliveryQuery), responses(
    (status = 200, description = "A page of deliveries", body = Page<DeliveryView>)))]
pub(super) async fn list_deliveries(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
    Query(query): Query<DeliveryQuery>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let caller = key.may(Permission::Admin)?;
    let page = PageQuery::new(query.limit, query.cursor);
    let (limit, before) = (page.limit()?, page.cursor::<DeliveryId>()?);
    let id = find(&state, &caller, &id).await?.id;
    let rows = state.store.list_deliveries(id, query.state, before, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |d| d.id.to_string(), DeliveryView::from)))
}

/// Sends a delivery again, whatever became of it. The receiver sees the same `webhook-id`.
#[utoipa::path(post, path = "/api/v1/webhook-endpoints/{id}/deliveries/{delivery}/redeliver", tag = "administration",
    security(("api_key" = [])), params(
        ("id" = String, Path, description = "The endpoint's id"),
        ("delivery" = String, Path, description = "The delivery's id")), responses(
    (status = 202, description = "It is sent in a moment")))]
pub(super) async fn redeliver(
    key: Key,
    State(state): State<AppState>,
    TwoSegments(id, delivery): TwoSegments,
) -> Result<StatusCode, Problem> {
    let caller = key.may(Permission::Admin)?;
    let endpoint = find(&state, &caller, &id).await?;
    let delivery = delivery.parse::<DeliveryId>().map_err(|_| Problem::not_found())?;
    if endpoint.disabled_at.is_some() {
        let detail =
            "This endpoint is disabled: it answered that it does not want to be told. Make a new one.";
        return Err(Problem::new(StatusCode::CONFLICT, "webhook_endpoint_disabled", detail));
    }
    let found = state.webhook_endpoints.redeliver(endpoint.id, delivery, &actor(&caller)).await?;
    if found { Ok(StatusCode::ACCEPTED) } else { Err(Problem::not_found()) }
}
