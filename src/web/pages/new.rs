//! Connecting: one form, two ways in. A refused form comes back filled in, never with the token.

use super::{
    Frame, Page, browser,
    form::Form,
    ok,
    problem::Failure,
    refusal::Refusal,
    renewal,
    submitted::{SELF_HOSTED, Submitted},
};
use crate::{
    connect::{Begin, ConnectError, Pasted, Purpose},
    domain::{BaseUrl, Integration, TokenKind, UseCase},
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "new.html")]
#[expect(clippy::struct_excessive_bools, reason = "each of them decides a part of the page")]
struct NewPage {
    frame: Frame,
    refusal: Option<Refusal>,
    places: Vec<PlaceView>,
    takes_typed: bool,
    is_typed: bool,
    base_url: String,
    name: String,
    use_cases: Vec<UseCaseView>,
    has_oauth: bool,
    token_form: Option<String>,
    rotates_itself: bool,
}

struct PlaceView {
    id: String,
    title: String,
    base_url: String,
    has_oauth: bool,
    chosen: bool,
    /// The page of this GitLab where tokens are made, without name and scopes.
    token_form: String,
}

/// A use case with what it needs, and where one kind of token needs something else.
struct UseCaseView {
    id: String,
    title: String,
    purpose: String,
    scopes: String,
    least_role: String,
    note: Option<String>,
    differs: Vec<String>,
    chosen: bool,
}

impl NewPage {
    fn error(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref().and_then(|r| r.field(field))
    }
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
    let pasted = Pasted {
        target: submitted.target(),
        token: form.secret("token"),
        token_kind: None,
        renewal: renewal::chosen(submitted.rotates_itself),
        fields: submitted.fields(),
    };
    match state.connect.adopt(pasted, &who.actor()).await {
        Ok(connection) => {
            session::give_notice(
                &session,
                "Connected. The token was checked with GitLab and is kept sealed.",
            )
            .await?;
            Ok(Redirect::to(&format!("/connections/{}", connection.id)).into_response())
        }
        Err(error) => refuse(&state, &who, &submitted, error),
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
        Err(error) => refuse(state, who, submitted, error),
    }
}

fn refuse(
    state: &AppState,
    who: &SignedIn,
    submitted: &Submitted,
    error: ConnectError,
) -> Result<Response, Failure> {
    if matches!(error, ConnectError::Store(_)) {
        return Err(error.into());
    }
    Ok(refused(state, who, submitted, Refusal::of(&error)))
}

fn refused(state: &AppState, who: &SignedIn, submitted: &Submitted, refusal: Refusal) -> Response {
    Page(refusal.status, page(state, who, submitted, Some(refusal))).into_response()
}

fn has_oauth(state: &AppState, integration: &str) -> bool {
    state.instances.integration(integration).is_some_and(|i| i.application.is_some())
}

fn page(state: &AppState, who: &SignedIn, submitted: &Submitted, refusal: Option<Refusal>) -> NewPage {
    let instances = &state.instances;
    let form = |url: &BaseUrl| {
        let needed = state.use_cases.scopes_for(&submitted.use_cases, TokenKind::Personal);
        let name = if submitted.name.is_empty() { "mooring" } else { &submitted.name };
        state.provider.api().token_form_url(url, TokenKind::Personal, name, &needed)
    };
    let place = |i: &Integration| PlaceView {
        id: i.id.clone(),
        title: place_title(i),
        base_url: i.base_url.as_str().to_owned(),
        has_oauth: i.application.is_some(),
        chosen: i.id == submitted.integration,
        token_form: form(&i.base_url).split('?').next().unwrap_or_default().to_owned(),
    };
    NewPage {
        frame: Frame::of(Some(who), "connections"),
        refusal,
        places: super::settings::in_order(instances).map(place).collect(),
        takes_typed: instances.takes_typed(),
        is_typed: submitted.integration == SELF_HOSTED,
        base_url: submitted.base_url.clone(),
        name: submitted.name.clone(),
        use_cases: state.use_cases.iter().map(|u| UseCaseView::of(u, &submitted.use_cases)).collect(),
        has_oauth: instances.integrations().any(|i| i.application.is_some()),
        token_form: instances.integration(&submitted.integration).map(|i| form(&i.base_url)),
        rotates_itself: submitted.rotates_itself,
    }
}

fn place_title(integration: &Integration) -> String {
    if integration.base_url.as_str() == "https://gitlab.com" {
        return "GitLab.com".into();
    }
    integration.id.clone()
}

impl UseCaseView {
    fn of(use_case: &UseCase, chosen: &[String]) -> Self {
        let usual = use_case.needs(TokenKind::Personal);
        let note = |n: &Option<String>| n.clone().filter(|text| !text.is_empty());
        Self {
            id: use_case.id.clone(),
            title: use_case.title.clone(),
            purpose: use_case.purpose.clone(),
            scopes: usual.scopes.to_vec().join(", "),
            least_role: usual.least_role.to_string(),
            note: note(&usual.note),
            differs: [TokenKind::Project, TokenKind::Group]
                .into_iter()
                .filter_map(|k| differs(use_case, k))
                .collect(),
            chosen: chosen.contains(&use_case.id),
        }
    }
}

/// What one kind of token needs otherwise than a personal one.
fn differs(use_case: &UseCase, kind: TokenKind) -> Option<String> {
    let (usual, own) = (use_case.needs(TokenKind::Personal), use_case.needs(kind));
    let mut parts = Vec::new();
    if own.scopes != usual.scopes {
        parts.push(format!("scope {}", own.scopes.to_vec().join(", ")));
    }
    if own.least_role != usual.least_role {
        parts.push(format!("role {}", own.least_role));
    }
    (!parts.is_empty()).then(|| format!("{}: {}", super::words::token_kind(kind), parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UseCases;

    fn sample(refusal: Option<Refusal>) -> String {
        let chosen = ["secret-sync".to_owned()];
        let page = NewPage {
            frame: Frame::sample(),
            refusal,
            places: vec![PlaceView {
                id: "gitlab".into(),
                title: "GitLab.com".into(),
                base_url: "https://gitlab.com".into(),
                has_oauth: true,
                chosen: true,
                token_form: "https://gitlab.com/form".into(),
            }],
            takes_typed: true,
            is_typed: false,
            base_url: String::new(),
            name: "acme <1>".into(),
            use_cases: UseCases::shipped().iter().map(|u| UseCaseView::of(u, &chosen)).collect(),
            has_oauth: true,
            token_form: Some("https://gitlab.com/form?name=a".into()),
            rotates_itself: false,
        };
        page.render().unwrap()
    }

    #[test]
    fn each_field_and_button_is_there_once() {
        let html = sample(None);
        for words in [
            ">Name</label>",
            ">Access token</label>",
            ">Base URL</label>",
            ">Connect to GitLab</button>",
            ">Connect</button>",
            "Self-hosted / GitLab Enterprise",
        ] {
            assert_eq!(html.matches(words).count(), 1, "{words}");
        }
        assert!(html.contains("Project access token: role Owner"));
        let switch = html.split("name=\"self_rotate\"").nth(1).unwrap().split('>').next().unwrap();
        assert!(!switch.contains("checked"), "a token rotates itself by choice alone");
    }

    #[test]
    fn a_refused_form_comes_back_filled_in_and_without_the_token() {
        let html = sample(Some(Refusal::of(&ConnectError::NameTaken("acme".into()))));
        assert!(html.contains("value=\"acme &#60;1&#62;\"") && html.contains("That name is taken"));
        assert!(
            html.contains("aria-describedby=\"name-hint name-error\"")
                && html.contains("aria-invalid=\"true\"")
        );
        let token = html.split("id=\"token\"").nth(1).unwrap().split('>').next().unwrap();
        assert!(!token.contains("value="));
    }
}
