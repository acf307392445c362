//! PostgreSQL says when another process wrote into the log. It is a hint to look at once and nothing else.

use super::{Store, StoreError, db::Db};
use std::{convert::Infallible, future, io};

/// What the trigger on the log notifies, see `migrations/postgres/0005_wake.sql`.
const CHANNEL: &str = "mooring_events";

impl Store {
    /// Calls `woken` once it listens, on a connection of its own, and whenever something was written into
    /// the log; until it cannot listen any more. Behind a pooler it cannot, and on SQLite there is nothing
    /// to hear.
    pub async fn listen(&self, mut woken: impl FnMut()) -> Result<Infallible, StoreError> {
        let Db::Postgres(postgres) = &self.db else { return future::pending().await };
        let mut listener = postgres.listener(CHANNEL).await?;
        woken();
        while listener.try_recv().await?.is_some() {
            woken();
        }
        Err(sqlx::Error::Io(io::ErrorKind::UnexpectedEof.into()).into())
    }
}
