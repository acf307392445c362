//! Connect sessions: another product's user connects here, and the connection is made only when the product says that it
//! was that user ("deferred completion").
//!
//! The rule it guards: a link that somebody made and somebody else opened comes to nothing. What the person brought
//! waits, sealed and unused; no code is exchanged and nothing is stored as a connection before the product, with its API
//! key, the one-time handle from its user's browser and that user's name, completes the session.

use super::{Begin, Connect, ConnectError, Fields, Purpose, Started, Target, completion::Brought, fields};
use crate::{
    domain::{ConnectSession, ConnectSessionId, ConnectSessionState, Connection, Method, Secret},
    store::Authorization,
    vault::{Ticket, digest},
};
use url::Url;

/// What a product asks for on behalf of one of its users.
pub struct NewSession {
    pub api_key_id: String,
    pub tenant: String,
    pub end_user: String,
    pub integration: Option<String>,
    /// `None`: whichever there are.
    pub methods: Option<Vec<Method>>,
    pub use_cases: Vec<String>,
    pub return_url: String,
    /// A connection of this tenant that is to be reconnected.
    pub connection: Option<Connection>,
}

/// Why a step of a connect session is refused.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("This return URL is not registered. Register it, byte for byte, in MOORING_RETURN_URLS.")]
    ReturnUrl,
    #[error("{}", over(*.0))]
    Over(ConnectSessionState),
    #[error("This link is in use in another browser.")]
    OtherBrowser,
    #[error(
        "The handle is wrong, or a newer one was given. Take it from the address that your user's browser came back to."
    )]
    Handle,
    #[error("This session was begun with another API key. Complete it with that one.")]
    OtherKey,
    #[error(
        "Another user came back than the one this session was made for. It is void, and nothing was connected. Begin a new one for the user who is signed in."
    )]
    EndUser,
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl SessionError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReturnUrl => "return_url_not_registered",
            Self::Over(ConnectSessionState::Completed) => "session_completed",
            Self::Over(ConnectSessionState::Expired) => "session_expired",
            Self::Over(ConnectSessionState::Failed) => "session_failed",
            Self::Over(ConnectSessionState::Open) => "session_not_ready",
            Self::Over(ConnectSessionState::AwaitingCompletion) => "session_used",
            Self::OtherBrowser => "wrong_browser",
            Self::Handle => "handle_invalid",
            Self::OtherKey => "wrong_api_key",
            Self::EndUser => "wrong_end_user",
            Self::Connect(error) => error.code(),
        }
    }
}

impl From<crate::store::StoreError> for SessionError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Connect(error.into())
    }
}

fn over(state: ConnectSessionState) -> &'static str {
    match state {
        ConnectSessionState::Completed => "This session is completed: it made its connection already.",
        ConnectSessionState::Expired => "The time for this session is over. Begin a new one.",
        ConnectSessionState::Failed => "This session came to nothing. Begin a new one.",
        ConnectSessionState::Open => "The user has not connected yet.",
        ConnectSessionState::AwaitingCompletion => "The user has connected already.",
    }
}

impl Connect {
    /// Begins a session. The second value is the secret of its link.
    pub async fn open_session(&self, new: NewSession) -> Result<(ConnectSession, Secret), SessionError> {
        if !self.return_urls.contains(&new.return_url) {
            return Err(SessionError::ReturnUrl);
        }
        fields::check_tenant(&new.tenant)?;
        fields::check_text("end_user", &new.end_user)?;
        let fields =
            Fields { name: "new".into(), use_cases: new.use_cases, ..Fields::default() }.checked()?;
        self.chosen(&fields.use_cases)?;
        let integration = match &new.connection {
            Some(was) => was.integration.clone(),
            None => new.integration,
        };
        let methods = self.possible_methods(integration.as_deref(), new.methods, new.connection.as_ref())?;
        let now = self.clock.now();
        let session = ConnectSession {
            id: ConnectSessionId::fresh(),
            api_key_id: new.api_key_id,
            tenant: new.tenant,
            end_user: new.end_user,
            integration,
            methods,
            use_cases: new.connection.as_ref().map_or(fields.use_cases, |was| was.use_cases.clone()),
            return_url: new.return_url,
            connection: new.connection.map(|was| was.id),
            state: ConnectSessionState::Open,
            error: None,
            waiting_until: None,
            created_at: now,
            expires_at: now + ConnectSession::LIFE,
        };
        let link = Ticket::fresh();
        self.store.add_connect_session(&session, &link.digest).await?;
        Ok((session, link.secret))
    }

    /// The methods that were asked for and that there are. A connection is renewed by the way it was made.
    fn possible_methods(
        &self,
        integration: Option<&str>,
        wanted: Option<Vec<Method>>,
        was: Option<&Connection>,
    ) -> Result<Vec<Method>, ConnectError> {
        let has_application = match integration {
            Some(id) => self.instances.configured(id)?.application.is_some(),
            None => self.instances.integrations().any(|one| one.application.is_some()),
        };
        let wanted = wanted.unwrap_or_else(|| vec![Method::OAuth, Method::AccessToken]);
        let is_possible = |method: &Method| {
            wanted.contains(method)
                && was.is_none_or(|was| was.method == *method)
                && (*method == Method::AccessToken || has_application)
        };
        let methods: Vec<_> = [Method::OAuth, Method::AccessToken].into_iter().filter(is_possible).collect();
        if methods.is_empty() {
            return Err(ConnectError::field(
                "methods",
                "None of these methods can be used here. OAuth needs an integration with an OAuth application, and a connection is reconnected by the method it was made with.",
            ));
        }
        Ok(methods)
    }

    /// The session that a link leads to.
    pub async fn session_behind(&self, link: &str) -> Result<Option<ConnectSession>, ConnectError> {
        Ok(self.store.connect_session_behind(&digest(link)).await?)
    }

    /// Sends the browser to consent. From here on the session is this browser's.
    pub async fn authorize_in_session(
        &self,
        session: &ConnectSession,
        integration: &str,
        binder: Secret,
    ) -> Result<Started, SessionError> {
        self.enter(session, Method::OAuth, Some(integration), &binder).await?;
        let begin = Begin {
            integration: integration.to_owned(),
            purpose: Purpose::Session(session.id),
            // Nobody is signed in here: the browser's own cookie is all the proof there is.
            session: digest(binder.expose()),
            binder,
        };
        Ok(self.begin(begin).await?)
    }

    /// Takes a pasted token, if the provider says that it is enough. It waits, too.
    pub async fn paste_in_session(
        &self,
        session: &ConnectSession,
        target: Target,
        token: Secret,
        binder: &Secret,
    ) -> Result<(), SessionError> {
        let (integration, base_url) = match &target {
            Target::Integration(id) => (Some(id.as_str()), ""),
            Target::BaseUrl(text) => (None, text.as_str()),
        };
        self.enter(session, Method::AccessToken, integration, binder).await?;
        let place = self.place(&target)?;
        let found = self.provider.api().inspect(&place.instance, &token, None, self.clock.now()).await;
        let found = found.map_err(ConnectError::from)?;
        self.checked(&place, &token, &found, &session.use_cases, "mooring").await?;
        let brought = Brought::Token {
            integration: integration.map(str::to_owned),
            base_url: base_url.to_owned(),
            token: token.expose().to_owned(),
            username: found.account.and_then(|account| account.username),
        };
        self.keep_brought(session, &brought).await
    }

    /// The person does not want to, or no longer: what waits already is thrown away.
    pub async fn decline_session(
        &self,
        session: &ConnectSession,
        binder: &Secret,
    ) -> Result<(), SessionError> {
        if !self.is_done_here(session.id, binder).await? {
            self.bind(session, binder).await?;
        }
        Ok(self.store.fail_connect_session(session.id, "access_denied").await?)
    }

    /// Whether the person has connected already, in this browser: then it may go back where it came from.
    pub async fn is_done_here(&self, id: ConnectSessionId, binder: &Secret) -> Result<bool, ConnectError> {
        let Some(session) = self.store.connect_session(id).await? else { return Ok(false) };
        let is_waiting = session.state_at(self.clock.now()) == ConnectSessionState::AwaitingCompletion;
        Ok(is_waiting && self.store.is_connect_session_of(id, &digest(binder.expose())).await?)
    }

    /// Whether this browser may act in the session, in this way and at this place.
    async fn enter(
        &self,
        session: &ConnectSession,
        method: Method,
        integration: Option<&str>,
        binder: &Secret,
    ) -> Result<(), SessionError> {
        if !session.methods.contains(&method) {
            return Err(ConnectError::field("methods", "This link does not offer that method.").into());
        }
        if session.integration.is_some() && session.integration.as_deref() != integration {
            return Err(ConnectError::field("integration", "This link is for another GitLab.").into());
        }
        self.bind(session, binder).await
    }

    async fn bind(&self, session: &ConnectSession, binder: &Secret) -> Result<(), SessionError> {
        let state = session.state_at(self.clock.now());
        if state != ConnectSessionState::Open {
            return Err(SessionError::Over(state));
        }
        let is_own = self.store.bind_connect_session(session.id, &digest(binder.expose())).await?;
        if is_own { Ok(()) } else { Err(SessionError::OtherBrowser) }
    }

    async fn keep_brought(&self, session: &ConnectSession, brought: &Brought) -> Result<(), SessionError> {
        let brought = Secret::new(serde_json::to_string(brought).expect("our own type"));
        let until = self.clock.now() + ConnectSession::WAITS;
        if self.store.keep_waiting(session, &brought, until).await? {
            return Ok(());
        }
        Err(SessionError::Over(ConnectSessionState::AwaitingCompletion))
    }

    /// An authorization code came back for a session: it waits.
    pub(super) async fn defer(
        &self,
        id: ConnectSessionId,
        found: &Authorization,
        code: Secret,
        code_verifier: &Secret,
    ) -> Result<(), SessionError> {
        let session = self.store.connect_session(id).await?.ok_or(ConnectError::Gone)?;
        let brought = Brought::Code {
            integration: found.integration.clone(),
            base_url: found.base_url.to_string(),
            scopes: found.scopes.to_string(),
            code: code.expose().to_owned(),
            code_verifier: code_verifier.expose().to_owned(),
        };
        self.keep_brought(&session, &brought).await
    }

    /// Where the browser goes when it is done here: to the product, with a fresh handle, or with the reason why not.
    pub async fn way_back(&self, id: ConnectSessionId) -> Result<Url, ConnectError> {
        let session = self.store.connect_session(id).await?.ok_or(ConnectError::Gone)?;
        let mut url = Url::parse(&session.return_url).map_err(|_| ConnectError::Gone)?;
        url.query_pairs_mut().append_pair("session", &id.to_string());
        match session.state_at(self.clock.now()) {
            ConnectSessionState::AwaitingCompletion => {
                let handle = Ticket::fresh();
                if self.store.give_handle(id, &handle.digest).await? {
                    url.query_pairs_mut().append_pair("handle", handle.secret.expose());
                }
            }
            ConnectSessionState::Completed => {}
            state => {
                let error = session.error.as_deref().unwrap_or(match state {
                    ConnectSessionState::Expired => "session_expired",
                    _ => "session_failed",
                });
                url.query_pairs_mut().append_pair("error", error);
            }
        }
        Ok(url)
    }
}
