//! What the metrics say of renewals, tokens and integrations: read when somebody asks, without a name, id or
//! address of a user in any label.

use crate::{
    domain::{RenewalKind, Status},
    store::{EXPIRING_WITHIN_DAYS, Figures, NoticeFigures, OpenBreaker, StoreError},
    telemetry::{Kind, Labels, Metrics, Reading},
    web::AppState,
};
use std::{collections::BTreeMap, sync::Arc};
use time::{Duration, OffsetDateTime};
use tokio::{sync::Mutex, time::timeout};

/// The database is asked no more often than this, however often the metrics are.
const FRESH: Duration = Duration::seconds(5);
/// A scrape by Prometheus waits ten seconds, and is to be answered without a database too.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// What stands for an instance that a user typed.
const TYPED: &str = "typed";

/// Where the metrics are read. Clones share what was read last.
#[derive(Clone)]
pub(super) struct Board {
    state: AppState,
    metrics: Metrics,
    last: Arc<Mutex<Option<Last>>>,
}

/// What the database said last; nothing if it did not answer.
#[derive(Clone)]
struct Last {
    at: OffsetDateTime,
    kept: Option<(Figures, Vec<OpenBreaker>)>,
}

impl Board {
    pub(super) fn new(state: AppState, metrics: Metrics) -> Self {
        Self { state, metrics, last: Arc::default() }
    }

    pub(super) async fn text(&self) -> String {
        let mut readings = self.of_process();
        let kept = self.kept().await;
        readings.push(one(
            "database_up",
            "Whether the database answers",
            f64::from(u8::from(kept.is_some())),
        ));
        if let Some((figures, breakers)) = kept {
            readings.extend(of_connections(&figures, self.state.clock.now()));
            readings.extend(of_renewals(&figures, self.state.clock.now()));
            readings.extend(of_notices(&figures, self.state.clock.now()));
            readings.push(self.of_breakers(&breakers));
        }
        self.metrics.text(&readings)
    }

    /// What this process knows by itself.
    fn of_process(&self) -> Vec<Reading> {
        let renewals = &self.state.renewals;
        let ended = renewals.tally.read().into_iter();
        let ended = ended.map(|(outcome, count)| (label("outcome", outcome), number(count)));
        let counted = Reading {
            name: "renewals",
            help: "Renewals by this process, by how they ended",
            kind: Kind::Counter,
            values: ended.collect(),
        };
        let spooled = renewals.spooled();
        let spooled = spooled
            .map(|count| one("spool_answers", "Sealed answers that wait for the database", number(count)));
        [Some(counted), spooled].into_iter().flatten().collect()
    }

    /// What the database says, read now or a moment ago.
    async fn kept(&self) -> Option<(Figures, Vec<OpenBreaker>)> {
        let mut last = self.last.lock().await;
        let now = self.state.clock.now();
        if let Some(last) = last.as_ref().filter(|last| (now - last.at).abs() < FRESH) {
            return last.kept.clone();
        }
        let kept = match timeout(PATIENCE, self.read(now)).await {
            Ok(Ok(kept)) => Some(kept),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics go without the database");
                None
            }
            Err(_) => {
                tracing::warn!("the metrics go without the database: it did not answer in time");
                None
            }
        };
        *last = Some(Last { at: now, kept: kept.clone() });
        kept
    }

    async fn read(&self, now: OffsetDateTime) -> Result<(Figures, Vec<OpenBreaker>), StoreError> {
        let store = &self.state.store;
        Ok((store.figures(now, self.state.warn_before).await?, store.open_breakers().await?))
    }

    fn of_breakers(&self, open: &[OpenBreaker]) -> Reading {
        let mut counts = BTreeMap::<_, u32>::new();
        for breaker in open {
            let instance = breaker.circuit.split_once(' ').map_or("", |(_, instance)| instance);
            let known = self.state.instances.integration(instance).map_or(TYPED, |known| known.id.as_str());
            *counts.entry((known, breaker.code)).or_default() += 1;
        }
        let labels = |(integration, reason)| -> Labels {
            [label("integration", integration), label("reason", reason)].concat()
        };
        let values = counts.into_iter().map(|(of, count)| (labels(of), f64::from(count)));
        gauge("breakers_open", "Integrations at which renewals fail for everybody", values.collect())
    }
}

fn of_connections(figures: &Figures, now: OffsetDateTime) -> Vec<Reading> {
    let connections = &figures.connections;
    let mut standing: Vec<_> = Status::ALL
        .iter()
        .map(|status| (label("status", status), number(connections.with(*status))))
        .collect();
    standing.push((label("status", "unreadable"), number(connections.unreadable)));
    let left = |kind: &RenewalKind| {
        let end = connections.soonest_end(*kind)?;
        Some((label("renewal", kind), (end - now).as_seconds_f64()))
    };
    let expiring = EXPIRING_WITHIN_DAYS.iter().zip(connections.expiring);
    let expiring = expiring.map(|(days, count)| (label("within", format!("{days}d")), number(count)));
    vec![
        gauge("connections", "Connections by how they stand", standing),
        gauge(
            "token_seconds_to_expiry",
            "Time to the soonest end of a token of connections that work, by how the next one comes",
            RenewalKind::ALL.iter().filter_map(left).collect(),
        ),
        gauge("tokens_expiring", "Tokens that work, end soon and that nobody renews", expiring.collect()),
    ]
}

fn of_renewals(figures: &Figures, now: OffsetDateTime) -> Vec<Reading> {
    let renewals = &figures.renewals;
    let oldest = renewals.longest_due.map_or(0.0, |since| (now - since).as_seconds_f64());
    vec![
        one("renewals_due", "Renewals whose time has come", number(renewals.due)),
        one("renewals_oldest_due_seconds", "For how long the oldest of them is due", oldest),
        one(
            "renewals_in_doubt",
            "Renewals without a known outcome that may have spent a token still held",
            number(renewals.in_doubt),
        ),
        one(
            "revocations_owed",
            "Tokens that a provider has still to be told to revoke",
            number(figures.revocations_owed),
        ),
    ]
}

fn of_notices(figures: &Figures, now: OffsetDateTime) -> Vec<Reading> {
    let channels = [("webhook", &figures.webhooks), ("mail", &figures.mail)];
    let of = |read: fn(&NoticeFigures, OffsetDateTime) -> f64| {
        channels.map(|(channel, notices)| (label("channel", channel), read(notices, now))).to_vec()
    };
    let oldest = |notices: &NoticeFigures, now: OffsetDateTime| {
        notices.longest.map_or(0.0, |since| (now - since).as_seconds_f64())
    };
    vec![
        gauge("notices_waiting", "Notices that are still to be delivered", of(|n, _| number(n.waiting))),
        gauge("notices_oldest_waiting_seconds", "For how long the oldest of them waits", of(oldest)),
        gauge(
            "notices_dead",
            "Notices that were given up, as long as they are kept",
            of(|n, _| number(n.dead)),
        ),
    ]
}

fn gauge(name: &'static str, help: &'static str, values: Vec<(Labels, f64)>) -> Reading {
    Reading { name, help, kind: Kind::Gauge, values }
}

fn one(name: &'static str, help: &'static str, value: f64) -> Reading {
    gauge(name, help, vec![(Labels::new(), value)])
}

fn label(name: &'static str, value: impl std::fmt::Display) -> Labels {
    vec![(name, value.to_string())]
}

/// A count as a metric has it.
fn number<T: TryInto<u32>>(count: T) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}
