//! Logs, metrics and, with the feature `otlp`, traces. Names nothing of ours, and is given no secret to name.

#[cfg_attr(not(feature = "otlp"), path = "telemetry/no_traces.rs")]
mod traces;

use http::{Method, StatusCode};
use prometheus_client::{
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{
    io::IsTerminal,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub use traces::{Traces, take_up};

const PREFIX: &str = "mooring";

/// What hears of spans beside the log, if anything does.
pub type MoreLayers = Option<Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>>;

/// Starts logging to standard error. `filter` is a level, or directives such as `info,mooring=debug`; it does not
/// count for the layers beside the log.
pub fn start_logging(filter: &str, json: bool, beside: MoreLayers) -> Result<(), String> {
    // At its most talkative this one writes whole paths, and the path of a connect session is a secret.
    // And the nameless spans of the other would stand between a request and the tasks that it begins.
    let filter = format!("{filter},tower_http::csrf=info,tower_sessions=warn");
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("MOORING_LOG: {e}"))?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    let log = if json { log.json().with_filter(filter).boxed() } else { log.with_filter(filter).boxed() };
    tracing_subscriber::registry().with(beside).with(log).try_init().map_err(|e| e.to_string())
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

/// A metric that is read when somebody asks for it.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Without the prefix, and a counter without `_total`.
    pub name: &'static str,
    /// A sentence without its full stop.
    pub help: &'static str,
    pub kind: Kind,
    /// A value for each set of labels.
    pub values: Vec<(Labels, f64)>,
}

pub type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Counts since the process started.
    Counter,
}

impl Reading {
    fn register(&self, registry: &mut Registry) {
        match (self.kind, self.values.as_slice()) {
            (Kind::Gauge, [(labels, value)]) if labels.is_empty() => {
                let gauge = Gauge::<f64, AtomicU64>::default();
                gauge.set(*value);
                registry.register(self.name, self.help, gauge);
            }
            (Kind::Gauge, values) => {
                let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
                for (labels, value) in values {
                    family.get_or_create(labels).set(*value);
                }
                registry.register(self.name, self.help, family);
            }
            (Kind::Counter, values) => {
                let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
                for (labels, value) in values {
                    family.get_or_create(labels).inc_by(*value);
                }
                registry.register(self.name, self.help, family);
            }
        }
    }
}

/// Metrics of one process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let requests = Family::<Answered, Counter>::default();
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        let seconds = Family::new_with_constructor(buckets);
        registry.register("http_requests", "HTTP requests answered", requests.clone());
        registry.register("http_request_duration_seconds", "Time to the answer's head", seconds.clone());
        Self { registry: Arc::new(registry), requests, seconds }
    }
}

impl Metrics {
    /// Counts an answer. `route` is a pattern, so that there are few.
    pub fn answered(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::HEAD => "HEAD",
            _ => "other",
        };
        let route = route.to_owned();
        self.requests
            .get_or_create(&Answered { method, route: route.clone(), status: status.as_u16() })
            .inc();
        self.seconds.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    /// All metrics and these readings in the OpenMetrics text format.
    pub fn text(&self, readings: &[Reading]) -> String {
        let mut now = Registry::with_prefix(PREFIX);
        for reading in readings {
            reading.register(&mut now);
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &now))
            .and_then(|()| encode_eof(&mut text))
            .expect("writing to a string does not fail");
        text
    }
}
