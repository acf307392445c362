//! Connecting: one form, two ways in. A refused form comes back filled in, never with the token.

use super::{
    Frame, Page, browser,
    form::Form,
    moment::Moment,
    needs::{Needs, UseCaseView},
    ok,
    places::{ApplicationView, LinksView, PlaceView},
    preflight::{self, Looks, PreflightView},
    problem::Failure,
    refusal::Refusal,
    renewal,
    rotate::is_dead,
    settings::in_order,
    submitted::{SELF_HOSTED, Submitted},
    words,
};
use crate::{
    connect::{Begin, ConnectError, Pasted, Purpose},
    domain::{Account, BaseUrl, Connection, ConnectionId, Scopes, Secret, TokenKind},
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
    http::{HeaderMap, StatusCode},
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
    applications: Vec<ApplicationView>,
    /// What an application must be allowed, so that every use case can be asked for.
    application_scopes: Vec<String>,
    takes_typed: bool,
    is_typed: bool,
    base_url: String,
    /// What was found at it, where a connect was refused because of that.
    preflight: Option<PreflightView>,
    /// Paths alone: the script puts the typed base URL before them.
    typed_links: LinksView,
    /// Of the chosen place.
    links: LinksView,
    name: String,
    use_cases: Vec<UseCaseView>,
    needs: Needs,
    has_oauth: bool,
    rotates_itself: bool,
}

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
            let notice = connected(&state, &submitted, &token, &connection).await;
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

async fn connected(state: &AppState, submitted: &Submitted, token: &Secret, c: &Connection) -> String {
    let home = state.connect.home(&submitted.target(), token, c.account.as_ref()).await;
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
            let page = page(state, who, submitted, Some(refusal.of_base_url(preflight.is_some())));
            let status = page.refusal.as_ref().map_or(StatusCode::BAD_GATEWAY, |r| r.status);
            Ok(Page(status, NewPage { preflight, ..page }).into_response())
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

fn page(state: &AppState, who: &SignedIn, submitted: &Submitted, refusal: Option<Refusal>) -> NewPage {
    let instances = &state.instances;
    NewPage {
        frame: Frame::of(Some(who), "connections"),
        refusal,
        places: in_order(instances).map(|i| PlaceView::of(state, i, &submitted.integration)).collect(),
        applications: in_order(instances).map(|i| ApplicationView::of(state, i)).collect(),
        application_scopes: application_scopes(state).to_vec(),
        takes_typed: instances.takes_typed(),
        is_typed: submitted.integration == SELF_HOSTED,
        base_url: submitted.base_url.clone(),
        preflight: None,
        typed_links: LinksView::paths(state),
        links: links(state, submitted),
        name: submitted.name.clone(),
        use_cases: state.use_cases.iter().map(|u| UseCaseView::of(u, &submitted.use_cases)).collect(),
        needs: needs(state, submitted),
        has_oauth: instances.integrations().any(|i| i.application.is_some()),
        rotates_itself: submitted.rotates_itself,
    }
}

/// Without a use case OAuth asks for what the operator set.
fn needs(state: &AppState, submitted: &Submitted) -> Needs {
    let mut needs = Needs::of(&state.use_cases, &submitted.use_cases);
    let application =
        state.instances.integration(&submitted.integration).and_then(|i| i.application.as_ref());
    if let (true, Some(application)) = (needs.oauth.scopes.is_empty(), application) {
        needs.oauth.scopes = application.scopes.to_vec();
    }
    needs
}

fn application_scopes(state: &AppState) -> Scopes {
    let ids: Vec<_> = state.use_cases.iter().map(|u| u.id.clone()).collect();
    let defaults = state.instances.integrations().filter_map(|i| i.application.as_ref());
    defaults.fold(state.use_cases.scopes_for(&ids, TokenKind::OAuth), |all, a| all.union(&a.scopes))
}

fn links(state: &AppState, submitted: &Submitted) -> LinksView {
    place_of(state, submitted).map(|url| LinksView::filled(state, &url, submitted)).unwrap_or_default()
}

fn place_of(state: &AppState, submitted: &Submitted) -> Option<BaseUrl> {
    if submitted.integration == SELF_HOSTED {
        return BaseUrl::parse_typed(&submitted.base_url).ok();
    }
    state.instances.integration(&submitted.integration).map(|i| i.base_url.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UseCases;

    fn links() -> LinksView {
        LinksView { personal: "https://gitlab.com/form?name=a".into(), ..LinksView::default() }
    }

    fn sample(refusal: Option<Refusal>) -> String {
        let (chosen, all) = (["secret-sync".to_owned()], UseCases::shipped());
        let page = NewPage {
            frame: Frame::sample(),
            refusal,
            places: vec![PlaceView {
                id: "gitlab".into(),
                title: "GitLab.com".into(),
                base_url: "https://gitlab.com".into(),
                has_oauth: true,
                default_scopes: "api".into(),
                chosen: true,
                links: links(),
            }],
            applications: vec![ApplicationView {
                id: "gitlab".into(),
                title: "GitLab.com".into(),
                base_url: "https://gitlab.com".into(),
                redirect_uri: "https://m.example.com/oauth/gitlab/callback".into(),
                has_oauth: true,
                form: "https://gitlab.com/-/user_settings/applications".into(),
                prefix: "MOORING_GITLAB".into(),
            }],
            application_scopes: vec!["api".into()],
            takes_typed: true,
            is_typed: false,
            base_url: String::new(),
            preflight: None,
            typed_links: LinksView::default(),
            links: links(),
            name: "acme <1>".into(),
            use_cases: all.iter().map(|u| UseCaseView::of(u, &chosen)).collect(),
            needs: Needs::of(&all, &chosen),
            has_oauth: true,
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
        assert!(
            html.contains("data-role=\"project\">Owner<") && html.contains("data-role=\"group\">Maintainer<")
        );
        assert!(html.contains("https://m.example.com/oauth/gitlab/callback"));
        assert!(html.contains("MOORING_GITLAB_OAUTH_CLIENT_SECRET"));
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
