//! Settings: what an operator set up, who may come in, and what programs may do. One page each; the first tells
//! where everything is.

mod account;
mod encryption;
mod integrations;
mod keys;
mod mail;
mod people;
mod sso;
mod webhook;
mod webhooks;

use super::{Frame, problem::Failure};
use crate::{
    domain::Integration,
    providers::Instances,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use tower_sessions::Session;

/// Its variables have no id in their names.
pub(super) const BUILT_IN: &str = "gitlab";

/// The navigation at the side: where an entry leads, what it is called in code, and what it says.
pub(super) const SECTIONS: [(&str, &str, &str); 9] = [
    ("/settings", "overview", "Overview"),
    ("/settings/account", "account", "Your account"),
    ("/settings/people", "people", "People"),
    ("/settings/sso", "sso", "Single sign-on"),
    ("/settings/api-keys", "api-keys", "API keys"),
    ("/settings/webhooks", "webhooks", "Webhooks"),
    ("/settings/mail", "mail", "Mail"),
    ("/settings/integrations", "integrations", "Integrations"),
    ("/settings/encryption", "encryption", "Encryption key"),
];

/// What is listed on one page at most.
const MOST: i64 = 200;

/// The pages of the settings and what is sent there.
pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/account", get(account::show))
        .route("/settings/account/sso/join", post(super::sso::join))
        .route("/settings/account/sso/part", post(super::sso::part))
        .route("/settings/password", post(account::change_password))
        .route("/settings/sessions/{id}/end", post(account::end_session))
        .route("/settings/sessions/end-others", post(account::end_others))
        .route("/settings/people", get(people::show))
        .route("/settings/people/invite", post(people::invite))
        .route("/settings/people/withdraw", post(people::withdraw))
        .route("/settings/people/{id}/role", post(people::change_role))
        .route("/settings/people/{id}/remove", post(people::remove))
        .route("/settings/people/let-in", post(people::let_in))
        .route("/settings/sso", get(sso::show))
        .route("/settings/sso/check", post(sso::check))
        .route("/settings/api-keys", get(keys::show).post(keys::create))
        .route("/settings/api-keys/{id}/revoke", get(keys::revoke::ask).post(keys::revoke::revoke))
        .route("/settings/webhooks", get(webhooks::show).post(webhooks::add))
        .route("/settings/webhooks/{id}", get(webhook::show))
        .route("/settings/webhooks/{id}/test", post(webhook::test))
        .route("/settings/webhooks/{id}/pause", post(webhook::pause))
        .route("/settings/webhooks/{id}/resume", post(webhook::resume))
        .route("/settings/webhooks/{id}/rotate-secret", post(webhook::rotate_secret))
        .route("/settings/webhooks/{id}/remove", post(webhook::remove))
        .route("/settings/webhooks/{id}/deliveries/{delivery}/redeliver", post(webhook::redeliver))
        .route("/settings/mail", get(mail::show))
        .route("/settings/mail/test", post(mail::test))
        .route("/settings/integrations", get(integrations::show))
        .route("/settings/integrations/{id}/check", post(integrations::check))
        .route("/settings/encryption", get(encryption::show))
}

#[derive(Template)]
#[template(path = "settings/overview.html")]
struct OverviewPage {
    frame: Frame,
    notice: Option<String>,
    integrations: Vec<Overlook>,
    people: usize,
    /// Where people sign in as well.
    sso: Option<String>,
    keys: i64,
    endpoints: i64,
    /// Of these, how many do not take what they are sent.
    failing: i64,
    mails: bool,
}

/// An integration in two lines.
struct Overlook {
    id: String,
    base_url: String,
    redirect_uri: String,
    has_oauth: bool,
}

async fn show(State(state): State<AppState>, who: SignedIn, session: Session) -> Result<Response, Failure> {
    let (endpoints, failing) = state.store.count_webhook_endpoints().await?;
    Ok(super::ok(OverviewPage {
        frame: frame(&who, "overview"),
        notice: session::take_notice(&session).await?,
        integrations: in_order(&state.instances).map(Overlook::of).collect(),
        people: state.store.list_operators().await?.len(),
        sso: state.sso.as_ref().map(|sso| sso.issuer.host().to_owned()),
        keys: state.store.count_api_keys(state.clock.now()).await?.0,
        endpoints,
        failing,
        mails: state.mailer.is_some(),
    }))
}

impl Overlook {
    fn of(i: &Integration) -> Self {
        Self {
            id: i.id.clone(),
            base_url: i.base_url.as_str().to_owned(),
            redirect_uri: i.redirect_uri.clone(),
            has_oauth: i.application.is_some(),
        }
    }
}

/// The frame of one of these pages: `section` is its entry in the navigation at the side.
fn frame(who: &SignedIn, section: &'static str) -> Frame {
    Frame { section, ..Frame::of(Some(who), "settings") }
}

/// The integration that every installation has, then the others by id.
pub(super) fn in_order(instances: &Instances) -> impl Iterator<Item = &Integration> {
    let others = instances.integrations().filter(|i| i.id != BUILT_IN);
    instances.integration(BUILT_IN).into_iter().chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_keeps_the_addresses_that_others_link_to() {
        let integration = Overlook {
            id: "acme-eu".into(),
            base_url: "https://gitlab.acme.example".into(),
            redirect_uri: "https://m.example.com/oauth/acme-eu/callback".into(),
            has_oauth: false,
        };
        let page = OverviewPage {
            frame: Frame::sample(),
            notice: None,
            integrations: vec![integration],
            people: 1,
            sso: None,
            keys: 2,
            endpoints: 3,
            failing: 1,
            mails: false,
        };
        let html = page.render().unwrap();
        assert!(html.contains("https://m.example.com/oauth/acme-eu/callback"));
        for anchor in ["integrations", "api-keys", "password"] {
            assert!(html.contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
    }
}
