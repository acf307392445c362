//! Rule 4: an answer goes, sealed, into the journal before it is read, and into the spool if the database is
//! gone. What a crash left there is replayed, fenced on the generation like every write.

use super::{RenewalError, Renewals};
use crate::{
    domain::{Connection, RenewalId},
    providers::KeepAnswer,
    store::{Store, StoreError, UnfinishedRenewal},
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::timeout;

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
        let sealed = self.renewals.store.seal_answer(self.connection, self.attempt, answer);
        let kept = timeout(PATIENCE, self.renewals.store.keep_answer(self.attempt, &sealed)).await;
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
    /// Replays answers that were kept but not understood before a crash, and says how many were there.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        self.empty_spool(&self.store).await?;
        let unfinished = self.store.unfinished_renewals().await?;
        for one in &unfinished {
            if let Err(error) = self.replay(one).await {
                tracing::warn!(connection = %one.connection, %error, "a kept answer could not be replayed");
            }
        }
        Ok(unfinished.len())
    }

    async fn empty_spool(&self, store: &Store) -> Result<(), StoreError> {
        for (attempt, sealed) in self.spool.waiting()? {
            store.keep_answer(attempt, &sealed).await?;
            self.spool.forget(attempt)?;
        }
        Ok(())
    }

    /// The fence decides: an answer for an older generation changes nothing.
    async fn replay(&self, one: &UnfinishedRenewal) -> Result<(), RenewalError> {
        let held = self.read(one.connection).await?;
        let fits = held.connection.credential.generation == one.generation;
        let answer = self.store.open_answer(&held.connection, one).ok().filter(|_| fits);
        let next = answer.and_then(|raw| self.provider.read_renewal(&held.credential, &raw, one.started_at));
        match next {
            Some(next) => {
                tracing::info!(connection = %one.connection, "an answer from before a crash is replayed");
                self.commit(held, one.id, next).await.map(drop)
            }
            None => Ok(self.store.give_up_renewal(one.id, self.clock.now()).await?),
        }
    }
}
