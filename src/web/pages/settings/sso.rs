//! Single sign-on: what to enter at the issuer, who may come in, and whether the issuer answers, asked when somebody
//! presses "Check".

use super::frame;
use crate::{
    sso::{Looked, Refusal, Sso, Trouble},
    web::{
        pages::{Frame, Page, ok, problem::Failure},
        session::SignedIn,
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

#[derive(Template)]
#[template(path = "settings/sso.html")]
struct SsoPage {
    frame: Frame,
    notice: Option<String>,
    redirect_uri: String,
    provider: Option<ProviderView>,
    /// What a check found, and in how many milliseconds.
    checked: Option<(Result<Looked, Trouble>, u128)>,
}

struct ProviderView {
    issuer: String,
    client_id: String,
    /// In words.
    allowed: Vec<String>,
    is_plain_http: bool,
}

impl ProviderView {
    fn of(sso: &Sso) -> Self {
        Self {
            issuer: sso.issuer.name().to_owned(),
            client_id: sso.client.id.clone(),
            allowed: sso.allowed.entries().iter().map(|entry| in_words(entry)).collect(),
            is_plain_http: sso.issuer.origin().starts_with("http:"),
        }
    }
}

fn in_words(entry: &str) -> String {
    if entry.contains('@') { entry.to_owned() } else { format!("anybody at {entry}") }
}

pub(super) async fn show(State(state): State<AppState>, who: SignedIn) -> Response {
    ok(page(&state, &who))
}

fn page(state: &AppState, who: &SignedIn) -> SsoPage {
    SsoPage {
        frame: frame(who, "sso"),
        notice: None,
        redirect_uri: format!("{}/login/sso/callback", state.site_url),
        provider: state.sso.as_ref().map(ProviderView::of),
        checked: None,
    }
}

/// Asks the issuer now, and answers with what it said.
pub(super) async fn check(State(state): State<AppState>, who: SignedIn) -> Result<Response, Failure> {
    let sso = state.sso.as_ref().ok_or_else(Failure::not_found)?;
    let began = std::time::Instant::now();
    let found = sso.issuer.look().await;
    let status = if found.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    let checked = Some((found, began.elapsed().as_millis()));
    Ok(Page(status, SsoPage { checked, ..page(&state, &who) }).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_with_and_without_an_issuer_the_redirect_uri_is_told() {
        let page = |provider| SsoPage {
            frame: Frame::sample(),
            notice: None,
            redirect_uri: "https://m.example.com/login/sso/callback".into(),
            provider,
            checked: Some((Ok(Looked { keys: 2 }), 12)),
        };
        let html = page(None).render().unwrap();
        assert!(html.contains("https://m.example.com/login/sso/callback"));
        assert!(html.contains("MOORING_OIDC_ISSUER") && !html.contains("/settings/sso/check"));
        let provider = ProviderView {
            issuer: "https://id.example/realm".into(),
            client_id: "mooring".into(),
            allowed: ["ops@example.com", "example.org"].map(in_words).into(),
            is_plain_http: false,
        };
        let html = page(Some(provider)).render().unwrap();
        for told in [
            "https://m.example.com/login/sso/callback",
            "ops@example.com, anybody at example.org",
            "id.example/realm",
            "2 keys",
        ] {
            assert!(html.contains(told), "{told}");
        }
    }
}
