//! What happened to one connection: its renewals day by day, and its latest events.

use super::{
    Frame,
    audit::what,
    connection,
    head::{Head, Tab},
    list::reason,
    moment::Moment,
    ok,
    problem::Failure,
};
use crate::{
    domain::{Actor, EventKind, RenewalId},
    store::{LoggedEvent, RenewalCause, RenewalOutcome, RenewalRecord},
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;
use time::{Date, Duration, OffsetDateTime, macros::format_description};

const PER_PAGE: usize = 50;
const EVENTS_SHOWN: usize = 10;
/// So many are looked through: what has a place of its own is left out.
const EVENTS_READ: i64 = 200;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    /// Renewals older than this one.
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    head: Head,
    days: Vec<Day>,
    renews_itself: bool,
    is_first: bool,
    older: Option<String>,
    events: Vec<EventView>,
    audit: String,
}

/// The renewals of one day in UTC.
struct Day {
    text: String,
    renewals: Vec<RenewalView>,
    date: Date,
}

pub(super) struct RenewalView {
    pub(super) at: Moment,
    pub(super) cause: &'static str,
    pub(super) outcome: &'static str,
    pub(super) is_good: bool,
    pub(super) is_open: bool,
    pub(super) generation: i64,
    pub(super) took: Option<String>,
    pub(super) detail: Option<String>,
}

struct EventView {
    at: Moment,
    what: &'static str,
    actor: String,
    detail: Option<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let before = asked.before.as_deref().map(str::parse::<RenewalId>).transpose();
    let before = before.map_err(|_| Failure::not_found())?;
    let limit = i64::try_from(PER_PAGE + 1).expect("small");
    let mut renewals = state.store.list_renewals(c.id, before, limit).await?;
    let has_more = renewals.len() > PER_PAGE;
    renewals.truncate(PER_PAGE);
    let now = state.clock.now();
    let events = events(&state, &c.id.to_string()).await?;
    let head = Head::of(&state, &c, Tab::History);
    let older = renewals.last().filter(|_| has_more);
    Ok(ok(HistoryPage {
        frame: Frame::of(Some(&who), "connections"),
        days: days(&renewals, now),
        renews_itself: c.credential.renewal.renews_itself(),
        is_first: before.is_none(),
        older: older.map(|last| format!("{}/history?before={}", head.href, last.id)),
        events,
        audit: format!("/audit?subject={}", c.id),
        head,
    }))
}

/// The latest events besides renewals and hand-outs, each with the name of who did it.
async fn events(state: &AppState, subject: &str) -> Result<Vec<EventView>, Failure> {
    let elsewhere = [EventKind::Renewed, EventKind::RenewalFailed, EventKind::HandedOut];
    let all = state.store.list_events(Some(subject), None, EVENTS_READ).await?;
    let mut shown = Vec::new();
    for logged in all.into_iter().filter(|logged| !elsewhere.contains(&logged.event.kind)).take(EVENTS_SHOWN)
    {
        let key = match logged.event.actor.split_once(':') {
            Some(("api_key", id)) => state.store.api_key(id).await?,
            _ => None,
        };
        shown.push(EventView::of(logged, key.map(|key| key.name), state.clock.now()));
    }
    Ok(shown)
}

/// Renewals, newest first, with a heading for each day.
fn days(renewals: &[RenewalRecord], now: OffsetDateTime) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for record in renewals {
        let date = record.started_at.date();
        if days.last().is_none_or(|day| day.date != date) {
            days.push(Day { text: day_text(date, now.date()), renewals: vec![], date });
        }
        let day = days.last_mut().expect("one was added");
        day.renewals.push(RenewalView::of(record, now));
    }
    days
}

fn day_text(date: Date, today: Date) -> String {
    let shape = format_description!("[weekday], [day padding:none] [month repr:long] [year]");
    let text = date.format(shape).expect("a date has a day, a month and a year");
    match (today - date).whole_days() {
        0 => format!("Today, {text}"),
        1 => format!("Yesterday, {text}"),
        _ => text,
    }
}

impl RenewalView {
    pub(super) fn of(record: &RenewalRecord, now: OffsetDateTime) -> Self {
        let renewed = record.outcome == Some(RenewalOutcome::Renewed);
        Self {
            at: Moment::new(record.started_at, now),
            cause: cause(record.cause),
            outcome: outcome(record, now),
            is_good: renewed,
            is_open: record.outcome.is_none(),
            generation: record.generation + i64::from(renewed),
            took: record.finished_at.map(|end| took(end - record.started_at)),
            detail: record.detail.clone(),
        }
    }
}

fn took(time: Duration) -> String {
    match time.whole_milliseconds() {
        ..1_000 => format!("{} ms", time.whole_milliseconds().max(0)),
        1_000..120_000 => format!("{:.1} s", time.as_seconds_f32()),
        _ => format!("{} minutes", time.whole_minutes()),
    }
}

fn cause(cause: RenewalCause) -> &'static str {
    match cause {
        RenewalCause::Due => "Ahead of its end",
        RenewalCause::HandOut => "A caller needed a token that lasts",
        RenewalCause::Refused => "GitLab refused the token",
        RenewalCause::Requested => "Somebody asked for it",
    }
}

fn outcome(record: &RenewalRecord, now: OffsetDateTime) -> &'static str {
    match record.outcome {
        Some(RenewalOutcome::Renewed) => "Renewed",
        Some(RenewalOutcome::Rejected) => "GitLab said no",
        Some(RenewalOutcome::Refused) => "GitLab does not do this for this token",
        Some(RenewalOutcome::Unavailable) => "GitLab did not answer properly",
        Some(RenewalOutcome::Misconfigured) => "GitLab refused the OAuth application",
        Some(RenewalOutcome::Uncertain) => "Sent, and the answer was lost",
        Some(RenewalOutcome::Superseded) => "A newer credential came in between",
        None if now - record.started_at < Duration::minutes(5) => "Under way",
        None => "Never finished: the server stopped",
    }
}

impl EventView {
    fn of(logged: LoggedEvent, key: Option<String>, now: OffsetDateTime) -> Self {
        let event = logged.event;
        let detail = |text: String| text.parse().map_or(text, |code| reason(code).to_owned());
        Self {
            at: Moment::new(event.at, now),
            what: what(event.kind),
            actor: by(event.actor, key),
            detail: event.detail.map(detail),
        }
    }
}

/// Who did it, as people know them.
fn by(actor: String, key: Option<String>) -> String {
    match (actor.split_once(':'), key) {
        (Some(("operator", email)), _) => email.to_owned(),
        (Some(("api_key", _)), Some(name)) => format!("API key “{name}”"),
        _ if actor == Actor::Mooring.to_string() => "Mooring by itself".to_owned(),
        _ => actor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Event, EventId, RenewalKind},
        web::pages::connection::sample,
    };
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-02 00:10 UTC);

    fn record(minutes_ago: i64, outcome: Option<RenewalOutcome>) -> RenewalRecord {
        let started_at = NOW - Duration::minutes(minutes_ago);
        RenewalRecord {
            id: RenewalId::fresh(),
            generation: 6,
            renewal: RenewalKind::Refresh,
            cause: RenewalCause::Due,
            started_at,
            finished_at: outcome.map(|_| started_at + Duration::milliseconds(340)),
            outcome,
            detail: Some("<b>".into()),
        }
    }

    #[test]
    fn an_event_names_who_did_it_and_no_code() {
        let view = |actor: Actor, key: Option<&str>, detail: &str| {
            let event = Event {
                id: EventId::fresh(),
                at: NOW,
                kind: EventKind::Degraded,
                subject: None,
                tenant: None,
                actor: actor.to_string(),
                detail: Some(detail.into()),
            };
            let view = EventView::of(LoggedEvent { seq: 1, event }, key.map(str::to_owned), NOW);
            (view.actor, view.detail.unwrap())
        };
        let scope = "Scope missing".to_owned();
        assert_eq!(
            view(Actor::ApiKey("k1".into()), Some("ci"), "insufficient_scope"),
            ("API key “ci”".into(), scope)
        );
        assert_eq!(view(Actor::Operator("ada@example.com".into()), None, "x").0, "ada@example.com");
        assert_eq!(view(Actor::Mooring, None, "gitlab.com answered 502.").1, "gitlab.com answered 502.");
        assert_eq!(view(Actor::ApiKey("k1".into()), None, "x").0, "api_key:k1");
    }

    #[test]
    fn renewals_stand_under_their_day_with_outcome_cause_and_generation() {
        let records = [
            record(1, Some(RenewalOutcome::Renewed)),
            record(2, Some(RenewalOutcome::Unavailable)),
            record(60, None),
            record(3_000, Some(RenewalOutcome::Renewed)),
        ];
        let days = days(&records, NOW);
        let told: Vec<_> = days.iter().map(|day| (day.text.as_str(), day.renewals.len())).collect();
        let expected = [
            ("Today, Saturday, 2 January 2027", 2),
            ("Yesterday, Friday, 1 January 2027", 1),
            ("Wednesday, 30 December 2026", 1),
        ];
        assert_eq!(told, expected);
        let c = sample::connection(NOW);
        let page = HistoryPage {
            frame: Frame::sample(),
            head: Head::standing(&c, c.standing(NOW, Duration::ZERO), Tab::History),
            days,
            renews_itself: true,
            is_first: true,
            older: Some("/older".into()),
            events: vec![],
            audit: "/audit".into(),
        };
        let html = page.render().unwrap();
        for words in
            ["to generation 7", "of generation 6", "340 ms", "Ahead of its end", "&#60;b&#62;", "/older"]
        {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
    }
}
