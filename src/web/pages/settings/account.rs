//! The own password and the own sessions.

use super::frame;
use crate::{
    domain::EventKind,
    operator::bad_password,
    sso::Refusal,
    store::{EndSessions, Operator},
    vault::hash_password,
    web::{
        pages::{
            Frame, Page, agent,
            form::Form,
            guesses::{Guesses, slow_down},
            hex, login,
            moment::Moment,
            ok,
            problem::Failure,
        },
        session::{self, OwnSession, SignedIn},
        state::AppState,
        visitor::Visitor,
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use time::OffsetDateTime;
use tower_sessions::Session;

const HERE: &str = "/settings/account";

#[derive(Template)]
#[template(path = "settings/account.html")]
struct AccountPage {
    frame: Frame,
    notice: Option<String>,
    email: String,
    role: &'static str,
    sessions: Vec<SessionView>,
    has_password: bool,
    /// Where people sign in as well, if single sign-on is set up.
    sso: Option<String>,
    /// With which issuer this person signs in.
    issuer: Option<String>,
    /// Why joining the two came to nothing.
    refusal: Option<Refusal>,
    current_error: Option<&'static str>,
    password_error: Option<&'static str>,
}

struct SessionView {
    id: String,
    is_this: bool,
    browser: String,
    address: Option<String>,
    began: Moment,
    seen: Moment,
}

#[derive(Deserialize)]
pub(super) struct Ended {
    refused: Option<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Query(ended): Query<Ended>,
) -> Result<Response, Failure> {
    let notice = session::take_notice(&session).await?;
    let refusal = ended.refused.and_then(|code| code.parse().ok());
    Ok(ok(AccountPage { refusal, ..page(&state, &who, notice).await? }))
}

async fn page(state: &AppState, who: &SignedIn, notice: Option<String>) -> Result<AccountPage, Failure> {
    let now = state.clock.now();
    let sessions = session::own_sessions(state, who).await?;
    Ok(AccountPage {
        frame: frame(who, "account"),
        notice,
        email: who.operator.email.clone(),
        role: who.operator.role.as_str(),
        has_password: who.operator.password_hash.is_some(),
        sso: state.sso.as_ref().map(|sso| sso.issuer.host().to_owned()),
        issuer: state.store.issuer_of(who.operator.id).await?,
        refusal: None,
        sessions: sessions.into_iter().map(|session| SessionView::of(session, now)).collect(),
        current_error: None,
        password_error: None,
    })
}

impl SessionView {
    fn of(session: OwnSession, now: OffsetDateTime) -> Self {
        Self {
            id: hex(&session.key),
            is_this: session.is_this,
            browser: agent::in_words(&session.agent),
            address: session.address,
            began: Moment::new(session.began, now),
            seen: Moment::new(session.seen, now),
        }
    }
}

/// Every session ends but this one, which gets a new id.
pub(super) async fn change_password(
    State(state): State<AppState>,
    Extension(guesses): Extension<Guesses>,
    who: SignedIn,
    (session, visitor): (Session, Visitor),
    form: Form,
) -> Result<Response, Failure> {
    let (current, new) = (form.password("current_password"), form.password("new_password"));
    let current_error = wrong_password(&state, &guesses, &who, &visitor, current).await?;
    let password_error = bad_password(new);
    if current_error.is_some() || password_error.is_some() {
        let page = AccountPage { current_error, password_error, ..page(&state, &who, None).await? };
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let password_hash = hash_password(new.to_owned()).await;
    let now = state.clock.now();
    if !state.store.change_password(&who.operator, &password_hash, now).await? {
        return Err(changed_meanwhile());
    }
    let operator = Operator { password_hash: Some(password_hash), ..who.operator };
    session::begin(&session, &operator, &visitor, now).await?;
    let notice = "Your password is changed. Everywhere else you have to sign in again.";
    session::give_notice(&session, notice).await?;
    Ok(Redirect::to(HERE).into_response())
}

/// Whoever finds a browser that is signed in may not guess the password there either.
async fn wrong_password(
    state: &AppState,
    guesses: &Guesses,
    who: &SignedIn,
    visitor: &Visitor,
    current: &str,
) -> Result<Option<&'static str>, Failure> {
    let (operator, from) = (&who.operator, visitor.from);
    let attempt = guesses.attempt(&operator.email, from, state.clock.now());
    attempt.map_err(|wait| slow_down(wait, (HERE, "Back to your account")))?;
    if login::is_password_of(Some(operator), current).await? {
        guesses.succeeded(&operator.email, from);
        return Ok(None);
    }
    login::note(state, EventKind::SignInFailed, Some(&operator.email), login::told("", from)).await?;
    Ok(Some("This is not your current password."))
}

fn changed_meanwhile() -> Failure {
    Failure::new(StatusCode::CONFLICT, "Your password was changed meanwhile")
        .text(
            "Somebody else changed it while yours was looked at, so yours was not. Sign in with the new one.",
        )
        .link("/login", "Go to sign-in")
}

/// Ends one of the own sessions; this one too, which is signing out.
pub(super) async fn end_session(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let mine = session::own_sessions(&state, &who).await?;
    let one = mine.into_iter().find(|one| hex(&one.key) == id).ok_or_else(Failure::not_found)?;
    if one.is_this {
        session::sign_out(&session).await?;
        return Ok(Redirect::to("/login").into_response());
    }
    end(&state, &who, EndSessions::One(&one.key)).await?;
    session::give_notice(&session, "That session is ended. Whoever uses it has to sign in again.").await?;
    Ok(Redirect::to(HERE).into_response())
}

pub(super) async fn end_others(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    let notice = match end(&state, &who, EndSessions::AllBut(&who.session_key)).await? {
        0 => "There was no other session.".to_owned(),
        1 => "One other session is ended.".to_owned(),
        count => format!("{count} other sessions are ended."),
    };
    session::give_notice(&session, notice).await?;
    Ok(Redirect::to(HERE).into_response())
}

async fn end(state: &AppState, who: &SignedIn, which: EndSessions<'_>) -> Result<u64, Failure> {
    Ok(state.store.end_sessions(who.operator.id, which, state.clock.now(), &who.actor()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_session_has_no_button_that_ends_it() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let view = |key: u8, is_this| {
            let agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0".into();
            SessionView::of(
                OwnSession { key: vec![key], is_this, agent, address: None, began: now, seen: now },
                now,
            )
        };
        let page = AccountPage {
            frame: Frame::sample(),
            notice: None,
            email: "ada@example.com".into(),
            role: "viewer",
            sessions: vec![view(1, true), view(2, false)],
            has_password: true,
            sso: None,
            issuer: None,
            refusal: None,
            current_error: None,
            password_error: None,
        };
        let html = page.render().unwrap();
        assert!(html.contains("Firefox on Linux") && html.contains("/settings/sessions/02/end"));
        assert!(!html.contains("/settings/sessions/01/end"));
    }
}
