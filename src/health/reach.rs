//! Whether an integration can be reached, asked when a person wants to know.

use super::Health;
use crate::{
    domain::Secret,
    providers::{InspectError, Instances},
    store::{AsOf, ConnectionFilter, Store, StoreError},
};
use time::{Duration, OffsetDateTime};

/// How many connections are looked through for a token that may ask.
const LOOKED_THROUGH: i64 = 20;

/// An integration that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// It is told to a connected account only.
    pub version: Option<String>,
}

/// Why an integration did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("There is no such integration.")]
    Unknown,
    /// `step` is one of `dns`, `connect`, `tls`, `http`.
    #[error("{message}")]
    Failed { step: &'static str, message: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Health {
    /// Asks an integration that the operator configured whether it is there, with the token of a connection
    /// where one works.
    pub async fn reach(&self, integration: &str) -> Result<Greeting, ReachError> {
        let instance = self.instances.configured(integration).map_err(|_| ReachError::Unknown)?;
        let now = self.clock.now();
        let token = working_token(&self.store, &self.instances, integration, now).await?;
        match self.provider.api().greet(&instance, token.as_ref()).await {
            Ok(version) => Ok(Greeting { version }),
            Err(InspectError::Unreachable { step, message }) => Err(ReachError::Failed { step, message }),
            Err(InspectError::Forbidden { message }) => Err(ReachError::Failed { step: "connect", message }),
            Err(other) => Err(ReachError::Failed { step: "http", message: other.to_string() }),
        }
    }
}

/// The access token of a connection of this integration that still works.
pub async fn working_token(
    store: &Store,
    instances: &Instances,
    integration: &str,
    now: OffsetDateTime,
) -> Result<Option<Secret>, StoreError> {
    let filter = ConnectionFilter { integration: integration.to_owned(), ..ConnectionFilter::default() };
    let as_of = AsOf { now, warn_before: Duration::ZERO };
    for connection in store.list_connections(&filter, as_of, None, LOOKED_THROUGH).await? {
        let credential = &connection.credential;
        let is_own = credential.stopped.is_none() && credential.exported_at.is_none();
        let lives = is_own && credential.expires_at.is_none_or(|end| now < end);
        if lives && instances.of(&connection).is_ok() {
            let held = store.open_credential(connection.id).await?;
            return Ok(held.map(|held| held.credential.access_token.clone()));
        }
    }
    Ok(None)
}
