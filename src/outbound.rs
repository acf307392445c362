//! The one HTTP client: nothing leaves this program by another way.
//!
//! The rule it guards: a request goes to the host it was built for and to no other. No proxy from the
//! environment, no redirect followed, nothing sent twice, and, for base URLs that users typed, only to
//! addresses that the policy allows. Every answer is bounded in time and size, and every failure says which
//! step failed and whether anything can have been sent.

mod address;
mod answer;
mod error;
mod guard;
mod issuer;
mod patience;
mod policy;
mod resolver;
mod steps;
mod stream;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Request, RequestBuilder};
use tracing::{Instrument, Span, field::Empty};
use url::Url;

pub use self::address::{AddressClass, classify};
pub use self::answer::{Answer, Arrived};
pub use self::error::{ConnectReason, DnsReason, OutboundError, Sent, TlsReason};
use self::guard::Guard;
pub use self::guard::Refused;
pub use self::issuer::Issuer;
use self::patience::Patience;
pub use self::policy::{AllowEntry, Policy, PolicyError};
use self::resolver::GuardedResolver;
pub use self::resolver::{Lookup, SystemLookup};
pub use self::stream::{BodyError, Chunks, Streamed};
pub use self::trust::{BuildError, CaBundle, CaError};

/// The largest answer that [`Outbound::send`] reads, in bytes: far above any token or user.
pub const ANSWER_LIMIT: usize = 256 * 1024;
/// The limit for lists: it fits a page of a hundred projects, in bytes.
pub const LIST_LIMIT: usize = 4 * 1024 * 1024;

/// How long a whole call may take, to the last byte of the answer, unless [`Options::total`] says otherwise.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Idle connections close before any common server closes them (5 s), so that a request which must not be
/// sent twice does not meet a connection that is just going away.
const IDLE: Duration = Duration::from_secs(4);
const HEADER_LIST_LIMIT: u32 = 32 * 1024;
const USER_AGENT: &str = concat!("mooring/", env!("CARGO_PKG_VERSION"));

/// What tests and slow networks may want different.
#[derive(Clone)]
pub struct Options {
    /// Name lookup, connection and TLS handshake together.
    pub connect: Duration,
    /// The whole call, to the last byte of the answer, in time that the process is awake.
    pub total: Duration,
    pub lookup: Arc<dyn Lookup>,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: CALL_LIMIT, lookup: Arc::new(SystemLookup) }
    }
}

/// The way out. Clones share connections.
#[derive(Clone)]
pub struct Outbound {
    client: Client,
    guard: Guard,
    resolver: GuardedResolver,
    connect: Duration,
    total: Duration,
}

impl Outbound {
    /// For URLs that users typed: only to addresses that `policy` allows, and `https` unless it allows more.
    pub fn guarded(policy: Policy, ca: &CaBundle) -> Result<Self, BuildError> {
        Self::guarded_with(policy, ca, Options::default())
    }

    /// As [`Outbound::guarded`], with other timeouts or another lookup.
    pub fn guarded_with(policy: Policy, ca: &CaBundle, options: Options) -> Result<Self, BuildError> {
        Self::build(Guard::Strict(Arc::new(policy)), ca, options)
    }

    /// For hosts that the operator configured: `http` and private addresses are the operator's decision.
    pub fn trusted(ca: &CaBundle) -> Result<Self, BuildError> {
        Self::trusted_with(ca, Options::default())
    }

    /// As [`Outbound::trusted`], with other timeouts or another lookup.
    pub fn trusted_with(ca: &CaBundle, options: Options) -> Result<Self, BuildError> {
        Self::build(Guard::Open, ca, options)
    }

    fn build(guard: Guard, ca: &CaBundle, options: Options) -> Result<Self, BuildError> {
        let https_only = guard.is_https_only();
        // A little less than the connect timeout, so that a silent name server is told from a silent host.
        let resolver = GuardedResolver::new(guard.clone(), options.lookup, options.connect * 4 / 5);
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .https_only(https_only)
            .dns_resolver(resolver.clone())
            .connect_timeout(options.connect)
            .pool_idle_timeout(IDLE)
            .http2_max_header_list_size(HEADER_LIST_LIMIT)
            .user_agent(USER_AGENT)
            .tls_certs_merge(ca.certificates())
            .build()
            .map_err(|error| BuildError::from_reqwest(&error))?;
        Ok(Self { client, guard, resolver, connect: options.connect, total: options.total })
    }

    /// Starts a request. It is built with `RequestBuilder::build` and handed to [`Outbound::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// What can be said against `url` before its name is resolved: scheme, user info, local names and literal
    /// addresses. For the moment when a user's base URL is saved; `send` asks the same again.
    pub fn check_literal(&self, url: &Url) -> Result<(), Refused> {
        self.guard.check_literal(url)
    }

    /// Sends `request` once and reads an answer of at most [`ANSWER_LIMIT`] bytes. Every status is an answer,
    /// a redirect too.
    pub async fn send(&self, request: Request) -> Result<Answer, OutboundError> {
        self.send_with_limit(request, ANSWER_LIMIT).await
    }

    /// As [`Outbound::send`], for answers of at most `limit` bytes.
    pub async fn send_with_limit(&self, request: Request, limit: usize) -> Result<Answer, OutboundError> {
        // The resolver is never asked about literal addresses, so they are judged here, before every request.
        self.guard.check_literal(request.url())?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let mut patience = Patience::new(self.total);
        let response = patience.wait(self.execute(request)).await.ok_or(OutboundError::Timeout)??;
        if !self.guard.allows_peer(&host, response.remote_addr()) {
            return Err(OutboundError::WrongPeer);
        }
        Answer::read(response, limit, &mut patience).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that sends, behind the guard")]
    async fn execute(&self, request: Request) -> Result<reqwest::Response, OutboundError> {
        let span = span(&request);
        let executing = self.client.execute(request).instrument(span.clone());
        let answered = executing.await.map_err(OutboundError::before_headers);
        match &answered {
            Ok(response) => span.record("status", i64::from(response.status().as_u16())),
            Err(error) => span.record("failed", error.step()),
        };
        answered
    }
}

/// The host alone: a path names connections' projects, and a query can hold a secret.
fn span(request: &Request) -> Span {
    let (url, method) = (request.url(), request.method());
    let (host, port) = (url.host_str(), url.port_or_known_default().map(i64::from));
    tracing::info_span!("outbound", %method, host, port, status = Empty, failed = Empty)
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("guard", &self.guard).finish_non_exhaustive()
    }
}
