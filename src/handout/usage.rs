//! Counts hand-outs in memory and writes them down in batches: a hand-out itself does no write.

use crate::{
    domain::ConnectionId,
    store::{Store, StoreError, UsageCount},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use time::OffsetDateTime;

/// Clones share the counts. What was not written down is lost by a crash, and nothing else is.
#[derive(Clone, Default)]
pub struct Usage(Arc<Mutex<Counts>>);

type Counts = HashMap<(ConnectionId, Arc<str>), (i64, OffsetDateTime)>;

impl Usage {
    pub fn count(&self, connection: ConnectionId, api_key_id: &str, at: OffsetDateTime) {
        let mut counts = self.0.lock().expect("nothing panics under this lock");
        let entry = counts.entry((connection, api_key_id.into())).or_insert((0, at));
        entry.0 += 1;
        entry.1 = at;
    }

    /// Writes the counts down and says of which connections. If that fails they are kept for the next time.
    pub async fn flush(&self, store: &Store) -> Result<BTreeSet<ConnectionId>, StoreError> {
        let taken = std::mem::take(&mut *self.0.lock().expect("nothing panics under this lock"));
        if taken.is_empty() {
            return Ok(BTreeSet::new());
        }
        let batch: Vec<UsageCount> = taken
            .iter()
            .map(|((connection, key), (hand_outs, last_at))| UsageCount {
                connection: *connection,
                api_key_id: key.to_string(),
                hand_outs: *hand_outs,
                last_at: *last_at,
            })
            .collect();
        if let Err(error) = store.add_usage(&batch).await {
            self.put_back(taken);
            return Err(error);
        }
        Ok(batch.iter().map(|count| count.connection).collect())
    }

    fn put_back(&self, taken: Counts) {
        let mut counts = self.0.lock().expect("nothing panics under this lock");
        for (key, (hand_outs, at)) in taken {
            let entry = counts.entry(key).or_insert((0, at));
            entry.0 += hand_outs;
            entry.1 = entry.1.max(at);
        }
    }
}
