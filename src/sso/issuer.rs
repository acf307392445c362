//! The issuer, asked over HTTP: what it says of itself and its keys, each kept for an hour.
//!
//! One request of a kind is on its way at a time; whoever comes meanwhile waits for it, and a failure is remembered
//! for some seconds, so that an issuer that is away is not waited for by everybody in turn.

use super::{
    claims::Payload,
    document::Document,
    keys::Keys,
    refusal::{Refusal, Trouble},
};
use crate::{
    domain::{Clock, Secret},
    outbound::{Answer, Outbound, OutboundError},
};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use std::{fmt, sync::Arc};
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;
use url::Url;

const KEPT: Duration = Duration::HOUR;
const FAILURE_KEPT: Duration = Duration::seconds(5);
/// How often keys are fetched anew because a token names an unknown one. Anybody can make such a token.
const KEYS_AGAIN: Duration = Duration::MINUTE;
/// Documents and sets of keys are a few kilobytes.
const LARGEST: usize = 64 * 1024;

/// One OpenID provider.
pub struct Issuer {
    name: String,
    origin: Url,
    http: Outbound,
    clock: Clock,
    document: Mutex<Kept<Document>>,
    keys: Mutex<Kept<Keys>>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was fetched last, and when.
struct Kept<T>(Option<(OffsetDateTime, Result<Arc<T>, Trouble>)>);

impl<T> Kept<T> {
    fn good_at(&self, now: OffsetDateTime) -> Option<Result<Arc<T>, Trouble>> {
        let (at, found) = self.0.as_ref()?;
        let kept = if found.is_ok() { KEPT } else { FAILURE_KEPT };
        (now < *at + kept).then(|| found.clone())
    }

    fn keep(&mut self, now: OffsetDateTime, found: Result<T, Trouble>) -> Result<Arc<T>, Trouble> {
        let found = found.map(Arc::new);
        self.0 = Some((now, found.clone()));
        found
    }
}

/// What a look at the issuer found.
#[derive(Debug, PartialEq, Eq)]
pub struct Looked {
    /// How many public keys of a kind that is known here.
    pub keys: usize,
}

impl Issuer {
    /// `name` is the issuer as the operator wrote it; `origin` is the same as a URL.
    pub fn new(name: String, origin: Url, http: Outbound, clock: Clock) -> Self {
        let (document, keys) = (Mutex::new(Kept(None)), Mutex::new(Kept(None)));
        Self { name, origin, http, clock, document, keys }
    }

    /// As the operator of this server wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its host, for people.
    pub fn host(&self) -> &str {
        self.origin.host_str().unwrap_or_default()
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.origin.origin().ascii_serialization()
    }

    /// Asks it now, whatever is known.
    pub async fn look(&self) -> Result<Looked, Trouble> {
        let document = self.fetch_document(&mut *self.document.lock().await).await?;
        let keys = self.fetch_keys(&mut *self.keys.lock().await, &document).await?;
        Ok(Looked { keys: keys.len() })
    }

    pub(super) async fn document(&self) -> Result<Arc<Document>, Trouble> {
        let mut kept = self.document.lock().await;
        match kept.good_at(self.clock.now()) {
            Some(found) => found,
            None => self.fetch_document(&mut kept).await,
        }
    }

    /// What an ID token says, if one of the issuer's keys signed it.
    pub(super) async fn verified(&self, document: &Document, id_token: &Secret) -> Result<Payload, Trouble> {
        let wrong = |what: &str| Trouble::untrusted(format!("The ID token {what}."));
        let header =
            decode_header(id_token.expose()).map_err(|_| wrong("is none, or is not signed as it must be"))?;
        if !document.algorithms.contains(&header.alg) {
            return Err(wrong(
                "is signed with an algorithm that the issuer does not name, or that is not taken",
            ));
        }
        let is_its_kind = header.typ.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("jwt"));
        if !is_its_kind || header.crit.is_some() {
            return Err(wrong("is of a kind that is not known here"));
        }
        let key = self.key(document, header.kid.as_deref(), header.alg).await?;
        let mut validation = Validation::new(header.alg);
        // Time is ours to judge, by our clock; so is the rest, in one place.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let token = decode(id_token.expose(), &key, &validation)
            .map_err(|_| wrong("has a wrong signature, or does not say what it must"))?;
        Ok(token.claims)
    }

    /// An unknown key may be a new one: the set is fetched once more, once a minute at most.
    async fn key(
        &self,
        document: &Document,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, Trouble> {
        let mut kept = self.keys.lock().await;
        let known = match kept.good_at(self.clock.now()) {
            Some(found) => found?,
            None => self.fetch_keys(&mut kept, document).await?,
        };
        if let Some(key) = known.find(id, algorithm) {
            return Ok(key);
        }
        let fetched_at = kept.0.as_ref().map(|(at, _)| *at);
        let found = match fetched_at.filter(|at| self.clock.now() < *at + KEYS_AGAIN) {
            Some(_) => None,
            None => self.fetch_keys(&mut kept, document).await?.find(id, algorithm),
        };
        found.ok_or_else(|| {
            Trouble::untrusted("The ID token is signed with a key that the issuer does not show.")
        })
    }

    async fn fetch_document(&self, kept: &mut Kept<Document>) -> Result<Arc<Document>, Trouble> {
        let url = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let url = Url::parse(&url).expect("the issuer is a URL without a query");
        let found = self.get(url).await;
        let found = found.and_then(|answer| Document::read(&answer.body, &self.name, &self.origin));
        kept.keep(self.clock.now(), self.logged(found))
    }

    async fn fetch_keys(&self, kept: &mut Kept<Keys>, document: &Document) -> Result<Arc<Keys>, Trouble> {
        let found = self.get(document.keys.clone()).await.and_then(|answer| Keys::read(&answer.body));
        kept.keep(self.clock.now(), self.logged(found))
    }

    fn logged<T>(&self, found: Result<T, Trouble>) -> Result<T, Trouble> {
        found.inspect_err(|trouble| {
            tracing::warn!(issuer = self.name, code = %trouble.refusal, cause = trouble.cause, "the issuer was asked in vain");
        })
    }

    async fn get(&self, url: Url) -> Result<Answer, Trouble> {
        let request = self.http.request(Method::GET, url).header("accept", "application/json").build();
        let answer =
            self.send(request.map_err(|_| Trouble::untrusted("A request could not be built."))?).await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            status => Err(self.answered(status)),
        }
    }

    /// Sends once, and follows nothing.
    pub(super) async fn send(&self, request: reqwest::Request) -> Result<Answer, Trouble> {
        self.http.send_with_limit(request, LARGEST).await.map_err(|error| match error {
            OutboundError::TooLarge { .. } => Trouble::untrusted("The issuer's answer is too large."),
            error => {
                let (step, host) = (error.step(), self.host());
                tracing::warn!(host, step, %error, cause = error.detail(), "a call failed");
                Trouble::new(Refusal::Unreachable, format!("{host} could not be reached ({step}): {error}"))
            }
        })
    }

    /// What an answer says that is none.
    pub(super) fn answered(&self, status: StatusCode) -> Trouble {
        let told = format!("{} answered {}.", self.host(), status.as_u16());
        let is_away = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Trouble::new(if is_away { Refusal::Unreachable } else { Refusal::Untrusted }, told)
    }
}
