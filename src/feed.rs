//! The change feed between processes: what another one changed is forgotten here within the second.
//!
//! It polls the event log, on SQLite for the sake of the command line beside a running server, on
//! PostgreSQL for the other replicas. Sequence numbers are given before a transaction commits and may show
//! up late, so each look goes back a stretch and passes over what it has told already.
//!
//! PostgreSQL also wakes those who listen. That only makes the next look come at once: what the promise
//! rests on is the poll, which goes on whether somebody is woken or not.

use crate::store::{Store, StoreError};
use std::{collections::BTreeSet, convert::Infallible, time::Duration};
use tokio::{
    sync::{Mutex, Notify},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How often to look.
pub const PERIOD: Duration = Duration::from_millis(300);
/// How far back a look goes.
const STRETCH: i64 = 500;
/// How soon to listen again after the connection was lost, and how late at most.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
const LISTEN_AGAIN_AT_LAST: Duration = Duration::from_secs(300);

pub struct Feed {
    store: Store,
    told: Mutex<Told>,
    woken: Notify,
}

struct Told {
    last: i64,
    seen: BTreeSet<i64>,
}

impl Feed {
    /// Begins near the end of the log. To tell of an old change again does no harm.
    pub async fn begin(store: Store) -> Result<Self, StoreError> {
        let last = store.last_event().await?;
        Ok(Self { store, told: Mutex::new(Told { last, seen: BTreeSet::new() }), woken: Notify::new() })
    }

    /// Tells the watchers here what changed since the last look.
    pub async fn try_once(&self) -> Result<(), StoreError> {
        let mut told = self.told.lock().await;
        let after = told.last - STRETCH;
        for (seq, change) in self.store.changes_after(after).await? {
            told.last = told.last.max(seq);
            if told.seen.insert(seq)
                && let Some(change) = change
            {
                self.store.relay(&change);
            }
        }
        let forget = told.last - STRETCH;
        told.seen.retain(|seq| *seq > forget);
        Ok(())
    }

    /// Looks every `period`, and at once when woken, until the stop.
    pub async fn follow(&self, period: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.try_once().await {
                tracing::warn!(%error, "the change feed could not be read");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.woken.notified() => {}
                () = sleep(period) => {}
            }
        }
    }

    /// Wakes `follow` whenever the database says that there is something new, until the stop.
    pub async fn listen(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_listening()).await;
    }

    async fn keep_listening(&self) -> Infallible {
        let mut wait = LISTEN_AGAIN;
        loop {
            let woken = || {
                wait = LISTEN_AGAIN;
                self.woken.notify_one();
            };
            let Err(error) = self.store.listen(woken).await;
            tracing::debug!(%error, "nothing wakes the change feed; it goes on by looking");
            sleep(wait).await;
            wait = (2 * wait).min(LISTEN_AGAIN_AT_LAST);
        }
    }
}
