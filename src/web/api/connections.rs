//! Connections: made by access token, listed, read, changed and ended.

use super::{
    InTenant, actor, find,
    page::{Page, PageQuery},
    version::{Preconditions, Shown},
    view::ConnectionView,
};
use crate::{
    connect::{ConnectError, Fields, Pasted, Target},
    domain::{Caller, Connection, Permission, RenewalKind, Secret, Status, TokenKind},
    store::ConnectionFilter,
    web::{
        auth::Key,
        error::Problem,
        extract::{Distinct, JsonBody, Query, Segment},
        state::AppState,
    },
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// A connection to make by access token. One of `integration` and `base_url` says where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConnection {
    /// Without slash, question mark, `#`, `%` or control character.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    integration: Option<String>,
    base_url: Option<String>,
    #[schema(format = Password, min_length = 1)]
    token: String,
    /// Detected; where it is given and wrong the token is refused.
    token_kind: Option<TokenKind>,
    #[serde(default)]
    use_cases: Vec<String>,
    #[schema(min_length = 1, max_length = 200)]
    tenant: Option<String>,
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// 50 at most.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    tags: Distinct,
    /// `manual` if not given. `self_rotate`: the token replaces itself before it ends, and the old one dies at
    /// once for everybody who holds it. It needs the scope `self_rotate` or `api`.
    renewal: Option<RenewalKind>,
}

/// Where a request says to connect: exactly one of the two.
pub(super) fn target(integration: Option<String>, base_url: Option<String>) -> Result<Target, Problem> {
    match (integration, base_url) {
        (Some(id), None) => Ok(Target::Integration(id)),
        (None, Some(url)) => Ok(Target::BaseUrl(url)),
        _ => Err(Problem::field("integration", "Give either integration or base_url.")),
    }
}

/// The tenant of a key that has one; else the one that was asked for.
pub(super) fn own_tenant(caller: &Caller, asked: Option<String>) -> Result<Option<String>, Problem> {
    if caller.tenant.is_some() && asked.is_some() && caller.tenant != asked {
        let detail = "This API key is bound to another tenant.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "tenant_forbidden", detail));
    }
    Ok(caller.tenant.clone().or(asked))
}

impl NewConnection {
    fn into_pasted(self, caller: &Caller) -> Result<Pasted, Problem> {
        let tenant = own_tenant(caller, self.tenant)?;
        Ok(Pasted {
            target: target(self.integration, self.base_url)?,
            token: Secret::new(self.token.trim()),
            token_kind: self.token_kind,
            renewal: self.renewal.unwrap_or(RenewalKind::Manual),
            fields: Fields {
                name: self.name,
                description: self.description,
                tenant,
                tags: self.tags.0,
                use_cases: self.use_cases,
            },
        })
    }
}

/// Connects by access token. The token is verified first; nothing is stored if it is refused.
#[utoipa::path(post, path = "/api/v1/connections", tag = "connections", security(("api_key" = [])),
    request_body = NewConnection, responses(
    (status = 201, description = "Connected", body = ConnectionView)))]
pub(super) async fn create_connection(
    key: Key,
    State(state): State<AppState>,
    JsonBody(new): JsonBody<NewConnection>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let connection = state.connect.adopt(new.into_pasted(&caller)?, &actor(&caller)).await?;
    let location = format!("/api/v1/connections/{}", connection.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Shown::of(connection, &state)))
}

/// Which connections to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    tenant: Option<String>,
    status: Option<Status>,
    integration: Option<String>,
    method: Option<crate::domain::Method>,
    /// Part of the name, the account or the base URL.
    q: Option<String>,
    /// 1 to 200; 50 if not given.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Connections, newest first.
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", security(("api_key" = [])),
    params(ListQuery), responses(
    (status = 200, description = "A page of connections", body = Page<ConnectionView>)))]
pub(super) async fn list_connections(
    key: Key,
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ConnectionView>>, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let page = PageQuery::new(query.limit, query.cursor);
    if caller.tenant.is_some() && query.tenant.is_some() && caller.tenant != query.tenant {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    }
    let filter = ConnectionFilter {
        tenant: caller.tenant.or(query.tenant).unwrap_or_default(),
        integration: query.integration.unwrap_or_default(),
        method: query.method.map(|m| m.to_string()).unwrap_or_default(),
        q: query.q.unwrap_or_default(),
        status: query.status,
        ..ConnectionFilter::default()
    };
    let limit = page.limit()?;
    let found = state.store.list_connections(&filter, state.as_of(), page.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(found, limit, |c| c.id.to_string(), |c| ConnectionView::of(c, &state))))
}

/// One connection.
#[utoipa::path(get, path = "/api/v1/connections/{ref}", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant,
        ("If-None-Match" = Option<String>, Header, description = "An ETag: 304 while it still holds")), responses(
    (status = 200, description = "The connection", body = ConnectionView),
    (status = 304, description = "It is as it was")))]
pub(super) async fn get_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let caller = key.may(Permission::ConnectionsRead)?;
    let connection = find(&state, &caller, &reference, tenant).await?;
    Ok(Shown::of(connection, &state).unless_known(&preconditions))
}

/// What to change. A field that is not there stays as it is.
#[expect(clippy::option_option, reason = "a field that is null is not a field that is not there")]
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionChange {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 1_000)]
    description: Option<Option<String>>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    tags: Option<Distinct>,
    use_cases: Option<Vec<String>>,
    /// `manual`, or `self_rotate` for a pasted token that is alive and may rotate itself.
    renewal: Option<RenewalKind>,
}

/// A change names the fields that it is about, so it is made again of what others changed meanwhile.
const MOST_EDITS: usize = 5;

impl ConnectionChange {
    fn of(&self, was: &Connection) -> Fields {
        let tags = self.tags.as_ref().map_or(&was.tags, |tags| &tags.0);
        Fields {
            name: self.name.as_ref().unwrap_or(&was.name).clone(),
            description: self.description.as_ref().unwrap_or(&was.description).clone(),
            tenant: was.tenant.clone(),
            tags: tags.clone(),
            use_cases: self.use_cases.as_ref().unwrap_or(&was.use_cases).clone(),
        }
    }
}

/// Tells a field that is null from one that is not there.
#[expect(clippy::option_option, reason = "that is what it tells apart")]
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// Changes name, description, tags, use cases or renewal. New use cases are checked at once.
#[utoipa::path(patch, path = "/api/v1/connections/{ref}", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant,
        ("If-Match" = Option<String>, Header, description = "Only if this ETag still stands for what an edit changes")),
    request_body = ConnectionChange, responses(
    (status = 200, description = "The changed connection", body = ConnectionView)))]
pub(super) async fn edit_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
    preconditions: Preconditions,
    JsonBody(change): JsonBody<ConnectionChange>,
) -> Result<Shown, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let mut was = find(&state, &caller, &reference, tenant).await?;
    for _ in 0..MOST_EDITS {
        preconditions.allow(Some(&was))?;
        let fields = change.of(&was);
        match crate::web::change::change(&state, &was, fields, change.renewal, &actor(&caller)).await {
            Err(ConnectError::ChangedMeanwhile) => {}
            changed => return Ok(Shown::of(changed?, &state)),
        }
        was = state.store.connection(was.id).await?.ok_or_else(Problem::not_found)?;
    }
    Err(ConnectError::ChangedMeanwhile.into())
}

/// Whether the provider is told as well.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Also revoke the token at the provider, in the background until it answers. True if not given.
    #[param(default = true)]
    revoke: Option<bool>,
    tenant: Option<String>,
}

/// Disconnects: unusable at once everywhere.
#[utoipa::path(delete, path = "/api/v1/connections/{ref}", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), DeleteQuery,
        ("If-Match" = Option<String>, Header, description = "Only if this ETag still stands for what an edit changes")), responses(
    (status = 204, description = "Disconnected")))]
pub(super) async fn delete_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    Query(DeleteQuery { revoke, tenant }): Query<DeleteQuery>,
    preconditions: Preconditions,
) -> Result<StatusCode, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let connection = find(&state, &caller, &reference, Query(InTenant { tenant })).await?;
    preconditions.allow(Some(&connection))?;
    let ended = state.disconnect.end(connection.id, revoke.unwrap_or(true), &actor(&caller)).await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
