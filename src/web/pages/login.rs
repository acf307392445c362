//! Signing in and out. An unknown address and a wrong password look alike and take the same time.

use super::{
    Frame, Page,
    form::Form,
    guesses::{Guesses, slow_down},
    ok,
    problem::Failure,
};
use crate::{
    domain::{Actor, Event, EventId, EventKind},
    operator::LONGEST_PASSWORD,
    store::Operator,
    vault::verify_password,
    web::{
        session::{self, SignedIn, safe_next},
        state::AppState,
        visitor::Visitor,
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use std::net::IpAddr;
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    email: String,
    refused: bool,
    /// Nobody can sign in before the setup link was used.
    needs_setup: bool,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    next: Option<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: Option<SignedIn>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let next = safe_next(wanted.next.as_deref()).to_owned();
    if who.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    let needs_setup = state.store.count_operators().await? == 0;
    Ok(ok(LoginPage { frame: Frame::signed_out(), next, email: String::new(), refused: false, needs_setup }))
}

pub(super) async fn sign_in(
    State(state): State<AppState>,
    Extension(guesses): Extension<Guesses>,
    visitor: Visitor,
    session: Session,
    form: Form,
) -> Result<Response, Failure> {
    let email = form.text("email").to_lowercase();
    let from = visitor.from;
    if let Err(wait) = guesses.attempt(&email, from, state.clock.now()) {
        return Err(slow_down(wait, ("/login", "Back to sign-in")));
    }
    let known = if email.len() <= 254 { state.store.operator_by_email(&email).await? } else { None };
    let is_right = is_password_of(known.as_ref(), form.password("password")).await?;
    let Some(operator) = known.as_ref().filter(|_| is_right) else {
        note(&state, EventKind::SignInFailed, known.as_ref(), from).await?;
        let next = safe_next(form.filled("next")).to_owned();
        let needs_setup = state.store.count_operators().await? == 0;
        let page = LoginPage { frame: Frame::signed_out(), next, email, refused: true, needs_setup };
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    guesses.succeeded(&email, from);
    session::sign_in(&state, &session, operator, &visitor).await?;
    note(&state, EventKind::SignedIn, Some(operator), from).await?;
    Ok(Redirect::to(safe_next(form.filled("next"))).into_response())
}

pub(super) async fn sign_out(session: Session) -> Result<Response, Failure> {
    session::sign_out(&session).await?;
    Ok(Redirect::to("/login").into_response())
}

/// Takes as long where nobody has the address.
pub(super) async fn is_password_of(operator: Option<&Operator>, password: &str) -> Result<bool, Failure> {
    let kept = operator.map(|operator| operator.password_hash.clone());
    Ok(password.len() <= LONGEST_PASSWORD * 4 && verify_password(password.to_owned(), kept).await?)
}

/// What was typed is not kept where nobody has that address: people type their password there.
pub(super) async fn note(
    state: &AppState,
    kind: EventKind,
    known: Option<&Operator>,
    from: Option<IpAddr>,
) -> Result<(), Failure> {
    let event = Event {
        id: EventId::fresh(),
        at: state.clock.now(),
        kind,
        subject: known.map(|operator| operator.email.clone()),
        tenant: None,
        actor: known.map_or(Actor::Mooring, |operator| Actor::Operator(operator.email.clone())).to_string(),
        detail: from.map(|ip| format!("from {ip}")),
    };
    Ok(state.store.append_event(&event).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(refused: bool, needs_setup: bool) -> String {
        let (next, email) = ("/audit".into(), "ada@example.com".into());
        LoginPage { frame: Frame::signed_out(), next, email, refused, needs_setup }.render().unwrap()
    }

    #[test]
    fn the_page_has_its_fields_once() {
        let html = sample(false, false);
        for words in [">E-mail</label>", ">Password</label>", ">Sign in</button>"] {
            assert_eq!(html.matches(words).count(), 1, "{words}");
        }
        assert!(html.contains("value=\"/audit\""));
    }

    #[test]
    fn a_refusal_says_nothing_about_the_account() {
        assert!(sample(true, false).contains("do not match"));
        assert!(sample(false, true).contains("/setup?token="));
    }
}
