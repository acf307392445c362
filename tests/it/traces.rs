//! Traces: what a collector is told, and what it is never told.

use crate::{
    canary::{forms, holds},
    support::{
        app::{EMAIL, On, PASSWORD, TestApp, free_port},
        collector::{Collector, fields},
        process::Process,
        request::Http,
    },
};
use gitlab_sim::Endpoint;
use http::Method;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::net::TcpListener;

const NAME: &str = "harbour-of-the-story";
const HEADER: &str = "canary-of-the-collector-0123456789";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Everything that a span may say.
const TOLD: [&str; 11] = [
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "mooring.integration",
    "mooring.renewal.cause",
    "mooring.renewal.method",
    "mooring.renewal.outcome",
    "mooring.request_id",
    "server.address",
    "server.port",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

/// The one span of this name in the caller's trace.
fn of_the_caller<'a>(spans: &'a [Span], name: &str) -> (&'a Span, BTreeMap<String, String>) {
    let of_trace = spans.iter().filter(|span| hex(&span.trace_id) == TRACE);
    let found: Vec<_> = of_trace.filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {found:#?}");
    (found[0], fields(&found[0].attributes))
}

fn line(span: &Span) -> String {
    let ids = [&span.trace_id, &span.parent_span_id, &span.span_id].map(|id| hex(id));
    format!("{} {}", ids.join(" "), span.name)
}

fn says(fields: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(fields.get(*name).map(String::as_str), Some(*value), "{name} of {fields:#?}");
    }
}

/// A process that is traced, in place of the app.
async fn traced(settings: &[(&str, &str)]) -> (TestApp, Http, Process) {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["admin"]).await;
    app.stop().await;
    let process = Process::start(&app, settings).await;
    (app, program, process)
}

/// Connects, takes a token, renews it as a part of the caller's trace, and sends a request through the proxy.
/// Gives back what is nobody's business.
async fn story(app: &TestApp, program: &Http) -> Vec<String> {
    let id = app.connect_by_oauth(NAME).await;
    let exchange = app.sim().last_request(Endpoint::Token).unwrap();
    let path = |rest: &str| format!("/api/v1/connections/{NAME}/{rest}");
    let token = async || program.get(&path("token")).await.expect(200).json()["access_token"].clone();
    let (old, refresh) = (token().await, app.sim().live_refresh_tokens());
    let renew = program.request(Method::POST, &path("renew"));
    let renew = renew.header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    renew.header("tracestate", "stranger=text-of-a-stranger").send().await.expect(200);
    assert!(app.sim().last_request(Endpoint::Token).unwrap().header("traceparent").is_none());
    let proxied = program.request(Method::GET, &format!("/proxy/{NAME}/api/v4/user?secret=in-a-query"));
    proxied.header("traceparent", &format!("00-{TRACE}-{CALLER}-01")).send().await.expect(200);
    assert!(app.sim().last_request(Endpoint::User).unwrap().header("traceparent").is_none());
    let tokens = [old, token().await].map(|token| token.as_str().unwrap().to_owned());
    let mut secrets = vec![NAME.to_owned(), id, EMAIL.to_owned(), PASSWORD.to_owned(), HEADER.to_owned()];
    secrets.extend(["text-of-a-stranger", "secret=in-a-query", "alice", "Alice Adams"].map(str::to_owned));
    secrets.extend(["code", "code_verifier", "client_secret"].map(|field| exchange.form(field).unwrap()));
    secrets.extend(tokens.into_iter().chain(refresh).chain(app.sim().live_refresh_tokens()));
    secrets.extend(app.http.secrets_in_cookies());
    secrets.push(program.key().unwrap().to_owned());
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_of_requests_renewals_and_calls_and_of_nobody_in_particular() {
    let collector = Collector::start().await;
    let header = format!("x-collector-key={HEADER}");
    let settings = [("MOORING_OTLP_ENDPOINT", &*collector.url), ("MOORING_OTLP_HEADERS", &header)];
    let (app, program, process) = traced(&settings).await;
    let secrets = story(&app, &program).await;
    let log = process.stop().await;

    let (spans, bytes) = (collector.spans(), collector.bytes());
    for (headers, _) in collector.batches() {
        assert_eq!(headers["x-collector-key"], HEADER);
    }
    for resource in collector.resources() {
        says(&resource, &[("service.name", "mooring"), ("service.version", env!("CARGO_PKG_VERSION"))]);
    }

    // The renewal: the caller's request, in it the renewal, in it the call to GitLab.
    let (request, of_request) = of_the_caller(&spans, "POST /api/v1/connections/{ref}/renew");
    assert_eq!((hex(&request.parent_span_id).as_str(), request.kind()), (CALLER, SpanKind::Server));
    says(&of_request, &[("http.request.method", "POST"), ("http.response.status_code", "200")]);
    let (renewal, of_renewal) = of_the_caller(&spans, "renewal");
    assert_eq!(renewal.parent_span_id, request.span_id);
    says(
        &of_renewal,
        &[
            ("mooring.integration", "gitlab"),
            ("mooring.renewal.method", "refresh"),
            ("mooring.renewal.cause", "requested"),
            ("mooring.renewal.outcome", "renewed"),
        ],
    );
    let sim = url::Url::parse(&app.sim().url()).unwrap();
    let (host, port) = (sim.host_str().unwrap(), sim.port().unwrap().to_string());
    let calls: Vec<_> = spans.iter().filter(|span| span.parent_span_id == renewal.span_id).collect();
    assert!(!calls.is_empty(), "{spans:#?}");
    for call in calls {
        assert_eq!((hex(&call.trace_id).as_str(), call.kind()), (TRACE, SpanKind::Client));
        says(&fields(&call.attributes), &[("server.address", host), ("server.port", &port)]);
        let is_number = |field: &KeyValue| {
            field.key == "http.response.status_code"
                && field.value.as_ref().unwrap().value == Some(Value::IntValue(200))
        };
        assert!(call.attributes.iter().any(is_number), "{call:#?}");
    }
    // The exchange of the code runs in a task of its own, and is still a part of the callback.
    let callback = spans.iter().find(|span| span.name == "GET /oauth/{integration}/callback").unwrap();
    let exchanged = spans.iter().any(|span| span.name == "POST" && span.parent_span_id == callback.span_id);
    assert!(exchanged, "{:#?}", spans.iter().map(line).collect::<Vec<_>>());

    let own_port = url::Url::parse(&collector.url).unwrap().port().unwrap().to_string();
    for span in &spans {
        let fields = fields(&span.attributes);
        let names: BTreeSet<_> = fields.keys().map(String::as_str).collect();
        assert!(names.is_subset(&TOLD.into()), "{names:?}");
        assert_ne!(fields.get("server.port"), Some(&own_port), "sending spans makes no span");
        assert!(span.events.is_empty() && span.trace_state.is_empty());
    }
    for secret in &secrets {
        // The other forms of a short word mean nothing.
        let forms = if secret.len() < 15 { vec![secret.clone().into_bytes()] } else { forms(secret) };
        for form in forms {
            assert!(!holds(&bytes, &form), "{secret} is in a trace");
            assert!(secret != HEADER || !holds(log.as_bytes(), &form), "the collector's key is in the log");
        }
    }
}

/// A machine may have them for other programs, with a key that is not for our collector.
#[tokio::test(flavor = "multi_thread")]
async fn where_spans_go_and_what_goes_with_them_is_said_by_our_own_settings_alone() {
    let (ours, others) = (Collector::start().await, Collector::start().await);
    let settings = [
        ("MOORING_OTLP_ENDPOINT", &*ours.url),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &others.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=key-of-others,content-type=text/plain"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-others=key-of-others,content-type=text/plain"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_SERVICE_NAME", "others"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=others,deployment.environment.name=test"),
    ];
    let (_app, program, process) = traced(&settings).await;
    program.get("/api/v1/connections").await.expect(200);
    process.stop().await;
    assert!(others.batches().is_empty() && !ours.batches().is_empty());
    for (headers, _) in ours.batches() {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert!(!headers.contains_key("content-encoding"), "{headers:?}");
        assert!(!format!("{headers:?}").contains("others"), "{headers:?}");
    }
    for resource in ours.resources() {
        says(&resource, &[("service.name", "mooring"), ("deployment.environment.name", "test")]);
    }
}

/// Requests are answered, and a stop ends.
async fn goes_on_without(collector: &str) -> String {
    let (_app, program, process) = traced(&[("MOORING_OTLP_ENDPOINT", collector)]).await;
    for _ in 0..20 {
        program.get("/api/v1/connections").await.expect(200);
    }
    process.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_spans_and_nothing_else() {
    let log = goes_on_without(&format!("http://127.0.0.1:{}", free_port())).await;
    assert_eq!(log.matches("the collector of traces took no spans").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_does_not_hold_up_a_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let log = goes_on_without(&format!("http://{}", silent.local_addr().unwrap())).await;
    assert_eq!(log.matches("the last spans could not be sent").count(), 1, "{log}");
}
