//! Who may press what. A viewer may send what is their own and nothing else: whatever is not named here is
//! refused, so that a new page is safe before anybody thinks of it.
//!
//! A form whose session ended while it was filled in comes back with what was typed.

use super::{
    expired,
    form::{self, Form},
    problem::Failure,
};
use crate::web::{
    session::{self, SignedIn},
    state::AppState,
};
use axum::{
    extract::{FromRequest, FromRequestParts, MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// What somebody sends who is not signed in yet, or not any more, or is another product's user.
const SIGNED_OUT: [&str; 8] = [
    "/login",
    "/login/sso",
    "/logout",
    "/setup",
    "/invite",
    "/connect/{link}",
    "/connect/{link}/authorize",
    "/connect/{link}/decline",
];

/// What is a viewer's own.
const OWN: [&str; 5] = [
    "/settings/password",
    "/settings/account/sso/join",
    "/settings/account/sso/part",
    "/settings/sessions/{id}/end",
    "/settings/sessions/end-others",
];

/// Pages that are nothing but a form for administrators.
const FORMS: [&str; 5] = [
    "/connections/new",
    "/connections/{id}/edit",
    "/connections/{id}/rotate",
    "/connections/{id}/disconnect",
    "/settings/api-keys/{id}/revoke",
];

/// Lets a request through, or says why not.
pub(super) async fn gate(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = path.unwrap_or_default();
    let sends = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if SIGNED_OUT.contains(&path.as_str()) || !sends && !FORMS.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    // Who sends slowly is judged by what they may when all is here, and not when they began.
    let body = match form::read(body).await {
        Ok(body) => body,
        Err(failure) => return failure.into_response(),
    };
    let who = <Option<SignedIn>>::from_request_parts(&mut parts, &state).await;
    match who {
        Err(failure) => failure.into_response(),
        Ok(Some(who)) if !who.operator.role.may_change() && !OWN.contains(&path.as_str()) => {
            viewers_change_nothing().into_response()
        }
        Ok(None) if sends && (session::brings_one(&parts.headers, state.is_https) || holds_text(&body)) => {
            typed_too_late(Request::from_parts(parts, body.into())).await
        }
        Ok(_) => next.run(Request::from_parts(parts, body.into())).await,
    }
}

/// Something was typed: by somebody whose session ended so long ago that the browser forgot it, or who sends it a
/// second time before they signed in.
fn holds_text(body: &[u8]) -> bool {
    !Form::parse(body).is_empty()
}

async fn typed_too_late(request: Request) -> Response {
    let address = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    match Form::from_request(request, &()).await {
        Ok(form) => expired::page(address, &form),
        Err(failure) => failure.into_response(),
    }
}

/// The answer to a viewer who sends what is for administrators.
pub(super) fn viewers_change_nothing() -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "Only an administrator may do this")
        .text(
            "You are a viewer here: you see everything and change nothing. Nothing was done. An administrator \
             can do it for you, or make you one under Settings, People.",
        )
        .link("/", "Go to the connections")
}
