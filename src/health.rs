//! Checks a connection against its provider and its use cases, and keeps what it found: when somebody asks, and
//! on a schedule.

mod reach;
mod rounds;
mod schedule;

pub use reach::{Greeting, ReachError, working_token};
pub use rounds::Pace;

use crate::{
    domain::{Actor, CheckOutcome, Clock, Connection, ConnectionId, Reason, UseCaseCheck, UseCases},
    providers::{InspectError, Instance, Instances, Provider, UnknownInstance, check_use_cases},
    renewal::{Need, RenewalError, Renewals},
    store::{Held, RenewalCause, Store, StoreError},
};
use std::sync::Arc;
use time::Duration;

#[derive(Clone)]
pub struct Health {
    pub store: Store,
    pub provider: Provider,
    pub instances: Instances,
    pub use_cases: Arc<UseCases>,
    pub renewals: Renewals,
    pub clock: Clock,
    pub pace: Pace,
}

/// Why a connection could not be checked. What it means for the connection is kept with it.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("The connection is gone.")]
    Gone,
    #[error(transparent)]
    Instance(#[from] UnknownInstance),
    #[error(transparent)]
    Inspect(InspectError),
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for CheckError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Health {
    /// Asks the provider now. A connection that turns out to need a person is no error: its status says so.
    pub async fn check(&self, id: ConnectionId, actor: &Actor) -> Result<Connection, CheckError> {
        let checked = self.check_now(id, actor).await;
        let retry_after = match &checked {
            Err(CheckError::Inspect(InspectError::RateLimited { retry_after })) => *retry_after,
            _ => None,
        };
        if let Err(error) = self.plan(id, retry_after.and_then(|wait| wait.try_into().ok())).await {
            tracing::warn!(connection = %id, %error, "the next check could not be planned");
        }
        checked
    }

    async fn check_now(&self, id: ConnectionId, actor: &Actor) -> Result<Connection, CheckError> {
        match self.renewals.renew(id, Need::Lasts(Duration::ZERO), RenewalCause::HandOut).await {
            Ok(held) => self.look(&held, actor).await,
            Err(RenewalError::Gone) => Err(CheckError::Gone),
            Err(RenewalError::Store(error)) => Err(CheckError::Store(error)),
            // What stands in the way is kept with the connection, and its status says so.
            Err(_) => self.as_kept(id).await,
        }
    }

    /// A check of our own shows no dead token to the provider.
    async fn look(&self, held: &Arc<Held>, actor: &Actor) -> Result<Connection, CheckError> {
        let was = &held.connection;
        if matches!(actor, Actor::Mooring) && was.credential.stopped.is_some() {
            return Ok(was.clone());
        }
        let instance = match self.instances.of(was) {
            Ok(instance) => instance,
            Err(error) => {
                let (code, message) = (Reason::IntegrationMisconfigured, error.to_string());
                self.store.note_failed_check(was, code, &message, self.clock.now(), actor).await?;
                return Err(error.into());
            }
        };
        match self.ask(held, &instance).await {
            Ok(checked) => {
                self.store.keep_check(was, &checked, self.clock.now(), actor).await?;
            }
            Err(
                InspectError::TokenExpired | InspectError::TokenRevoked | InspectError::TokenInvalid { .. },
            ) => {
                self.refused(was).await;
            }
            Err(error @ InspectError::AccountBlocked { .. }) => self.note(was, &error, actor).await?,
            Err(error) => {
                self.note(was, &error, actor).await?;
                return Err(CheckError::Inspect(error));
            }
        }
        self.as_kept(was.id).await
    }

    async fn as_kept(&self, id: ConnectionId) -> Result<Connection, CheckError> {
        self.store.connection(id).await?.ok_or(CheckError::Gone)
    }

    async fn ask(&self, held: &Held, instance: &Instance) -> Result<Connection, InspectError> {
        let was = &held.connection;
        let token = &held.credential.access_token;
        let api = self.provider.api();
        let now = self.clock.now();
        let found = api.inspect(instance, token, Some(was.token_kind), now).await.map_err(same_kind)?;
        let known: Vec<_> = was.use_cases.iter().filter_map(|id| self.use_cases.get(id)).collect();
        let mut checks = check_use_cases(api, instance, token, &found, &known).await?;
        checks
            .extend(was.use_cases.iter().filter(|id| self.use_cases.get(id).is_none()).map(|id| unknown(id)));
        let mut next = was.clone();
        next.account = found.account.or(next.account);
        next.checks = checks;
        next.credential.scopes = found.scopes;
        if !was.credential.renewal.renews_itself() && was.method == crate::domain::Method::AccessToken {
            next.credential.expires_at = found.expires_at;
        }
        Ok(next)
    }

    /// The provider does not take the token: what can be renewed is renewed, what cannot is stopped.
    async fn refused(&self, was: &Connection) {
        let need = Need::NewerThan(was.credential.generation);
        if let Err(error) = self.renewals.renew(was.id, need, RenewalCause::Refused).await {
            tracing::info!(connection = %was.id, %error, "a check found the token refused");
        }
    }

    /// The provider could not be asked, or asks the account to act first.
    async fn note(&self, was: &Connection, error: &InspectError, actor: &Actor) -> Result<(), StoreError> {
        let code = match error {
            InspectError::AccountBlocked { .. } => Reason::AccountBlocked,
            InspectError::RateLimited { .. } => Reason::RateLimited,
            InspectError::Unreachable { step: "http", .. } | InspectError::NotGitLab { .. } => {
                Reason::ProviderError
            }
            _ => Reason::ProviderUnreachable,
        };
        self.store.note_failed_check(was, code, &error.to_string(), self.clock.now(), actor).await
    }
}

/// A token never changes its kind; an answer that says so is not GitLab's.
fn same_kind(error: InspectError) -> InspectError {
    match error {
        InspectError::WrongKind { .. } => InspectError::NotGitLab {
            message: "The provider now says that this token is of another kind. Look at the base URL.".into(),
        },
        other => other,
    }
}

/// A use case that this installation no longer knows cannot be checked.
fn unknown(id: &str) -> UseCaseCheck {
    UseCaseCheck {
        use_case: id.to_owned(),
        outcome: CheckOutcome::RoleUnknown,
        missing_scopes: Vec::new(),
        least_role: String::new(),
        too_low_in: Vec::new(),
    }
}
