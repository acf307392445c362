//! The end of a connect session: what the person brought becomes a connection, once the product has said that it was its
//! user.

use super::{
    Connect, ConnectError, Fields, Pasted, Replacement, SessionError, Target,
    exchange::{Consent, Wish},
};
use crate::{
    domain::{
        Actor, BaseUrl, ConnectSession, ConnectSessionState, Connection, ConnectionId, Event, EventId,
        EventKind, RenewalKind, Scopes, Secret,
    },
    vault::digest,
};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

/// What a person brought, as it waits: sealed whole.
#[derive(Serialize, Deserialize)]
pub(super) enum Brought {
    Code { integration: String, base_url: String, scopes: String, code: String, code_verifier: String },
    Token { integration: Option<String>, base_url: String, token: String, username: Option<String> },
}

impl Connect {
    /// Makes the connection, if the handle is right and the product means the user for whom it began the session.
    pub async fn complete_session(
        &self,
        session: &ConnectSession,
        (handle, end_user): (&str, &str),
        api_key_id: &str,
    ) -> Result<Connection, SessionError> {
        if api_key_id != session.api_key_id {
            return Err(SessionError::OtherKey);
        }
        let actor = Actor::ApiKey(api_key_id.to_owned());
        let now = self.clock.now();
        let state = session.state_at(now);
        if state != ConnectSessionState::AwaitingCompletion {
            return Err(SessionError::Over(state));
        }
        let handle = digest(handle);
        if !self.store.is_handle(session.id, &handle).await? {
            return Err(SessionError::Handle);
        }
        if end_user != session.end_user {
            self.fail_session(session, "wrong_end_user", &SessionError::EndUser.to_string(), &actor).await?;
            return Err(SessionError::EndUser);
        }
        let Some(brought) = self.store.take_waiting(session, &handle, now).await? else {
            let now_stands = self.store.connect_session(session.id).await?.ok_or(ConnectError::Gone)?;
            return Err(SessionError::Over(now_stands.state_at(now)));
        };
        let (connect, session) = (self.clone(), session.clone());
        // A caller that hangs up does not leave a spent code without its connection.
        let work = async move {
            match connect.use_brought(&session, &brought, &actor).await {
                Ok(connection) => {
                    connect.store.complete_connect_session(session.id, connection.id).await?;
                    Ok(connection)
                }
                Err(error) => {
                    connect.fail_session(&session, error.code(), &error.to_string(), &actor).await?;
                    Err(error.into())
                }
            }
        };
        match self.tracker.spawn(work.in_current_span()).await {
            Ok(done) => done,
            Err(_) => Err(SessionError::Over(ConnectSessionState::Failed)),
        }
    }

    async fn fail_session(
        &self,
        session: &ConnectSession,
        code: &str,
        message: &str,
        actor: &Actor,
    ) -> Result<(), ConnectError> {
        let event = Event {
            id: EventId::fresh(),
            at: self.clock.now(),
            kind: EventKind::AuthorizationFailed,
            subject: Some(session.id.to_string()),
            tenant: Some(session.tenant.clone()),
            actor: actor.to_string(),
            detail: Some(format!("{code}: {message}")),
        };
        self.store.append_event(&event).await?;
        Ok(self.store.fail_connect_session(session.id, code).await?)
    }

    async fn use_brought(
        &self,
        session: &ConnectSession,
        brought: &Secret,
        actor: &Actor,
    ) -> Result<Connection, ConnectError> {
        match serde_json::from_str(brought.expose()).map_err(|_| ConnectError::Gone)? {
            Brought::Code { integration, base_url, scopes, code, code_verifier } => {
                let consent = Consent {
                    integration,
                    base_url: BaseUrl::parse_configured(&base_url)?,
                    scopes: Scopes::parse(&scopes),
                    wish: wish(session),
                };
                let id = self.exchange(consent, Secret::new(code), Secret::new(code_verifier), actor).await?;
                self.store.connection(id).await?.ok_or(ConnectError::Gone)
            }
            Brought::Token { integration, base_url, token, username } => {
                let token = Secret::new(token);
                let target = integration.map_or(Target::BaseUrl(base_url), Target::Integration);
                match session.connection {
                    Some(id) => self.replace_in_session(id, token, actor).await,
                    None => self.adopt_in_session(session, (target, token), username, actor).await,
                }
            }
        }
    }

    async fn replace_in_session(
        &self,
        id: ConnectionId,
        token: Secret,
        actor: &Actor,
    ) -> Result<Connection, ConnectError> {
        let was = self.store.connection(id).await?.ok_or(ConnectError::Gone)?;
        self.replace(&was, Replacement::of(token), actor).await
    }

    async fn adopt_in_session(
        &self,
        session: &ConnectSession,
        (target, token): (Target, Secret),
        username: Option<String>,
        actor: &Actor,
    ) -> Result<Connection, ConnectError> {
        let place = match &target {
            Target::Integration(id) => id.clone(),
            Target::BaseUrl(_) => "gitlab".to_owned(),
        };
        let wanted = username.unwrap_or(place);
        let fields = Fields {
            name: self.free_name(&wanted, Some(&session.tenant)).await?,
            tenant: Some(session.tenant.clone()),
            use_cases: session.use_cases.clone(),
            ..Fields::default()
        };
        let pasted = Pasted { target, token, token_kind: None, renewal: RenewalKind::Manual, fields };
        self.adopt(pasted, actor).await
    }
}

fn wish(session: &ConnectSession) -> Wish {
    match session.connection {
        Some(id) => Wish::Reauthorize(id),
        None => Wish::Connect {
            name: None,
            tenant: Some(session.tenant.clone()),
            use_cases: session.use_cases.clone(),
        },
    }
}
