//! Reads the log on behind a cursor and writes a delivery for everybody who is to be told.
//!
//! The rule it guards: each event is told once to each channel, whatever crashes and however many replicas
//! read. Nobody who writes an event calls this; the log is the outbox.

use super::{compose::notice, gaps::Gaps, kinds::Kinds, schedule::LIFE};
use crate::{
    domain::{Clock, Connection, Event, EventKind, Status},
    store::{Audience, LoggedEvent, MAIL, NewDelivery, Store, StoreError},
};
use std::sync::{Mutex, PoisonError};
use time::{Duration, OffsetDateTime};

/// Events that are read at a time.
const BATCH: i64 = 200;

/// The first half of the way: from the log to deliveries.
pub struct Outbox {
    pub store: Store,
    pub clock: Clock,
    /// Without a slash at the end.
    pub site_url: String,
    pub warn_before: Duration,
    /// What is told by mail; `None` where no mail can be sent.
    pub mail: Option<Kinds>,
    gaps: Mutex<Gaps>,
}

impl Outbox {
    pub fn new(store: Store, clock: Clock, site_url: String, warn_before: Duration) -> Self {
        Self { store, clock, site_url, warn_before, mail: None, gaps: Mutex::default() }
    }

    /// Passes on what happened since the last time, and says how many deliveries were made of it.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let mut made = 0;
        loop {
            let now = self.clock.now();
            let (cursor, mut events) = self.store.untold_events(BATCH).await?;
            let read = events.len();
            events.truncate(self.passable(cursor, &events, now));
            let Some((last, _)) = events.last() else { return Ok(made) };
            let (last, readable) = (*last, events.iter().filter_map(|(_, event)| event.as_ref()));
            let deliveries = self.deliveries(readable, now).await?;
            let moved = self.store.pass_on((cursor, last), &deliveries, now).await?;
            made += if moved { deliveries.len() } else { 0 };
            if i64::try_from(read).is_ok_and(|read| read < BATCH) {
                return Ok(made);
            }
        }
    }

    fn passable(&self, cursor: i64, events: &[(i64, Option<LoggedEvent>)], now: OffsetDateTime) -> usize {
        let numbers: Vec<_> = events.iter().map(|(seq, _)| *seq).collect();
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).passable(cursor, &numbers, now)
    }

    async fn deliveries(
        &self,
        events: impl Iterator<Item = &LoggedEvent>,
        now: OffsetDateTime,
    ) -> Result<Vec<NewDelivery>, StoreError> {
        let audiences = self.store.audiences().await?;
        let mut deliveries = Vec::new();
        for LoggedEvent { seq, event } in events {
            let mut channels = self.channels(event, &audiences);
            if channels.is_empty() {
                continue;
            }
            let connection = self.connection(event).await?;
            if event.kind == EventKind::ActionRequired && self.needs_nobody(connection.as_ref()) {
                channels.retain(|channel| channel != MAIL);
            }
            let told = notice(event, connection.as_ref(), &self.site_url, self.warn_before);
            let body = serde_json::to_string(&told).expect("a notice has string keys");
            deliveries.extend(channels.into_iter().map(|channel| NewDelivery {
                channel,
                event_seq: *seq,
                event_id: event.id.to_string(),
                kind: told.kind.clone(),
                subject: event.subject.clone(),
                body: body.clone(),
                give_up_at: now + LIFE,
            }));
        }
        Ok(deliveries)
    }

    /// Who is told of an event.
    fn channels(&self, event: &Event, audiences: &[Audience]) -> Vec<String> {
        let kind = event.kind.as_str();
        let hears = |audience: &&Audience| {
            let own = audience.tenant.is_none() || audience.tenant == event.tenant;
            own && Kinds::stored(audience.events.clone()).include(kind)
        };
        let endpoints = audiences.iter().filter(hears).map(|audience| audience.endpoint.to_string());
        let mail = self.mail.as_ref().filter(|kinds| kinds.include(kind)).map(|_| MAIL.to_owned());
        endpoints.chain(mail).collect()
    }

    /// Whether a connection was mended before anybody was told: a mail would send somebody there for nothing.
    fn needs_nobody(&self, connection: Option<&Connection>) -> bool {
        let now = self.clock.now();
        connection.is_some_and(|c| c.standing(now, self.warn_before).status != Status::ActionRequired)
    }

    /// The connection that an event is about, as far as it is there and can be read.
    async fn connection(&self, event: &Event) -> Result<Option<Connection>, StoreError> {
        let Some(id) = event.subject.as_deref().and_then(|subject| subject.parse().ok()) else {
            return Ok(None);
        };
        match self.store.connection(id).await {
            Err(error @ StoreError::Row { .. }) => {
                tracing::error!(%error, "an event is told without its connection");
                Ok(None)
            }
            found => found,
        }
    }
}
