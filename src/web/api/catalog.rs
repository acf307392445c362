//! What can be connected, and for what.

use super::page::Page;
use crate::{
    domain::{Integration, Method, Needs, Permission, TokenKind, UseCase},
    web::{auth::Key, error::Problem, state::AppState},
};
use axum::{Json, extract::State};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An installation that the operator configured.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
pub(super) struct IntegrationView {
    id: String,
    provider: String,
    base_url: String,
    methods: Vec<Method>,
    redirect_uri: String,
}

impl From<&Integration> for IntegrationView {
    fn from(integration: &Integration) -> Self {
        let oauth = integration.application.is_some().then_some(Method::OAuth);
        Self {
            id: integration.id.clone(),
            provider: integration.provider.clone(),
            base_url: integration.base_url.to_string(),
            methods: oauth.into_iter().chain([Method::AccessToken]).collect(),
            redirect_uri: integration.redirect_uri.clone(),
        }
    }
}

/// The integrations that the operator configured.
#[utoipa::path(get, path = "/api/v1/integrations", tag = "catalog", security(("api_key" = [])), responses(
    (status = 200, description = "All integrations", body = Page<IntegrationView>)))]
pub(super) async fn list_integrations(
    key: Key,
    State(state): State<AppState>,
) -> Result<Json<Page<IntegrationView>>, Problem> {
    key.may(Permission::ConnectionsRead)?;
    let items = state.instances.integrations().map(IntegrationView::from).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// A named set of scopes with a least role, each by token kind: `oauth`, `personal`, `project`, `group`.
#[derive(Serialize, ToSchema)]
#[schema(as = UseCase)]
pub(super) struct UseCaseView {
    id: String,
    title: String,
    purpose: String,
    scopes: BTreeMap<&'static str, Vec<String>>,
    /// GitLab's name of the role, such as `Maintainer`.
    least_role: BTreeMap<&'static str, String>,
    /// When more than the least role is needed.
    notes: BTreeMap<&'static str, String>,
}

impl From<&UseCase> for UseCaseView {
    fn from(use_case: &UseCase) -> Self {
        let needs = || TokenKind::ALL.iter().map(|kind| (kind.as_str(), use_case.needs(*kind)));
        let note = |needs: &Needs| needs.note.clone().filter(|n| !n.is_empty());
        Self {
            id: use_case.id.clone(),
            title: use_case.title.clone(),
            purpose: use_case.purpose.clone(),
            scopes: needs().map(|(kind, n)| (kind, n.scopes.to_vec())).collect(),
            least_role: needs().map(|(kind, n)| (kind, n.least_role.to_string())).collect(),
            notes: needs().filter_map(|(kind, n)| Some((kind, note(n)?))).collect(),
        }
    }
}

/// The use cases, with what each needs of each kind of token.
#[utoipa::path(get, path = "/api/v1/use-cases", tag = "catalog", security(("api_key" = [])), responses(
    (status = 200, description = "All use cases", body = Page<UseCaseView>)))]
pub(super) async fn list_use_cases(
    key: Key,
    State(state): State<AppState>,
) -> Result<Json<Page<UseCaseView>>, Problem> {
    key.may(Permission::ConnectionsRead)?;
    Ok(Json(Page { items: state.use_cases.iter().map(UseCaseView::from).collect(), next_cursor: None }))
}
