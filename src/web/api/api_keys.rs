//! API keys: made, listed and revoked. A key is shown once, in the answer that made it.

use super::{
    actor,
    page::{Page, PageQuery},
    view::ApiKeyView,
};
use crate::{
    api_key::{KeyRequest, KeyRequestError, create_key},
    domain::Permission,
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
use serde::Deserialize;
use utoipa::ToSchema;

/// All API keys, also those that were revoked.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "administration", security(("api_key" = [])),
    params(PageQuery), responses(
    (status = 200, description = "A page of API keys", body = Page<ApiKeyView>)))]
pub(super) async fn list_api_keys(
    key: Key,
    State(state): State<AppState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ApiKeyView>>, Problem> {
    key.may_govern()?;
    let (limit, after) = (page.limit()?, page.cursor::<String>()?);
    let rows = state.store.list_api_keys(after.as_deref(), limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |k| k.id.clone(), ApiKeyView::from)))
}

/// An API key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApiKey {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Binds the key to one tenant.
    #[schema(min_length = 1, max_length = 200)]
    tenant: Option<String>,
    #[schema(min_items = 1)]
    scopes: Vec<Permission>,
    /// Narrows a key with the scope `proxy`, and without `tokens:read` and `admin`, to requests such as
    /// `GET /api/v4/projects/**`: a method or `*`, and a path below the base URL in which `*` is one segment and `**`, at
    /// the end, one or more. GET allows HEAD. 50 at most.
    #[serde(default)]
    #[schema(max_items = 50)]
    allow: Vec<String>,
    /// Such as `90d`; without it the key does not expire.
    expires_in: Option<String>,
}

/// Makes an API key.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "administration", security(("api_key" = [])),
    request_body = NewApiKey, responses(
    (status = 201, description = "The key, shown this once", body = ApiKeyView)))]
pub(super) async fn create_api_key(
    key: Key,
    State(state): State<AppState>,
    JsonBody(new): JsonBody<NewApiKey>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may_govern()?;
    let request = KeyRequest {
        name: new.name,
        tenant: new.tenant,
        permissions: new.scopes,
        allow: new.allow,
        expires_in: new.expires_in,
    };
    let made =
        create_key(&state.store, request, state.clock.now(), &actor(&caller)).await.map_err(refused)?;
    let mut view = ApiKeyView::from(made.key);
    view.key = Some(made.secret.expose().to_owned());
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(view)))
}

fn refused(error: KeyRequestError) -> Problem {
    match error {
        KeyRequestError::Field { field, message } => Problem::field(field, message),
        KeyRequestError::Store(error) => error.into(),
    }
}

/// Revokes an API key, everywhere within a second.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "administration", security(("api_key" = [])),
    params(("id" = String, Path, description = "The key's id")), responses(
    (status = 204, description = "Revoked")))]
pub(super) async fn revoke_api_key(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let caller = key.may_govern()?;
    let revoked = state.store.revoke_api_key(&id, state.clock.now(), &actor(&caller)).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
