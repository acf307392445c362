//! What of a span is told, and by which of OpenTelemetry's names.

use opentelemetry::{
    Key, KeyValue, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanEvents, SpanExporter},
};
use std::time::Duration;

/// The spans that are told, by our names.
pub(super) const SPANS: [&str; 3] = ["request", "renewal", "outbound"];

/// Our fields and their names in the semantic conventions. A field that is not here stays in the log.
const FIELDS: [(&str, &str); 11] = [
    ("id", "mooring.request_id"),
    ("method", METHOD),
    ("route", ROUTE),
    ("status", STATUS),
    ("host", "server.address"),
    ("port", "server.port"),
    ("failed", FAILED),
    ("integration", "mooring.integration"),
    ("renews", "mooring.renewal.method"),
    ("cause", "mooring.renewal.cause"),
    ("outcome", OUTCOME),
];
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";
const FAILED: &str = "error.type";
const OUTCOME: &str = "mooring.renewal.outcome";

/// Lets only what may be told through to the exporter behind it, in the thread that sends.
#[derive(Debug)]
pub(super) struct Exporter<E>(pub(super) E);

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.export(batch.into_iter().map(told).collect())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn told(mut span: SpanData) -> SpanData {
    span.events = SpanEvents::default();
    span.attributes = span.attributes.into_iter().filter_map(renamed).collect();
    let (kind, is_wrong): (_, fn(i64) -> bool) = match &*span.name {
        "request" => (SpanKind::Server, |status| status >= 500),
        "outbound" => (SpanKind::Client, |status| status >= 400),
        _ => (SpanKind::Internal, |_| false),
    };
    let status = text(&span, STATUS).and_then(|status| status.parse().ok());
    let outcome = text(&span, OUTCOME);
    let went_wrong = text(&span, FAILED).is_some()
        || status.is_some_and(is_wrong)
        || outcome.is_some_and(|outcome| outcome != "renewed" && outcome != "superseded");
    span.status = if went_wrong { Status::error("") } else { Status::Unset };
    if kind != SpanKind::Internal {
        let words = [text(&span, METHOD), text(&span, ROUTE)];
        span.name = words.into_iter().flatten().collect::<Vec<_>>().join(" ").into();
    }
    span.span_kind = kind;
    span
}

fn renamed(field: KeyValue) -> Option<KeyValue> {
    let (_, name) = FIELDS.iter().find(|(ours, _)| *ours == field.key.as_str())?;
    Some(KeyValue::new(Key::from_static_str(name), field.value))
}

fn text(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|field| field.key.as_str() == name)?;
    Some(match &found.value {
        Value::String(text) => text.as_str().to_owned(),
        other => other.to_string(),
    })
}
