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
    sso::Refusal,
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
    /// The host where people sign in as well.
    sso: Option<String>,
    /// Why a sign-in there came to nothing.
    refusal: Option<Refusal>,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    next: Option<String>,
    refused: Option<String>,
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
    let refusal = wanted.refused.and_then(|code| code.parse().ok());
    Ok(ok(LoginPage { next, refusal, ..page(&state).await? }))
}

async fn page(state: &AppState) -> Result<LoginPage, Failure> {
    Ok(LoginPage {
        frame: Frame::signed_out(),
        next: "/".into(),
        email: String::new(),
        refused: false,
        needs_setup: state.store.count_operators().await? == 0,
        sso: state.sso.as_ref().map(|sso| sso.issuer.host().to_owned()),
        refusal: None,
    })
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
        let known = known.as_ref().map(|operator| operator.email.as_str());
        note(&state, EventKind::SignInFailed, known, told("", from)).await?;
        let next = safe_next(form.filled("next")).to_owned();
        let page = LoginPage { next, email, refused: true, ..page(&state).await? };
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    guesses.succeeded(&email, from);
    session::sign_in(&state, &session, operator, &visitor).await?;
    note(&state, EventKind::SignedIn, Some(&operator.email), told("", from)).await?;
    Ok(Redirect::to(safe_next(form.filled("next"))).into_response())
}

pub(super) async fn sign_out(session: Session) -> Result<Response, Failure> {
    session::sign_out(&session).await?;
    Ok(Redirect::to("/login").into_response())
}

/// Takes as long where nobody has the address.
pub(super) async fn is_password_of(operator: Option<&Operator>, password: &str) -> Result<bool, Failure> {
    let kept = operator.and_then(|operator| operator.password_hash.clone());
    Ok(password.len() <= LONGEST_PASSWORD * 4 && verify_password(password.to_owned(), kept).await?)
}

/// How somebody came and where from, as far as there is something to tell.
pub(super) fn told(how: &str, from: Option<IpAddr>) -> Option<String> {
    let from = from.map(|ip| format!("from {ip}")).unwrap_or_default();
    let all: Vec<_> = [how, &from].into_iter().filter(|part| !part.is_empty()).collect();
    Some(all.join(", ")).filter(|told| !told.is_empty())
}

/// Who it was is told where it is known. What was typed is not kept where nobody has that address: people type
/// their password there.
pub(super) async fn note(
    state: &AppState,
    kind: EventKind,
    known: Option<&str>,
    detail: Option<String>,
) -> Result<(), Failure> {
    let event = Event {
        id: EventId::fresh(),
        at: state.clock.now(),
        kind,
        subject: known.map(str::to_owned),
        tenant: None,
        actor: known.map_or(Actor::Mooring, |email| Actor::Operator(email.to_owned())).to_string(),
        detail,
    };
    Ok(state.store.append_event(&event).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(refused: bool, needs_setup: bool) -> String {
        render(refused, needs_setup, None, None)
    }

    fn render(refused: bool, needs_setup: bool, sso: Option<&str>, refusal: Option<Refusal>) -> String {
        let (next, email) = ("/audit".into(), "ada@example.com".into());
        let sso = sso.map(str::to_owned);
        let frame = Frame::signed_out();
        LoginPage { frame, next, email, refused, needs_setup, sso, refusal }.render().unwrap()
    }

    #[test]
    fn every_refusal_of_single_sign_on_has_words_and_its_code() {
        let mut seen = std::collections::BTreeSet::new();
        for refusal in Refusal::ALL {
            let html = render(false, false, Some("id.example"), Some(*refusal));
            let alert =
                html.split("role=\"alert\"").nth(1).expect("there is one").split("</div>").next().unwrap();
            assert!(alert.contains(&format!("<code>{refusal}</code>")) && alert.contains("</h2>"), "{alert}");
            assert!(
                seen.insert(alert.split("<code>").next().unwrap().to_owned()),
                "{refusal} has words of another"
            );
        }
        let html = render(false, false, Some("id.example"), None);
        assert!(html.contains("Sign in with id.example</button>") && !html.contains("role=\"alert\""));
        assert!(!sample(false, false).contains("/login/sso"));
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
