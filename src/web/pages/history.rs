//! What happened to one connection: its renewals day by day, and its latest events.

use super::{
    Frame, connection,
    head::{Head, Tab},
    list::reason,
    moment::Moment,
    ok,
    problem::Failure,
    timeline::{Day, days},
    words,
};
use crate::{
    domain::{Actor, RenewalId},
    store::LoggedEvent,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;
use time::OffsetDateTime;

const PER_PAGE: usize = 50;
const EVENTS_SHOWN: i64 = 10;

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
        renews_itself: c.credential.renews_here(),
        is_first: before.is_none(),
        older: older.map(|last| format!("{}/history?before={}", head.href, last.id)),
        events,
        audit: format!("/audit?subject={}", c.id),
        head,
    }))
}

/// The latest events besides renewals and hand-outs, each with the name of who did it.
async fn events(state: &AppState, subject: &str) -> Result<Vec<EventView>, Failure> {
    let mut shown = Vec::new();
    for logged in state.store.rare_events(subject, EVENTS_SHOWN).await? {
        let key = match logged.event.actor.split_once(':') {
            Some(("api_key", id)) => state.store.api_key(id).await?,
            _ => None,
        };
        shown.push(EventView::of(logged, key.map(|key| key.name), state.clock.now()));
    }
    Ok(shown)
}

impl EventView {
    fn of(logged: LoggedEvent, key: Option<String>, now: OffsetDateTime) -> Self {
        let event = logged.event;
        let detail = |text: String| text.parse().map_or(text, |code| reason(code).to_owned());
        Self {
            at: Moment::new(event.at, now),
            what: words::event(event.kind),
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
    use crate::domain::{Event, EventId, EventKind};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-02 00:10 UTC);

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
}
