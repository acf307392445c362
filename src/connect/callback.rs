//! The way back of an authorization. The `state` is consumed before the token request, by the browser and
//! the session that began it, once.
//!
//! The exchange runs in a task of its own: a closed browser does not cancel it.

use super::{
    Connect, ConnectError, SessionError,
    begin::Purpose,
    exchange::{Consent, Wish},
};
use crate::{
    domain::{Actor, ConnectSessionId, ConnectionId, Event, EventId, EventKind, Secret},
    store::Authorization,
    vault::{Digest, digest},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::sleep;
use tracing::Instrument;

/// How long a second callback waits for the first one's outcome, and how often it looks.
const LOOKS: u32 = 75;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What came back.
pub struct Callback {
    /// The integration in the path.
    pub integration: String,
    pub state: String,
    pub code: Option<String>,
    pub error: Option<String>,
    /// RFC 9207. GitLab does not send it yet.
    pub iss: Option<String>,
    pub session: Option<Digest>,
    pub binder: Option<String>,
}

/// How an authorization ended. It is kept for an hour, for the same browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Connected(ConnectionId),
    /// It was for a connect session, which knows how it ended and where the browser goes now.
    Deferred(ConnectSessionId),
    Failed {
        code: String,
        message: String,
    },
}

/// Codes of outcomes that are about the authorization itself.
mod code {
    pub(super) const UNKNOWN: &str = "authorization_unknown";
    pub(super) const EXPIRED: &str = "authorization_expired";
    pub(super) const WRONG_BROWSER: &str = "wrong_browser";
    pub(super) const WRONG_INTEGRATION: &str = "wrong_integration";
    pub(super) const WRONG_ISSUER: &str = "wrong_issuer";
    pub(super) const DENIED: &str = "access_denied";
    pub(super) const REFUSED: &str = "authorization_refused";
    pub(super) const UNFINISHED: &str = "authorization_unfinished";
    pub(super) const BROKE_OFF: &str = "internal_error";
}

/// What a person is told of an error of our own; the cause is in the log.
const BROKE_OFF: &str = "Something went wrong here. Nothing was connected or changed. Start again.";

impl Outcome {
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { code: code.to_owned(), message: message.into() }
    }
}

impl Connect {
    /// Finishes an authorization, or tells how it ended. Never exchanges a code for a browser that did not
    /// begin, and never twice.
    pub async fn finish(&self, callback: Callback, actor: Actor) -> Result<Outcome, ConnectError> {
        let state = digest(&callback.state);
        let Some(found) = self.store.authorization(&state).await? else {
            let message =
                "This sign-in is not known here: it is too old, or the link was changed. Start again.";
            return Ok(Outcome::failed(code::UNKNOWN, message));
        };
        if let Some(refused) = refuse_stranger(&callback, &found) {
            self.burn(&state, &found, &refused, &actor).await?;
            return Ok(refused);
        }
        if found.consumed_at.is_some() {
            return self.outcome_of(&state).await;
        }
        let (connect, key) = (self.clone(), state.clone());
        // Consumed inside the task: a browser that goes away in between would leave it used and unfinished.
        let work = async move {
            let now = connect.clock.now();
            let Some(code_verifier) = connect.store.consume_authorization(&key, &found, now).await? else {
                return Ok(None);
            };
            let outcome = connect.outcome(callback, &found, code_verifier, &actor).await;
            connect.note_failure(&found, &outcome, &actor).await;
            let outcome = connect.for_its_session(&found, outcome).await?;
            connect.keep_outcome(&key, &outcome).await;
            Ok::<_, ConnectError>(Some(outcome))
        };
        let Ok(done) = self.tracker.spawn(work.in_current_span()).await else {
            let outcome = Outcome::failed(code::BROKE_OFF, BROKE_OFF);
            self.keep_outcome(&state, &outcome).await;
            return Ok(outcome);
        };
        match done? {
            Some(outcome) => Ok(outcome),
            None => self.outcome_of(&state).await,
        }
    }

    /// Consumes an authorization whose answer came from a stranger. Its own browser is told if it still comes.
    async fn burn(
        &self,
        state: &Digest,
        found: &Authorization,
        refused: &Outcome,
        actor: &Actor,
    ) -> Result<(), ConnectError> {
        if self.store.consume_authorization(state, found, self.clock.now()).await?.is_none() {
            return Ok(());
        }
        self.note_failure(found, refused, actor).await;
        let message = "An answer to this sign-in came from another browser, session or server before, so it is void. \
                       Nothing was connected or changed. Start again.";
        self.keep_outcome(state, &Outcome::failed(code::UNFINISHED, message)).await;
        Ok(())
    }

    async fn outcome(
        &self,
        callback: Callback,
        found: &Authorization,
        code_verifier: Secret,
        actor: &Actor,
    ) -> Outcome {
        if self.clock.now() >= found.expires_at {
            return Outcome::failed(
                code::EXPIRED,
                "The ten minutes for signing in at GitLab are over. Start again.",
            );
        }
        match (callback.code, callback.error) {
            (Some(code), None) => match self.use_code(found, Secret::new(code), code_verifier, actor).await {
                Ok(outcome) => outcome,
                Err(ConnectError::Store(cause)) => {
                    tracing::error!(integration = found.integration, %cause, "an authorization broke off");
                    Outcome::failed(code::BROKE_OFF, BROKE_OFF)
                }
                Err(error) => {
                    tracing::warn!(integration = found.integration, %error, "an authorization failed");
                    Outcome::failed(error.code(), error.to_string())
                }
            },
            (_, Some(error)) if error == "access_denied" => Outcome::failed(
                code::DENIED,
                "You did not give Mooring access. Nothing was connected or changed.",
            ),
            _ => Outcome::failed(
                code::REFUSED,
                "GitLab refused the sign-in. Nothing was connected or changed.",
            ),
        }
    }

    /// Exchanges a code, or keeps it where a product must say first that it was its user.
    async fn use_code(
        &self,
        found: &Authorization,
        code: Secret,
        code_verifier: Secret,
        actor: &Actor,
    ) -> Result<Outcome, ConnectError> {
        let wish = match serde_json::from_str(&found.purpose).map_err(|_| ConnectError::Gone)? {
            Purpose::Connect { name, use_cases } => Wish::Connect { name, tenant: None, use_cases },
            Purpose::Reauthorize(id) => Wish::Reauthorize(id),
            Purpose::Session(id) => {
                return match self.defer(id, found, code, &code_verifier).await {
                    Ok(()) => Ok(Outcome::Deferred(id)),
                    Err(SessionError::Connect(error)) => Err(error),
                    Err(error) => Ok(Outcome::failed(error.code(), error.to_string())),
                };
            }
        };
        let consent = Consent {
            integration: found.integration.clone(),
            base_url: found.base_url.clone(),
            scopes: found.scopes.clone(),
            wish,
        };
        Ok(Outcome::Connected(self.exchange(consent, code, code_verifier, actor).await?))
    }

    /// A failure in a connect session is told to the product, by the browser.
    async fn for_its_session(
        &self,
        found: &Authorization,
        outcome: Outcome,
    ) -> Result<Outcome, ConnectError> {
        let (Ok(Purpose::Session(id)), Outcome::Failed { code, .. }) =
            (serde_json::from_str(&found.purpose), &outcome)
        else {
            return Ok(outcome);
        };
        self.store.close_connect_session(id, code).await?;
        Ok(Outcome::Deferred(id))
    }

    async fn note_failure(&self, found: &Authorization, outcome: &Outcome, actor: &Actor) {
        let Outcome::Failed { code, message } = outcome else { return };
        let subject = match serde_json::from_str(&found.purpose) {
            Ok(Purpose::Reauthorize(id)) => id.to_string(),
            Ok(Purpose::Session(id)) => id.to_string(),
            _ => found.integration.clone(),
        };
        let event = Event {
            id: EventId::fresh(),
            at: self.clock.now(),
            kind: EventKind::AuthorizationFailed,
            subject: Some(subject),
            tenant: None,
            actor: actor.to_string(),
            detail: Some(format!("{code}: {message}")),
        };
        if let Err(error) = self.store.append_event(&event).await {
            tracing::error!(%error, "a failed authorization could not be put in the log");
        }
    }

    async fn keep_outcome(&self, state: &Digest, outcome: &Outcome) {
        let text = serde_json::to_string(outcome).expect("our own type");
        if let Err(error) = self.store.finish_authorization(state, &text).await {
            tracing::error!(%error, "the outcome of an authorization could not be kept");
        }
    }

    /// How an authorization that was consumed before ended. Waits for one that is under way.
    async fn outcome_of(&self, state: &Digest) -> Result<Outcome, ConnectError> {
        for _ in 0..LOOKS {
            if let Some(outcome) = self.kept_outcome(state).await? {
                return Ok(outcome);
            }
            sleep(LOOK_EVERY).await;
        }
        let message =
            "This sign-in was used before and did not finish. Look at your connections, or start again.";
        Ok(Outcome::failed(code::UNFINISHED, message))
    }

    async fn kept_outcome(&self, state: &Digest) -> Result<Option<Outcome>, ConnectError> {
        let found = self.store.authorization(state).await?;
        Ok(found.and_then(|a| a.outcome).and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The outcome of an authorization that this session began, for its own page.
    pub async fn outcome_for(
        &self,
        state: &Digest,
        session: &Digest,
    ) -> Result<Option<Outcome>, ConnectError> {
        let found = self.store.authorization(state).await?.filter(|a| same(&a.session, session));
        Ok(found.and_then(|a| a.outcome).and_then(|text| serde_json::from_str(&text).ok()))
    }
}

/// Refuses a callback that is not of the browser, the session or the integration that began. Its `state`
/// is burned: whoever holds it has no further use of it.
fn refuse_stranger(callback: &Callback, found: &Authorization) -> Option<Outcome> {
    let binder = callback.binder.as_deref().map(digest);
    let bound = binder.is_some_and(|b| same(&b, &found.binder));
    // In a connect session nobody is signed in, and the browser stands for itself.
    let session = callback.session.as_ref().is_some_and(|s| same(s, &found.session))
        || same(&found.session, &found.binder);
    if !bound || !session {
        let message =
            "This sign-in was begun in another browser or session. Nothing was connected. Start again here.";
        return Some(Outcome::failed(code::WRONG_BROWSER, message));
    }
    if callback.integration != found.integration {
        let message =
            "The answer came back to another integration than the one you chose. Nothing was connected.";
        return Some(Outcome::failed(code::WRONG_INTEGRATION, message));
    }
    match &callback.iss {
        Some(iss) if iss != found.base_url.as_str() => {
            let message =
                "The answer came from another server than the one you chose. Nothing was connected.";
            Some(Outcome::failed(code::WRONG_ISSUER, message))
        }
        _ => None,
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
