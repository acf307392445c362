//! One connection: how it stands, what to press, and what happened. Never its token.

use super::{
    Frame, edit::EditForm, live::Live, moment::Moment, ok, problem::Failure, renewal::RenewalForm, words,
};
use crate::{
    domain::{Action, Connection, ConnectionId, Status},
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::HeaderValue,
    response::Response,
};
use tower_sessions::Session;
use url::Url;

#[derive(Template)]
#[template(path = "connection.html")]
struct ConnectionPage {
    frame: Frame,
    notice: Option<String>,
    about: About,
    /// Which button stands out.
    must_act: bool,
    curl: String,
    edit: EditForm,
    renewal: RenewalForm,
    live: Live,
}

/// The forms of the page, as they are or as they were sent and refused.
pub(super) struct Forms {
    pub(super) edit: EditForm,
    pub(super) renewal: RenewalForm,
}

impl Forms {
    pub(super) fn of(c: &Connection) -> Self {
        Self { edit: EditForm::of(c), renewal: RenewalForm::of(c) }
    }
}

/// What stays the same while a page is open.
pub(super) struct About {
    pub(super) id: ConnectionId,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) integration: Option<String>,
    pub(super) base_url: String,
    pub(super) method: &'static str,
    pub(super) kind: &'static str,
    pub(super) account: Option<AccountView>,
    /// Whether it is mended by consenting again, and not by pasting a token.
    pub(super) is_oauth: bool,
    pub(super) created: Moment,
}

pub(super) struct AccountView {
    pub(super) label: String,
    pub(super) name: Option<String>,
    pub(super) kind: &'static str,
    pub(super) web_url: Option<String>,
    pub(super) resource: Option<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = find(&state, &id).await?;
    let notice = session::take_notice(&session).await?;
    Ok(ok(page(&state, &who, &c, (notice, Forms::of(&c))).await?))
}

/// The part that changes by itself, for the script.
pub(super) async fn live(
    State(state): State<AppState>,
    _who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = find(&state, &id).await?;
    let live = Live::of(&state, &c).await?;
    let version = HeaderValue::from_str(&live.version).expect("hex is plain ASCII");
    let mut response = ok(live);
    response.headers_mut().insert("x-version", version);
    Ok(response)
}

/// The page with its forms as they were sent.
pub(super) async fn render(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    forms: Forms,
) -> Result<impl Template + use<>, Failure> {
    page(state, who, c, (None, forms)).await
}

async fn page(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    (notice, forms): (Option<String>, Forms),
) -> Result<ConnectionPage, Failure> {
    let standing = state.standing(c);
    Ok(ConnectionPage {
        frame: Frame::of(Some(who), "connections"),
        notice,
        about: About::of(c, state.clock.now()),
        must_act: standing.action.is_some() || standing.status == Status::ActionRequired,
        curl: curl(&state.site_url, &c.name),
        edit: forms.edit,
        renewal: forms.renewal,
        live: Live::of(state, c).await?,
    })
}

/// The connection of that id, or the page that says there is none.
pub(super) async fn find(state: &AppState, id: &str) -> Result<Connection, Failure> {
    let id: ConnectionId = id.parse().map_err(|_| Failure::not_found())?;
    state.store.connection(id).await?.ok_or_else(Failure::not_found)
}

impl About {
    pub(super) fn of(c: &Connection, now: time::OffsetDateTime) -> Self {
        let account = c.account.as_ref().map(|a| AccountView {
            label: a.label(),
            name: a.name.clone(),
            kind: words::account_kind(a.kind),
            web_url: a.web_url.clone().filter(|u| u.starts_with("https://") || u.starts_with("http://")),
            resource: a.resource.as_ref().map(|r| format!("{} {}", r.kind, r.id)),
        });
        Self {
            id: c.id,
            name: c.name.clone(),
            description: c.description.clone(),
            tenant: c.tenant.clone(),
            tags: c.tags.clone().into_iter().collect(),
            integration: c.integration.clone(),
            base_url: c.base_url.as_str().to_owned(),
            method: words::method(c.method),
            kind: words::token_kind(c.token_kind),
            account,
            is_oauth: c.remedy() == Action::Reauthorize,
            created: Moment::new(c.created_at, now),
        }
    }
}

/// How a program gets the token. The name is quoted as an address needs it.
fn curl(site_url: &str, name: &str) -> String {
    let mut address = Url::parse(site_url).expect("the site URL is a URL");
    address.path_segments_mut().expect("http has segments").extend([
        "api",
        "v1",
        "connections",
        name,
        "token",
    ]);
    format!(
        "curl --fail --silent \\\n  --header \"Authorization: Bearer $MOORING_API_KEY\" \\\n  '{address}'"
    )
}

#[cfg(test)]
pub(super) mod sample {
    use crate::domain::{
        Account, AccountKind, BaseUrl, Connection, ConnectionId, CredentialFacts, Method, RenewalKind,
        Scopes, TokenKind,
    };
    use time::{Duration, OffsetDateTime};

    /// A project token that ends in ten days.
    pub(in crate::web::pages) fn connection(now: OffsetDateTime) -> Connection {
        Connection {
            id: ConnectionId::fresh(),
            name: "acme-review".into(),
            description: Some("Reviews <web>".into()),
            tenant: None,
            tags: [("team".to_owned(), "sec".to_owned())].into(),
            integration: Some("gitlab".into()),
            provider: "gitlab".into(),
            base_url: BaseUrl::parse_typed("https://gitlab.com").unwrap(),
            method: Method::AccessToken,
            token_kind: TokenKind::Project,
            account: Some(Account {
                id: 7,
                username: Some("project_1_bot".into()),
                name: Some("review".into()),
                kind: AccountKind::ProjectBot,
                web_url: Some("https://gitlab.com/project_1_bot".into()),
                resource: None,
            }),
            use_cases: vec!["code-review".into()],
            checks: vec![],
            credential: CredentialFacts {
                rejections: 0,
                generation: 3,
                scopes: Scopes::parse("api"),
                renewal: RenewalKind::Manual,
                obtained_at: now,
                expires_at: Some(now + Duration::days(10)),
                renew_at: None,
                last_renewed_at: None,
                stopped: None,
                failure: None,
            },
            last_checked_at: Some(now),
            last_used_at: None,
            breaker: None,
            created_at: now,
            updated_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::live::Facts, *};
    use crate::domain::Reason;
    use time::{Duration, macros::datetime};

    fn render(stopped: Option<Reason>, failing: Option<Reason>) -> String {
        let now = datetime!(2027-01-01 12:00 UTC);
        let mut c = sample::connection(now);
        c.credential.stopped = stopped;
        c.credential.failure = failing.map(|code| crate::domain::Failure {
            code,
            message: "gitlab.com answered 502.".into(),
            since: now,
            attempts: 3,
            next_attempt_at: Some(now + Duration::minutes(1)),
        });
        let facts =
            Facts { standing: c.standing(now, Duration::days(30)), mend_at: "https://gitlab.com/x".into() };
        let page = ConnectionPage {
            frame: Frame::sample(),
            notice: None,
            about: About::of(&c, now),
            must_act: true,
            curl: curl("https://m.example.com", "a b"),
            edit: EditForm::of(&c),
            renewal: RenewalForm::of(&c),
            live: Live::without_checks(&c, facts, &[], vec![], now),
        };
        page.render().unwrap()
    }

    #[test]
    fn the_page_has_each_button_once() {
        let html = render(None, None);
        for button in ["Check now", "Rotate token", "Disconnect"] {
            assert_eq!(html.matches(&format!(">{button}</button>")).count(), 1, "{button}");
        }
        assert!(html.contains("/api/v1/connections/a%20b/token"));
        assert!(html.contains("Reviews &#60;web&#62;"));
        assert_eq!(html.matches("name=\"self_rotate\"").count(), 1, "a pasted token has the choice");
    }

    #[test]
    fn every_reason_says_what_happened_and_what_to_do() {
        for reason in Reason::ALL.iter().copied() {
            for html in [render(Some(reason), None), render(None, Some(reason))] {
                let alert =
                    html.split("class=\"alert").nth(1).unwrap_or_else(|| panic!("{reason} has no text"));
                let alert = alert.split("</section>").next().unwrap();
                assert!(alert.matches("<p>").count() >= 2, "{reason}: {alert}");
            }
        }
    }
}
