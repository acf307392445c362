//! Rule 4: an answer goes, sealed, into the journal before it is read, and into the spool if the database is
//! gone. What a crash left there is replayed, fenced on the generation like every write.

use super::{RenewalError, Renewals, failure};
use crate::{
    domain::{Change, Connection, ConnectionId, Credential, RenewalId},
    failpoint,
    providers::{KeepAnswer, RenewError},
    store::{Held, RenewalOutcome, StoreError, UnfinishedRenewal},
};
use async_trait::async_trait;
use std::{sync::Mutex, time::Duration};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The control character "cancel" between two answers: no token goes on behind it.
const CUT: u8 = 0x18;

/// How long the database may take to keep an answer before the spool has it.
const PATIENCE: Duration = Duration::from_secs(5);

type Answered = Result<Credential, RenewError>;

/// Keeps the answers of one attempt. A second one stands behind the first: that one may hold more.
pub(super) struct Journal<'a> {
    renewals: &'a Renewals,
    connection: &'a Connection,
    attempt: RenewalId,
    kept: Mutex<Zeroizing<Vec<u8>>>,
}

impl<'a> Journal<'a> {
    pub(super) fn new(renewals: &'a Renewals, connection: &'a Connection, attempt: RenewalId) -> Self {
        Self { renewals, connection, attempt, kept: Mutex::default() }
    }

    fn with_earlier(&self, answer: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut kept = self.kept.lock().expect("nothing panics under this lock");
        if !kept.is_empty() {
            kept.push(CUT);
        }
        kept.extend_from_slice(answer);
        kept.clone()
    }
}

#[async_trait]
impl KeepAnswer for Journal<'_> {
    async fn keep(&self, answer: &[u8]) {
        failpoint::pass("answered");
        // From here on the old token is dead. Who reads it from memory reads it anew.
        self.renewals.store.relay(&Change::Connection(self.connection.id));
        self.make_durable(&self.with_earlier(answer)).await;
        failpoint::pass("kept");
    }
}

impl Journal<'_> {
    async fn make_durable(&self, answers: &[u8]) {
        let sealed = self.renewals.store.seal_answer(self.connection, self.attempt, answers);
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

    /// Trouble with this machine's disk keeps nothing in the database waiting.
    async fn empty_spool(&self) -> Result<(), StoreError> {
        match self.spool.waiting() {
            Ok(waiting) => {
                for (attempt, sealed) in waiting {
                    self.store.keep_answer(attempt, &sealed).await?;
                    self.forget_spooled(attempt);
                }
            }
            Err(error) => tracing::error!(%error, "the spool cannot be read"),
        }
        if let Err(error) = self.spool.set_room_aside() {
            tracing::error!(%error, "no room can be set aside for answers");
        }
        Ok(())
    }

    /// The fence decides: an answer for an older generation changes nothing. An answer that does not open
    /// is left for a process that has its key.
    async fn replay(&self, one: &UnfinishedRenewal) -> Result<(), RenewalError> {
        let held = self.read(one.connection).await?;
        let now = self.clock.now();
        let next = self.answer_of(&held, one);
        if held.connection.credential.generation != one.generation {
            let outcome = match next {
                // Another process's spool may have its answer, and can then open it again.
                Ok(None) => RenewalOutcome::Uncertain,
                Ok(Some(late)) => {
                    self.give_up_if_other(&held, late.ok()).await?;
                    RenewalOutcome::Superseded
                }
                // It keeps nothing waiting: it would only have said what to revoke.
                Err(error) => {
                    tracing::warn!(connection = %one.connection, %error, "an answer that came too late does not open");
                    RenewalOutcome::Superseded
                }
            };
            return Ok(self.store.close_renewal(one.id, outcome, now).await?);
        }
        match next? {
            Some(Ok(next)) => {
                tracing::info!(connection = %one.connection, "an answer from before a crash is replayed");
                self.commit(held, one.id, next, None).await.map(drop)
            }
            Some(Err(RenewError::Uncertain { message, partial: Some(part) })) => {
                let lost = failure::partly_lost(&held.credential, &part, &message, now);
                self.commit(held, one.id, *part, Some(lost)).await.map(drop)
            }
            _ => Ok(self.store.close_unanswered(one, now).await?),
        }
    }

    /// The answer that the journal has of an attempt, opened and read.
    fn answer_of(&self, held: &Held, one: &UnfinishedRenewal) -> Result<Option<Answered>, StoreError> {
        let answer = self.store.open_answer(&held.connection, one)?;
        let read =
            |raw: Zeroizing<Vec<u8>>| self.provider.read_renewal(&held.credential, &raw, one.started_at);
        Ok(answer.map(read))
    }
}
