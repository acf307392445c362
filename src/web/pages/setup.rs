//! The first start: a one-time link, told in the server's output, makes the first operator.

use super::{Frame, Page, form::Form, login::LONGEST_PASSWORD, ok, problem::Failure};
use crate::{
    domain::OperatorId,
    store::Operator,
    vault::{digest, hash_password},
    web::{session, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tower_sessions::Session;

pub(super) const SHORTEST_PASSWORD: usize = 12;

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    token: String,
    email: String,
    email_error: Option<&'static str>,
    password_error: Option<&'static str>,
}

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    Query(link): Query<Link>,
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
    let password_hash = hash_password(password.to_owned()).await;
    let operator = Operator { id: OperatorId::fresh(), email, password_hash };
    let now = state.clock.now();
    if !state.store.finish_setup(&digest(&token), &operator, now).await? {
        return Err(spent());
    }
    session::sign_in(&session, &operator, now).await?;
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

pub(super) fn bad_email(email: &str) -> Option<&'static str> {
    let is_plain = email.len() <= 254 && email.chars().all(|c| !c.is_control() && !c.is_whitespace());
    let has_parts = email.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
    (!is_plain || !has_parts).then_some("Enter an e-mail address, such as ada@example.com.")
}

pub(super) fn bad_password(password: &str) -> Option<&'static str> {
    match password.chars().count() {
        0 => Some("Choose a password of 12 characters or more."),
        1..SHORTEST_PASSWORD => {
            Some("This password is too short. Use 12 characters or more, such as four words.")
        }
        _ if password.chars().count() > LONGEST_PASSWORD => Some("A password has 1,000 characters at most."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_passwords_are_judged_kindly() {
        assert!(bad_email("ada@example.com").is_none());
        for bad in ["", "ada", "@x", "ada@", "a da@example.com", "ada@exa\nmple"] {
            assert!(bad_email(bad).is_some(), "{bad:?}");
        }
        assert!(bad_password("elevenchars").is_some());
        assert!(bad_password("twelve chars").is_none());
        assert!(bad_password(&"ä".repeat(1_000)).is_none());
        assert!(bad_password(&"ä".repeat(1_001)).is_some());
    }

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
