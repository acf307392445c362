//! The beginning of an authorization: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9700).
//!
//! What it is for is kept with the hash of its `state`, so that nothing that comes back can change it.

use super::{Connect, ConnectError, fields};
use crate::{
    domain::{ConnectSessionId, Connection, ConnectionId, Method, Secret, TokenKind},
    providers::ExchangeError,
    store::NewAuthorization,
    vault::{Digest, Ticket, digest},
};
use serde::{Deserialize, Serialize};
use time::Duration;

/// How long a person has for signing in and consenting.
const LIFE: Duration = Duration::minutes(10);
/// What an authorization is for. Kept with the `state`, so that no browser parameter can change it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Purpose {
    Connect {
        name: Option<String>,
        use_cases: Vec<String>,
    },
    Reauthorize(ConnectionId),
    /// The person acts in a connect session, which says the rest.
    Session(ConnectSessionId),
}

/// Who begins an authorization: a signed-in operator in one browser, or a browser in a connect session.
pub struct Begin {
    pub integration: String,
    pub purpose: Purpose,
    /// The hash of the operator's session; in a connect session, of the browser's own cookie.
    pub session: Digest,
    /// The secret in the browser's own cookie.
    pub binder: Secret,
}

/// Where to send the browser.
pub struct Started {
    pub url: url::Url,
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
            Purpose::Session(id) => {
                let session = self.store.connect_session(id).await?.ok_or(ConnectError::Gone)?;
                if let Some(was) = session.connection {
                    self.reauthorizable(was, integration).await?;
                }
                Ok((Purpose::Session(id), session.use_cases))
            }
            Purpose::Reauthorize(id) => {
                let was = self.reauthorizable(id, integration).await?;
                Ok((Purpose::Reauthorize(id), was.use_cases))
            }
        }
    }

    /// A connection that a new consent at this integration may renew.
    async fn reauthorizable(&self, id: ConnectionId, integration: &str) -> Result<Connection, ConnectError> {
        let was = self.store.connection(id).await?.ok_or(ConnectError::Gone)?;
        if was.method != Method::OAuth {
            return Err(ConnectError::MadeByAccessToken);
        }
        self.instances.of(&was)?;
        if was.integration.as_deref() != Some(integration) {
            return Err(ConnectError::ChangedMeanwhile);
        }
        Ok(was)
    }
}
