//! Keeps a renewed credential: the fenced write, tried until the database takes it.

use super::{RenewalError, Renewals, schedule};
use crate::{
    domain::{Change, Connection, Credential, RenewalId},
    failpoint,
    store::{GivenUp, Held, NextCredential, RenewalFailure, RenewalOutcome, Renewed, StoreError},
};
use time::Duration;
use tokio::time::sleep;
use tracing::Span;

impl Renewals {
    /// Keeps the new credential, however long the database takes to come back: the old one is dead.
    /// `lost`: what of the answer could not be had.
    pub(super) async fn commit(
        &self,
        held: Held,
        attempt: RenewalId,
        next: Credential,
        lost: Option<RenewalFailure>,
    ) -> Result<Held, RenewalError> {
        let next_credential =
            NextCredential { credential: &next, renew_at: self.tending.renew_at(&next, rand::random()) };
        let renewed = Renewed { next: next_credential, lost };
        let mut failures = 0;
        let committed = loop {
            let at = self.clock.now();
            match self.store.commit_renewal(&held.connection, attempt, &renewed, at).await {
                Ok(committed) => break committed,
                Err(e) => {
                    failures += 1;
                    self.hand_out_uncommitted(&held, &next);
                    tracing::error!(connection = %held.connection.id, error = %e, failures, "a renewed credential could not be kept; trying again");
                    let wait = schedule::back_off(failures, None, rand::random()).min(Duration::seconds(10));
                    sleep(wait.unsigned_abs()).await;
                }
            }
        };
        failpoint::pass("committed");
        self.uncommitted.forget(held.connection.id);
        let outcome = if committed.is_some() { RenewalOutcome::Renewed } else { RenewalOutcome::Superseded };
        self.tally.count(outcome);
        Span::current().record("outcome", outcome.as_str());
        let current = self.store.open_credential(held.connection.id).await?;
        if committed.is_none() {
            tracing::info!(connection = %held.connection.id, outcome = %RenewalOutcome::Superseded, "renewed");
            match &current {
                Some(current) => self.give_up_if_other(current, Some(next)).await?,
                None => self.give_up_grant(&held.connection, &next).await?,
            }
        }
        self.forget_spooled(attempt);
        current.ok_or(RenewalError::Gone)
    }

    /// The database has only the dead token, and who remembers that one is told to forget it.
    fn hand_out_uncommitted(&self, was: &Held, next: &Credential) {
        self.uncommitted.keep(was, next);
        self.store.relay(&Change::Connection(was.connection.id));
    }

    /// Revokes a grant that came too late, unless its answer was replayed by somebody else already, or named no
    /// refresh token of its own.
    pub(super) async fn give_up_if_other(
        &self,
        current: &Held,
        late: Option<Credential>,
    ) -> Result<(), StoreError> {
        match late {
            Some(late) if !is_same_grant(&current.credential, &late) => {
                self.give_up_grant(&current.connection, &late).await
            }
            _ => Ok(()),
        }
    }

    /// Nobody holds this grant: the connection ended or was reauthorized meanwhile. It is revoked.
    pub(super) async fn give_up_grant(
        &self,
        connection: &Connection,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.store.owe_revocation(&GivenUp::of(connection, credential), self.clock.now()).await
    }

    pub(super) fn forget_spooled(&self, attempt: RenewalId) {
        if let Err(error) = self.spool.forget(attempt) {
            tracing::warn!(%error, "a spooled answer could not be removed; its replay will change nothing");
        }
    }
}

fn is_same_grant(current: &Credential, late: &Credential) -> bool {
    current.has_same_refresh_token(late) || current.access_token.is_same(&late.access_token)
}
