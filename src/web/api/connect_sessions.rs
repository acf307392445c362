//! Connect sessions: a product lets its user connect an account, and completes it when that user is back.

use super::{InTenant, find, version::Shown, view::ConnectionView};
use crate::{
    connect::NewSession,
    domain::{Caller, ConnectSession, ConnectSessionState, Method, Permission},
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
    http::{
        StatusCode,
        header::{CACHE_CONTROL, LOCATION},
    },
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A connect session to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConnectSession {
    /// The tenant that the connection will belong to.
    #[schema(min_length = 1, max_length = 200)]
    tenant: String,
    /// Your user, in your own words. The same must complete the session.
    #[schema(min_length = 1, max_length = 200)]
    end_user: String,
    /// Without it the person chooses.
    integration: Option<String>,
    /// Without it all that there are.
    methods: Option<Vec<Method>>,
    #[serde(default)]
    use_cases: Vec<String>,
    /// Where the browser comes back to: one of `MOORING_RETURN_URLS`, byte for byte.
    return_url: String,
    /// Id or name of a connection of this tenant that is to be reconnected.
    connection: Option<String>,
}

/// A session that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct BegunConnectSession {
    id: String,
    /// Send your user's browser here. The address is shown once.
    url: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Begins a connect session.
#[utoipa::path(post, path = "/api/v1/connect-sessions", tag = "connect sessions", security(("api_key" = [])),
    request_body = NewConnectSession, responses(
    (status = 201, description = "Begun: send the user's browser to `url`", body = BegunConnectSession)))]
pub(super) async fn create_connect_session(
    key: Key,
    State(state): State<AppState>,
    JsonBody(new): JsonBody<NewConnectSession>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    if caller.tenant.as_ref().is_some_and(|own| *own != new.tenant) {
        let detail = "This API key is bound to another tenant.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "tenant_forbidden", detail));
    }
    let connection = match &new.connection {
        Some(reference) => {
            let tenant = InTenant { tenant: Some(new.tenant.clone()) };
            Some(find(&state, &caller, reference, Query(tenant)).await?)
        }
        None => None,
    };
    let wanted = NewSession {
        api_key_id: caller.api_key_id,
        tenant: new.tenant,
        end_user: new.end_user,
        integration: new.integration,
        methods: new.methods,
        use_cases: new.use_cases,
        return_url: new.return_url,
        connection,
    };
    let (session, link) = state.connect.open_session(wanted).await?;
    let begun = BegunConnectSession {
        id: session.id.to_string(),
        url: format!("{}/connect/{}", state.site_url, link.expose()),
        expires_at: session.expires_at,
    };
    let location = format!("/api/v1/connect-sessions/{}", session.id);
    Ok((StatusCode::CREATED, [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())], Json(begun)))
}

/// A connect session, and how far it has come.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectSession)]
pub(super) struct ConnectSessionView {
    id: String,
    state: ConnectSessionState,
    tenant: String,
    end_user: String,
    integration: Option<String>,
    methods: Vec<Method>,
    use_cases: Vec<String>,
    return_url: String,
    /// The connection that was made, or that is to be reconnected.
    connection_id: Option<String>,
    /// Why it failed.
    error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl ConnectSessionView {
    fn of(session: ConnectSession, state: &AppState) -> Self {
        Self {
            id: session.id.to_string(),
            state: session.state_at(state.clock.now()),
            tenant: session.tenant,
            end_user: session.end_user,
            integration: session.integration,
            methods: session.methods,
            use_cases: session.use_cases,
            return_url: session.return_url,
            connection_id: session.connection.map(|id| id.to_string()),
            error: session.error,
            created_at: session.created_at,
            expires_at: session.expires_at,
        }
    }
}

/// How far a connect session has come.
#[utoipa::path(get, path = "/api/v1/connect-sessions/{id}", tag = "connect sessions", security(("api_key" = [])),
    params(("id" = String, Path, description = "The session's id")), responses(
    (status = 200, description = "The session", body = ConnectSessionView)))]
pub(super) async fn get_connect_session(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
) -> Result<Json<ConnectSessionView>, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    Ok(Json(ConnectSessionView::of(session(&state, &caller, &id).await?, &state)))
}

/// The end of a connect session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Completion {
    /// From the address that the browser came back to. It works once.
    #[schema(format = Password)]
    handle: String,
    /// Your user who is signed in now. Another one than the session was begun for makes it void.
    end_user: String,
}

/// Completes a connect session, with the key that began it: only now the code is exchanged and the connection made.
#[utoipa::path(post, path = "/api/v1/connect-sessions/{id}/complete", tag = "connect sessions",
    security(("api_key" = [])), params(("id" = String, Path, description = "The session's id")),
    request_body = Completion, responses(
    (status = 201, description = "Connected", body = ConnectionView)))]
pub(super) async fn complete_connect_session(
    key: Key,
    State(state): State<AppState>,
    Segment(id): Segment,
    JsonBody(completion): JsonBody<Completion>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let session = session(&state, &caller, &id).await?;
    let Completion { handle, end_user } = completion;
    let connection =
        state.connect.complete_session(&session, (&handle, &end_user), &caller.api_key_id).await?;
    let location = format!("/api/v1/connections/{}", connection.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Shown::of(connection, &state)))
}

/// The session of that id, if the caller may know of it.
async fn session(state: &AppState, caller: &Caller, id: &str) -> Result<ConnectSession, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found())?;
    let found = state.store.connect_session(id).await?;
    let visible = found.filter(|session| caller.tenant.as_ref().is_none_or(|own| *own == session.tenant));
    visible.ok_or_else(Problem::not_found)
}
