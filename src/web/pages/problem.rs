//! Pages for what went wrong. A handler answers with a [`Failure`]; a layer around all pages writes the
//! page, with the request's id, and also for what the framework refused. A cause is never shown.

use super::{Frame, Page};
use crate::{
    connect::ConnectError,
    health::CheckError,
    store::StoreError,
    vault::Busy,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::request_id::RequestId;

/// The way on from where nothing is.
const CONNECTIONS: &str = "Go to the connections";

/// What happened and what to do, in words for people.
#[derive(Clone, Debug)]
pub struct Failure {
    status: StatusCode,
    title: String,
    text: String,
    link: Option<(String, String)>,
    retry_after: Option<u64>,
}

impl Failure {
    pub fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Self { status, title: title.into(), text: String::new(), link: None, retry_after: None }
    }

    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Where to go from here.
    #[must_use]
    pub fn link(mut self, href: impl Into<String>, label: impl Into<String>) -> Self {
        self.link = Some((href.into(), label.into()));
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub fn not_found() -> Self {
        let text =
            "Nothing is at this address. It may have been disconnected, or the address has a typing error.";
        Self::new(StatusCode::NOT_FOUND, "Page not found").text(text).link("/", CONNECTIONS)
    }

    /// An error of our own. Its cause goes to the log and nowhere else.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(%cause, "a page failed");
        Self::broken()
    }

    fn broken() -> Self {
        let text = "Something went wrong here, and nothing you did caused it. Try again. If it happens \
                    again, give the \
                    request id below to whoever runs this server: it leads to the cause in the log.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Mooring could not do this")
            .text(text)
            .link("/", CONNECTIONS)
    }

    /// For an answer of the framework, which has a status and nothing else.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::FORBIDDEN => Self::new(status, "This came from another site")
                .text(
                    "Your browser says that this form was sent from another site, so nothing was done. \
                 Open the page \
                 here and send it again.",
                )
                .link("/", CONNECTIONS),
            StatusCode::METHOD_NOT_ALLOWED => {
                let text = "Go back and use the buttons of the page.";
                Self::new(status, "This address does something else").text(text).link("/", CONNECTIONS)
            }
            status if status.is_server_error() => Self { status, ..Self::broken() },
            status => Self::new(status, "This request cannot be understood")
                .text("Go back and try again.")
                .link("/", CONNECTIONS),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many people sign in at this moment")
            .text("Your password was not looked at, because too many are being looked at. Wait a few seconds, then try again.")
            .link("/login", "Back to sign-in")
            .retry_after(5)
    }
}

impl From<tower_sessions::session::Error> for Failure {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Store(error) => Self::internal(&error),
            ConnectError::Gone => Self::not_found(),
            error => Self::new(status_of(&error), "This was not done").text(error.to_string()),
        }
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Store(error) => Self::internal(&error),
            CheckError::Gone => Self::not_found(),
            error => Self::new(StatusCode::BAD_GATEWAY, "This could not be checked").text(error.to_string()),
        }
    }
}

/// The status that a refusal to connect is answered with.
pub(super) fn status_of(error: &ConnectError) -> StatusCode {
    match error.code() {
        "name_taken"
        | "different_account"
        | "changed_meanwhile"
        | "made_by_oauth"
        | "made_by_access_token" => StatusCode::CONFLICT,
        "provider_unreachable" | "not_gitlab" | "provider_unavailable" => StatusCode::BAD_GATEWAY,
        "rate_limited" => StatusCode::SERVICE_UNAVAILABLE,
        "not_found" => StatusCode::NOT_FOUND,
        "internal_error" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    failure: Failure,
    request_id: Option<String>,
}

/// Writes the page of every failure that has none yet.
pub(super) async fn write(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().map(RequestId::header_value).cloned();
    let (parts, body) = request.into_parts();
    let is_api = parts.uri.path().starts_with("/api/");
    let mut asked = parts.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    let is_bare = response.status().as_u16() >= 400 && !has_page(&response);
    if !is_bare || is_api {
        return response;
    }
    let failure = response.extensions().get::<Failure>().cloned();
    let failure = failure.unwrap_or_else(|| Failure::of_status(response.status()));
    let operator = <Option<SignedIn>>::from_request_parts(&mut asked, &state).await.ok().flatten();
    let request_id = request_id.and_then(|id| id.to_str().map(str::to_owned).ok());
    page(operator.as_ref(), failure, request_id, &response)
}

fn has_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.and_then(|k| k.to_str().ok()).is_some_and(|k| k.starts_with("text/html"))
}

fn page(
    operator: Option<&SignedIn>,
    failure: Failure,
    request_id: Option<String>,
    was: &Response,
) -> Response {
    let (status, retry_after) = (failure.status, failure.retry_after);
    let page = ProblemPage { frame: Frame::of(operator, ""), failure, request_id };
    let mut response = Page(status, page).into_response();
    for cookie in was.headers().get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    if let Some(allow) = was.headers().get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_tells_the_request_and_no_cause() {
        let failure = Failure::internal(&std::io::Error::other("secret path /var/lib"));
        let html = ProblemPage { frame: Frame::signed_out(), failure, request_id: Some("req-1".into()) }
            .render()
            .unwrap();
        assert!(html.contains("req-1") && !html.contains("/var/lib"));
    }

    #[test]
    fn refusals_have_the_status_that_fits() {
        assert_eq!(status_of(&ConnectError::NameTaken("a".into())), StatusCode::CONFLICT);
        assert_eq!(status_of(&ConnectError::UnknownUseCase("a".into())), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
