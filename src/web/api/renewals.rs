//! Renewed and checked on request, with the history of renewals and the projects that a token reaches.

use super::{
    InTenant, actor, find,
    page::{Page, PageQuery},
    view::{ConnectionView, RenewalView},
};
use crate::{
    domain::{Connection, Permission, RenewalId},
    health::CheckError,
    providers::{InspectError, Project},
    renewal::{Need, RenewalError},
    store::{Held, RenewalCause},
    web::{
        auth::Key,
        error::{Details, Problem},
        extract::{Query, Segment},
        state::AppState,
    },
};
use axum::{Json, extract::State};
use std::sync::Arc;
use time::Duration;

/// Renews now. 409 `renewal_is_manual` where only a person can.
#[utoipa::path(post, path = "/api/v1/connections/{ref}/renew", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant), responses(
    (status = 200, description = "The renewed connection", body = ConnectionView),
    (status = "default", description = "A problem", body = Details, content_type = "application/problem+json")))]
pub(super) async fn renew_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
) -> Result<Json<ConnectionView>, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let need = Need::NewerThan(was.credential.generation);
    match state.renewals.renew(was.id, need, RenewalCause::Requested).await {
        Ok(held) => Ok(Json(ConnectionView::of(held.connection.clone(), &state))),
        Err(error) => Err(renewal_problem(error, &was, &state)),
    }
}

fn renewal_problem(error: RenewalError, was: &Connection, state: &AppState) -> Problem {
    let page = format!("{}/connections/{}", state.site_url, was.id);
    let standing = state.standing(was);
    let action = Some(standing.action.unwrap_or(was.remedy()));
    Problem::of_renewal(error, page, crate::domain::Standing { action, ..standing }, state)
}

/// Asks the provider now, and checks every use case.
#[utoipa::path(post, path = "/api/v1/connections/{ref}/check", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant), responses(
    (status = 200, description = "The connection with what the check found", body = ConnectionView),
    (status = "default", description = "A problem", body = Details, content_type = "application/problem+json")))]
pub(super) async fn check_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
) -> Result<Json<ConnectionView>, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let checked = state.health.check(was.id, &actor(&caller)).await?;
    Ok(Json(ConnectionView::of(checked, &state)))
}

/// The renewals of a connection, newest first.
#[utoipa::path(get, path = "/api/v1/connections/{ref}/renewals", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant, PageQuery), responses(
    (status = 200, description = "A page of renewals", body = Page<RenewalView>),
    (status = "default", description = "A problem", body = Details, content_type = "application/problem+json")))]
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
    (status = 200, description = "A page of projects", body = Page<Project>),
    (status = "default", description = "A problem", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list_projects(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Project>>, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let limit = usize::try_from(page.limit()?).expect("a limit is positive");
    let cursor = page.cursor::<String>()?;
    let instance = state.instances.of(&was).map_err(CheckError::from)?;
    let ask = async |held: Arc<Held>| {
        let token = &held.credential.access_token;
        state.provider.api().projects(&instance, token, cursor.as_deref(), limit).await
    };
    let held = working(&state, &was, Need::Lasts(Duration::ZERO), RenewalCause::HandOut).await?;
    let generation = held.connection.credential.generation;
    let found = match ask(held).await {
        Err(InspectError::TokenExpired | InspectError::TokenRevoked | InspectError::TokenInvalid { .. }) => {
            let need = Need::NewerThan(generation);
            ask(working(&state, &was, need, RenewalCause::Refused).await?).await?
        }
        found => found?,
    };
    Ok(Json(Page { items: found.projects, next_cursor: found.next }))
}

/// A credential that works as far as is known here, renewed if it must be.
async fn working(
    state: &AppState,
    was: &Connection,
    need: Need,
    cause: RenewalCause,
) -> Result<Arc<Held>, Problem> {
    match state.renewals.renew(was.id, need, cause).await {
        Ok(held) if held.connection.credential.stopped.is_none() => Ok(held),
        Ok(_) | Err(RenewalError::NeedsPerson) => {
            let page = format!("{}/connections/{}", state.site_url, was.id);
            Err(Problem::action_required(state.standing(was), page))
        }
        Err(error) => Err(renewal_problem(error, was, state)),
    }
}
