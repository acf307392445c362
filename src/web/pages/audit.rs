//! The event log, newest first.

use super::{Frame, moment::Moment, ok, problem::Failure};
use crate::{
    domain::{ConnectionId, EventKind},
    store::LoggedEvent,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;

const PER_PAGE: usize = 50;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    before: Option<i64>,
    subject: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    rows: Vec<Row>,
    /// What the log is narrowed to.
    about: Option<String>,
    is_first: bool,
    older: Option<String>,
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
    let subject = asked.subject.as_deref().filter(|s| !s.is_empty());
    let limit = i64::try_from(PER_PAGE + 1).expect("small");
    let mut found = state.store.list_events(subject, asked.before, limit).await?;
    let has_more = found.len() > PER_PAGE;
    found.truncate(PER_PAGE);
    let older = found.last().filter(|_| has_more).map(|last| address(last.seq, subject));
    let names = names(&state, &found).await?;
    let now = state.clock.now();
    let about = subject
        .map(|s| s.parse().ok().and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| s.to_owned()));
    let rows = found.into_iter().map(|logged| Row::of(logged, &names, now)).collect();
    let frame = Frame::of(Some(&who), "audit");
    Ok(ok(AuditPage { frame, rows, about, is_first: asked.before.is_none(), older }))
}

/// The names of the connections on this page that are still there.
async fn names(state: &AppState, found: &[LoggedEvent]) -> Result<BTreeMap<ConnectionId, String>, Failure> {
    let mut names = BTreeMap::new();
    let ids = found.iter().filter_map(|l| l.event.subject.as_ref()?.parse::<ConnectionId>().ok());
    for id in ids.collect::<std::collections::BTreeSet<_>>() {
        if let Some(connection) = state.store.connection(id).await? {
            names.insert(id, connection.name);
        }
    }
    Ok(names)
}

fn address(before: i64, subject: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("before", &before.to_string());
    query.extend_pairs(subject.map(|s| ("subject", s)));
    format!("/audit?{}", query.finish())
}

impl Row {
    fn of(logged: LoggedEvent, names: &BTreeMap<ConnectionId, String>, now: OffsetDateTime) -> Self {
        let event = logged.event;
        let id = event.subject.as_ref().and_then(|s| s.parse::<ConnectionId>().ok());
        let name = id.and_then(|id| names.get(&id).cloned());
        Self {
            at: Moment::new(event.at, now),
            what: what(event.kind),
            kind: event.kind.as_str(),
            href: id.filter(|_| name.is_some()).map(|id| format!("/connections/{id}")),
            subject: name.or(event.subject),
            tenant: event.tenant,
            actor: event.actor,
            detail: event.detail,
        }
    }
}

/// An event in two or three words.
pub(super) fn what(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Connected => "Connected",
        EventKind::Renewed => "Renewed",
        EventKind::RenewalFailed => "Renewal failed",
        EventKind::Degraded => "Degraded",
        EventKind::Recovered => "Recovered",
        EventKind::Expiring => "About to expire",
        EventKind::Expired => "Expired",
        EventKind::ActionRequired => "Needs a person",
        EventKind::Checked => "Checked",
        EventKind::Updated => "Changed",
        EventKind::Rotated => "Token rotated",
        EventKind::Reauthorized => "Reauthorized",
        EventKind::Disconnected => "Disconnected",
        EventKind::Revoked => "Revoked at GitLab",
        EventKind::RevocationFailed => "Could not be revoked at GitLab",
        EventKind::HandedOut => "Handed out",
        EventKind::IntegrationFailing => "Integration failing",
        EventKind::IntegrationRecovered => "Integration recovered",
        EventKind::AuthorizationFailed => "Authorization failed",
        EventKind::ApiKeyCreated => "API key made",
        EventKind::ApiKeyRevoked => "API key revoked",
        EventKind::WebhookEndpointAdded => "Webhook endpoint added",
        EventKind::WebhookEndpointRemoved => "Webhook endpoint removed",
        EventKind::WebhookEndpointDisabled => "Webhook endpoint disabled",
        EventKind::WebhookSecretRotated => "Webhook secret rotated",
        EventKind::OperatorAdded => "Operator added",
        EventKind::PasswordReset => "Password changed",
        EventKind::SignedIn => "Signed in",
        EventKind::SignInFailed => "Sign-in failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Actor, Event, EventId};
    use time::macros::datetime;

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
        let rows = vec![Row::of(LoggedEvent { seq: 1, event }, &BTreeMap::new(), now)];
        let page = AuditPage {
            frame: Frame::sample(),
            rows,
            about: None,
            is_first: true,
            older: Some(address(1, None)),
        };
        let html = page.render().unwrap();
        assert!(html.contains("Sign-in failed") && !html.contains("<script>&") && !html.contains("<b>"));
        assert!(html.contains("/audit?before=1"));
    }
}
