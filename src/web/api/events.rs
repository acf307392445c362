//! The audit log.

use super::{
    page::{Page, PageQuery},
    view::EventView,
};
use crate::{
    store::EventFilter,
    web::{auth::Key, error::Problem, extract::Query, state::AppState},
};
use axum::{Json, extract::State};

/// The audit log, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "administration", security(("api_key" = [])),
    params(PageQuery), responses(
    (status = 200, description = "A page of events", body = Page<EventView>)))]
pub(super) async fn list_events(
    key: Key,
    State(state): State<AppState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<EventView>>, Problem> {
    key.may_govern()?;
    let (limit, before) = (page.limit()?, page.cursor::<i64>()?);
    let found = state.store.find_events(&EventFilter::default(), before, limit).await?;
    let items = found.events.into_iter().map(EventView::from).collect();
    Ok(Json(Page { items, next_cursor: found.older.map(|seq| seq.to_string()) }))
}
