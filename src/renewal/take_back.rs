//! An exported credential comes back, where the installation that has it too did not renew it.

use super::{RenewalError, Renewals, probe::was_renewed_elsewhere};
use crate::{
    domain::{Actor, Connection, ConnectionId, Reason, credential::lasts},
    store::StoreError,
};
use time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum TakeBackError {
    #[error("This connection was not exported, or has a credential of its own again.")]
    NotExported,
    #[error(
        "GitLab does not accept this credential any more: the installation that imported it has renewed it. It can only \
         be used there."
    )]
    RenewedElsewhere,
    #[error(transparent)]
    Renewal(#[from] RenewalError),
}

impl From<StoreError> for TakeBackError {
    fn from(error: StoreError) -> Self {
        Self::Renewal(error.into())
    }
}

impl Renewals {
    /// Renews an exported credential here again. A token that is dead before its end is how a renewal elsewhere shows.
    /// Once it has ended nothing shows, and whether the other installation will renew it later, only people know.
    pub async fn take_back(&self, id: ConnectionId, actor: &Actor) -> Result<Connection, TakeBackError> {
        let held = self.read(id).await?;
        let (was, facts) = (&held.connection, &held.connection.credential);
        if facts.exported_at.is_none() {
            return Err(TakeBackError::NotExported);
        }
        if facts.stopped == Some(Reason::Exported) {
            return Err(TakeBackError::RenewedElsewhere);
        }
        let lives = facts.stopped.is_none() && lasts(facts.expires_at, self.clock.now(), Duration::ZERO);
        let refusal = if lives { self.refusal(&held).await? } else { None };
        if refusal.is_some_and(|refusal| was_renewed_elsewhere(facts, refusal)) {
            self.store.stop(was, Reason::Exported, self.clock.now(), actor).await?;
            return Err(TakeBackError::RenewedElsewhere);
        }
        if !self.store.take_back(was, self.clock.now(), actor).await? {
            return Err(TakeBackError::NotExported);
        }
        self.store.connection(id).await?.ok_or(RenewalError::Gone.into())
    }
}
