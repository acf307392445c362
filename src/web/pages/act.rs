//! Buttons of a connection's page that need no page of their own.

use super::{browser, connection, problem::Failure};
use crate::{
    connect::{Begin, Purpose},
    domain::Status,
    health::CheckError,
    renewal::{RenewalError, TakeBackError},
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

/// Asks GitLab now. What it said is on the page, also that it could not be asked.
pub(super) async fn check(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let was = connection::find(&state, &id).await?;
    let notice = match state.health.check(was.id, &who.actor()).await {
        Ok(now) if state.standing(&now).status == Status::Active => "Checked just now: it works.",
        Ok(_) => "Checked just now. Read below what GitLab said.",
        Err(CheckError::Inspect(_) | CheckError::Instance(_)) => "GitLab could not be asked. Read below why.",
        Err(error) => return Err(error.into()),
    };
    session::give_notice(&session, notice).await?;
    Ok(Redirect::to(&format!("/connections/{}", was.id)).into_response())
}

/// Renews an exported connection here again.
pub(super) async fn take_back(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let was = connection::find(&state, &id).await?;
    let page = format!("/connections/{}", was.id);
    match state.renewals.take_back(was.id, &who.actor()).await {
        Ok(_) => session::give_notice(&session, "Taken back: it is renewed here again.").await?,
        Err(TakeBackError::Renewal(RenewalError::Store(error))) => return Err(Failure::internal(&error)),
        Err(TakeBackError::Renewal(RenewalError::Gone)) => return Err(Failure::not_found()),
        Err(error) => {
            let title = "This connection cannot be taken back now";
            return Err(Failure::new(StatusCode::CONFLICT, title)
                .text(error.to_string())
                .link(page, "Back to the connection"));
        }
    }
    Ok(Redirect::to(&page).into_response())
}

/// The person consents at GitLab again, for the same connection.
pub(super) async fn reauthorize(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let was = connection::find(&state, &id).await?;
    let Some(integration) = was.integration.clone() else {
        return Err(Failure::new(StatusCode::CONFLICT, "This connection cannot be reauthorized")
            .text("It is of a GitLab that has no OAuth application here. Rotate its token instead.")
            .link(format!("/connections/{}", was.id), "Back to the connection"));
    };
    let browser = browser::known_or_new(&headers, state.is_https);
    let begin = Begin {
        integration,
        purpose: Purpose::Reauthorize(was.id),
        session: who.session_digest.clone(),
        binder: browser.secret.clone(),
    };
    match state.connect.begin(begin).await {
        Ok(started) => Ok(browser.sent_to(&started.url)),
        Err(error) => {
            Err(Failure::from(error).link(format!("/connections/{}", was.id), "Back to the connection"))
        }
    }
}
