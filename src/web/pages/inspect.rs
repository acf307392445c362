//! What a pasted token is, for the script: asked before anything is saved, and nothing is stored.

use super::{
    Page, checks::CheckView, connection, form::Form, moment::Moment, problem::Failure, refusal::Refusal,
    rotate::is_dead, submitted::Submitted, words,
};
use crate::{
    connect::{ConnectError, Inspected},
    domain::TokenKind,
    providers::Home,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

#[derive(Template)]
#[template(path = "parts/inspected.html")]
struct Told {
    kind: &'static str,
    kind_is_sure: bool,
    is_oauth: bool,
    account: Option<String>,
    account_kind: Option<&'static str>,
    /// Of a bot.
    home: Option<Home>,
    /// What the connection may be called, for a person who has not thought of a name.
    suggested_name: Option<String>,
    token_name: Option<String>,
    scopes: Vec<String>,
    expires: Option<Moment>,
    checks: Vec<CheckView>,
    /// No use case was chosen: all of them are told.
    is_overview: bool,
    mend_at: Option<String>,
}

#[derive(Template)]
#[template(path = "parts/not_inspected.html")]
struct NotTold {
    refusal: Refusal,
}

pub(super) async fn inspect(
    State(state): State<AppState>,
    _who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let token = form.secret("token");
    // A new token for a connection is from where the old one is.
    let (found, use_cases) = if let Some(id) = form.filled("connection") {
        let c = connection::find(&state, id).await?;
        (state.connect.inspect_for(&c, &token).await, c.use_cases)
    } else {
        let submitted = Submitted::of(&form, &state.instances);
        let found = state.connect.inspect(&submitted.target(), &token, None, &submitted.use_cases).await;
        (found, submitted.use_cases)
    };
    match found {
        Ok(found) => {
            let home = state.connect.home(&found.instance, &token, found.found.account.as_ref()).await;
            Ok(Page(StatusCode::OK, told(&state, &found, &use_cases, home)).into_response())
        }
        Err(ConnectError::Store(error)) => Err(error.into()),
        Err(error) => {
            let refusal = Refusal::of(&error);
            let refusal = if is_dead(&error) { refusal.of_token(&token, String::new()) } else { refusal };
            Ok(Page(refusal.status, NotTold { refusal }).into_response())
        }
    }
}

fn told(state: &AppState, inspected: &Inspected, use_cases: &[String], home: Option<Home>) -> Told {
    let found = &inspected.found;
    let is_overview = use_cases.is_empty();
    let checks: Vec<_> = inspected.checks.iter().map(|c| CheckView::of(c, &state.use_cases)).collect();
    let needed = state.use_cases.scopes_for(use_cases, found.token_kind);
    let lacks = !is_overview && checks.iter().any(|c| !c.missing.is_empty());
    let form = || {
        state.provider.api().token_form_url(
            &inspected.instance.base_url,
            found.token_kind,
            "mooring",
            &needed,
        )
    };
    let mend_at = || home.as_ref().map_or_else(form, |home| home.tokens_url.clone());
    let username = || found.account.as_ref().and_then(|a| a.username.clone());
    Told {
        kind: words::a_token_kind(found.token_kind),
        kind_is_sure: found.kind_is_sure,
        is_oauth: found.token_kind == TokenKind::OAuth,
        account: found.account.as_ref().map(crate::domain::Account::label),
        account_kind: found
            .account
            .as_ref()
            .filter(|a| a.username.is_some())
            .map(|a| words::account_kind(a.kind)),
        token_name: found.token_name.clone(),
        scopes: found.scopes.to_vec(),
        expires: found.expires_at.map(|at| Moment::new(at, state.clock.now())),
        mend_at: lacks.then(mend_at),
        suggested_name: home.as_ref().map(|h| h.path.replace('/', "-")).or_else(username),
        home,
        checks,
        is_overview,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_token_is_and_what_is_missing() {
        let html = Told {
            kind: "a project access token",
            kind_is_sure: true,
            is_oauth: false,
            account: Some("@project_1_bot".into()),
            account_kind: Some("Project bot"),
            home: Some(Home {
                path: "acme/web".into(),
                role: Some(crate::domain::AccessLevel::MAINTAINER),
                tokens_url: "https://gitlab.com/acme/web/-/settings/access_tokens".into(),
            }),
            suggested_name: Some("acme-web".into()),
            token_name: Some("<review>".into()),
            scopes: vec!["api".into()],
            expires: None,
            checks: vec![CheckView {
                title: "Remediation".into(),
                outcome: "insufficient_scope",
                missing: vec!["write_repository".into()],
                least_role: "Developer".into(),
                too_low_in: vec![],
            }],
            is_overview: false,
            mend_at: Some("https://gitlab.com/form".into()),
        }
        .render()
        .unwrap();
        for words in [
            "project access token",
            "of <strong>acme/web</strong>, role <strong>Maintainer</strong>",
            "data-name=\"acme-web\"",
            "&#60;review&#62;",
            "write_repository",
            "never expires",
        ] {
            assert!(html.contains(words), "{words}: {html}");
        }
    }
}
