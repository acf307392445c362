//! The installations of GitLab to choose from, where tokens are made at each, and how its OAuth application is made.

use super::{settings::BUILT_IN, submitted::Submitted};
use crate::{
    domain::{BaseUrl, Integration, Scopes, TokenKind},
    web::state::AppState,
};

pub(super) struct PlaceView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) base_url: String,
    pub(super) has_oauth: bool,
    /// What is asked for when no use case says more, with spaces between.
    pub(super) default_scopes: String,
    pub(super) chosen: bool,
    /// Without name and scopes: the script adds what was chosen.
    pub(super) links: LinksView,
}

/// Where tokens are made at one GitLab. All are empty while there is no address.
#[derive(Default)]
pub(super) struct LinksView {
    /// The form for a personal one.
    pub(super) personal: String,
    /// The list of projects, in each of which there is a form.
    pub(super) project: String,
    pub(super) group: String,
}

/// How the OAuth application of one integration is made.
pub(super) struct ApplicationView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) base_url: String,
    pub(super) redirect_uri: String,
    pub(super) has_oauth: bool,
    /// Where GitLab lists a person's applications.
    pub(super) form: String,
    /// What the variables begin with.
    pub(super) prefix: String,
}

impl PlaceView {
    pub(super) fn of(state: &AppState, i: &Integration, chosen: &str) -> Self {
        Self {
            id: i.id.clone(),
            title: title(i),
            base_url: i.base_url.as_str().to_owned(),
            has_oauth: i.application.is_some(),
            default_scopes: i.application.as_ref().map(|a| a.scopes.to_string()).unwrap_or_default(),
            chosen: i.id == chosen,
            links: LinksView::plain(state, &i.base_url),
        }
    }
}

impl LinksView {
    /// With the name and the scopes of what was chosen, where the form takes them.
    pub(super) fn filled(state: &AppState, url: &BaseUrl, submitted: &Submitted) -> Self {
        let name = if submitted.name.is_empty() { "mooring" } else { &submitted.name };
        Self::at(state, url, name, |kind| state.use_cases.scopes_for(&submitted.use_cases, kind))
    }

    pub(super) fn at(
        state: &AppState,
        url: &BaseUrl,
        name: &str,
        scopes: impl Fn(TokenKind) -> Scopes,
    ) -> Self {
        let form = |kind| state.provider.api().token_form_url(url, kind, name, &scopes(kind));
        Self {
            personal: form(TokenKind::Personal),
            project: form(TokenKind::Project),
            group: form(TokenKind::Group),
        }
    }

    fn plain(state: &AppState, url: &BaseUrl) -> Self {
        let links = Self::filled(state, url, &Submitted::default());
        let bare = |link: &str| link.split('?').next().unwrap_or_default().to_owned();
        Self { personal: bare(&links.personal), project: bare(&links.project), group: bare(&links.group) }
    }

    pub(super) fn paths(state: &AppState) -> Self {
        let anywhere = BaseUrl::parse_configured("https://gitlab.example").expect("a base URL");
        let links = Self::plain(state, &anywhere);
        let path = |link: &str| link.trim_start_matches(anywhere.as_str()).to_owned();
        Self { personal: path(&links.personal), project: path(&links.project), group: path(&links.group) }
    }
}

impl ApplicationView {
    pub(super) fn of(state: &AppState, i: &Integration) -> Self {
        let form = state.provider.api().token_form_url(&i.base_url, TokenKind::OAuth, "", &Scopes::default());
        Self {
            id: i.id.clone(),
            title: title(i),
            base_url: i.base_url.as_str().to_owned(),
            redirect_uri: i.redirect_uri.clone(),
            has_oauth: i.application.is_some(),
            form,
            prefix: prefix(&i.id),
        }
    }
}

pub(super) fn title(integration: &Integration) -> String {
    if integration.base_url.as_str() == "https://gitlab.com" {
        return "GitLab.com".into();
    }
    integration.id.clone()
}

/// What the variables of an integration begin with.
pub(super) fn prefix(id: &str) -> String {
    if id == BUILT_IN {
        return "MOORING_GITLAB".to_owned();
    }
    format!("MOORING_INTEGRATION_{}", id.to_ascii_uppercase().replace('-', "_"))
}
