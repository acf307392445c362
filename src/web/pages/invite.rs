//! An invitation: a one-time link of an administrator makes a further operator, who chooses a password.

use super::{Frame, Page, form::Form, ok, problem::Failure, setup::OneTimeLink};
use crate::{
    domain::Role,
    operator::{bad_password, new_operator},
    store::Invitation,
    vault::digest,
    web::{session, state::AppState, visitor::Visitor},
};
use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "invite.html")]
struct InvitePage {
    frame: Frame,
    token: String,
    email: String,
    is_viewer: bool,
    password_error: Option<&'static str>,
}

impl InvitePage {
    fn of(invitation: Invitation, token: String) -> Self {
        let is_viewer = invitation.role == Role::Viewer;
        Self { frame: Frame::signed_out(), token, email: invitation.email, is_viewer, password_error: None }
    }
}

pub(super) async fn show(
    State(state): State<AppState>,
    Query(link): Query<OneTimeLink>,
) -> Result<Response, Failure> {
    Ok(ok(InvitePage::of(find(&state, &link.token).await?, link.token)))
}

pub(super) async fn accept(
    State(state): State<AppState>,
    visitor: Visitor,
    session: Session,
    form: Form,
) -> Result<Response, Failure> {
    let token = form.text("token").to_owned();
    let invitation = find(&state, &token).await?;
    let password = form.password("password");
    if let Some(wrong) = bad_password(password) {
        let page = InvitePage { password_error: Some(wrong), ..InvitePage::of(invitation, token) };
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let operator = new_operator(invitation.email, password.to_owned(), invitation.role).await;
    if !state.store.accept_invitation(&digest(&token), &operator, state.clock.now()).await? {
        return Err(spent());
    }
    session::sign_in(&state, &session, &operator, &visitor).await?;
    Ok(Redirect::to("/").into_response())
}

async fn find(state: &AppState, token: &str) -> Result<Invitation, Failure> {
    state.store.invitation(&digest(token), state.clock.now()).await?.ok_or_else(spent)
}

fn spent() -> Failure {
    Failure::new(StatusCode::GONE, "This invitation is not valid")
        .text(
            "It was used or withdrawn, its three days are over, or the link was not copied whole. Ask an \
             administrator for a new one. If you chose a password already, sign in with it.",
        )
        .link("/login", "Go to sign-in")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn the_page_says_as_what_one_comes_in() {
        let invitation = |role| Invitation {
            email: "eve@example.com".into(),
            role,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        let html = InvitePage::of(invitation(Role::Viewer), "tok".into()).render().unwrap();
        assert!(html.contains("as a viewer") && html.contains("eve@example.com") && html.contains("\"tok\""));
        assert_eq!(html.matches(">Password</label>").count(), 1);
        let html = InvitePage::of(invitation(Role::Administrator), "tok".into()).render().unwrap();
        assert!(html.contains("as an administrator"));
    }
}
