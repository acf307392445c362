//! Renewed and checked on request, with the history of renewals and the projects that a token reaches.

use super::{
    InTenant, actor, find,
    page::{Page, PageQuery},
    version::Shown,
    view::{ConnectionView, RenewalView},
};
use crate::{
    domain::{Connection, Permission, RenewalId, ResourceKind},
    health::CheckError,
    providers::{Listing, Place},
    reach::ReachError,
    renewal::{Need, RenewalError},
    store::RenewalCause,
    web::{
        auth::Key,
        error::Problem,
        extract::{Query, Segment},
        state::AppState,
    },
};
use axum::{Json, extract::State};

/// Renews now. 409 `renewal_is_manual` where only a person can.
#[utoipa::path(post, path = "/api/v1/connections/{ref}/renew", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant), responses(
    (status = 200, description = "The renewed connection", body = ConnectionView)))]
pub(super) async fn renew_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
) -> Result<Shown, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let need = Need::NewerThan(was.credential.generation);
    match state.renewals.renew(was.id, need, RenewalCause::Requested).await {
        Ok(held) => Ok(Shown::of(held.connection.clone(), &state)),
        Err(error) => Err(renewal_problem(error, &was, &state)),
    }
}

pub(super) fn renewal_problem(error: RenewalError, was: &Connection, state: &AppState) -> Problem {
    let page = format!("{}/connections/{}", state.site_url, was.id);
    let standing = state.standing(was);
    let action = Some(standing.action.unwrap_or(was.remedy()));
    Problem::of_renewal(error, page, crate::domain::Standing { action, ..standing }, state)
}

/// Asks the provider now, and checks every use case.
#[utoipa::path(post, path = "/api/v1/connections/{ref}/check", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant), responses(
    (status = 200, description = "The connection with what the check found", body = ConnectionView)))]
pub(super) async fn check_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
) -> Result<Shown, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let checked = state.health.check(was.id, &actor(&caller)).await?;
    Ok(Shown::of(checked, &state))
}

/// The renewals of a connection, newest first.
#[utoipa::path(get, path = "/api/v1/connections/{ref}/renewals", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant, PageQuery), responses(
    (status = 200, description = "A page of renewals", body = Page<RenewalView>)))]
pub(super) async fn list_renewals(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<RenewalView>>, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let connection = find(&state, &caller, &reference, tenant).await?;
    let (limit, before) = (page.limit()?, page.cursor::<RenewalId>()?);
    let rows = state.store.list_renewals(connection.id, before, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |r| r.id.to_string(), RenewalView::from)))
}

/// The projects that the token reaches.
#[utoipa::path(get, path = "/api/v1/connections/{ref}/projects", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant, PageQuery), responses(
    (status = 200, description = "A page of projects", body = Page<Place>)))]
pub(super) async fn list_projects(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Place>>, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let limit = usize::try_from(page.limit()?).expect("a limit is positive");
    let cursor = page.cursor::<String>()?;
    let listing = Listing { cursor: cursor.as_deref(), ..Listing::first(ResourceKind::Project, limit) };
    match state.reach.list(&was, listing).await {
        Ok(found) => Ok(Json(Page { items: found.places, next_cursor: found.next })),
        Err(error) => Err(reach_problem(error, &was, &state)),
    }
}

fn reach_problem(error: ReachError, was: &Connection, state: &AppState) -> Problem {
    match error {
        ReachError::Stopped => {
            let page = format!("{}/connections/{}", state.site_url, was.id);
            Problem::action_required(state.standing(was), page)
        }
        ReachError::Renewal(error) => renewal_problem(error, was, state),
        ReachError::Instance(error) => CheckError::from(error).into(),
        ReachError::Inspect(error) => error.into(),
    }
}
