//! The projects and groups that one connection reaches, asked at GitLab while the page is made: one page there for
//! one page here.

use super::{
    Frame, connection,
    head::{Head, Tab},
    ok,
    problem::Failure,
};
use crate::{
    domain::{Account, Connection, ResourceKind, UseCases},
    providers::{InspectError, Listing, Place, PlacePage, ProviderApi},
    reach::ReachError,
    renewal::RenewalError,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;
use std::time::Duration;
use url::form_urlencoded;

const PROJECTS: usize = 50;
/// Fewer: the role in each group is a question of its own.
const GROUPS: usize = 20;
const LONGEST_SEARCH: usize = 200;
/// Nobody waits longer for a page.
const PATIENCE: Duration = Duration::from_secs(12);

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    kind: String,
    q: String,
    after: String,
}

impl Asked {
    fn kind(&self) -> ResourceKind {
        self.kind.strip_suffix('s').and_then(|kind| kind.parse().ok()).unwrap_or(ResourceKind::Project)
    }

    fn search(&self) -> String {
        self.q.trim().chars().take(LONGEST_SEARCH).collect()
    }
}

#[derive(Template)]
#[template(path = "reach.html")]
struct ReachPage {
    frame: Frame,
    head: Head,
    host: String,
    q: String,
    is_groups: bool,
    is_first: bool,
    /// What the chosen use cases need, where one of the rows has less.
    needed: Option<String>,
    /// A project's or group's token: its role was chosen when it was made.
    is_bot: bool,
    rows: Vec<Row>,
    next: Option<String>,
    trouble: Option<Trouble>,
}

struct Row {
    path: String,
    name: Option<String>,
    href: Option<String>,
    role: Option<String>,
    /// Lower than a chosen use case needs.
    is_low: bool,
    /// Where it is raised then, if it can be.
    mend_at: Option<String>,
}

/// Why there is no list, and what to do.
struct Trouble {
    title: String,
    text: String,
    advice: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let (kind, search) = (asked.kind(), asked.search());
    let listing = Listing {
        search: &search,
        cursor: Some(asked.after.as_str()).filter(|after| !after.is_empty()),
        ..Listing::first(kind, if kind == ResourceKind::Group { GROUPS } else { PROJECTS })
    };
    let answer = tokio::time::timeout(PATIENCE, state.reach.list(&c, listing)).await;
    let (found, trouble) = match answer {
        Ok(Ok(found)) => (found, None),
        Ok(Err(ReachError::Renewal(RenewalError::Store(error)))) => return Err(Failure::internal(&error)),
        Ok(Err(error)) => (nothing(), Some(trouble(&error, &c))),
        Err(_) => (nothing(), Some(too_slow(c.base_url.host()))),
    };
    let rows = rows(found.places, &c, (state.provider.api(), &state.use_cases, kind));
    let head = Head::of(&state, &c, Tab::Reach);
    Ok(ok(ReachPage {
        frame: Frame::of(Some(&who), "connections"),
        host: c.base_url.host().to_owned(),
        is_groups: kind == ResourceKind::Group,
        is_first: asked.after.is_empty(),
        needed: rows.iter().any(|row| row.is_low).then(|| needed(&c, &state.use_cases)).flatten(),
        is_bot: is_bot(&c),
        next: found.next.map(|next| address(&head, (kind, &search), &next)),
        q: search,
        rows,
        trouble,
        head,
    }))
}

fn nothing() -> PlacePage {
    PlacePage { places: vec![], next: None }
}

fn address(head: &Head, (kind, search): (ResourceKind, &str), after: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("kind", &format!("{kind}s")).append_pair("q", search).append_pair("after", after);
    format!("{}/reach?{}", head.href, query.finish())
}

/// The highest of the least roles that the chosen use cases need.
fn most_needed<'a>(c: &Connection, use_cases: &'a UseCases) -> Option<(&'a str, crate::domain::AccessLevel)> {
    let chosen = c.use_cases.iter().filter_map(|id| use_cases.get(id));
    chosen.map(|u| (u.title.as_str(), u.needs(c.token_kind).least_role)).max_by_key(|(_, role)| *role)
}

fn needed(c: &Connection, use_cases: &UseCases) -> Option<String> {
    most_needed(c, use_cases).map(|(title, role)| format!("“{title}” needs the role {role}"))
}

fn rows(
    places: Vec<Place>,
    c: &Connection,
    (api, use_cases, kind): (&dyn ProviderApi, &UseCases, ResourceKind),
) -> Vec<Row> {
    let least = most_needed(c, use_cases).map(|(_, role)| role);
    let row = |place: Place| {
        let is_low = place.access_level.is_some_and(|held| least.is_some_and(|least| held < least));
        Row {
            is_low,
            mend_at: (is_low && !is_bot(c)).then(|| api.members_url(&c.base_url, kind, &place.path)),
            href: Some(place.web_url).filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            role: place.access_level.map(|level| level.to_string()),
            name: Some(place.name).filter(|name| !place.path.ends_with(name.as_str())),
            path: place.path,
        }
    };
    places.into_iter().map(row).collect()
}

fn is_bot(c: &Connection) -> bool {
    c.account.as_ref().is_some_and(Account::is_bot)
}

fn too_slow(host: &str) -> Trouble {
    Trouble {
        title: format!("{host} does not answer in time"),
        text:
            "GitLab was asked for this list and took too long. Nothing is wrong with the connection for that."
                .into(),
        advice: "Reload the page, or search for a part of the name: that is less work for GitLab.".into(),
    }
}

fn trouble(error: &ReachError, c: &Connection) -> Trouble {
    let host = c.base_url.host();
    let press = match c.remedy() {
        crate::domain::Action::Reauthorize => "Press “Reauthorize” and give access at GitLab once more.",
        crate::domain::Action::Rotate => "Make a new token at GitLab and press “Rotate token”.",
    };
    let told = |title: String, text: &str, advice: &str| Trouble {
        title,
        text: text.to_owned(),
        advice: advice.to_owned(),
    };
    match error {
        ReachError::Stopped
        | ReachError::Renewal(RenewalError::Stopped(_) | RenewalError::NeedsPerson | RenewalError::Gone)
        | ReachError::Inspect(
            InspectError::TokenExpired | InspectError::TokenRevoked | InspectError::TokenInvalid { .. },
        ) => told(
            "The token does not work any more".into(),
            "GitLab can only be asked with a token that works. The overview says what happened to this one.",
            press,
        ),
        ReachError::Inspect(InspectError::Denied) => told(
            "This token may not ask which projects it reaches".into(),
            "GitLab asks for the scope read_api or api. What the token is allowed to do it does all the same.",
            "Look at GitLab itself, or use a token with read_api.",
        ),
        ReachError::Inspect(InspectError::RateLimited { .. }) => told(
            format!("{host} asks for fewer requests"),
            "GitLab limits how often it is asked, and that limit is reached.",
            "Wait a minute and reload the page.",
        ),
        ReachError::Inspect(InspectError::AccountBlocked { .. }) => told(
            "GitLab does not let this account in".into(),
            "The account is blocked, or has to do something first, such as accepting terms.",
            "Sign in at GitLab as this account, or ask its administrator. Then press “Check now”.",
        ),
        ReachError::Renewal(RenewalError::Busy | RenewalError::BrokeOff) => told(
            "The token is being renewed".into(),
            "It takes a moment, and then the list can be asked for.",
            "Reload the page.",
        ),
        ReachError::Instance(error) => told(
            "This GitLab is not asked from here".into(),
            &error.to_string(),
            "Whoever runs this server can configure it again.",
        ),
        ReachError::Inspect(error) => told(
            format!("{host} does not answer"),
            &error.to_string(),
            "It is about the network or that server, not about this connection. Reload the page once it is back.",
        ),
        ReachError::Renewal(error) => told(
            "The token cannot be renewed just now".into(),
            &error.to_string(),
            "Mooring tries again by itself. The overview says when.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{AccessLevel, Resource},
        providers::GitLab,
        web::pages::connection::sample,
    };
    use time::macros::datetime;

    #[test]
    fn a_role_that_is_too_low_says_where_it_is_raised() {
        let mut c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        let place = |path: &str, level| Place {
            id: 1,
            path: path.into(),
            name: path.rsplit('/').next().unwrap_or_default().into(),
            web_url: "javascript:alert(1)".into(),
            access_level: Some(AccessLevel(level)),
        };
        let places = vec![place("acme/web", 40), place("acme/<api>", 30)];
        let use_cases = UseCases::shipped();
        let shown = |c: &Connection| rows(places.clone(), c, (&GitLab, &use_cases, ResourceKind::Project));
        let rows = shown(&c);
        assert_eq!(rows[0].mend_at, None);
        assert!(rows.iter().all(|row| row.href.is_none()), "an address that is no web page leads nowhere");
        let html = ReachPage {
            frame: Frame::sample(),
            head: Head::standing(&c, c.standing(c.created_at, time::Duration::ZERO), Tab::Reach),
            host: "gitlab.com".into(),
            q: "<q>".into(),
            is_groups: false,
            is_first: true,
            needed: needed(&c, &use_cases),
            is_bot: is_bot(&c),
            rows,
            next: None,
            trouble: None,
        };
        let html = html.render().unwrap();
        for words in ["Developer", "Maintainer", "acme/&#60;api&#62;", "/-/project_members", "&#60;q&#62;"] {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
        assert!(!html.contains("javascript:"));

        let resource = Some(Resource { kind: ResourceKind::Project, id: 1 });
        c.account = c.account.map(|account| Account { resource, ..account });
        let of_bot = shown(&c).pop().unwrap();
        assert!(of_bot.is_low && of_bot.mend_at.is_none(), "nobody raises the role of a bot");
    }
}
