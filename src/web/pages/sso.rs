//! Single sign-on: to the issuer, and back. The address that comes back holds a code, so it is left at once for a
//! clean one, and nothing of it is shown.

use super::{
    browser, callback,
    form::Form,
    guesses::{Guesses, slow_down},
    login,
    problem::Failure,
};
use crate::{
    domain::{EventKind, OperatorId, Secret},
    sso::{Begin, Callback, Ended, Finished, Refusal, Sso, SsoError},
    web::{
        session::{self, SignedIn, safe_next},
        state::AppState,
        visitor::Visitor,
    },
};
use axum::{
    Extension,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

const ACCOUNT: &str = "/settings/account";
const BACK_TO_LOGIN: (&str, &str) = ("/login", "Back to sign-in");

/// Somebody wants to sign in at the issuer.
pub(super) async fn begin(
    State(state): State<AppState>,
    Extension(guesses): Extension<Guesses>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let sso = configured(&state)?;
    guesses.knock(visitor.from, state.clock.now()).map_err(|wait| slow_down(wait, BACK_TO_LOGIN))?;
    let next = safe_next(form.filled("next")).to_owned();
    sent(&state, sso, &headers, (next, None)).await
}

/// Somebody who is signed in wants to come in by single sign-on from now on. A session that was left open is not
/// enough for it.
pub(super) async fn join(
    State(state): State<AppState>,
    Extension(guesses): Extension<Guesses>,
    visitor: Visitor,
    who: SignedIn,
    session: Session,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let sso = configured(&state)?;
    let email = &who.operator.email;
    let attempt = guesses.attempt(email, visitor.from, state.clock.now());
    attempt.map_err(|wait| slow_down(wait, (ACCOUNT, "Back to your account")))?;
    if !login::is_password_of(Some(&who.operator), form.password("join_password")).await? {
        session::give_notice(&session, "That is not your password. Nothing was changed.").await?;
        return Ok(Redirect::to(ACCOUNT).into_response());
    }
    guesses.succeeded(email, visitor.from);
    sent(&state, sso, &headers, (ACCOUNT.to_owned(), Some(who.operator.id))).await
}

/// Ends it again, for somebody who has a password.
pub(super) async fn part(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    let parted = state.store.part_identity(who.operator.id, state.clock.now()).await?;
    let notice = if parted {
        "From now on you sign in with your password alone."
    } else {
        "Nothing was changed: you have no password here, or single sign-on is ended already."
    };
    session::give_notice(&session, notice).await?;
    Ok(Redirect::to(ACCOUNT).into_response())
}

async fn sent(
    state: &AppState,
    sso: &Sso,
    headers: &HeaderMap,
    (next, operator): (String, Option<OperatorId>),
) -> Result<Response, Failure> {
    let browser = browser::known_or_new(headers, state.is_https);
    match sso.begin(Begin { binder: browser.secret.clone(), next: next.clone(), operator }).await {
        Ok(url) => Ok(browser.sent_to(&url)),
        Err(SsoError::Refused(trouble)) => Ok(told(trouble.refusal, operator.is_some(), &next)),
        Err(SsoError::Store(error)) => Err(error.into()),
    }
}

/// The issuer sent the browser back.
pub(super) async fn finish(
    State(state): State<AppState>,
    Extension(guesses): Extension<Guesses>,
    who: Option<SignedIn>,
    visitor: Visitor,
    session: Session,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let sso = configured(&state)?;
    let Some(parameters) = callback::read(query.as_deref().unwrap_or_default()) else {
        return Err(unreadable());
    };
    let callback = Callback {
        state: parameters.state,
        code: parameters.code.map(Secret::new),
        error: parameters.error,
        iss: parameters.iss,
        binder: browser::secret(&headers, state.is_https),
        operator: who.map(|who| who.operator.id),
    };
    match sso.finish(callback).await {
        Ok(Finished::In { operator, next }) => {
            guesses.succeeded(&operator.email, visitor.from);
            session::sign_in(&state, &session, &operator, &visitor).await?;
            let how = login::told("by single sign-on", visitor.from);
            login::note(&state, EventKind::SignedIn, Some(&operator.email), how).await?;
            Ok(Redirect::to(safe_next(Some(&next))).into_response())
        }
        Ok(Finished::Joined) => {
            session::give_notice(&session, "Done. From now on you can sign in by single sign-on.").await?;
            Ok(Redirect::to(ACCOUNT).into_response())
        }
        Err(ended) => refused(&state, &visitor, ended).await,
    }
}

/// What only a stranger's address could bring about is not noted: anybody can make one up.
async fn refused(state: &AppState, visitor: &Visitor, ended: Ended) -> Result<Response, Failure> {
    let trouble = match ended.error {
        SsoError::Refused(trouble) => trouble,
        SsoError::Store(error) => return Err(error.into()),
    };
    tracing::info!(code = %trouble.refusal, cause = trouble.cause, "a single sign-on was refused");
    if trouble.refusal != Refusal::Expired {
        let why = format!("single sign-on, {}: {}", trouble.refusal, trouble.cause);
        let why = login::told(&why, visitor.from);
        login::note(state, EventKind::SignInFailed, ended.email.as_deref(), why).await?;
    }
    Ok(told(trouble.refusal, ended.was_joining, &ended.next))
}

/// The page that tells it, from which they can try again and still get where they wanted.
fn told(refusal: Refusal, joining: bool, next: &str) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("refused", refusal.as_str());
    if !joining && next != "/" {
        query.append_pair("next", next);
    }
    let page = if joining { ACCOUNT } else { "/login" };
    Redirect::to(&format!("{page}?{}", query.finish())).into_response()
}

fn configured(state: &AppState) -> Result<&Sso, Failure> {
    state.sso.as_ref().ok_or_else(Failure::not_found)
}

fn unreadable() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "This answer cannot be read")
        .text("The address that brought you here is not one that a sign-in ends with. Nobody was signed in.")
        .link("/login", "Go to sign-in")
}
