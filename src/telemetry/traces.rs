//! Traces: spans of requests, renewals and calls outbound, as OpenTelemetry has them.
//!
//! The rule it guards: of a span, only the fields of one list leave this process, and no event (a line of the
//! log) with it. What is not in the list may name people or connections, or hold a secret.

mod told;

use super::MoreLayers;
use http::HeaderMap;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::TracerProvider as _,
};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use std::time::Duration;
use tracing::{Metadata, Span, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::FilterFn};

/// How long one batch may take, with all its tries.
const EXPORT_LIMIT: Duration = Duration::from_secs(10);
/// How long a stop waits for the last spans.
const LAST_LIMIT: Duration = Duration::from_secs(3);

/// Where spans go. The default is nowhere.
#[derive(Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// To the collector at this base URL, by this client. A collector that is away costs spans and nothing else:
    /// they are kept in a bounded queue, and sent by a thread of their own.
    pub fn to(endpoint: &str, client: impl HttpClient + 'static) -> Result<Self, String> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_LIMIT)
            .build()
            .map_err(|error| error.to_string())?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource =
            Resource::builder().with_service_name(env!("CARGO_PKG_NAME")).with_attribute(version).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(told::Exporter(exporter))
            .with_resource(resource)
            .build();
        Ok(Self(Some(provider)))
    }

    /// What hears of spans, beside the log.
    pub fn layer(&self) -> MoreLayers {
        let tracer = self.0.as_ref()?.tracer(env!("CARGO_PKG_NAME"));
        let layer = tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // A span's parent is the one that the log shows, also in a task that went on in another thread.
            .with_context_activation(false)
            .with_tracer(tracer);
        let ours = FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO);
        Some(layer.with_filter(ours).boxed())
    }

    /// Sends what is left, for three seconds at most.
    pub async fn stop(self) {
        let Some(provider) = self.0 else { return };
        // It blocks its thread.
        let last = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_LIMIT));
        if !matches!(last.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent");
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && told::SPANS.contains(&metadata.name()) && metadata.target().starts_with("mooring::")
}

/// Makes the trace that a request names its own (W3C Trace Context), and nothing else of what came with it.
pub fn take_up(span: &Span, headers: &HeaderMap) {
    let trace = TraceContextPropagator::new().extract(&TraceParent(headers));
    // Without a collector there is nobody to be told.
    let _ = span.set_parent(trace);
}

/// Only `traceparent`: a `tracestate` is a stranger's text, and would leave with every span.
struct TraceParent<'a>(&'a HeaderMap);

impl Extractor for TraceParent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == "traceparent" { self.0.get(key)?.to_str().ok() } else { None }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
