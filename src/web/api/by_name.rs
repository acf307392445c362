//! A connection as it is to be, under its name: sent as often as one likes, done once.

use super::{
    actor,
    connections::{own_tenant, target},
    version::{Preconditions, Shown},
    view::ConnectionView,
};
use crate::{
    connect::{ConnectError, Desired, Fields},
    domain::{Actor, Caller, Connection, Permission, RenewalKind, Secret, TokenKind},
    web::{
        auth::Key,
        change::bring,
        error::Problem,
        extract::{Distinct, JsonBody, Query, Segment},
        state::AppState,
    },
};
use axum::{
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// How often it is looked again at what others change in the same moment.
const MOST_LOOKS: usize = 5;

/// A connection as it is to be. What is not there is as in a new connection: no description, no tags, no use cases,
/// renewal `manual` (`refresh` where it was made by OAuth).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DesiredConnection {
    /// This or `base_url` is needed to make it. Where it is there already, another place is refused.
    integration: Option<String>,
    base_url: Option<String>,
    /// Needed to make it. Another one than was given last takes its place, as by `PUT …/token`; the same one is not looked
    /// at again, also after it rotated itself.
    #[schema(format = Password, min_length = 1)]
    token: Option<String>,
    /// Detected; where it is given and wrong it is refused.
    token_kind: Option<TokenKind>,
    #[serde(default)]
    use_cases: Vec<String>,
    /// Here or in the query. It cannot be changed.
    #[schema(min_length = 1, max_length = 200)]
    tenant: Option<String>,
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// 50 at most.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    tags: Distinct,
    renewal: Option<RenewalKind>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DesiredQuery {
    /// Whether another token may be another account's.
    allow_different_account: Option<bool>,
    tenant: Option<String>,
}

impl DesiredConnection {
    fn into_desired(self, name: String, caller: &Caller, query: DesiredQuery) -> Result<Desired, Problem> {
        let asked = query.tenant.filter(|tenant| !tenant.is_empty());
        if self.tenant.is_some() && asked.is_some() && self.tenant != asked {
            return Err(Problem::field("tenant", "The query names another tenant."));
        }
        let is_somewhere = self.integration.is_some() || self.base_url.is_some();
        Ok(Desired {
            target: is_somewhere.then(|| target(self.integration, self.base_url)).transpose()?,
            token: self.token.map(|token| Secret::new(token.trim())),
            token_kind: self.token_kind,
            renewal: self.renewal,
            allow_different_account: query.allow_different_account.unwrap_or(false),
            fields: Fields {
                name,
                description: self.description,
                tenant: own_tenant(caller, self.tenant.or(asked))?,
                tags: self.tags.0,
                use_cases: self.use_cases,
            },
        })
    }
}

/// Makes the connection of this name, or brings it to what the body says. Where it is that already nothing happens: no
/// event, and GitLab is not asked.
#[utoipa::path(put, path = "/api/v1/connections/by-name/{name}", tag = "connections", security(("api_key" = [])),
    params(("name" = String, Path, description = "The connection's name"), DesiredQuery,
        ("If-Match" = Option<String>, Header, description = "Only if this ETag still stands for what an edit changes"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only make it, change nothing")),
    request_body = DesiredConnection, responses(
    (status = 200, description = "It is as the body says", body = ConnectionView),
    (status = 201, description = "Connected", body = ConnectionView)))]
pub(super) async fn put_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(name): Segment,
    Query(query): Query<DesiredQuery>,
    preconditions: Preconditions,
    JsonBody(body): JsonBody<DesiredConnection>,
) -> Result<Response, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let desired = state.connect.desired(body.into_desired(name, &caller, query)?)?;
    let actor = actor(&caller);
    for _ in 0..MOST_LOOKS {
        let was = find(&state, &desired.fields).await?;
        preconditions.allow(was.as_ref())?;
        let done = match &was {
            Some(was) => bring(&state, was, &desired, &actor).await.map(|now| (StatusCode::OK, now)),
            None => make(&state, &desired, &actor).await,
        };
        match done {
            Err(ConnectError::ChangedMeanwhile | ConnectError::Gone) => {}
            Err(ConnectError::NameTaken(_)) if was.is_none() => {}
            Err(error) => return Err(error.into()),
            Ok((status, now)) => return Ok(answer(status, now, &state)),
        }
    }
    Err(ConnectError::ChangedMeanwhile.into())
}

async fn find(state: &AppState, fields: &Fields) -> Result<Option<Connection>, Problem> {
    let tenant = fields.tenant.as_deref().unwrap_or_default();
    Ok(state.store.connections_named(&fields.name, Some(tenant)).await?.pop())
}

async fn make(
    state: &AppState,
    desired: &Desired,
    actor: &Actor,
) -> Result<(StatusCode, Connection), ConnectError> {
    Ok((StatusCode::CREATED, state.connect.make(desired, actor).await?))
}

fn answer(status: StatusCode, connection: Connection, state: &AppState) -> Response {
    let location = format!("/api/v1/connections/{}", connection.id);
    let shown = Shown::of(connection, state);
    if status == StatusCode::CREATED {
        return (status, [(LOCATION, location)], shown).into_response();
    }
    shown.into_response()
}
