//! Connecting: one form, two ways in. A refused form comes back filled in, never with the token.

mod page;

use super::{
    Page, browser,
    form::Form,
    moment::Moment,
    ok,
    preflight::{self, Looks},
    problem::Failure,
    refusal::Refusal,
    renewal,
    rotate::is_dead,
    submitted::{SELF_HOSTED, Submitted},
    words,
};
use crate::{
    connect::{Begin, ConnectError, Pasted, Purpose},
    domain::{Account, Connection, ConnectionId, Secret},
    providers::InspectError,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use page::{links, page};
use tower_sessions::Session;

/// What was connected, for the page that comes next.
#[derive(Template)]
#[template(path = "parts/connected.txt")]
struct Connected {
    kind: &'static str,
    /// The project or group, or else the account.
    whose: Option<String>,
    role: Option<String>,
    scopes: Vec<String>,
    expires: Option<Moment>,
}

/// The address may say what to fill in.
pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    ok(page(&state, &who, &Submitted::of(&form, &state.instances), None))
}

/// A pasted token. The form's own button (the Enter key) goes by whether one was pasted.
pub(super) async fn connect(
    State(state): State<AppState>,
    Extension(looks): Extension<Looks>,
    who: SignedIn,
    session: Session,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let submitted = Submitted::of(&form, &state.instances);
    if form.filled("token").is_none()
        && form.text("way") == "either"
        && has_oauth(&state, &submitted.integration)
    {
        return start(&state, &who, &headers, &submitted).await;
    }
    let token = form.secret("token");
    let pasted = Pasted {
        target: submitted.target(),
        token: token.clone(),
        token_kind: None,
        renewal: renewal::chosen(submitted.rotates_itself),
        fields: submitted.fields(),
    };
    match state.connect.adopt(pasted, &who.actor()).await {
        Ok(connection) => {
            let notice = connected(&state, &token, &connection).await;
            session::give_notice(&session, notice).await?;
            Ok(to(connection.id))
        }
        Err(error @ ConnectError::NameTaken(_)) => {
            match state.connect.already(&submitted.name, &token).await? {
                Some(id) => Ok(to(id)),
                None => refuse(&state, &who, &submitted, error).await,
            }
        }
        Err(error) => refuse_token(&state, (&who, &looks), &submitted, &token, error).await,
    }
}

fn to(id: ConnectionId) -> Response {
    Redirect::to(&format!("/connections/{id}")).into_response()
}

async fn connected(state: &AppState, token: &Secret, c: &Connection) -> String {
    let home = match state.instances.of(c) {
        Ok(instance) => state.connect.home(&instance, token, c.account.as_ref()).await,
        Err(_) => None,
    };
    let told = Connected {
        kind: words::a_token_kind(c.token_kind),
        role: home.as_ref().and_then(|h| h.role).map(|r| r.to_string()),
        whose: home.map(|h| h.path).or_else(|| c.account.as_ref().map(Account::label)),
        scopes: c.credential.scopes.to_vec(),
        expires: c.credential.expires_at.map(|at| Moment::new(at, state.clock.now())),
    };
    told.render().unwrap_or_else(|_| "Connected.".to_owned())
}

/// A refusal that is about the token or the base URL says more of it.
async fn refuse_token(
    state: &AppState,
    (who, looks): (&SignedIn, &Looks),
    submitted: &Submitted,
    token: &Secret,
    error: ConnectError,
) -> Result<Response, Failure> {
    let refusal = Refusal::of(&error);
    match error {
        error if is_dead(&error) => {
            let form = links(state, submitted).personal;
            Ok(refused(state, who, submitted, refusal.of_token(token, form)))
        }
        ConnectError::Inspect(
            InspectError::Unreachable { .. }
            | InspectError::NotGitLab { .. }
            | InspectError::Forbidden { .. },
        ) if submitted.integration == SELF_HOSTED => {
            let preflight = preflight::explained(state, looks, who, submitted).await;
            let refusal = refusal.of_base_url(preflight.is_some());
            let status = refusal.status;
            let mut page = page(state, who, submitted, Some(refusal));
            page.preflight = preflight;
            Ok(Page(status, page).into_response())
        }
        error => refuse(state, who, submitted, error).await,
    }
}

/// The start of OAuth.
pub(super) async fn authorize(
    State(state): State<AppState>,
    who: SignedIn,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    start(&state, &who, &headers, &Submitted::of(&form, &state.instances)).await
}

async fn start(
    state: &AppState,
    who: &SignedIn,
    headers: &HeaderMap,
    submitted: &Submitted,
) -> Result<Response, Failure> {
    if submitted.integration == SELF_HOSTED {
        let text = "Signing in works where an operator set up an OAuth application. Paste an access \
                    token for a GitLab \
                    that is not configured here.";
        let refusal = Refusal::about("integration", "This GitLab takes access tokens only", text);
        return Ok(refused(state, who, submitted, refusal));
    }
    let browser = browser::known_or_new(headers, state.is_https);
    let purpose = Purpose::Connect { name: submitted.own_name(), use_cases: submitted.use_cases.clone() };
    let begin = Begin {
        integration: submitted.integration.clone(),
        purpose,
        session: who.session_digest.clone(),
        binder: browser.secret.clone(),
    };
    match state.connect.begin(begin).await {
        Ok(started) => Ok(browser.sent_to(&started.url)),
        Err(error) => refuse(state, who, submitted, error).await,
    }
}

async fn refuse(
    state: &AppState,
    who: &SignedIn,
    submitted: &Submitted,
    error: ConnectError,
) -> Result<Response, Failure> {
    if matches!(error, ConnectError::Store(_)) {
        return Err(error.into());
    }
    let refusal = Refusal::of(&error);
    let ConnectError::NameTaken(name) = error else {
        return Ok(refused(state, who, submitted, refusal));
    };
    let there = state.store.connections_named(&name, Some("")).await?;
    let refusal = match there.first() {
        Some(c) => refusal.linked(format!("/connections/{}", c.id), "Open the connection that has it"),
        None => refusal,
    };
    Ok(refused(state, who, submitted, refusal))
}

fn refused(state: &AppState, who: &SignedIn, submitted: &Submitted, refusal: Refusal) -> Response {
    Page(refusal.status, page(state, who, submitted, Some(refusal))).into_response()
}

fn has_oauth(state: &AppState, integration: &str) -> bool {
    state.instances.integration(integration).is_some_and(|i| i.application.is_some())
}
