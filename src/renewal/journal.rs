//! Rule 4: an answer goes, sealed, into the journal before it is read, and into the spool if the database is
//! gone. What a crash left there is replayed, fenced on the generation like every write.

use super::{RenewalError, Renewals};
use crate::{
    domain::{Connection, ConnectionId, RenewalId},
    failpoint,
    providers::KeepAnswer,
    store::{RenewalOutcome, StoreError, UnfinishedRenewal},
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long the database may take to keep an answer before the spool has it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the answers of one attempt.
pub(super) struct Journal<'a> {
    pub(super) renewals: &'a Renewals,
    pub(super) connection: &'a Connection,
    pub(super) attempt: RenewalId,
}

#[async_trait]
impl KeepAnswer for Journal<'_> {
    async fn keep(&self, answer: &[u8]) {
        failpoint::pass("answered");
        self.make_durable(answer).await;
        failpoint::pass("kept");
    }
}

impl Journal<'_> {
    async fn make_durable(&self, answer: &[u8]) {
        let sealed = self.renewals.store.seal_answer(self.connection, self.attempt, answer);
        let kept = timeout(PATIENCE, self.renewals.store.keep_answer(self.attempt, &sealed)).await;
        // `Ok(false)`: the connection ended meanwhile. Its grant is given up once the answer is read.
        if matches!(kept, Ok(Ok(_))) {
            return;
        }
        let connection = self.connection.id;
        match self.renewals.spool.keep(self.attempt, &sealed) {
            Ok(()) => {
                tracing::error!(%connection, "the database would not keep an answer; it is in the spool");
            }
            Err(error) => {
                tracing::error!(%connection, %error, "an answer could be kept nowhere before it was read");
            }
        }
    }
}

impl Renewals {
    /// Closes what a crash left open: replays answers that had come, and notes those that never did. Says
    /// how many attempts there were.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        self.empty_spool().await?;
        let unfinished = self.store.unfinished_renewals(None).await?;
        for one in &unfinished {
            if let Err(error) = self.replay(one).await {
                tracing::error!(connection = %one.connection, %error, "an attempt from before a crash stays open");
            }
        }
        Ok(unfinished.len())
    }

    /// The same for one connection, under its lease, before anything new is sent.
    pub(super) async fn recover_one(&self, id: ConnectionId) -> Result<(), RenewalError> {
        for one in self.store.unfinished_renewals(Some(id)).await? {
            self.replay(&one).await?;
        }
        Ok(())
    }

    async fn empty_spool(&self) -> Result<(), StoreError> {
        for (attempt, sealed) in self.spool.waiting()? {
            self.store.keep_answer(attempt, &sealed).await?;
            self.spool.forget(attempt)?;
        }
        Ok(())
    }

    /// The fence decides: an answer for an older generation changes nothing. An answer that does not open
    /// is left for a process that has its key.
    async fn replay(&self, one: &UnfinishedRenewal) -> Result<(), RenewalError> {
        let held = self.read(one.connection).await?;
        let now = self.clock.now();
        if held.connection.credential.generation != one.generation {
            return Ok(self.store.close_renewal(one.id, RenewalOutcome::Superseded, now).await?);
        }
        let answer = self.store.open_answer(&held.connection, one)?;
        let read =
            |raw: Zeroizing<Vec<u8>>| self.provider.read_renewal(&held.credential, &raw, one.started_at);
        match answer.and_then(read) {
            Some(next) => {
                tracing::info!(connection = %one.connection, "an answer from before a crash is replayed");
                self.commit(held, one.id, next).await.map(drop)
            }
            None => Ok(self.store.close_renewal(one.id, RenewalOutcome::Uncertain, now).await?),
        }
    }
}
