//! The page behind a connect session's link: another product's user connects an account, without an account here.
//!
//! Opening the link changes nothing: chat programs and mail scanners open links, too. The first browser that presses a
//! button has the session for itself.

mod page;

use super::{
    Page,
    browser::{self, Browser},
    form::Form,
    preflight::Looks,
    problem::Failure,
    refusal::Refusal,
    settings::in_order,
    submitted::SELF_HOSTED,
};
use crate::{
    connect::{ConnectError, SessionError, Target},
    domain::{ConnectSession, ConnectSessionState, Connection},
    store::StoreError,
    web::state::AppState,
};
use axum::{
    Extension,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use page::{page, product};

/// A browser that came by a session's link.
pub(super) struct Visit {
    link: String,
    session: ConnectSession,
    browser: Browser,
    /// The connection that is reconnected, while there is one.
    was: Option<Connection>,
}

pub(super) async fn show(State(state): State<AppState>, visit: Visit) -> Result<Response, Failure> {
    if let Some(back) = visit.back_if_done(&state).await? {
        return Ok(back);
    }
    visit.refuse_over(&state)?;
    let page = super::ok(page(&state, &visit, &Form::parse(b""), None));
    // Two clicks on the first button must come from one browser.
    Ok(visit.browser.remembered(page))
}

pub(super) async fn authorize(
    State(state): State<AppState>,
    visit: Visit,
    form: Form,
) -> Result<Response, Failure> {
    if let Some(back) = visit.back_if_done(&state).await? {
        return Ok(back);
    }
    let first =
        || in_order(&state.instances).find(|one| one.application.is_some()).map(|one| one.id.as_str());
    let chosen = visit.session.integration.as_deref().or_else(|| form.filled("integration")).or_else(first);
    let binder = visit.browser.secret.clone();
    match state.connect.authorize_in_session(&visit.session, chosen.unwrap_or_default(), binder).await {
        Ok(started) => Ok(visit.browser.sent_to(&started.url)),
        Err(error) => visit.refused(&state, &form, error).await,
    }
}

pub(super) async fn paste(
    State(state): State<AppState>,
    Extension(looks): Extension<Looks>,
    visit: Visit,
    form: Form,
) -> Result<Response, Failure> {
    if let Some(back) = visit.back_if_done(&state).await? {
        return Ok(back);
    }
    let target = visit.target(&form);
    if visit.takes_typed()
        && matches!(target, Target::BaseUrl(_))
        && let Err(seconds) = looks.count(&visit.session.id.to_string(), state.clock.now())
    {
        return Ok(visit.form_again(&state, &form, Refusal::too_many_looks(seconds)));
    }
    let token = form.secret("token");
    match state.connect.paste_in_session(&visit.session, target, token, &visit.browser.secret).await {
        Ok(()) => visit.back(&state).await,
        Err(error) => visit.refused(&state, &form, error).await,
    }
}

pub(super) async fn decline(
    State(state): State<AppState>,
    visit: Visit,
    form: Form,
) -> Result<Response, Failure> {
    match state.connect.decline_session(&visit.session, &visit.browser.secret).await {
        Ok(()) => visit.back(&state).await,
        Err(error) => visit.refused(&state, &form, error).await,
    }
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let unknown = || {
            Failure::new(StatusCode::NOT_FOUND, "This link does not work").text(
                "It is too old, or was not copied whole. Go back to where you came from and begin there again.",
            )
        };
        let link = Path::<String>::from_request_parts(parts, state).await.map_err(|_| unknown())?.0;
        let session = state.connect.session_behind(&link).await?.ok_or_else(unknown)?;
        let was = was(state, &session).await?;
        Ok(Self { link, session, was, browser: browser::known_or_new(&parts.headers, state.is_https) })
    }
}

async fn was(state: &AppState, session: &ConnectSession) -> Result<Option<Connection>, StoreError> {
    match session.connection {
        Some(id) => state.store.connection(id).await,
        None => Ok(None),
    }
}

impl Visit {
    /// Whether the person may say where the GitLab is.
    fn takes_typed(&self) -> bool {
        self.session.integration.is_none() && self.session.connection.is_none()
    }

    /// A connection that is reconnected stays where it is.
    fn target(&self, form: &Form) -> Target {
        if let Some(id) = &self.session.integration {
            return Target::Integration(id.clone());
        }
        if let Some(was) = &self.was {
            return Target::BaseUrl(was.base_url.to_string());
        }
        let chosen = form.text("integration");
        let is_typed = chosen == SELF_HOSTED || (chosen.is_empty() && form.filled("base_url").is_some());
        if is_typed {
            Target::BaseUrl(form.text("base_url").to_owned())
        } else {
            Target::Integration(chosen.to_owned())
        }
    }

    async fn back(&self, state: &AppState) -> Result<Response, Failure> {
        Ok(self.browser.sent_to(&state.connect.way_back(self.session.id).await?))
    }

    /// A second click, a reload or the back button after the end lead where the first one did.
    async fn back_if_done(&self, state: &AppState) -> Result<Option<Response>, Failure> {
        if !state.connect.is_done_here(self.session.id, &self.browser.secret).await? {
            return Ok(None);
        }
        self.back(state).await.map(Some)
    }

    /// Says so where nothing can be done any more.
    fn refuse_over(&self, state: &AppState) -> Result<(), Failure> {
        let (status, title, text) = match self.session.state_at(state.clock.now()) {
            ConnectSessionState::Open => return Ok(()),
            ConnectSessionState::Expired => (
                StatusCode::GONE,
                "This link has expired",
                "A link works for half an hour. Begin again there.",
            ),
            ConnectSessionState::AwaitingCompletion | ConnectSessionState::Completed => (
                StatusCode::CONFLICT,
                "This link was used",
                "The account was connected. There is nothing to do here.",
            ),
            ConnectSessionState::Failed => {
                (StatusCode::CONFLICT, "This link was used", "Nothing was connected. Begin again there.")
            }
        };
        Err(self.leading_home(Failure::new(status, title).text(text)))
    }

    /// What was refused because of the session has a page of its own; what the person can mend stands on the form.
    async fn refused(&self, state: &AppState, form: &Form, error: SessionError) -> Result<Response, Failure> {
        if !matches!(error, SessionError::Connect(_))
            && let Some(back) = self.back_if_done(state).await?
        {
            return Ok(back);
        }
        match error {
            SessionError::Connect(error @ (ConnectError::Store(_) | ConnectError::Gone)) => Err(error.into()),
            SessionError::Connect(error) => Ok(self.form_again(state, form, Refusal::of(&error))),
            SessionError::OtherBrowser => Err(self.leading_home(
                Failure::new(StatusCode::FORBIDDEN, "This was begun in another browser")
                    .text("Go on in the browser in which you began, or begin again where you came from."),
            )),
            error => {
                self.refuse_over(state)?;
                let used = Failure::new(StatusCode::CONFLICT, "This link was used").text(error.to_string());
                Err(self.leading_home(used))
            }
        }
    }

    fn form_again(&self, state: &AppState, form: &Form, refusal: Refusal) -> Response {
        let status = refusal.status;
        self.browser.remembered(Page(status, page(state, self, form, Some(refusal))).into_response())
    }

    /// With the way to the product, which is told nothing.
    fn leading_home(&self, failure: Failure) -> Failure {
        failure.link(&self.session.return_url, format!("Back to {}", product(&self.session)))
    }
}
