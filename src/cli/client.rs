//! A client of a Mooring server: what `mooring token` and `mooring git-credential` ask it.
//!
//! The rule it guards: the key goes to the server that was named and to no other (no redirect is followed), and
//! neither it nor a token is ever part of an error.

use super::Failure;
use crate::{
    config::{ClientConfig, Hidden},
    domain::BaseUrl,
    outbound::{Answer, CaBundle, Options, Outbound, OutboundError},
};
use anyhow::Context;
use http::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use std::{fmt, fs, time::Duration};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// A renewal may wait for the provider, so an answer may take longer than the provider's own.
const PATIENCE: Duration = Duration::from_secs(75);

/// A Mooring server and our key at it.
pub(super) struct Client {
    server: BaseUrl,
    api_key: Hidden,
    http: Outbound,
}

/// What is asked beside the connection's id or name.
#[derive(Clone, Copy, Default)]
pub(super) struct Ask {
    /// Seconds for which the token must be good; the server's own idea where it is not given.
    pub(super) min_ttl: Option<u64>,
    /// The generation that was refused with 401.
    pub(super) newer_than: Option<i64>,
}

/// A token that may be used now. No `Debug`: it is a secret.
#[derive(Deserialize)]
pub(super) struct HandOut {
    pub(super) access_token: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) generation: i64,
    pub(super) base_url: String,
    pub(super) git_username: String,
    #[serde(default)]
    pub(super) warnings: Vec<Warning>,
}

#[derive(Deserialize)]
pub(super) struct Warning {
    pub(super) message: String,
}

/// A hand-out, and the server's words for it.
pub(super) struct HandedOut {
    pub(super) read: HandOut,
    pub(super) whole: Zeroizing<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{server} could not be reached ({step}). {message}{}", mend(.step))]
    Unreachable { server: String, step: &'static str, message: String },
    #[error(
        "{server} sends requests on to another address. Set MOORING_URL to the address where Mooring answers."
    )]
    SentOn { server: String },
    #[error("{server} is not a Mooring server: it answered {status} in other words. Check MOORING_URL.")]
    NotMooring { server: String, status: StatusCode },
    #[error("{0}")]
    Refused(Problem),
}

/// A refusal in the server's words (RFC 9457).
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    detail: String,
    code: String,
    action_url: Option<String>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Client {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, Failure> {
        let usage = |variable: &str, error: &dyn fmt::Display| Failure::Usage(format!("{variable}: {error}"));
        let server = BaseUrl::parse_configured(&config.url).map_err(|error| usage("MOORING_URL", &error))?;
        let ca = match &config.ca_file {
            None => CaBundle::default(),
            Some(file) => {
                let pem = fs::read(file).map_err(|error| usage("MOORING_CA_FILE", &error))?;
                CaBundle::from_pem(&pem).map_err(|error| usage("MOORING_CA_FILE", &error))?
            }
        };
        let options = Options { total: PATIENCE, ..Options::default() };
        let http = Outbound::trusted_with(&ca, options).map_err(anyhow::Error::from)?;
        Ok(Self { server, api_key: config.api_key.clone(), http })
    }

    /// Asks for the token of a connection.
    pub(super) async fn hand_out(&self, connection: &str, ask: Ask) -> Result<HandedOut, Failure> {
        let mut url = self.server.join("api/v1/connections");
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("MOORING_URL"))?.push(connection).push("token");
        let ttl = ask.min_ttl.map(|seconds| ("min_ttl", seconds.to_string()));
        let newer = ask.newer_than.map(|generation| ("newer_than", generation.to_string()));
        let query: Vec<_> = ttl.into_iter().chain(newer).collect();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(Method::GET, url).bearer_auth(self.api_key.expose()).build();
        let request = request.map_err(|_| Failure::Usage("MOORING_API_KEY: wants one API key".into()))?;
        let answer = self.http.send(request).await.map_err(|error| self.unreachable(&error))?;
        Ok(self.read(&answer).map_err(anyhow::Error::from)?)
    }

    fn unreachable(&self, error: &OutboundError) -> anyhow::Error {
        let (server, message) = (self.server.to_string(), error.to_string());
        AskError::Unreachable { server, step: error.step(), message }.into()
    }

    fn read(&self, answer: &Answer) -> Result<HandedOut, AskError> {
        let (server, status) = (self.server.to_string(), answer.status);
        if status.is_redirection() {
            return Err(AskError::SentOn { server });
        }
        if status.is_success() {
            let whole = str::from_utf8(&answer.body).ok().map(|text| Zeroizing::new(text.to_owned()));
            let read = json(&answer.body).zip(whole);
            return read
                .map(|(read, whole)| HandedOut { read, whole })
                .ok_or(AskError::NotMooring { server, status });
        }
        let problem = json(&answer.body).ok_or(AskError::NotMooring { server, status })?;
        Err(AskError::Refused(Problem { retry_after: answer.retry_after(), ..problem }))
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// What a person can do about a step that failed.
fn mend(step: &str) -> &'static str {
    match step {
        "tls" => " A private certificate authority goes into MOORING_CA_FILE.",
        "dns" => " Check the host name in MOORING_URL.",
        "connect" => " Check MOORING_URL, and whether the server runs.",
        _ => "",
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)?;
        if let Some(url) = &self.action_url {
            write!(f, " See {url}")?;
        }
        let what = match self.code.as_str() {
            "invalid_api_key" => " Check MOORING_API_KEY.",
            "insufficient_permission" => " The key of MOORING_API_KEY needs the scope tokens:read.",
            "not_found" => " The key sees the connections of its own tenant alone.",
            "ambiguous_name" => " Name the connection by its id.",
            _ => "",
        };
        f.write_str(what)?;
        match self.retry_after {
            Some(wait) => write!(f, " Ask again in {} seconds.", wait.as_secs()),
            None => Ok(()),
        }
    }
}

/// The connection that `MOORING_CONNECTION` names, if it names exactly one.
pub(super) fn usual_connection(config: &ClientConfig) -> Result<String, Failure> {
    let named = config.connection.clone().filter(|named| !named.contains(['=', ',']));
    named.context("no connection").map_err(|_| {
        Failure::Usage(
            "Name a connection: mooring token CONNECTION, or set MOORING_CONNECTION to one.".into(),
        )
    })
}
