//! The event log as a file: one JSON object a line, as the API has them, newest first. It streams, so that a log
//! of any length takes little memory. That somebody took it is an event too.

use super::{audit::Narrowed, form::Form, problem::Failure};
use crate::{
    domain::{Event, EventId, EventKind},
    store::{EventFilter, Store, StoreError},
    web::{api::EventView, session::SignedIn, state::AppState},
};
use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;

const AT_ONCE: i64 = 500;

/// Writes down who takes what, and begins to send it.
pub(super) async fn export(
    State(state): State<AppState>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let narrowed = narrowed(&form);
    let filter = narrowed.filter().map_err(|wrong| {
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "This was not exported")
            .text(wrong)
            .link("/audit", "Back to the audit log")
    })?;
    let now = state.clock.now();
    state.store.append_event(&told(&narrowed, now, &who)).await?;
    let lines = stream::try_unfold(Some(i64::MAX), move |before: Option<i64>| {
        let (store, filter) = (state.store.clone(), filter.clone());
        async move { batch(&store, &filter, before).await }
    });
    let name = format!("attachment; filename=\"mooring-audit-{}.jsonl\"", now.date());
    let kind = "application/x-ndjson; charset=utf-8".to_owned();
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// The next lines, and below which event the ones after them are. `None`: there are no more.
async fn batch(
    store: &Store,
    filter: &EventFilter,
    before: Option<i64>,
) -> Result<Option<(String, Option<i64>)>, StoreError> {
    if before.is_none() {
        return Ok(None);
    }
    let found = store.find_events(filter, before, AT_ONCE).await?;
    let line =
        |event| serde_json::to_string(&EventView::from(event)).expect("an event has string keys") + "\n";
    Ok(Some((found.events.into_iter().map(line).collect(), found.older)))
}

fn narrowed(form: &Form) -> Narrowed {
    let text = |name| form.text(name).to_owned();
    Narrowed {
        subject: text("subject"),
        kind: text("kind"),
        actor: text("actor"),
        tenant: text("tenant"),
        from: text("from"),
        to: text("to"),
    }
}

fn told(narrowed: &Narrowed, at: time::OffsetDateTime, who: &SignedIn) -> Event {
    let given: Vec<_> = narrowed.given().iter().map(|(name, text)| format!("{name} {text}")).collect();
    let what = if given.is_empty() { "everything".to_owned() } else { given.join(", ") };
    Event {
        id: EventId::fresh(),
        at,
        kind: EventKind::AuditExported,
        subject: Some(who.operator.email.clone()),
        tenant: None,
        actor: who.actor().to_string(),
        detail: Some(what),
    }
}
