//! The OAuth way: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9700).
//!
//! The `state` is consumed before the token request, by the browser and the session that began it, once.
//! The exchange runs in a task of its own: a closed browser does not cancel it.

use super::{
    Connect, ConnectError, Fields,
    adopt::same_account,
    establish::{Inspected, PROVIDER, Place},
    fields,
};
use crate::{
    domain::{
        Account, Actor, ConnectionId, Credential, Event, EventId, EventKind, Method, Renewal, Scopes, Secret,
        TokenKind,
    },
    providers::{ExchangeError, Grant, Inspection},
    store::{Authorization, GivenUp, NewAuthorization},
    vault::{Digest, Ticket, digest},
};
use serde::{Deserialize, Serialize};
use std::time::Duration as StdDuration;
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};
use tokio::time::sleep;

/// How long a person has for signing in and consenting.
const LIFE: Duration = Duration::minutes(10);
/// How long a second callback waits for the first one's outcome, and how often it looks.
const LOOKS: u32 = 75;
const LOOK_EVERY: StdDuration = StdDuration::from_millis(200);

/// What an authorization is for. Kept with the `state`, so that no browser parameter can change it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Purpose {
    Connect { name: Option<String>, use_cases: Vec<String> },
    Reauthorize(ConnectionId),
}

/// Who begins an authorization: a signed-in operator in one browser.
pub struct Begin {
    pub integration: String,
    pub purpose: Purpose,
    /// The hash of the operator's session.
    pub session: Digest,
    /// The secret in the browser's own cookie.
    pub binder: Secret,
}

/// Where to send the browser.
pub struct Started {
    pub url: url::Url,
}

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
    Failed { code: String, message: String },
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
    /// Begins an authorization: keeps the hash of `state`, and says where to send the browser.
    pub async fn begin(&self, begin: Begin) -> Result<Started, ConnectError> {
        let integration = begin.integration.clone();
        let instance = self.instances.configured(&integration)?;
        let application = instance.application.clone().ok_or(ExchangeError::NoApplication)?;
        let (purpose, use_cases) = self.checked_purpose(begin.purpose, &integration).await?;
        let asked = self.use_cases.scopes_for(&use_cases, TokenKind::OAuth);
        let scopes = if asked.is_empty() { application.scopes.clone() } else { asked };
        let state = Ticket::fresh();
        let request = self.provider.authorization_request(&instance, &scopes, &state.secret)?;
        let now = self.clock.now();
        let new = NewAuthorization {
            state: state.digest,
            binder: digest(begin.binder.expose()),
            session: begin.session,
            integration,
            base_url: instance.base_url,
            redirect_uri: application.redirect_uri,
            code_verifier: request.code_verifier,
            scopes,
            purpose: serde_json::to_string(&purpose).expect("our own type"),
            created_at: now,
            expires_at: now + LIFE,
        };
        self.store.begin_authorization(&new).await?;
        Ok(Started { url: request.url })
    }

    async fn checked_purpose(
        &self,
        purpose: Purpose,
        integration: &str,
    ) -> Result<(Purpose, Vec<String>), ConnectError> {
        match purpose {
            Purpose::Connect { name, use_cases } => {
                self.chosen(&use_cases)?;
                let name = name.filter(|n| !n.trim().is_empty()).map(|n| fields::name(&n)).transpose()?;
                if let Some(name) = &name {
                    self.refuse_taken_name(name, None).await?;
                }
                Ok((Purpose::Connect { name, use_cases: use_cases.clone() }, use_cases))
            }
            Purpose::Reauthorize(id) => {
                let was = self.store.connection(id).await?.ok_or(ConnectError::Gone)?;
                if was.method != Method::OAuth {
                    return Err(ConnectError::MadeByAccessToken);
                }
                self.instances.of(&was)?;
                if was.integration.as_deref() != Some(integration) {
                    return Err(ConnectError::ChangedMeanwhile);
                }
                Ok((Purpose::Reauthorize(id), was.use_cases))
            }
        }
    }

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
            connect.keep_outcome(&key, &outcome).await;
            Ok::<_, ConnectError>(Some(outcome))
        };
        let Ok(done) = self.tracker.spawn(work).await else {
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
            (Some(code), None) => match self.exchange(found, Secret::new(code), code_verifier, actor).await {
                Ok(id) => Outcome::Connected(id),
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

    /// The code's one exchange, and what comes of it. A grant that comes to nothing is revoked.
    async fn exchange(
        &self,
        found: &Authorization,
        code: Secret,
        code_verifier: Secret,
        actor: &Actor,
    ) -> Result<ConnectionId, ConnectError> {
        let instance = self.instances.at(Some(&found.integration), &found.base_url)?;
        let now = self.clock.now();
        let grant = self.provider.exchange_code(&instance, &code, &code_verifier, now).await?;
        let place = Place { integration: Some(found.integration.clone()), instance };
        let credential = credential(grant, &found.scopes, now);
        match self.use_grant(&place, found, &credential, actor).await {
            Ok(id) => Ok(id),
            Err(error) => {
                self.give_up_grant(&place, &credential).await;
                Err(error)
            }
        }
    }

    async fn use_grant(
        &self,
        place: &Place,
        found: &Authorization,
        credential: &Credential,
        actor: &Actor,
    ) -> Result<ConnectionId, ConnectError> {
        let purpose: Purpose = serde_json::from_str(&found.purpose).map_err(|_| ConnectError::Gone)?;
        let token = &credential.access_token;
        let api = self.provider.api();
        let asked = api.inspect(&place.instance, token, None, credential.obtained_at).await?;
        let identity = Inspection { scopes: credential.scopes.clone(), ..asked };
        match purpose {
            Purpose::Connect { name, use_cases } => {
                let name_or_account =
                    self.free_name(name, identity.account.as_ref(), &found.integration).await?;
                let checks = self.checked(place, token, &identity, &use_cases, &name_or_account).await?;
                let account = Inspected { found: &identity, checks, method: Method::OAuth };
                let fields = Fields { name: name_or_account, use_cases, ..Fields::default() };
                Ok(self.establish(place, fields, account, credential, actor).await?.id)
            }
            Purpose::Reauthorize(id) => {
                let old = self.store.open_credential(id).await?.ok_or(ConnectError::Gone)?;
                same_account(old.connection.account.as_ref(), identity.account.as_ref())?;
                let was = &old.connection;
                let checks = self.checked(place, token, &identity, &was.use_cases, &was.name).await?;
                let account = Inspected { found: &identity, checks, method: Method::OAuth };
                self.swap(was, account, credential, (EventKind::Reauthorized, actor)).await?;
                // The new credential is in use: from here on nothing may end in giving its grant up.
                let now = self.clock.now();
                if let Err(error) = self.store.owe_revocation(&GivenUp::of(was, &old.credential), now).await {
                    tracing::error!(connection = %id, %error, "the grant before could not be given up");
                }
                Ok(id)
            }
        }
    }

    /// The wanted name, or the account's; with a number behind it if it was taken meanwhile.
    async fn free_name(
        &self,
        wanted: Option<String>,
        account: Option<&Account>,
        integration: &str,
    ) -> Result<String, ConnectError> {
        let username = account.and_then(|a| a.username.clone());
        let name = wanted.or(username).unwrap_or_else(|| integration.to_owned());
        let mut candidate = name.clone();
        for number in 2.. {
            match self.refuse_taken_name(&candidate, None).await {
                Err(ConnectError::NameTaken(_)) => candidate = format!("{name}-{number}"),
                Ok(()) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(candidate)
    }

    /// The grant came to nothing: the provider is told to forget it.
    async fn give_up_grant(&self, place: &Place, credential: &Credential) {
        let given_up = GivenUp {
            connection: ConnectionId::fresh(),
            integration: place.integration.as_deref(),
            provider: PROVIDER,
            base_url: place.base_url(),
            credential,
        };
        if let Err(error) = self.store.owe_revocation(&given_up, self.clock.now()).await {
            tracing::error!(%error, "a grant that came to nothing could not be given up");
        }
    }

    async fn note_failure(&self, found: &Authorization, outcome: &Outcome, actor: &Actor) {
        let Outcome::Failed { code, message } = outcome else { return };
        let subject = match serde_json::from_str(&found.purpose) {
            Ok(Purpose::Reauthorize(id)) => id.to_string(),
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
    let session = callback.session.as_ref().is_some_and(|s| same(s, &found.session));
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

fn credential(grant: Grant, asked: &Scopes, now: OffsetDateTime) -> Credential {
    Credential {
        access_token: grant.access_token,
        obtained_at: now,
        expires_at: Some(grant.expires_at),
        scopes: grant.scopes.unwrap_or_else(|| asked.clone()),
        renewal: grant.refresh_token.map_or(Renewal::Manual, Renewal::Refresh),
    }
}
