//! The event log, newest first, narrowed to what somebody looks for.

use super::{Frame, Page, moment::Moment, ok, problem::Failure, words};
use crate::{
    domain::{ConnectionId, EventKind},
    store::{EventFilter, LoggedEvent},
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use time::{Date, OffsetDateTime, Time, macros::format_description};

const PER_PAGE: i64 = 50;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    before: Option<i64>,
    #[serde(flatten)]
    narrowed: Narrowed,
}

/// What the log is narrowed to, as it was typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Narrowed {
    pub(super) subject: String,
    pub(super) kind: String,
    pub(super) actor: String,
    pub(super) tenant: String,
    /// The first and the last day, in UTC.
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    rows: Vec<Row>,
    narrowed: Narrowed,
    /// The name of the connection that it is narrowed to, or else the subject.
    about: Option<String>,
    kinds: Vec<(String, &'static str)>,
    is_narrowed: bool,
    is_first: bool,
    newest: String,
    older: Option<String>,
    error: Option<&'static str>,
}

struct Row {
    at: Moment,
    what: &'static str,
    kind: &'static str,
    subject: Option<String>,
    href: Option<String>,
    tenant: Option<String>,
    actor: String,
    detail: Option<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let Asked { before, narrowed } = asked;
    let frame = Frame::of(Some(&who), "audit");
    let filter = match narrowed.filter() {
        Ok(filter) => filter,
        Err(error) => {
            let page = AuditPage { error: Some(error), ..AuditPage::of(frame, narrowed) };
            return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let found = state.store.find_events(&filter, before, PER_PAGE).await?;
    let names = names(&state, &found.events).await?;
    let now = state.clock.now();
    Ok(ok(AuditPage {
        older: found.older.map(|seq| narrowed.address(Some(seq))),
        about: narrowed.about(&names),
        rows: found.events.into_iter().map(|logged| Row::of(logged, &names, now)).collect(),
        is_first: before.is_none(),
        ..AuditPage::of(frame, narrowed)
    }))
}

/// The names of the connections on this page that are still there.
async fn names(state: &AppState, found: &[LoggedEvent]) -> Result<BTreeMap<ConnectionId, String>, Failure> {
    let ids = found.iter().filter_map(|l| l.event.subject.as_ref()?.parse::<ConnectionId>().ok());
    let ids: Vec<_> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    let connections = state.store.connections_of(&ids).await?;
    Ok(connections.into_iter().map(|connection| (connection.id, connection.name)).collect())
}

impl Narrowed {
    /// What the store looks for.
    pub(super) fn filter(&self) -> Result<EventFilter, &'static str> {
        let text = |text: &str| text.trim().to_owned();
        let day = |text: &str| match text.trim() {
            "" => Ok(None),
            text => Date::parse(text, format_description!("[year]-[month]-[day]"))
                .map(Some)
                .map_err(|_| "Write a day as in 2027-01-31."),
        };
        let begin = |day: Date| day.with_time(Time::MIDNIGHT).assume_utc();
        Ok(EventFilter {
            subject: text(&self.subject),
            kind: text(&self.kind),
            actor: text(&self.actor),
            tenant: text(&self.tenant),
            from: day(&self.from)?.map(begin),
            to: day(&self.to)?.map(|day| begin(day.next_day().unwrap_or(day))),
        })
    }

    /// The fields that say something, with their names.
    pub(super) fn given(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("kind", &self.kind),
            ("subject", &self.subject),
            ("actor", &self.actor),
            ("tenant", &self.tenant),
            ("from", &self.from),
            ("to", &self.to),
        ];
        all.into_iter().map(|(name, text)| (name, text.trim())).filter(|(_, text)| !text.is_empty()).collect()
    }

    fn address(&self, before: Option<i64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(before.map(|seq| ("before", seq.to_string())));
        query.extend_pairs(self.given());
        let query = query.finish();
        if query.is_empty() { "/audit".to_owned() } else { format!("/audit?{query}") }
    }

    fn about(&self, names: &BTreeMap<ConnectionId, String>) -> Option<String> {
        let subject = Some(self.subject.trim()).filter(|subject| !subject.is_empty())?;
        let name = subject.parse().ok().and_then(|id| names.get(&id).cloned());
        Some(name.unwrap_or_else(|| subject.to_owned()))
    }
}

impl AuditPage {
    /// The page without rows.
    fn of(frame: Frame, narrowed: Narrowed) -> Self {
        Self {
            frame,
            rows: Vec::new(),
            about: None,
            kinds: kinds(),
            is_narrowed: !narrowed.given().is_empty(),
            is_first: true,
            newest: narrowed.address(None),
            older: None,
            error: None,
            narrowed,
        }
    }
}

/// Every kind, each family before its kinds.
fn kinds() -> Vec<(String, &'static str)> {
    let mut kinds: Vec<(String, &'static str)> = Vec::new();
    for kind in EventKind::ALL {
        let family = format!("{}.*", kind.as_str().split('.').next().unwrap_or_default());
        if kinds.iter().all(|(known, _)| *known != family) {
            kinds.push((family, ""));
        }
        kinds.push((kind.to_string(), words::event(*kind)));
    }
    kinds
}

impl Row {
    fn of(logged: LoggedEvent, names: &BTreeMap<ConnectionId, String>, now: OffsetDateTime) -> Self {
        let event = logged.event;
        let id = event.subject.as_ref().and_then(|s| s.parse::<ConnectionId>().ok());
        let name = id.and_then(|id| names.get(&id).cloned());
        Self {
            at: Moment::new(event.at, now),
            what: words::event(event.kind),
            kind: event.kind.as_str(),
            href: id.filter(|_| name.is_some()).map(|id| format!("/connections/{id}")),
            subject: name.or(event.subject),
            tenant: event.tenant,
            actor: words::actor(&event.actor),
            detail: event.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Actor, Event, EventId};
    use time::macros::datetime;

    fn narrowed(from: &str, to: &str) -> Narrowed {
        Narrowed { from: from.into(), to: to.into(), kind: "connection.*".into(), ..Narrowed::default() }
    }

    #[test]
    fn the_last_day_counts_whole() {
        let filter = narrowed("2027-01-30", "2027-01-31").filter().unwrap();
        assert_eq!(filter.from, Some(datetime!(2027-01-30 0:00 UTC)));
        assert_eq!(filter.to, Some(datetime!(2027-02-01 0:00 UTC)));
        assert!(narrowed("yesterday", "").filter().is_err());
        assert_eq!(
            narrowed("2027-01-30", " ").address(Some(7)),
            "/audit?before=7&kind=connection.*&from=2027-01-30"
        );
    }

    #[test]
    fn what_people_typed_is_shown_as_text() {
        let now = datetime!(2027-01-01 12:00 UTC);
        let event = Event {
            id: EventId::fresh(),
            at: now,
            kind: EventKind::SignInFailed,
            subject: Some("<script>".into()),
            tenant: None,
            actor: Actor::Operator("<b>".into()).to_string(),
            detail: None,
        };
        let page = AuditPage {
            rows: vec![Row::of(LoggedEvent { seq: 1, event }, &BTreeMap::new(), now)],
            older: Some(Narrowed::default().address(Some(1))),
            ..AuditPage::of(Frame::sample(), narrowed("", ""))
        };
        let html = page.render().unwrap();
        assert!(html.contains("Sign-in failed") && !html.contains("<script>&") && !html.contains("<b>"));
        assert!(html.contains("/audit?before=1"));
    }
}
