//! The way to the collector of traces: our own HTTP client, behind the trait that OpenTelemetry asks for.
//!
//! Batches are sent by a thread that has no runtime, so each goes out in a task of ours. That task tells
//! nobody of what it does: a span about sending spans would have to be sent as well.

use super::build::ca_bundle;
use crate::{
    config::{Config, Hidden, Otlp},
    outbound::{Options, Outbound},
    telemetry::Traces,
};
use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use opentelemetry_http::{HttpClient, HttpError};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};
use url::Url;

const CALL_LIMIT: Duration = Duration::from_secs(10);
/// What batches are. The exporter's own headers stay here: it adds what `OTEL_EXPORTER_OTLP_HEADERS` says, which may be
/// a secret that is meant for another collector.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// A collector that stays away is not worth a line for each batch.
const TOLD_EVERY: Duration = Duration::from_mins(10);

/// Where the configuration sends spans; nowhere by default. Called inside the runtime that will send them.
pub fn traces(config: &Config) -> anyhow::Result<Traces> {
    let Some(otlp) = &config.otlp else { return Ok(Traces::default()) };
    let ca = ca_bundle(config.ca_file.as_deref(), "MOORING_CA_FILE")?;
    let options = Options { total: CALL_LIMIT, ..Options::default() };
    let collector = Collector {
        http: Outbound::trusted_with(&ca, options)?,
        headers: headers(otlp)?,
        runtime: Handle::current(),
        told: Mutex::default(),
    };
    Traces::to(&otlp.endpoint, collector).map_err(anyhow::Error::msg).context("MOORING_OTLP_ENDPOINT")
}

fn headers(otlp: &Otlp) -> anyhow::Result<HeaderMap> {
    let header = |(name, value): &(String, Hidden)| {
        let mut value = HeaderValue::from_str(value.expose())?;
        value.set_sensitive(true);
        Ok((HeaderName::try_from(name)?, value))
    };
    otlp.headers.iter().map(header).collect()
}

/// A collector, as the exporter sees it.
#[derive(Debug)]
struct Collector {
    http: Outbound,
    headers: HeaderMap,
    runtime: Handle,
    /// When the log last heard that it is away.
    told: Mutex<Option<Instant>>,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, headers) = (self.http.clone(), self.headers.clone());
        let sending = send(http, request, headers).with_subscriber(NoSubscriber::default());
        let answer = self.runtime.spawn(sending).await.unwrap_or_else(|ended| Err(ended.into()));
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.tell(&format!("it answered {}", answer.status())),
            Err(error) => self.tell(&error.to_string()),
        }
        answer
    }
}

impl Collector {
    fn tell(&self, why: &str) {
        let mut told = self.told.lock().expect("nothing panics under this lock");
        if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(why, "the collector of traces took no spans; what it does not take is dropped");
        }
    }
}

async fn send(
    http: Outbound,
    request: Request<Bytes>,
    more: HeaderMap,
) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let url = Url::parse(&head.uri.to_string())?;
    let request =
        http.request(head.method, url).header(CONTENT_TYPE, PROTOBUF).headers(more).body(body).build()?;
    let answer = http.send(request).await?;
    let mut response = Response::new(Bytes::copy_from_slice(&answer.body));
    (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
    Ok(response)
}
