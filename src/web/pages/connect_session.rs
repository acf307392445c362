//! The page behind a connect session's link: another product's user connects an account, without an account here.
//!
//! Opening the link changes nothing: chat programs and mail scanners open links, too. The first browser that presses a
//! button has the session for itself.

use super::{
    Frame, Page, browser, form::Form, problem::Failure, refusal::Refusal, settings::in_order,
    submitted::SELF_HOSTED,
};
use crate::{
    connect::{ConnectError, SessionError, Target},
    domain::{ConnectSession, ConnectSessionState, Method, TokenKind},
    web::state::AppState,
};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use url::Url;

#[derive(Template)]
#[template(path = "connect_session.html")]
struct SessionPage {
    frame: Frame,
    link: String,
    /// The product, by the host that the browser goes back to.
    product: String,
    is_reconnect: bool,
    use_cases: Vec<UseCaseView>,
    oauth: Vec<Place>,
    pasted: Vec<Place>,
    takes_typed: bool,
    base_url: String,
    refusal: Option<Refusal>,
}

struct UseCaseView {
    title: String,
    scopes: String,
}

/// One GitLab to choose.
struct Place {
    id: String,
    base_url: String,
    token_form: String,
    is_chosen: bool,
}

pub(super) async fn show(
    State(state): State<AppState>,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let session = find(&state, &link).await?;
    if let Some(back) = done_here(&state, &session, &browser::known_or_new(&headers, state.is_https)).await? {
        return Ok(back);
    }
    refuse_over(&session, &state)?;
    Ok(super::ok(page(&state, link, &session, &Form::parse(b""), None)))
}

pub(super) async fn authorize(
    State(state): State<AppState>,
    Path(link): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let session = find(&state, &link).await?;
    let browser = browser::known_or_new(&headers, state.is_https);
    if let Some(back) = done_here(&state, &session, &browser).await? {
        return Ok(back);
    }
    let first =
        || in_order(&state.instances).find(|one| one.application.is_some()).map(|one| one.id.as_str());
    let chosen = session.integration.as_deref().or_else(|| form.filled("integration")).or_else(first);
    let chosen = chosen.unwrap_or_default().to_owned();
    match state.connect.authorize_in_session(&session, &chosen, browser.secret.clone()).await {
        Ok(started) => Ok(browser.sent_to(&started.url)),
        Err(error) => Ok(browser.remembered(refused(&state, link, &session, &form, error)?)),
    }
}

pub(super) async fn paste(
    State(state): State<AppState>,
    Path(link): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let session = find(&state, &link).await?;
    let browser = browser::known_or_new(&headers, state.is_https);
    if let Some(back) = done_here(&state, &session, &browser).await? {
        return Ok(back);
    }
    let target = match target(&state, &session, &form).await {
        Ok(target) => target,
        Err(error) => return Ok(browser.remembered(refused(&state, link, &session, &form, error.into())?)),
    };
    let token = form.secret("token");
    match state.connect.paste_in_session(&session, target, token, &browser.secret).await {
        Ok(()) => Ok(browser.sent_to(&state.connect.way_back(session.id).await?)),
        Err(error) => Ok(browser.remembered(refused(&state, link, &session, &form, error)?)),
    }
}

pub(super) async fn decline(
    State(state): State<AppState>,
    Path(link): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let session = find(&state, &link).await?;
    let browser = browser::known_or_new(&headers, state.is_https);
    match state.connect.decline_session(&session, &browser.secret).await {
        Ok(()) => Ok(browser.sent_to(&state.connect.way_back(session.id).await?)),
        Err(error) => Ok(browser.remembered(refused(&state, link, &session, &form, error)?)),
    }
}

/// A second click, a reload or the back button after the end lead where the first one did.
async fn done_here(
    state: &AppState,
    session: &ConnectSession,
    browser: &browser::Browser,
) -> Result<Option<Response>, Failure> {
    if !state.connect.is_done_here(session, &browser.secret).await? {
        return Ok(None);
    }
    Ok(Some(browser.sent_to(&state.connect.way_back(session.id).await?)))
}

/// A connection that is reconnected stays where it is.
async fn target(state: &AppState, session: &ConnectSession, form: &Form) -> Result<Target, ConnectError> {
    if let Some(id) = &session.integration {
        return Ok(Target::Integration(id.clone()));
    }
    if let Some(id) = session.connection {
        let was = state.store.connection(id).await?.ok_or(ConnectError::Gone)?;
        return Ok(Target::BaseUrl(was.base_url.to_string()));
    }
    let chosen = form.text("integration");
    let is_typed = chosen == SELF_HOSTED || (chosen.is_empty() && form.filled("base_url").is_some());
    Ok(if is_typed {
        Target::BaseUrl(form.text("base_url").to_owned())
    } else {
        Target::Integration(chosen.to_owned())
    })
}

async fn find(state: &AppState, link: &str) -> Result<ConnectSession, Failure> {
    let unknown = || {
        Failure::new(StatusCode::NOT_FOUND, "This link does not work").text(
            "It is too old, or was not copied whole. Go back to where you came from and begin there again.",
        )
    };
    state.connect.session_behind(link).await?.ok_or_else(unknown)
}

/// Says so where nothing can be done any more.
fn refuse_over(session: &ConnectSession, state: &AppState) -> Result<(), Failure> {
    let (status, title, text) = match session.state_at(state.clock.now()) {
        ConnectSessionState::Open => return Ok(()),
        ConnectSessionState::Expired => {
            (StatusCode::GONE, "This link has expired", "A link works for half an hour. Begin again there.")
        }
        ConnectSessionState::AwaitingCompletion | ConnectSessionState::Completed => (
            StatusCode::CONFLICT,
            "This link was used",
            "The account was connected. There is nothing to do here.",
        ),
        ConnectSessionState::Failed => {
            (StatusCode::CONFLICT, "This link was used", "Nothing was connected. Begin again there.")
        }
    };
    Err(Failure::new(status, title).text(text).link(home(session), format!("Back to {}", product(session))))
}

/// What was refused because of the session has a page of its own; what the person can mend stands on the form.
fn refused(
    state: &AppState,
    link: String,
    session: &ConnectSession,
    form: &Form,
    error: SessionError,
) -> Result<Response, Failure> {
    match error {
        SessionError::Connect(error @ (ConnectError::Store(_) | ConnectError::Gone)) => Err(error.into()),
        SessionError::Connect(error) => {
            let refusal = Refusal::of(&error);
            let status = refusal.status;
            Ok(Page(status, page(state, link, session, form, Some(refusal))).into_response())
        }
        SessionError::OtherBrowser => {
            Err(Failure::new(StatusCode::FORBIDDEN, "This was begun in another browser")
                .text("Go on in the browser in which you began, or begin again where you came from.")
                .link(home(session), format!("Back to {}", product(session))))
        }
        error => {
            refuse_over(session, state)?;
            Err(Failure::new(StatusCode::CONFLICT, "This link was used")
                .text(error.to_string())
                .link(home(session), format!("Back to {}", product(session))))
        }
    }
}

fn page(
    state: &AppState,
    link: String,
    session: &ConnectSession,
    form: &Form,
    refusal: Option<Refusal>,
) -> SessionPage {
    let may = |method| session.methods.contains(&method);
    let is_own = |id: &str| session.integration.as_deref().is_none_or(|wanted| wanted == id);
    let is_fixed = session.integration.is_some() || session.connection.is_some();
    let places = |with_application: bool| {
        let fitting = in_order(&state.instances)
            .filter(|one| is_own(&one.id) && (!with_application || one.application.is_some()));
        fitting.map(|one| place(state, session, one)).collect::<Vec<_>>()
    };
    let mut page = SessionPage {
        frame: Frame::signed_out(),
        product: product(session),
        is_reconnect: session.connection.is_some(),
        use_cases: use_cases(state, session),
        oauth: if may(Method::OAuth) { places(true) } else { vec![] },
        pasted: if may(Method::AccessToken) { places(false) } else { vec![] },
        takes_typed: may(Method::AccessToken) && !is_fixed && state.instances.takes_typed(),
        base_url: form.text("base_url").to_owned(),
        refusal,
        link,
    };
    choose(&mut page.oauth, form.text("integration"));
    choose(&mut page.pasted, form.text("integration"));
    page
}

fn choose(places: &mut [Place], wanted: &str) {
    let at = places.iter().position(|place| place.id == wanted).unwrap_or(0);
    if let Some(place) = places.get_mut(at).filter(|_| wanted != SELF_HOSTED) {
        place.is_chosen = true;
    }
}

fn place(state: &AppState, session: &ConnectSession, one: &crate::domain::Integration) -> Place {
    let kind = TokenKind::Personal;
    let scopes = state.use_cases.scopes_for(&session.use_cases, kind);
    Place {
        id: one.id.clone(),
        base_url: one.base_url.as_str().to_owned(),
        token_form: state.provider.api().token_form_url(&one.base_url, kind, "mooring", &scopes),
        is_chosen: false,
    }
}

fn use_cases(state: &AppState, session: &ConnectSession) -> Vec<UseCaseView> {
    let known = session.use_cases.iter().filter_map(|id| state.use_cases.get(id));
    let view = |one: &crate::domain::UseCase| UseCaseView {
        title: one.title.clone(),
        scopes: state
            .use_cases
            .scopes_for(std::slice::from_ref(&one.id), TokenKind::Personal)
            .to_vec()
            .join(", "),
    };
    known.map(view).collect()
}

fn product(session: &ConnectSession) -> String {
    let url = Url::parse(&session.return_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Where the product is, without telling it anything.
fn home(session: &ConnectSession) -> String {
    session.return_url.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_who_asks_and_for_what() {
        let place = || Place {
            id: "gitlab".into(),
            base_url: "https://gitlab.com".into(),
            token_form: "https://gitlab.com/-/user_settings/personal_access_tokens".into(),
            is_chosen: true,
        };
        let page = SessionPage {
            frame: Frame::signed_out(),
            link: "ticket".into(),
            product: "app.example.com".into(),
            is_reconnect: false,
            use_cases: vec![UseCaseView { title: "Code review".into(), scopes: "api".into() }],
            oauth: vec![place()],
            pasted: vec![place()],
            takes_typed: true,
            base_url: "https://<x>".into(),
            refusal: None,
        };
        let html = page.render().unwrap();
        for words in
            ["app.example.com", "Code review", "Connect to GitLab", "Access token", "Base URL", "&#60;x&#62;"]
        {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
    }
}
