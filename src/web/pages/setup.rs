//! The first start: a one-time link, told in the server's output, makes the first operator.

use super::{Frame, Page, form::Form, ok, problem::Failure};
use crate::{
    domain::Role,
    operator::{bad_email, bad_password, new_operator},
    vault::digest,
    web::{session, state::AppState, visitor::Visitor},
};
use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    token: String,
    email: String,
    email_error: Option<&'static str>,
    password_error: Option<&'static str>,
}

/// What the link that makes an operator brings.
#[derive(Deserialize)]
pub(super) struct OneTimeLink {
    #[serde(default)]
    pub(super) token: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    Query(link): Query<OneTimeLink>,
) -> Result<Response, Failure> {
    refuse_bad_link(&state, &link.token).await?;
    let frame = Frame::signed_out();
    Ok(ok(SetupPage {
        frame,
        token: link.token,
        email: String::new(),
        email_error: None,
        password_error: None,
    }))
}

pub(super) async fn finish(
    State(state): State<AppState>,
    visitor: Visitor,
    session: Session,
    form: Form,
) -> Result<Response, Failure> {
    let token = form.text("token").to_owned();
    refuse_bad_link(&state, &token).await?;
    let email = form.text("email").to_lowercase();
    let password = form.password("password");
    let (email_error, password_error) = (bad_email(&email), bad_password(password));
    if email_error.is_some() || password_error.is_some() {
        let page = SetupPage { frame: Frame::signed_out(), token, email, email_error, password_error };
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let operator = new_operator(email, password.to_owned(), Role::Administrator).await;
    let now = state.clock.now();
    if !state.store.finish_setup(&digest(&token), &operator, now).await? {
        return Err(spent());
    }
    session::sign_in(&state, &session, &operator, &visitor).await?;
    Ok(Redirect::to("/").into_response())
}

async fn refuse_bad_link(state: &AppState, token: &str) -> Result<(), Failure> {
    let is_good =
        state.store.is_setup_link(&digest(token)).await? && state.store.count_operators().await? == 0;
    if is_good { Ok(()) } else { Err(spent()) }
}

fn spent() -> Failure {
    Failure::new(StatusCode::GONE, "This setup link is not valid")
        .text(
            "It was used before, or it was not copied whole. While nobody can sign in yet, the server \
             prints a new \
             link when it starts. Afterwards, sign in.",
        )
        .link("/login", "Go to sign-in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_keeps_the_link_and_not_the_password() {
        let page = SetupPage {
            frame: Frame::signed_out(),
            token: "tok".into(),
            email: "ada@example.com".into(),
            email_error: None,
            password_error: bad_password("short"),
        };
        let html = page.render().unwrap();
        assert!(html.contains("value=\"tok\"") && html.contains("aria-describedby=\"password-error"));
        assert_eq!(html.matches(">Password</label>").count(), 1);
    }
}
