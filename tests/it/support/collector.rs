//! An OpenTelemetry collector on loopback: it keeps every batch of spans as it came.

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

type Batches = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A running collector; it ends with the test.
pub(crate) struct Collector {
    /// Its base URL.
    pub(crate) url: String,
    batches: Batches,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let batches = Batches::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&batches));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, batches }
    }

    /// All that came, with its headers.
    pub(crate) fn batches(&self) -> Vec<(HeaderMap, Bytes)> {
        self.batches.lock().unwrap().clone()
    }

    /// The bytes of all that came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.batches().iter().flat_map(|(_, body)| body.to_vec()).collect()
    }

    fn read(&self) -> Vec<ExportTraceServiceRequest> {
        let batches = self.batches();
        batches.into_iter().map(|(_, body)| ExportTraceServiceRequest::decode(body).unwrap()).collect()
    }

    /// What each batch says of the process that sent it.
    pub(crate) fn resources(&self) -> Vec<BTreeMap<String, String>> {
        let all = self.read().into_iter().flat_map(|batch| batch.resource_spans);
        all.map(|spans| fields(&spans.resource.unwrap().attributes)).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let all = self.read().into_iter().flat_map(|batch| batch.resource_spans);
        all.flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
    }
}

async fn take(State(batches): State<Batches>, headers: HeaderMap, body: Bytes) {
    batches.lock().unwrap().push((headers, body));
}

/// Names and values, as text.
pub(crate) fn fields(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |field: &KeyValue| match field.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: neither text nor a number: {other:?}", field.key),
    };
    attributes.iter().map(|field| (field.key.clone(), text(field))).collect()
}
