//! Rotating by hand: a person pastes the next token. It is verified before the old one is dropped.

use super::{
    Frame, Page, connection, form::Form, needs::NeedView, ok, places::LinksView, problem::Failure,
    refusal::Refusal, words,
};
use crate::{
    connect::{ConnectError, Replacement},
    domain::{AccountKind, Connection, Method, Scopes, TokenKind},
    providers::InspectError,
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
    /// Which of the guides leads to such a token.
    guide: &'static str,
    /// What the new one needs; named as in the guides.
    n: NeedView,
    links: LinksView,
    refusal: Option<Refusal>,
    /// The pasted token belongs to somebody else, or nobody says to whom: a person may have meant it.
    is_other_account: bool,
}

impl RotatePage {
    /// Where such a token is made.
    fn form(&self) -> &str {
        match self.guide {
            "project" => &self.links.project,
            "group" | "service" => &self.links.group,
            _ => &self.links.personal,
        }
    }
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
    let token = form.secret("token");
    let replacement = Replacement { allow_different_account, ..Replacement::of(token.clone()) };
    match state.connect.replace(&c, replacement, &who.actor()).await {
        Ok(_) => {
            session::give_notice(&session, "Rotated. Callers get the new token from now on.").await?;
            Ok(Redirect::to(&format!("/connections/{}", c.id)).into_response())
        }
        Err(error @ (ConnectError::Store(_) | ConnectError::Gone)) => Err(error.into()),
        Err(error) => {
            let mut refused = page(&state, &who, &c, Some(&error));
            if is_dead(&error) {
                let form = refused.form().to_owned();
                refused.refusal = Some(Refusal::of(&error).of_token(&token, form));
            }
            Ok(Page(Refusal::of(&error).status, refused).into_response())
        }
    }
}

/// Whether GitLab did not accept the token itself.
pub(super) fn is_dead(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Inspect(
            InspectError::TokenInvalid { .. } | InspectError::TokenExpired | InspectError::TokenRevoked
        )
    )
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
    let mut n = NeedView::of(&state.use_cases, &c.use_cases, kind);
    if n.scopes.is_empty() {
        n.scopes = c.credential.scopes.to_vec();
    }
    let needed: Scopes = n.scopes.iter().cloned().collect();
    RotatePage {
        frame: Frame::of(Some(who), "connections"),
        id: c.id.to_string(),
        name: c.name.clone(),
        host: c.base_url.host().to_owned(),
        kind: words::a_token_kind(c.token_kind),
        account: c.account.as_ref().map(crate::domain::Account::label),
        is_bot: c.account.as_ref().is_some_and(|account| account.resource.is_some()),
        guide: guide(c, kind),
        n,
        links: LinksView::at(state, &c.base_url, &c.name, |_| needed.clone()),
        refusal: error.map(Refusal::of),
        is_other_account: matches!(error, Some(ConnectError::DifferentAccount { .. })),
    }
}

fn guide(c: &Connection, kind: TokenKind) -> &'static str {
    match c.account.as_ref().map(|a| a.kind) {
        Some(AccountKind::ServiceAccount) => "service",
        _ => kind.as_str(),
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
            guide: "project",
            n: NeedView {
                kind: "project",
                scopes: vec!["api".into()],
                least_role: Some("Maintainer".into()),
                notes: vec![],
            },
            links: LinksView::default(),
            refusal: Some(Refusal::of(&error)),
            is_other_account: true,
        };
        let html = page.render().unwrap();
        assert!(html.contains("allow_different_account") && html.contains("@b"));
        assert_eq!(html.matches(">Access token</label>").count(), 1);
        assert_eq!(html.matches(">Rotate token</button>").count(), 1);
        assert!(html.contains("Create project access token"), "the way to such a token");
    }
}
