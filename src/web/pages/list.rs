//! The start page: all connections, what needs a person first.

use super::{
    Frame,
    moment::Moment,
    ok,
    problem::Failure,
    words::{self, Badge},
};
use crate::{
    domain::{Connection, Status},
    store::ConnectionFilter,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Redirect, Response},
};
use serde::Deserialize;
use time::OffsetDateTime;
use tower_sessions::Session;

/// The status follows from the clock, so sorting by it means reading all: up to so many, the newest.
const MOST: i64 = 2_000;
const PER_PAGE: usize = 50;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    status: String,
    page: Option<usize>,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    notice: Option<String>,
    rows: Vec<Row>,
    q: String,
    filters: Vec<StatusFilter>,
    /// Nothing is connected at all: the page teaches.
    is_first: bool,
    total: usize,
    attention: usize,
    is_cut: bool,
    newer: Option<String>,
    older: Option<String>,
}

struct StatusFilter {
    value: &'static str,
    text: &'static str,
    chosen: bool,
}

struct Row {
    href: String,
    name: String,
    tenant: Option<String>,
    badge: Badge,
    reason: Option<&'static str>,
    account: String,
    kind: &'static str,
    place: String,
    renews_itself: bool,
    /// Revoked or withdrawn: the date of its end says nothing.
    is_dead: bool,
    expires: Option<Moment>,
    last_used: Option<Moment>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let filter = ConnectionFilter { q: asked.q.clone(), ..ConnectionFilter::default() };
    let found = state.store.list_connections(&filter, None, MOST).await?;
    let notice = session::take_notice(&session).await?;
    Ok(ok(ListPage { notice, ..page(&state, &who, &asked, &found) }))
}

/// The address of the form is not a page.
pub(super) async fn moved() -> Redirect {
    Redirect::to("/")
}

fn page(state: &AppState, who: &SignedIn, asked: &Asked, found: &[Connection]) -> ListPage {
    let chosen = asked.status.parse::<Status>().ok();
    let mut all: Vec<_> = found.iter().map(|c| (state.standing(c), c)).collect();
    let attention = all.iter().filter(|(s, _)| s.status != Status::Active).count();
    all.retain(|(standing, _)| chosen.is_none_or(|wanted| standing.status == wanted));
    all.sort_by_key(|(standing, c)| (std::cmp::Reverse(standing.status), c.name.to_lowercase()));
    let number = asked.page.unwrap_or(1).clamp(1, all.len().div_ceil(PER_PAGE).max(1));
    let now = state.clock.now();
    let shown = all.iter().skip((number - 1) * PER_PAGE).take(PER_PAGE);
    let rows =
        shown.map(|(standing, c)| row(c, (standing.status, standing.reason.map(reason)), now)).collect();
    let page_at = |number| address(&asked.q, chosen, number);
    ListPage {
        frame: Frame::of(Some(who), "connections"),
        notice: None,
        rows,
        is_first: found.is_empty() && asked.q.trim().is_empty() && chosen.is_none(),
        total: all.len(),
        attention,
        is_cut: found.len() >= usize::try_from(MOST).expect("small"),
        newer: (number > 1).then(|| page_at(number - 1)),
        older: (number * PER_PAGE < all.len()).then(|| page_at(number + 1)),
        filters: filters(chosen),
        q: asked.q.clone(),
    }
}

fn filters(chosen: Option<Status>) -> Vec<StatusFilter> {
    let any = StatusFilter { value: "", text: "Any status", chosen: chosen.is_none() };
    let each = Status::ALL.iter().map(|status| StatusFilter {
        value: status.as_str(),
        text: words::status_text(*status),
        chosen: chosen == Some(*status),
    });
    std::iter::once(any).chain(each).collect()
}

fn address(q: &str, status: Option<Status>, number: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("q", q).append_pair("status", status.map_or("", Status::as_str));
    query.append_pair("page", &number.to_string());
    format!("/?{}", query.finish())
}

fn row(c: &Connection, (status, reason): (Status, Option<&'static str>), now: OffsetDateTime) -> Row {
    Row {
        href: format!("/connections/{}", c.id),
        name: c.name.clone(),
        tenant: c.tenant.clone(),
        badge: Badge::of(status),
        reason,
        account: c
            .account
            .as_ref()
            .map_or_else(|| "Unknown account".to_owned(), crate::domain::Account::label),
        kind: words::token_kind(c.token_kind),
        place: c.integration.clone().unwrap_or_else(|| c.base_url.host().to_owned()),
        renews_itself: c.credential.renewal.renews_itself(),
        is_dead: c.credential.stopped.is_some(),
        expires: c.credential.expires_at.map(|at| Moment::new(at, now)),
        last_used: c.last_used_at.map(|at| Moment::new(at, now)),
    }
}

/// A reason in two or three words.
pub(super) fn reason(reason: crate::domain::Reason) -> &'static str {
    use crate::domain::Reason as R;
    match reason {
        R::TokenExpiring => "Token ends soon",
        R::TokenExpired => "Token expired",
        R::TokenRevoked => "Token revoked",
        R::GrantRevoked => "Access withdrawn",
        R::RenewalAnswerLost => "Renewal answer lost",
        R::InsufficientScope => "Scope missing",
        R::InsufficientRole => "Role too low",
        R::AccountBlocked => "Account blocked",
        R::ProviderUnreachable => "GitLab unreachable",
        R::ProviderError => "GitLab answers with errors",
        R::RateLimited => "Rate limited",
        R::IntegrationMisconfigured => "Integration misconfigured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::connection::sample;
    use time::macros::datetime;

    fn page(rows: Vec<Row>, is_first: bool) -> String {
        let (total, attention) = (rows.len(), 0);
        let (q, filters) = ("<acme>".to_owned(), filters(Some(Status::Active)));
        let frame = Frame::sample();
        let (notice, newer, older) = (None, None, None);
        let page = ListPage {
            frame,
            notice,
            rows,
            q,
            filters,
            is_first,
            total,
            attention,
            is_cut: false,
            newer,
            older,
        };
        page.render().unwrap()
    }

    #[test]
    fn a_row_shows_what_a_person_looks_for() {
        let now = datetime!(2027-01-01 12:00 UTC);
        let c = sample::connection(now);
        let html = page(vec![row(&c, (Status::ActionRequired, Some("Token expired")), now)], false);
        for words in ["Action required", "Token expired", "acme-review", "&#60;acme&#62;", "selected"] {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
    }

    #[test]
    fn an_empty_start_teaches() {
        assert!(page(vec![], true).contains("Make your first connection"));
    }
}
