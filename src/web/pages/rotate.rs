//! Rotating by hand: a person pastes the next token. It is verified before the old one is dropped.

use super::{Frame, Page, connection, form::Form, ok, problem::Failure, refusal::Refusal, words};
use crate::{
    connect::{ConnectError, Replacement},
    domain::{Connection, Method, TokenKind},
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "rotate.html")]
struct RotatePage {
    frame: Frame,
    id: String,
    name: String,
    host: String,
    kind: &'static str,
    account: Option<String>,
    /// Of a project or group, which has a bot user for each token.
    is_bot: bool,
    scopes: Vec<String>,
    mend_at: String,
    refusal: Option<Refusal>,
    /// The pasted token belongs to somebody else, or nobody says to whom: a person may have meant it.
    is_other_account: bool,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    refuse_oauth(&c)?;
    Ok(ok(page(&state, &who, &c, None)))
}

pub(super) async fn rotate(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    refuse_oauth(&c)?;
    let allow_different_account = form.filled("allow_different_account").is_some();
    let replacement = Replacement { token: form.secret("token"), allow_different_account };
    match state.connect.replace(&c, replacement, &who.actor()).await {
        Ok(_) => {
            session::give_notice(&session, "Rotated. Callers get the new token from now on.").await?;
            Ok(Redirect::to(&format!("/connections/{}", c.id)).into_response())
        }
        Err(error @ (ConnectError::Store(_) | ConnectError::Gone)) => Err(error.into()),
        Err(error) => {
            let refused = page(&state, &who, &c, Some(&error));
            Ok(Page(Refusal::of(&error).status, refused).into_response())
        }
    }
}

fn refuse_oauth(c: &Connection) -> Result<(), Failure> {
    if c.method == Method::AccessToken {
        return Ok(());
    }
    Err(Failure::new(StatusCode::CONFLICT, "This connection has no token to rotate")
        .text("It was made by OAuth and renews itself. If it stopped working, reauthorize it on its page.")
        .link(format!("/connections/{}", c.id), "Back to the connection"))
}

fn page(state: &AppState, who: &SignedIn, c: &Connection, error: Option<&ConnectError>) -> RotatePage {
    let kind = if c.token_kind == TokenKind::OAuth { TokenKind::Personal } else { c.token_kind };
    let needed = state.use_cases.scopes_for(&c.use_cases, kind);
    RotatePage {
        frame: Frame::of(Some(who), "connections"),
        id: c.id.to_string(),
        name: c.name.clone(),
        host: c.base_url.host().to_owned(),
        kind: words::a_token_kind(c.token_kind),
        account: c.account.as_ref().map(crate::domain::Account::label),
        is_bot: c.account.as_ref().is_some_and(|account| account.resource.is_some()),
        scopes: if needed.is_empty() { c.credential.scopes.to_vec() } else { needed.to_vec() },
        mend_at: state.provider.api().token_form_url(&c.base_url, kind, &c.name, &needed),
        refusal: error.map(Refusal::of),
        is_other_account: matches!(error, Some(ConnectError::DifferentAccount { .. })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_account_is_an_offer_and_no_dead_end() {
        let error = ConnectError::DifferentAccount { was: Some("@a".into()), now: Some("@b".into()) };
        let page = RotatePage {
            frame: Frame::sample(),
            id: "1".into(),
            name: "acme".into(),
            host: "gitlab.com".into(),
            kind: "a project access token",
            account: Some("@a".into()),
            is_bot: true,
            scopes: vec!["api".into()],
            mend_at: "https://gitlab.com/form".into(),
            refusal: Some(Refusal::of(&error)),
            is_other_account: true,
        };
        let html = page.render().unwrap();
        assert!(html.contains("allow_different_account") && html.contains("@b"));
        assert_eq!(html.matches(">Access token</label>").count(), 1);
        assert_eq!(html.matches(">Rotate token</button>").count(), 1);
    }
}
