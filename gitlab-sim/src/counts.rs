//! What happened so far, counted, and the last request at each endpoint.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::call::Call;
use crate::endpoint::Endpoint;

/// Numbers since the start. All of them are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests to `/oauth/token`, also those that a fault swallowed.
    pub token_requests: u64,
    /// The most requests to `/oauth/token` that were under way at once.
    pub token_requests_at_once: u64,
    /// Authorization codes that became tokens.
    pub codes_exchanged: u64,
    /// Refreshes that gave a new pair.
    pub refreshes_granted: u64,
    /// Refreshes that were refused, for whatever reason.
    pub refreshes_denied: u64,
    /// How often a refresh token arrived that had been spent by an earlier refresh.
    pub refresh_tokens_presented_twice: u64,
    /// Tokens revoked by request: `/oauth/revoke` and `DELETE …/self`.
    pub revocations: u64,
    /// Personal, project, group and service-account tokens rotated.
    pub rotations: u64,
    /// Families revoked because a revoked token was presented for rotation.
    pub families_revoked: u64,
    /// Answers with status 401.
    pub unauthorized: u64,
    /// All requests, without those to the controls.
    pub requests_total: u64,
    /// Requests for each endpoint that was asked at least once, by name.
    pub endpoints: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(crate) fn arrived(&mut self, endpoint: Endpoint) {
        self.requests_total += 1;
        self.token_requests += u64::from(endpoint == Endpoint::Token);
        *self.endpoints.entry(endpoint.name()).or_default() += 1;
    }

    /// Requests at one endpoint; `Endpoint::Any` gives the total.
    pub fn of(&self, endpoint: Endpoint) -> u64 {
        match endpoint {
            Endpoint::Any => self.requests_total,
            other => self.endpoints.get(other.name()).copied().unwrap_or_default(),
        }
    }
}

/// A request as it was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// For example `POST`.
    pub method: String,
    /// Path and query, with the base path.
    pub path_and_query: String,
    /// Headers in order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Seen {
    pub(crate) fn of(call: &Call) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: call.method.to_string(),
            path_and_query: call.target.clone(),
            headers: call
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                .collect(),
            body: text(&call.body),
        }
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of a form body.
    pub fn form(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}
