//! What an operator set up, and what programs may do: integrations, API keys, the own password.

use super::{Frame, moment::Moment, problem::Failure};
use crate::{
    domain::{Integration, Permission},
    providers::Instances,
    store::ApiKey,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{extract::State, response::Response};
use time::OffsetDateTime;
use tower_sessions::Session;

const MOST_KEYS: i64 = 500;
/// Its variables have no id in their names.
pub(super) const BUILT_IN: &str = "gitlab";

#[derive(Template)]
#[template(path = "settings.html")]
pub(super) struct SettingsPage {
    frame: Frame,
    notice: Option<String>,
    integrations: Vec<IntegrationView>,
    takes_typed: bool,
    keys: Vec<KeyView>,
    permissions: Vec<PermissionView>,
    pub(super) made: Option<Made>,
    pub(super) key_name: String,
    pub(super) key_tenant: String,
    pub(super) key_error: Option<String>,
    pub(super) current_error: Option<&'static str>,
    pub(super) password_error: Option<&'static str>,
}

/// A key that was just made: the one time that it is shown.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) key: String,
}

struct IntegrationView {
    id: String,
    base_url: String,
    redirect_uri: String,
    has_oauth: bool,
    is_plain_http: bool,
    /// What the variables of its OAuth application begin with.
    prefix: String,
}

struct KeyView {
    id: String,
    name: String,
    tenant: Option<String>,
    permissions: String,
    state: &'static str,
    is_valid: bool,
    created: Moment,
    expires: Option<Moment>,
    last_used: Option<Moment>,
}

struct PermissionView {
    value: &'static str,
    meaning: &'static str,
    chosen: bool,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    let notice = session::take_notice(&session).await?;
    Ok(super::ok(page(&state, &who, notice).await?))
}

pub(super) async fn page(
    state: &AppState,
    who: &SignedIn,
    notice: Option<String>,
) -> Result<SettingsPage, Failure> {
    let now = state.clock.now();
    let mut keys = state.store.list_api_keys(None, MOST_KEYS).await?;
    keys.sort_by_key(|k| (!k.is_valid(now), std::cmp::Reverse(k.created_at)));
    Ok(SettingsPage {
        frame: Frame::of(Some(who), "settings"),
        notice,
        integrations: in_order(&state.instances).map(IntegrationView::of).collect(),
        takes_typed: state.instances.takes_typed(),
        keys: keys.into_iter().map(|k| KeyView::of(k, now)).collect(),
        permissions: Permission::ALL.iter().map(|p| permission(*p)).collect(),
        made: None,
        key_name: String::new(),
        key_tenant: String::new(),
        key_error: None,
        current_error: None,
        password_error: None,
    })
}

/// The integration that every installation has, then the others by id.
pub(super) fn in_order(instances: &Instances) -> impl Iterator<Item = &Integration> {
    let others = instances.integrations().filter(|i| i.id != BUILT_IN);
    instances.integration(BUILT_IN).into_iter().chain(others)
}

impl IntegrationView {
    fn of(i: &Integration) -> Self {
        let own = || format!("MOORING_INTEGRATION_{}", i.id.to_ascii_uppercase().replace('-', "_"));
        Self {
            id: i.id.clone(),
            base_url: i.base_url.as_str().to_owned(),
            redirect_uri: i.redirect_uri.clone(),
            has_oauth: i.application.is_some(),
            is_plain_http: !i.base_url.is_https() && !i.base_url.is_loopback(),
            prefix: if i.id == BUILT_IN { "MOORING_GITLAB".to_owned() } else { own() },
        }
    }
}

impl KeyView {
    fn of(key: ApiKey, now: OffsetDateTime) -> Self {
        let is_valid = key.is_valid(now);
        let state = match (key.revoked_at, is_valid) {
            (Some(_), _) => "Revoked",
            (None, true) => "Valid",
            (None, false) => "Expired",
        };
        Self {
            permissions: key.permissions.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", "),
            created: Moment::new(key.created_at, now),
            expires: key.expires_at.map(|at| Moment::new(at, now)),
            last_used: key.last_used_at.map(|at| Moment::new(at, now)),
            id: key.id,
            name: key.name,
            tenant: key.tenant,
            state,
            is_valid,
        }
    }
}

fn permission(permission: Permission) -> PermissionView {
    let meaning = match permission {
        Permission::ConnectionsRead => "See connections and check them",
        Permission::ConnectionsWrite => "Make, change and disconnect them",
        Permission::TokensRead => "Get access tokens",
        Permission::Proxy => "Send requests to GitLab through Mooring",
        Permission::Admin => "Everything, also API keys and the audit log",
    };
    PermissionView { value: permission.as_str(), meaning, chosen: permission == Permission::TokensRead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_without_an_application_says_which_variables_to_set() {
        let integration = IntegrationView {
            id: "acme-eu".into(),
            base_url: "http://gitlab.acme.example".into(),
            redirect_uri: "https://m.example.com/oauth/acme-eu/callback".into(),
            has_oauth: false,
            is_plain_http: true,
            prefix: "MOORING_INTEGRATION_ACME_EU".into(),
        };
        let page = SettingsPage {
            frame: Frame::sample(),
            notice: None,
            integrations: vec![integration],
            takes_typed: true,
            keys: vec![],
            permissions: Permission::ALL.iter().map(|p| permission(*p)).collect(),
            made: Some(Made { name: "ci".into(), key: "moor_once".into() }),
            key_name: String::new(),
            key_tenant: String::new(),
            key_error: Some("Give the key a name.".into()),
            current_error: None,
            password_error: None,
        };
        let html = page.render().unwrap();
        assert!(html.contains("MOORING_INTEGRATION_ACME_EU_OAUTH_CLIENT_ID"));
        assert!(html.contains("https://m.example.com/oauth/acme-eu/callback") && html.contains("moor_once"));
        assert_eq!(html.matches(">Name</label>").count(), 1);
    }
}
