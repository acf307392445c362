//! The audit log.

use super::{
    page::{Page, PageQuery},
    view::EventView,
};
use crate::web::{
    auth::Key,
    error::{Details, Problem},
    extract::Query,
    state::AppState,
};
use axum::{Json, extract::State};

/// The audit log, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "administration", security(("api_key" = [])),
    params(PageQuery), responses(
    (status = 200, description = "A page of events", body = Page<EventView>),
    (status = "default", description = "A problem", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list_events(
    key: Key,
    State(state): State<AppState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<EventView>>, Problem> {
    key.may_govern()?;
    let (limit, before) = (page.limit()?, page.cursor::<i64>()?);
    let rows = state.store.list_events(None, before, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |e| e.seq.to_string(), EventView::from)))
}
