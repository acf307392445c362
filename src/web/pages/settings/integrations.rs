//! The integrations: what to enter at GitLab, what to set here, and whether they can be reached, asked when
//! somebody presses "Check".

use super::{frame, in_order};
use crate::{
    domain::Integration,
    health::{Greeting, ReachError},
    store::OpenBreaker,
    web::{
        pages::{Frame, Page, moment::Moment, ok, places, problem::Failure},
        session::SignedIn,
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use time::OffsetDateTime;

#[derive(Template)]
#[template(path = "settings/integrations.html")]
struct IntegrationsPage {
    frame: Frame,
    notice: Option<String>,
    integrations: Vec<IntegrationView>,
    /// What was found of the one that was checked: its id, and the answer.
    checked: Option<(String, Found)>,
    takes_typed: bool,
    trusts_common: bool,
}

/// What a check found.
enum Found {
    Reached {
        version: Option<String>,
        took: String,
    },
    /// The step that failed, and why.
    Failed {
        step: &'static str,
        message: String,
    },
}

struct IntegrationView {
    id: String,
    base_url: String,
    redirect_uri: String,
    scopes: Option<String>,
    is_plain_http: bool,
    trusts_own: bool,
    /// What the variables of its OAuth application begin with.
    prefix: String,
    breakers: Vec<BreakerView>,
}

/// Renewals of a whole method that are held back.
struct BreakerView {
    method: String,
    code: &'static str,
    faults: i64,
    since: Moment,
}

pub(super) async fn show(State(state): State<AppState>, who: SignedIn) -> Result<Response, Failure> {
    Ok(ok(page(&state, &who).await?))
}

async fn page(state: &AppState, who: &SignedIn) -> Result<IntegrationsPage, Failure> {
    let (now, breakers) = (state.clock.now(), state.store.open_breakers().await?);
    let view = |integration: &Integration| IntegrationView {
        trusts_own: state.trust.own.contains(&integration.id),
        ..IntegrationView::of(integration, &breakers, now)
    };
    Ok(IntegrationsPage {
        frame: frame(who, "integrations"),
        notice: None,
        integrations: in_order(&state.instances).map(view).collect(),
        checked: None,
        takes_typed: state.instances.takes_typed(),
        trusts_common: state.trust.common,
    })
}

impl IntegrationView {
    fn of(i: &Integration, breakers: &[OpenBreaker], now: OffsetDateTime) -> Self {
        let method = |circuit: &str| circuit.strip_suffix(&format!(" {}", i.id)).map(str::to_owned);
        let scopes = i.application.as_ref().map(|application| application.scopes.to_string());
        Self {
            id: i.id.clone(),
            base_url: i.base_url.as_str().to_owned(),
            redirect_uri: i.redirect_uri.clone(),
            scopes,
            is_plain_http: !i.base_url.is_https() && !i.base_url.is_loopback(),
            trusts_own: false,
            prefix: places::prefix(&i.id),
            breakers: breakers
                .iter()
                .filter_map(|b| Some(BreakerView::of(b, method(&b.circuit)?, now)))
                .collect(),
        }
    }
}

impl BreakerView {
    fn of(open: &OpenBreaker, method: String, now: OffsetDateTime) -> Self {
        let since = Moment::new(open.opened_at, now);
        Self { method, code: open.code.as_str(), faults: open.faults, since }
    }
}

/// Asks the integration now, and answers with what it said.
pub(super) async fn check(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let began = std::time::Instant::now();
    let found = match state.health.reach(&id).await {
        Ok(Greeting { version }) => {
            Found::Reached { version, took: format!("{} ms", began.elapsed().as_millis()) }
        }
        Err(ReachError::Unknown) => return Err(Failure::not_found()),
        Err(ReachError::Store(error)) => return Err(error.into()),
        Err(ReachError::Failed { step, message }) => Found::Failed { step, message },
    };
    let status = match &found {
        Found::Reached { .. } => StatusCode::OK,
        Found::Failed { .. } => StatusCode::BAD_GATEWAY,
    };
    let page = IntegrationsPage { checked: Some((id, found)), ..page(&state, &who).await? };
    Ok(Page(status, page).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_without_an_application_says_which_variables_to_set() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let breaker = BreakerView {
            method: "oauth".into(),
            code: "integration_misconfigured",
            faults: 5,
            since: Moment::new(now, now),
        };
        let integration = IntegrationView {
            id: "acme-eu".into(),
            base_url: "http://gitlab.acme.example".into(),
            redirect_uri: "https://m.example.com/oauth/acme-eu/callback".into(),
            scopes: None,
            is_plain_http: true,
            trusts_own: true,
            prefix: "MOORING_INTEGRATION_ACME_EU".into(),
            breakers: vec![breaker],
        };
        let failed = Found::Failed { step: "tls", message: "The certificate has expired.".into() };
        let page = IntegrationsPage {
            frame: Frame::sample(),
            notice: None,
            integrations: vec![integration],
            checked: Some(("acme-eu".into(), failed)),
            takes_typed: true,
            trusts_common: false,
        };
        let html = page.render().unwrap();
        assert!(html.contains("MOORING_INTEGRATION_ACME_EU_OAUTH_CLIENT_ID"));
        assert!(html.contains("https://m.example.com/oauth/acme-eu/callback"));
        assert!(html.contains("integration_misconfigured") && html.contains("The certificate has expired."));
    }
}
