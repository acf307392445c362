//! Sessions in the database, under the hash of the id that the cookie holds.

use super::{IDLE, OPERATOR};
use crate::{
    domain::{Clock, OperatorId},
    store::{Store, StoreError},
    vault::digest_of,
    web::state::AppState,
};
use async_trait::async_trait;
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result as StoreResult},
};

/// Sessions in the database.
#[derive(Clone)]
pub struct StoredSessions {
    store: Store,
    clock: Clock,
}

impl std::fmt::Debug for StoredSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredSessions")
    }
}

#[async_trait]
impl SessionStore for StoredSessions {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        for _ in 0..3 {
            let (id, data) = (key(&record.id), encode(record)?);
            let made = self.store.create_session(&id, owner(record), &data, self.ends()).await;
            if made.map_err(broken)? {
                return Ok(());
            }
            record.id = Id::default();
        }
        Err(Error::Backend("three session ids in a row were taken".into()))
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let (id, data) = (key(&record.id), encode(record)?);
        self.store.save_session(&id, owner(record), &data, self.ends()).await.map_err(broken)
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let found = self.store.load_session(&key(id), self.clock.now()).await.map_err(broken)?;
        let read = |(data, ends): (String, i64)| {
            let data = serde_json::from_str(&data).map_err(|e| Error::Decode(e.to_string()))?;
            let ends = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ends) * 1_000);
            let expiry_date = ends.map_err(|e| Error::Decode(e.to_string()))?;
            Ok(Record { id: *id, data, expiry_date })
        };
        found.map(read).transpose()
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        self.store.delete_session(&key(id)).await.map_err(broken)
    }
}

impl StoredSessions {
    pub(super) fn of(state: &AppState) -> Self {
        Self { store: state.store.clone(), clock: state.clock.clone() }
    }

    /// By our clock; the crate would ask the system's.
    fn ends(&self) -> OffsetDateTime {
        self.clock.now() + IDLE
    }
}

/// Under what a session is kept.
pub(super) fn key(id: &Id) -> Vec<u8> {
    digest_of(&id.0.to_le_bytes())
}

fn owner(record: &Record) -> Option<OperatorId> {
    record.data.get(OPERATOR).and_then(|id| serde_json::from_value(id.clone()).ok())
}

fn encode(record: &Record) -> StoreResult<String> {
    serde_json::to_string(&record.data).map_err(|e| Error::Encode(e.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}
