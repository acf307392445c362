//! The append-only log, and the change feed made of it.
//!
//! Watchers hear of a change at once when it was made here, and within the poll's period when another
//! process made it. Sequence numbers may commit out of order on PostgreSQL, so a poll looks back.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, micros, readable, tenant_column, tenant_from},
};
use crate::domain::{Actor, Change, Connection, ConnectionId, Event, EventId, EventKind};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// Told of every change, after it was committed.
pub type Watcher = Arc<dyn Fn(&Change) + Send + Sync>;

/// An event and its place in the log.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    pub seq: i64,
    pub event: Event,
}

/// A part of the log, newest first. An event that cannot be read here, such as one of a newer version, is passed
/// over, and the events behind it are not lost.
#[derive(Clone, Debug)]
pub struct EventPage {
    pub events: Vec<LoggedEvent>,
    /// Below which place there are more. `None`: this was all.
    pub older: Option<i64>,
}

/// Which events. Empty text and `None` mean any.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub subject: String,
    /// A kind, or a family such as `connection.*`.
    pub kind: String,
    /// As it stands in the log, or the address of an operator, or the id of an API key.
    pub actor: String,
    pub tenant: String,
    pub from: Option<OffsetDateTime>,
    /// Before this instant.
    pub to: Option<OffsetDateTime>,
}

/// Appends an event in the transaction of the change that it tells of.
macro_rules! append_event {
    ($tx:expr, $event:expr) => {{
        let event: &$crate::domain::Event = $event;
        sqlx::query($crate::store::events::APPEND)
            .bind(event.id.to_string())
            .bind($crate::store::rows::micros(event.at))
            .bind(event.kind.as_str())
            .bind(event.subject.as_deref())
            .bind($crate::store::rows::tenant_column(event.tenant.as_deref()))
            .bind(event.actor.as_str())
            .bind(event.detail.as_deref())
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(super) use append_event;

/// The same for an event that there may be.
macro_rules! append_if_any {
    ($tx:expr, $event:expr) => {{
        if let Some(event) = $event {
            append_event!($tx, event);
        }
    }};
}
pub(super) use append_if_any;

pub(super) const APPEND: &str = "insert into events (event_id, at, kind, subject, tenant, actor, detail)
     values ($1, $2, $3, $4, $5, $6, $7)";

/// The log narrowed, to what a first condition on `$2`, the subject, says besides.
macro_rules! narrowed {
    ($subject:literal) => {
        concat!(
            "select seq, event_id, at, kind, subject, tenant, actor, detail
               from events
              where seq < $1
                and ",
            $subject,
            "   and ($3 = '' or kind = $3 or $4 = 1 and substr(kind, 1, length($3)) = $3)
                and ($5 = '' or actor = $5 or actor = 'operator:' || $5 or actor = 'api_key:' || $5)
                and ($6 = '' or tenant = $6)
                and at >= $7 and at < $8
              order by seq desc
              limit $9"
        )
    };
}

/// An event about one thing, now.
pub(super) fn event(
    kind: EventKind,
    at: OffsetDateTime,
    subject: impl Into<String>,
    tenant: Option<&str>,
    actor: &Actor,
) -> Event {
    Event {
        id: EventId::fresh(),
        at,
        kind,
        subject: Some(subject.into()),
        tenant: tenant.map(str::to_owned),
        actor: actor.to_string(),
        detail: None,
    }
}

/// The event of a connection whose standing changes by what is written. `None`: it stands as before.
pub(super) fn turn(was: &Connection, next: &Connection, at: OffsetDateTime, actor: &Actor) -> Option<Event> {
    // What its whole circuit meets is told once, of the circuit.
    let standing = |connection: &Connection| {
        Connection { breaker: None, ..connection.clone() }.standing(at, Duration::ZERO)
    };
    let (before, after) = (standing(was), standing(next));
    let kind = EventKind::of_turn(before, after)?;
    let mut told = event(kind, at, was.id, was.tenant.as_deref(), actor);
    let message = || next.credential.failure.as_ref().map(|failure| failure.message.clone());
    told.detail = message().or_else(|| after.reason.map(|reason| reason.to_string()));
    Some(told)
}

#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    seq: i64,
    event_id: String,
    at: i64,
    kind: String,
    subject: Option<String>,
    tenant: String,
    actor: String,
    detail: Option<String>,
}

impl EventRow {
    /// Its place in the log, and the event where it can be read.
    pub(super) fn readable(self) -> (i64, Option<LoggedEvent>) {
        let (seq, id) = (self.seq, self.event_id.clone());
        (seq, readable("events", &id, self.try_into()))
    }
}

impl TryFrom<EventRow> for LoggedEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let read = Reader { table: "events", row: &row.event_id };
        Ok(Self {
            seq: row.seq,
            event: Event {
                id: read.word(&row.event_id)?,
                at: read.instant(row.at)?,
                kind: read.word(&row.kind)?,
                subject: row.subject,
                tenant: tenant_from(row.tenant),
                actor: row.actor,
                detail: row.detail,
            },
        })
    }
}

impl EventPage {
    /// Of rows of which one more than `limit` was asked for.
    fn of(mut rows: Vec<EventRow>, limit: usize) -> Self {
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let older = rows.last().filter(|_| has_more).map(|last| last.seq);
        Self { events: rows.into_iter().filter_map(|row| row.readable().1).collect(), older }
    }
}

impl Store {
    /// Registers somebody whose memory a change makes stale.
    pub fn watch(&self, watcher: Watcher) {
        self.watchers.write().expect("watchers do not panic").push(watcher);
    }

    pub(super) fn tell(&self, change: &Change) {
        for watcher in self.watchers.read().expect("watchers do not panic").iter() {
            watcher(change);
        }
    }

    /// Appends an event that belongs to no change, such as a failed sign-in.
    pub async fn append_event(&self, event: &Event) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(APPEND)
            .bind(event.id.to_string())
            .bind(micros(event.at))
            .bind(event.kind.as_str())
            .bind(event.subject.as_deref())
            .bind(tenant_column(event.tenant.as_deref()))
            .bind(event.actor.as_str())
            .bind(event.detail.as_deref())
            .execute(pool)
            .await?
            .rows_affected());
        Ok(())
    }

    /// So many of the events of a filter, newest first, below `before`.
    pub async fn find_events(
        &self,
        filter: &EventFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<EventPage, StoreError> {
        let (kind, is_family) = match filter.kind.strip_suffix('*') {
            Some(family) => (family, 1_i64),
            None => (filter.kind.as_str(), 0),
        };
        // In one text with both, no database would use the index of subjects.
        let text = if filter.subject.is_empty() { narrowed!("$2 = ''") } else { narrowed!("subject = $2") };
        let rows: Vec<EventRow> = on!(self.db, read, |pool| sqlx::query_as(text)
            .bind(before.unwrap_or(i64::MAX))
            .bind(&filter.subject)
            .bind(kind)
            .bind(is_family)
            .bind(&filter.actor)
            .bind(&filter.tenant)
            .bind(filter.from.map_or(i64::MIN, micros))
            .bind(filter.to.map_or(i64::MAX, micros))
            .bind(limit.saturating_add(1))
            .fetch_all(pool)
            .await?);
        Ok(EventPage::of(rows, usize::try_from(limit).unwrap_or_default()))
    }

    /// The latest of one subject, newest first, besides renewals and hand-outs, of which there are many.
    pub async fn rare_events(&self, subject: &str, limit: i64) -> Result<Vec<LoggedEvent>, StoreError> {
        let rows: Vec<EventRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select seq, event_id, at, kind, subject, tenant, actor, detail
               from events
              where subject = $1 and kind not in ($2, $3, $4)
              order by seq desc
              limit $5"
        )
        .bind(subject)
        .bind(EventKind::Renewed.as_str())
        .bind(EventKind::RenewalFailed.as_str())
        .bind(EventKind::HandedOut.as_str())
        .bind(limit)
        .fetch_all(pool)
        .await?);
        Ok(rows.into_iter().filter_map(|row| row.readable().1).collect())
    }

    /// The highest sequence number so far; 0 in an empty log.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        let last: Option<i64> = on!(self.db, read, |pool| sqlx::query_scalar("select max(seq) from events")
            .fetch_one(pool)
            .await?);
        Ok(last.unwrap_or(0))
    }

    /// What changed above `after`, oldest first, with its sequence number.
    pub async fn changes_after(&self, after: i64) -> Result<Vec<(i64, Option<Change>)>, StoreError> {
        let rows: Vec<(i64, String, Option<String>)> = on!(self.db, read, |pool| sqlx::query_as(
            "select seq, kind, subject from events where seq > $1 order by seq limit 1000"
        )
        .bind(after)
        .fetch_all(pool)
        .await?);
        Ok(rows.into_iter().map(|(seq, kind, subject)| (seq, change(&kind, subject))).collect())
    }

    /// Tells the watchers here of a change that another process made.
    pub fn relay(&self, change: &Change) {
        self.tell(change);
    }
}

/// Which memory an event makes stale. Kinds of a newer version are about connections if they say so.
fn change(kind: &str, subject: Option<String>) -> Option<Change> {
    let subject = subject?;
    match kind.split_once('.')?.0 {
        "integration" => Some(Change::Circuit),
        "connection" => subject.parse::<ConnectionId>().ok().map(Change::Connection),
        "api_key" => Some(Change::ApiKey(subject)),
        _ => None,
    }
}
