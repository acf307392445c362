//! The start page: all connections, what needs a person first. What is asked for is in the address, and the
//! database finds it.

mod asked;
mod controls;
mod row;
mod strip;

pub(super) use row::reason;

use super::{Frame, ok, problem::Failure};
use crate::{
    domain::{Connection, ConnectionId, Status},
    store::{ConnectionFilter, Slice},
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use asked::Asked;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use controls::{Chip, Head, Select, chips, heads, selects};
use row::Row;
use serde::Deserialize;
use std::collections::BTreeMap;
use strip::Strip;
use tower_sessions::Session;

const PER_PAGE: i64 = 50;

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    notice: Option<String>,
    /// Nothing is connected at all: the page teaches.
    is_first: bool,
    summary: Summary,
    asked: Asked,
    selects: [Select; 4],
    heads: [Head; 6],
    rows: Vec<Row>,
    from: i64,
    to: i64,
    total: i64,
    newer: Option<String>,
    older: Option<String>,
}

/// What is told of all that was found, above the rows.
#[derive(Template)]
#[template(path = "parts/summary.html")]
struct Summary {
    is_narrow: bool,
    total: i64,
    attention: i64,
    chips: Vec<Chip>,
    strip: Strip,
}

impl askama::filters::HtmlSafe for Summary {}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let (sort, reversed) = asked.sort();
    let slice = Slice { sort, reversed, offset: (asked.page() - 1) * PER_PAGE, limit: PER_PAGE };
    let found = async { Ok(state.store.sorted_connections(&asked.filter(), state.as_of(), slice).await?) };
    let (summary, found) = tokio::try_join!(Summary::of(&state, &asked), found)?;
    let last = (summary.total - 1).max(0) / PER_PAGE + 1;
    if asked.page() > last {
        return Ok(Redirect::to(&asked.at(last).address()).into_response());
    }
    let notice = session::take_notice(&session).await?;
    let rows = rows_of(&state, &found);
    let integrations = state.instances.integrations().map(|i| i.id.clone()).collect();
    let frame = Frame::of(Some(&who), "connections");
    Ok(ok(ListPage { notice, ..page(frame, asked, summary, (rows, integrations)) }))
}

/// What is told above the rows, for the script.
pub(super) async fn summary(
    State(state): State<AppState>,
    _who: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    Ok(ok(Summary::of(&state, &asked).await?))
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Ids with a space between.
    #[serde(default)]
    ids: String,
}

#[derive(Template)]
#[template(ext = "html", source = "{% for row in rows %}{{ row }}{% endfor %}")]
struct Rows {
    rows: Vec<Row>,
}

/// The rows of some connections as they are now, for the script. One that is gone is left out.
pub(super) async fn rows(
    State(state): State<AppState>,
    _who: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let most = usize::try_from(PER_PAGE).expect("small");
    let ids = wanted.ids.split(' ').filter_map(|id| id.parse().ok());
    let ids: Vec<ConnectionId> = ids.take(most).collect();
    let found = state.store.connections_of(&ids).await?;
    Ok(ok(Rows { rows: rows_of(&state, &found) }))
}

/// The address of the form is not a page.
pub(super) async fn moved() -> Redirect {
    Redirect::to("/")
}

fn rows_of(state: &AppState, found: &[Connection]) -> Vec<Row> {
    let now = state.clock.now();
    found.iter().map(|c| Row::of(c, state.standing(c), now)).collect()
}

fn page(
    frame: Frame,
    asked: Asked,
    summary: Summary,
    (rows, integrations): (Vec<Row>, Vec<String>),
) -> ListPage {
    let (number, total) = (asked.page(), summary.total);
    let from = (number - 1) * PER_PAGE + 1;
    let to = total.min(number * PER_PAGE);
    ListPage {
        frame,
        notice: None,
        is_first: total == 0 && !asked.is_narrow(),
        selects: selects(&asked, integrations),
        heads: heads(&asked),
        rows,
        from: from.min(to),
        to,
        total,
        newer: (number > 1).then(|| asked.at(number - 1).address()),
        older: (to < total).then(|| asked.at(number + 1).address()),
        summary,
        asked,
    }
}

impl Summary {
    async fn of(state: &AppState, asked: &Asked) -> Result<Self, Failure> {
        let filter = ConnectionFilter { status: None, ..asked.filter() };
        let counts = state.store.count_connections(&filter, state.as_of());
        let (counts, strip) = tokio::try_join!(counts, Strip::of(state, asked))?;
        Ok(Self::view(asked, &counts, strip))
    }

    fn view(asked: &Asked, counts: &BTreeMap<Status, i64>, strip: Strip) -> Self {
        let of = |status: &Status| counts.get(status).copied().unwrap_or_default();
        let all = counts.values().sum();
        Self {
            is_narrow: asked.is_narrow(),
            total: asked.status().map_or(all, |status| of(&status)),
            attention: all - of(&Status::Active),
            chips: chips(asked, all, of),
            strip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;
    use crate::web::pages::connection::sample;
    use time::{Duration, macros::datetime};

    fn html(asked: Asked, counts: &[(Status, i64)]) -> String {
        let now = datetime!(2027-01-01 12:00 UTC);
        let mut c = sample::connection(now);
        c.credential.stopped = Some(Reason::TokenExpired);
        let counts: BTreeMap<_, _> = counts.iter().copied().collect();
        let summary = Summary::view(&asked, &counts, Strip::sample(&asked, now));
        let shown = summary.total.min(1);
        let rows = (0..shown).map(|_| Row::of(&c, c.standing(now, Duration::DAY), now)).collect();
        page(Frame::sample(), asked, summary, (rows, vec!["gitlab".into()])).render().unwrap()
    }

    #[test]
    fn what_is_asked_for_stands_in_the_page_again() {
        let asked = Asked {
            q: "<acme>".into(),
            status: "active".into(),
            kind: "project".into(),
            integration: "gone".into(),
            sort: "-name".into(),
            page: "2".into(),
            ..Asked::default()
        };
        let html = html(asked, &[(Status::Active, 120), (Status::Degraded, 3)]);
        for words in [
            "value=\"&#60;acme&#62;\"",
            "<option value=\"project\" selected>",
            "<option value=\"gone\" selected>",
            "<th scope=\"col\" aria-sort=\"descending\"><a href=\"/?q=%3Cacme%3E",
            "51 to 100 of 120",
            "120 of them match.",
            "acme-review",
            "page=3",
        ] {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
        assert_eq!(html.matches("aria-sort").count(), 1);
    }

    #[test]
    fn what_needs_a_look_is_counted() {
        let told = |counts: &[(Status, i64)]| html(Asked::default(), counts);
        assert!(told(&[(Status::Active, 2)]).contains("Everything works."));
        assert!(told(&[(Status::Active, 2), (Status::Expiring, 1)]).contains("One connection needs a look."));
        assert!(told(&[(Status::ActionRequired, 7)]).contains("7 connections need a look."));
    }

    #[test]
    fn an_empty_start_teaches_and_an_empty_search_leads_back() {
        assert!(html(Asked::default(), &[]).contains("Make your first connection"));
        let nothing = html(Asked { tenant: "acme".into(), ..Asked::default() }, &[]);
        assert!(nothing.contains("Nothing matches") && !nothing.contains("first connection"));
    }
}
