//! The HTTP API of the contract. Handlers are thin: extract, one verb, respond.

mod api_keys;
mod by_name;
mod catalog;
mod codes;
mod connect_sessions;
mod connections;
mod deliveries;
mod document;
mod events;
mod once;
mod page;
mod renewals;
mod tokens;
mod transfers;
mod version;
mod view;
mod webhook_endpoints;
mod webhook_view;

pub(super) use once::once;
pub(super) use view::EventView;

use super::{error::Problem, extract::Query, state::AppState};
use crate::{
    domain::{Actor, Caller, Connection},
    handout::find_id,
};
use axum::extract::DefaultBodyLimit;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

/// The routes and the document that describes them, made together.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(document::Document::openapi())
        .routes(routes!(catalog::list_integrations))
        .routes(routes!(catalog::list_use_cases))
        .routes(routes!(tokens::inspect_token))
        .routes(routes!(connections::create_connection, connections::list_connections))
        .routes(routes!(
            connections::get_connection,
            connections::edit_connection,
            connections::delete_connection
        ))
        .routes(routes!(by_name::put_connection))
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
        .routes(routes!(transfers::get_recipient))
        .routes(routes!(transfers::export_connections))
        .routes(
            routes!(transfers::import_connections).layer(DefaultBodyLimit::max(transfers::LARGEST_IMPORT)),
        )
        .routes(routes!(transfers::take_back_connection))
}

/// The OpenAPI 3.1 document.
pub fn document() -> serde_json::Value {
    document::complete(&router().into_openapi())
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
