//! Work in the background: try once, and do so forever. Tests call `try_once`.

use super::{Need, RenewalError, Renewals};
use crate::{
    domain::{Clock, ConnectionId},
    store::{RenewalCause, Store, StoreError},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many of one circuit are taken up at a time. How many of them ask at once is the permits' business.
const BATCH: i64 = 256;

/// Renews what is due. A round does not wait for the one before: a provider that hangs holds up nobody else.
#[derive(Clone)]
pub struct Worker {
    store: Store,
    renewals: Renewals,
    clock: Clock,
    tracker: TaskTracker,
    taken_up: Arc<Mutex<HashSet<ConnectionId>>>,
}

impl Worker {
    pub fn new(store: Store, renewals: Renewals, clock: Clock, tracker: TaskTracker) -> Self {
        Self { store, renewals, clock, tracker, taken_up: Arc::default() }
    }

    /// Takes up the credentials whose time has come and that are not taken up yet: which, and what waits for them.
    pub async fn begin_round(&self) -> Result<Vec<(ConnectionId, JoinHandle<()>)>, StoreError> {
        let due = self.store.due_for_renewal(self.clock.now(), BATCH).await?;
        let mut taken_up = self.taken_up.lock().expect("nothing panics under this lock");
        let new: Vec<_> = due.into_iter().filter(|id| taken_up.insert(*id)).collect();
        Ok(new.into_iter().map(|id| (id, self.tracker.spawn(self.clone().take_up(id)))).collect())
    }

    /// Renews the credentials whose time has come, and says how many were taken up.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let round = self.begin_round().await?;
        let count = round.len();
        futures_util::future::join_all(round.into_iter().map(|(_, taken_up)| taken_up)).await;
        Ok(count)
    }

    async fn take_up(self, id: ConnectionId) {
        match self.renewals.renew(id, Need::NotDue, RenewalCause::Due).await {
            Ok(_) => {}
            Err(error @ RenewalError::Store(_)) => {
                tracing::error!(connection = %id, %error, "a due renewal could not be begun");
            }
            Err(error) => {
                tracing::debug!(connection = %id, %error, "a due renewal did not come about");
            }
        }
        self.taken_up.lock().expect("nothing panics under this lock").remove(&id);
    }
}

/// Runs `once` every `period` until the stop. A round that fails is logged, the next one comes.
pub async fn repeat<E: std::fmt::Display>(
    what: &'static str,
    period: Duration,
    stop: CancellationToken,
    once: impl AsyncFn() -> Result<(), E>,
) {
    while !stop.is_cancelled() {
        if let Err(error) = once().await {
            tracing::warn!(what, %error, "a round of background work failed");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(period) => {}
        }
    }
}
