//! The HTTP API of the contract. Handlers are thin: extract, one verb, respond.

mod api_keys;
mod catalog;
mod connect_sessions;
mod connections;
mod deliveries;
mod events;
mod page;
mod renewals;
mod tokens;
mod view;
mod webhook_endpoints;
mod webhook_view;

pub(super) use view::EventView;

use super::{
    error::{Details, Problem},
    extract::Query,
    state::AppState,
};
use crate::{
    domain::{Actor, Caller, Connection},
    handout::find_id,
};
use serde::Deserialize;
use utoipa::{
    IntoParams, Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes and the document that describes them, made together.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(catalog::list_integrations))
        .routes(routes!(catalog::list_use_cases))
        .routes(routes!(tokens::inspect_token))
        .routes(routes!(connections::create_connection, connections::list_connections))
        .routes(routes!(
            connections::get_connection,
            connections::edit_connection,
            connections::delete_connection
        ))
        .routes(routes!(tokens::get_token, tokens::replace_token))
        .routes(routes!(renewals::renew_connection))
        .routes(routes!(renewals::check_connection))
        .routes(routes!(renewals::list_renewals))
        .routes(routes!(renewals::list_projects))
        .routes(routes!(connect_sessions::create_connect_session))
        .routes(routes!(connect_sessions::get_connect_session))
        .routes(routes!(connect_sessions::complete_connect_session))
        .routes(routes!(events::list_events))
        .routes(routes!(api_keys::list_api_keys, api_keys::create_api_key))
        .routes(routes!(api_keys::revoke_api_key))
        .routes(routes!(
            webhook_endpoints::list_webhook_endpoints,
            webhook_endpoints::create_webhook_endpoint
        ))
        .routes(routes!(webhook_endpoints::delete_webhook_endpoint))
        .routes(routes!(webhook_endpoints::rotate_webhook_secret))
        .routes(routes!(webhook_endpoints::test_webhook_endpoint))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::redeliver))
}

/// The OpenAPI 3.1 document.
pub fn document() -> utoipa::openapi::OpenApi {
    router().split_for_parts().1
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mooring",
        description = "A self-hosted OAuth 2.0 connection broker. Errors are RFC 9457 problem details with a stable `code`. \
                       `{ref}` is a connection's id or, within the key's tenant, its name."
    ),
    modifiers(&ApiKeySecurity),
    components(schemas(Details)),
    tags(
        (name = "connections", description = "Connections to GitLab, and their tokens"),
        (name = "connect sessions", description = "Let a user of your product connect an account"),
        (name = "catalog", description = "What can be connected, and for what"),
        (name = "administration", description = "API keys, webhook endpoints and the audit log")
    )
)]
struct Document;

struct ApiKeySecurity;

impl Modify for ApiKeySecurity {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key, `moor_…`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

/// Which tenant's connection a name means, for a key that sees several. Empty: the one of no tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InTenant {
    tenant: Option<String>,
}

/// The connection behind a reference, if the caller may know of it.
async fn find(
    state: &AppState,
    caller: &Caller,
    reference: &str,
    Query(InTenant { tenant }): Query<InTenant>,
) -> Result<Connection, Problem> {
    let tenant = caller.tenant.as_deref().or(tenant.as_deref());
    let id = find_id(&state.store, reference, tenant).await.map_err(|e| Problem::of_handout(e, state))?;
    let found = state.store.connection(id).await?;
    let visible = found.filter(|c| tenant.is_none_or(|t| c.tenant.as_deref().unwrap_or_default() == t));
    visible.ok_or_else(Problem::not_found)
}

fn actor(caller: &Caller) -> Actor {
    Actor::ApiKey(caller.api_key_id.clone())
}
