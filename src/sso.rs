//! Single sign-on to the pages by OpenID Connect: authorization code with PKCE, `state` and `nonce` (OpenID Connect
//! Core section 3.1), at one issuer that the operator of this server configured.
//!
//! The rule it guards: whoever comes in is who the issuer's signature says, in the browser that began, once. Nothing
//! of the issuer's own text is shown, logged or kept, and none of its tokens is stored.

mod allowed;
mod claims;
mod document;
mod exchange;
mod issuer;
mod keys;
mod refusal;

pub use allowed::Allowed;
pub use issuer::{Issuer, Looked};
pub use refusal::{Refusal, SsoError, Trouble};

use crate::{
    domain::{Clock, OperatorId, Secret},
    store::{Admitted, Identity, NewSingleSignOn, Operator, SingleSignOn, Store},
    vault::{Ticket, digest},
};
use claims::{Claims, Expected};
use document::Document;
use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;
use time::Duration;
use url::Url;

/// How long a person has for signing in at the issuer.
const LIFE: Duration = Duration::minutes(10);

/// Our registration at the issuer.
pub struct Client {
    pub id: String,
    pub secret: Secret,
    pub redirect_uri: String,
}

/// Shows no secret.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Single sign-on, where it is configured. Clones share what is known of the issuer.
#[derive(Clone)]
pub struct Sso {
    pub issuer: Arc<Issuer>,
    pub client: Arc<Client>,
    pub allowed: Arc<Allowed>,
    pub store: Store,
    pub clock: Clock,
}

/// Who begins.
pub struct Begin {
    /// The secret in the browser's own cookie.
    pub binder: Secret,
    /// The path to go on to.
    pub next: String,
    /// Who is signed in, and wants to sign in this way from now on.
    pub operator: Option<OperatorId>,
}

/// What came back to the redirect URI.
pub struct Callback {
    pub state: String,
    pub code: Option<Secret>,
    /// One of the error codes of RFC 6749 section 4.1.2.1, or whatever an issuer sends.
    pub error: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
    pub binder: Option<String>,
    /// Who is signed in in that browser now.
    pub operator: Option<OperatorId>,
}

/// How it ended.
#[derive(Debug)]
pub enum Finished {
    /// They are let in; the path to go on to.
    In { operator: Operator, next: String },
    /// The one who is signed in may sign in this way from now on.
    Joined,
}

/// Why it came to nothing, and what is known of who tried.
#[derive(Debug)]
pub struct Ended {
    pub error: SsoError,
    /// The address that the issuer vouched for.
    pub email: Option<String>,
    /// Whether somebody signed in wanted to join, and nobody to sign in.
    pub was_joining: bool,
    /// The path that they wanted to go on to.
    pub next: String,
}

impl Sso {
    /// Keeps the hashes of `state` and `nonce`, and says where to send the browser.
    pub async fn begin(&self, begin: Begin) -> Result<Url, SsoError> {
        let document = self.issuer.document().await?;
        let (state, nonce) = (Ticket::fresh(), Ticket::fresh());
        let request = exchange::authorization(&document, &self.client, &state.secret, &nonce.secret);
        let now = self.clock.now();
        let new = NewSingleSignOn {
            state: state.digest,
            binder: digest(begin.binder.expose()),
            issuer: self.issuer.name().to_owned(),
            nonce: nonce.digest,
            code_verifier: request.code_verifier,
            next: begin.next,
            operator: begin.operator,
            created_at: now,
            expires_at: now + LIFE,
        };
        if !self.store.begin_single_sign_on(&new).await? {
            return refuse(Refusal::Busy, "Too many sign-ins are under way.");
        }
        Ok(request.url)
    }

    /// Takes the answer, asks the issuer whose it is, and lets them in. Of any number of callbacks one goes on.
    pub async fn finish(&self, callback: Callback) -> Result<Finished, Ended> {
        let mut ended = Ended { error: expired().into(), email: None, was_joining: false, next: "/".into() };
        let taken = self.store.take_single_sign_on(&digest(&callback.state)).await;
        let found = match taken {
            Ok(Some(found)) => found,
            Ok(None) => return Err(ended),
            Err(error) => return Err(Ended { error: error.into(), ..ended }),
        };
        ended.was_joining = found.operator.is_some();
        ended.next.clone_from(&found.next);
        let claims = match self.asked(&callback, &found).await {
            Ok(claims) => claims,
            Err(error) => return Err(Ended { error, ..ended }),
        };
        ended.email = claims.email();
        self.let_in(&callback, found, &claims).await.map_err(|error| Ended { error, ..ended })
    }

    /// What the issuer says of who came, proved.
    async fn asked(&self, callback: &Callback, found: &SingleSignOn) -> Result<Claims, SsoError> {
        let binder = callback.binder.as_deref().map(digest);
        if !binder.is_some_and(|binder| binder.ct_eq(&found.binder).into()) {
            return refuse(Refusal::WrongBrowser, "Another browser began this sign-in.");
        }
        if self.clock.now() >= found.expires_at || found.issuer != self.issuer.name() {
            return Err(expired().into());
        }
        let document = self.issuer.document().await?;
        self.judge_sender(callback.iss.as_deref(), &document)?;
        let Some(code) = callback.code.as_ref().filter(|_| callback.error.is_none()) else {
            return Err(refused(callback.error.as_deref()).into());
        };
        let id_token =
            exchange::id_token(&self.issuer, &document, &self.client, code, &found.code_verifier).await?;
        let payload = self.issuer.verified(&document, &id_token).await?;
        let expected = Expected {
            issuer: self.issuer.name(),
            client_id: &self.client.id,
            nonce: &found.nonce,
            now: self.clock.now(),
        };
        Ok(payload.judged(&expected)?)
    }

    /// RFC 9207 section 2.4.
    fn judge_sender(&self, iss: Option<&str>, document: &Document) -> Result<(), SsoError> {
        match iss {
            Some(iss) if iss != self.issuer.name() => {
                refuse(Refusal::Untrusted, "The answer names another issuer.")
            }
            None if document.names_itself => {
                refuse(Refusal::Untrusted, "The answer does not name the issuer.")
            }
            _ => Ok(()),
        }
    }

    async fn let_in(
        &self,
        callback: &Callback,
        found: SingleSignOn,
        claims: &Claims,
    ) -> Result<Finished, SsoError> {
        let email = self.allowed.admit(claims)?;
        let identity =
            Identity { issuer: self.issuer.name().to_owned(), subject: claims.subject().to_owned() };
        if let Some(id) = found.operator {
            return self.join(id, callback.operator, &identity).await;
        }
        match self.store.admit(&identity, &email, self.clock.now()).await? {
            Admitted::Known(operator) | Admitted::New(operator) => {
                Ok(Finished::In { operator, next: found.next })
            }
            Admitted::EmailTaken => refuse(Refusal::EmailTaken, "Somebody here has that address."),
            Admitted::KeptOut => refuse(Refusal::KeptOut, "They were removed."),
        }
    }

    /// Only for the one who began it, and who is signed in still.
    async fn join(
        &self,
        who: OperatorId,
        signed_in: Option<OperatorId>,
        identity: &Identity,
    ) -> Result<Finished, SsoError> {
        if signed_in != Some(who) {
            return refuse(Refusal::WrongBrowser, "Somebody else is signed in now.");
        }
        if !self.store.join_identity(who, identity, self.clock.now()).await? {
            return refuse(Refusal::IdentityTaken, "It is somebody else's here.");
        }
        Ok(Finished::Joined)
    }
}

fn refuse<T>(refusal: Refusal, cause: &str) -> Result<T, SsoError> {
    Err(Trouble::new(refusal, cause).into())
}

fn expired() -> Trouble {
    Trouble::new(Refusal::Expired, "This sign-in is not known: it was used, or is too old.")
}

fn refused(error: Option<&str>) -> Trouble {
    match error {
        Some("access_denied") => Trouble::new(Refusal::Denied, "The issuer was told not to let them in."),
        Some("temporarily_unavailable" | "server_error") => {
            Trouble::new(Refusal::Unreachable, "The issuer says that it cannot do this now.")
        }
        _ => Trouble::new(Refusal::Refused, "The issuer refused the sign-in."),
    }
}
