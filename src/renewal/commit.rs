//! Keeps a renewed credential: the fenced write, tried until the database takes it.

use super::{RenewalError, Renewals, schedule};
use crate::{
    domain::{Connection, Credential, RenewalId},
    failpoint,
    store::{GivenUp, Held, NextCredential, RenewalOutcome, StoreError},
};
use time::Duration;
use tokio::time::sleep;

impl Renewals {
    /// Keeps the new credential, however long the database takes to come back: the old one is dead.
    pub(super) async fn commit(
        &self,
        held: Held,
        attempt: RenewalId,
        next: Credential,
    ) -> Result<Held, RenewalError> {
        let next_credential =
            NextCredential { credential: &next, renew_at: self.tending.renew_at(&next, rand::random()) };
        let mut failures = 0;
        let committed = loop {
            let at = self.clock.now();
            match self.store.commit_renewal(&held.connection, attempt, next_credential.clone(), at).await {
                Ok(committed) => break committed,
                Err(e) => {
                    failures += 1;
                    tracing::error!(connection = %held.connection.id, error = %e, failures, "a renewed credential could not be kept; trying again");
                    let wait = schedule::back_off(failures, None, rand::random()).min(Duration::seconds(10));
                    sleep(wait.unsigned_abs()).await;
                }
            }
        };
        failpoint::pass("committed");
        let current = self.store.open_credential(held.connection.id).await?;
        if committed.is_none() && !current.as_ref().is_some_and(|c| is_same_grant(&c.credential, &next)) {
            tracing::info!(connection = %held.connection.id, outcome = %RenewalOutcome::Superseded, "renewed");
            self.give_up_grant(&held.connection, &next).await?;
        }
        self.forget_spooled(attempt);
        current.ok_or(RenewalError::Gone)
    }

    /// Nobody holds this grant: the connection ended or was reauthorized meanwhile. It is revoked.
    async fn give_up_grant(
        &self,
        connection: &Connection,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.store.owe_revocation(&GivenUp::of(connection, credential), self.clock.now()).await
    }

    fn forget_spooled(&self, attempt: RenewalId) {
        if let Err(error) = self.spool.forget(attempt) {
            tracing::warn!(%error, "a spooled answer could not be removed; its replay will change nothing");
        }
    }
}

/// Whether an answer that came too late had been replayed by somebody else already.
fn is_same_grant(current: &Credential, late: &Credential) -> bool {
    current.access_token.is_same(&late.access_token)
}
