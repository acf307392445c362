//! Faults: what goes wrong with a request, before or after the simulator has committed what was asked.
//! Queued for one endpoint and used up once each, or standing until cleared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;

use crate::endpoint::Endpoint;
use crate::template::Template;

/// One thing that goes wrong. As JSON (for the HTTP controls): `{"delay_before": 1.5}` with seconds,
/// `"drop_after_commit"`, `{"status": {"status": 502, "body": "<h1>502</h1>"}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request waits before anything is done.
    #[serde(deserialize_with = "seconds")]
    DelayBefore(Duration),
    /// The request is carried out, then the answer waits.
    #[serde(deserialize_with = "seconds")]
    DelayAfter(Duration),
    /// The connection closes without an answer, and nothing was done.
    DropBefore,
    /// The request is carried out, then the connection closes without an answer.
    DropAfterCommit,
    /// The request is carried out; half of the body arrives, then the connection closes.
    Truncate,
    /// Nothing is done; this status with this body, HTML unless `headers` name another `Content-Type`.
    Status {
        /// The status code.
        status: u16,
        /// Additional headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body, as it is.
        #[serde(default)]
        body: String,
    },
    /// Nothing is done; this JSON text, which need not be valid.
    Json {
        /// The status code.
        status: u16,
        /// The body, as it is.
        body: String,
    },
    /// The request is carried out, but this JSON text is answered.
    JsonAfter {
        /// The status code.
        status: u16,
        /// The body, as it is.
        body: String,
    },
    /// The request is carried out, and its tokens are answered in words of your own.
    Template(Template),
    /// 429 of the request throttle: plain text, `RateLimit-*` headers and `Retry-After` in seconds.
    RateLimitedRack {
        /// Seconds for `Retry-After`.
        retry_after: u64,
    },
    /// 429 of an endpoint's own limit: JSON, no rate headers, no `Retry-After`.
    RateLimitedEndpoint,
    /// 503 as in maintenance mode.
    Maintenance,
}

impl Fault {
    /// The 502 page that a proxy shows while GitLab restarts.
    pub fn bad_gateway() -> Self {
        let body = "<html><head><title>GitLab is not responding</title></head>\
                    <body><h1>502</h1><p>Whoops, GitLab is taking too much time to respond.</p></body></html>";
        Self::Status { status: 502, headers: Vec::new(), body: body.to_owned() }
    }

    /// A status with an HTML body, before anything is done.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Status { status, headers: Vec::new(), body: body.to_owned() }
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let value = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(value).map_err(serde::de::Error::custom)
}

/// What a request meets: a fault, or a gate at one of two places.
#[derive(Clone, Debug)]
pub(crate) enum Obstacle {
    Fault(Fault),
    HoldBefore(Arc<GateState>),
    HoldAfter(Arc<GateState>),
}

/// The faults that wait for requests.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    once: BTreeMap<Endpoint, VecDeque<Obstacle>>,
    standing: BTreeMap<Endpoint, Fault>,
}

impl Faults {
    pub(crate) fn queue(&mut self, endpoint: Endpoint, obstacle: Obstacle) {
        self.once.entry(endpoint).or_default().push_back(obstacle);
    }

    pub(crate) fn stand(&mut self, endpoint: Endpoint, fault: Fault) {
        self.standing.insert(endpoint, fault);
    }

    pub(crate) fn clear(&mut self) {
        self.once.clear();
        self.standing.clear();
    }

    /// The obstacle for the next request at this endpoint: queued before standing, its own before `Any`.
    pub(crate) fn take(&mut self, endpoint: Endpoint) -> Option<Obstacle> {
        let places = [endpoint, Endpoint::Any];
        let queued = places.iter().find_map(|place| self.once.get_mut(place)?.pop_front());
        queued.or_else(|| {
            places.iter().find_map(|place| self.standing.get(place).cloned().map(Obstacle::Fault))
        })
    }
}

#[derive(Debug)]
pub(crate) struct GateState {
    reached: Semaphore,
    released: Semaphore,
}

impl GateState {
    /// Called by the request: announces itself and waits.
    pub(crate) async fn pass(&self) {
        self.reached.add_permits(1);
        let _ = self.released.acquire().await;
    }
}

/// Holds one request until released, so that a test can look at the moment in between without sleeping.
/// Dropping the gate releases the request.
#[derive(Debug)]
pub struct Gate(Arc<GateState>);

impl Gate {
    pub(crate) fn new() -> (Self, Arc<GateState>) {
        let state = Arc::new(GateState { reached: Semaphore::new(0), released: Semaphore::new(0) });
        (Self(Arc::clone(&state)), state)
    }

    /// Waits until a request stands at the gate; returns at once when one does already.
    pub async fn reached(&self) {
        // The permit goes back when dropped, so that a second call sees it too.
        let _ = self.0.reached.acquire().await;
    }

    /// Lets the request go on.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.released.close();
    }
}
