//! The change feed between processes: what another one changed is forgotten here within the second.
//!
//! It polls the event log, on SQLite for the sake of the command line beside a running server, on
//! PostgreSQL for the other replicas. Sequence numbers are given before a transaction commits and may show
//! up late, so each look goes back a stretch and passes over what it has told already.

use crate::store::{Store, StoreError};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::Mutex;

/// How often to look.
pub const PERIOD: Duration = Duration::from_millis(300);
/// How far back a look goes.
const STRETCH: i64 = 500;

pub struct Feed {
    store: Store,
    told: Mutex<Told>,
}

struct Told {
    last: i64,
    seen: BTreeSet<i64>,
}

impl Feed {
    /// Begins near the end of the log. To tell of an old change again does no harm.
    pub async fn begin(store: Store) -> Result<Self, StoreError> {
        let last = store.last_event().await?;
        Ok(Self { store, told: Mutex::new(Told { last, seen: BTreeSet::new() }) })
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
}
