//! HTTP and HTML: every route on one screen, with layers for each audience.

mod api;
mod assets;
mod auth;
mod change;
mod drain;
mod error;
mod extract;
mod follow;
mod headers;
mod health;
mod pages;
mod proxy;
mod read_on;
mod refusals;
mod session;
mod state;
mod visitor;

pub use api::document;
pub use follow::{Followers, MOST as MOST_FOLLOWERS, MOST_OF_ONE as MOST_FOLLOWERS_OF_ONE};
pub use state::{AppState, KeySource, Parts, Trust};

use crate::telemetry::{self, Metrics};
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_SECURITY_POLICY},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use std::time::{Duration, Instant};
use tower::ServiceBuilder;
use tower_http::{
    ServiceBuilderExt,
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestId, RequestId},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tracing::{Span, field::Empty};
use utoipa_swagger_ui::SwaggerUi;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer than a flight waits for another process, so that a caller gets our answer and not a time-out.
const LONGEST_REQUEST: Duration = Duration::from_secs(120);

/// The viewer of the API's document brings styles of its own; it needs nothing from elsewhere.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The whole site.
pub fn router(state: AppState, metrics: Metrics) -> Router {
    let (api, _) = api::router().split_for_parts();
    let api = api.route_layer(from_fn_with_state(state.clone(), api::once));
    let docs = SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document());
    let docs = Router::from(docs).layer(SetResponseHeaderLayer::overriding(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(DOCS_POLICY),
    ));
    let health = Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz));
    let common = ServiceBuilder::new()
        .map_request(without_foreign_id)
        .set_request_id(REQUEST_ID, OwnId)
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(on_response))
        .propagate_request_id(REQUEST_ID)
        .layer(from_fn_with_state(state.draining.clone(), drain::let_go))
        .layer(headers::layer(&state))
        .layer(from_fn(error::write_problems))
        .layer(CatchPanicLayer::new());
    // What is proxied takes its time, and has no largest body.
    let bounded = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONGEST_REQUEST))
        .layer(from_fn(read_on::read_on))
        .layer(DefaultBodyLimit::max(extract::LARGEST_BODY));
    pages::router(&state)
        .merge(api)
        .merge(assets::router())
        .merge(health)
        .layer(bounded)
        .merge(proxy::router())
        .with_state(state)
        .merge(docs)
        .route_layer(from_fn(move |request, next| measure(metrics.clone(), request, next)))
        .layer(common)
}

/// An id from outside could be anything; ours is the one in our log.
fn without_foreign_id<B>(mut request: http::Request<B>) -> http::Request<B> {
    request.headers_mut().remove(REQUEST_ID);
    request
}

#[derive(Clone, Copy)]
struct OwnId;

impl MakeRequestId for OwnId {
    fn make_request_id<B>(&mut self, _request: &http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string()).ok().map(RequestId::new)
    }
}

/// The path alone, because the query of a callback holds a code; and of a connect session's link not even that.
fn span<B>(request: &http::Request<B>) -> Span {
    let id =
        request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok()).unwrap_or("-");
    let path = request.uri().path();
    let path = if path.starts_with("/connect/") { "/connect/…" } else { path };
    let span =
        tracing::info_span!("request", id, method = %request.method(), path, route = Empty, status = Empty);
    telemetry::take_up(&span, request.headers());
    span
}

fn on_response<B>(response: &http::Response<B>, took: Duration, span: &Span) {
    tracing::debug!(status = response.status().as_u16(), ms = took.as_millis(), "answered");
    span.record("status", i64::from(response.status().as_u16()));
}

/// Counts by the route's pattern, never by the path: there are as many paths as connections.
async fn measure(metrics: Metrics, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let response = next.run(request).await;
    Span::current().record("route", &route);
    metrics.answered(&route, &method, response.status(), started.elapsed());
    response
}
