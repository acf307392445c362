//! What a connection's token reaches: its projects and groups, asked live. A token that the provider turns out to
//! refuse is renewed once where it can be.

use crate::{
    domain::Connection,
    providers::{InspectError, Instance, Instances, Listing, PlacePage, Provider, UnknownInstance},
    renewal::{Need, RenewalError, Renewals},
    store::{Held, RenewalCause},
};
use std::sync::Arc;
use time::Duration;

#[derive(Clone)]
pub struct Reach {
    pub provider: Provider,
    pub instances: Instances,
    pub renewals: Renewals,
}

/// Why nobody can say what a connection reaches.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Its token does not work before a person acts.
    #[error("The connection cannot work before a person acts.")]
    Stopped,
    #[error(transparent)]
    Renewal(RenewalError),
    #[error(transparent)]
    Instance(#[from] UnknownInstance),
    #[error(transparent)]
    Inspect(#[from] InspectError),
}

impl Reach {
    /// Lists projects or groups, with the token that works now.
    pub async fn list(&self, of: &Connection, listing: Listing<'_>) -> Result<PlacePage, ReachError> {
        let instance = self.instances.of(of)?;
        let held = self.working(of, Need::Lasts(Duration::ZERO), RenewalCause::HandOut).await?;
        match self.ask(&held, &instance, listing).await {
            Err(
                InspectError::TokenExpired | InspectError::TokenRevoked | InspectError::TokenInvalid { .. },
            ) => {
                let need = Need::NewerThan(held.connection.credential.generation);
                let held = self.working(of, need, RenewalCause::Refused).await?;
                Ok(self.ask(&held, &instance, listing).await?)
            }
            found => Ok(found?),
        }
    }

    async fn ask(
        &self,
        held: &Held,
        instance: &Instance,
        listing: Listing<'_>,
    ) -> Result<PlacePage, InspectError> {
        let account = held.connection.account.as_ref();
        self.provider.api().places(instance, &held.credential.access_token, account, listing).await
    }

    /// A credential that works as far as is known here, renewed if it must be.
    async fn working(
        &self,
        of: &Connection,
        need: Need,
        cause: RenewalCause,
    ) -> Result<Arc<Held>, ReachError> {
        match self.renewals.renew(of.id, need, cause).await {
            Ok(held) if held.connection.credential.stopped.is_none() => Ok(held),
            Ok(_) | Err(RenewalError::NeedsPerson) => Err(ReachError::Stopped),
            Err(error) => Err(ReachError::Renewal(error)),
        }
    }
}
