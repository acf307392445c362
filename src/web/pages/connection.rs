//! One connection: how it stands, what to press, and what happened. Never its token.

use super::{
    Frame,
    head::{Head, Tab},
    live::Live,
    moment::Moment,
    ok,
    problem::Failure,
    renewal::RenewalForm,
    words,
};
use crate::{
    domain::{Connection, ConnectionId},
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

#[derive(Template)]
#[template(path = "connection.html")]
struct ConnectionPage {
    frame: Frame,
    notice: Option<String>,
    head: Head,
    about: About,
    renewal: RenewalForm,
    live: Live,
}

/// What stays the same while a page is open.
struct About {
    tags: Vec<(String, String)>,
    integration: Option<String>,
    base_url: String,
    method: &'static str,
    kind: &'static str,
    account: Option<AccountView>,
    created: Moment,
}

struct AccountView {
    label: String,
    name: Option<String>,
    kind: &'static str,
    web_url: Option<String>,
    resource: Option<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = find(&state, &id).await?;
    let notice = session::take_notice(&session).await?;
    Ok(ok(page(&state, &who, &c, (notice, RenewalForm::of(&c))).await?))
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

/// The page with its switch as it was sent and refused.
pub(super) async fn render(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    renewal: RenewalForm,
) -> Result<impl Template + use<>, Failure> {
    page(state, who, c, (None, renewal)).await
}

async fn page(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    (notice, renewal): (Option<String>, RenewalForm),
) -> Result<ConnectionPage, Failure> {
    Ok(ConnectionPage {
        frame: Frame::of(Some(who), "connections"),
        notice,
        head: Head::of(state, c, Tab::Overview),
        about: About::of(c, state.clock.now()),
        renewal,
        live: Live::of(state, c).await?,
    })
}

/// The connection of that id, or the page that says there is none.
pub(super) async fn find(state: &AppState, id: &str) -> Result<Connection, Failure> {
    let id: ConnectionId = id.parse().map_err(|_| Failure::not_found())?;
    state.store.connection(id).await?.ok_or_else(Failure::not_found)
}

impl About {
    fn of(c: &Connection, now: time::OffsetDateTime) -> Self {
        let account = c.account.as_ref().map(|a| AccountView {
            label: a.label(),
            name: a.name.clone(),
            kind: words::account_kind(a.kind),
            web_url: a.web_url.clone().filter(|u| u.starts_with("https://") || u.starts_with("http://")),
            resource: a.resource.as_ref().map(|r| format!("{} {}", r.kind, r.id)),
        });
        Self {
            tags: c.tags.clone().into_iter().collect(),
            integration: c.integration.clone(),
            base_url: c.base_url.as_str().to_owned(),
            method: words::method(c.method),
            kind: words::token_kind(c.token_kind),
            account,
            created: Moment::new(c.created_at, now),
        }
    }
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
                exported_at: None,
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
        let standing = c.standing(now, Duration::days(30));
        let facts = Facts { standing, mend_at: "https://gitlab.com/x".into(), users: 2 };
        let page = ConnectionPage {
            frame: Frame::sample(),
            notice: None,
            head: Head::standing(&c, standing, Tab::Overview),
            about: About::of(&c, now),
            renewal: RenewalForm::of(&c),
            live: Live::without_checks(&c, facts, &[], now),
        };
        page.render().unwrap()
    }

    #[test]
    fn the_page_has_each_button_once() {
        let html = render(None, None);
        for button in ["Check now", "Rotate token", "Disconnect"] {
            assert_eq!(html.matches(&format!(">{button}</button>")).count(), 1, "{button}");
        }
        assert_eq!(html.matches("aria-current=\"page\"").count(), 2, "in the site and in the connection");
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
