//! One pool type for two databases, and the two macros that run one SQL text on either.

use super::{StoreError, postgres::Postgres};
use sqlx::{
    Connection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{fs, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

pub(super) static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// SQLite has one connection that writes, so that writers wait in the pool and never meet `SQLITE_BUSY`.
#[derive(Clone)]
pub(super) enum Db {
    Sqlite { write: SqlitePool, read: SqlitePool },
    Postgres(Postgres),
}

/// Runs one body on whichever database there is: `on!(self.db, read, |pool| …)`.
macro_rules! on {
    ($db:expr, read, |$pool:ident| $body:expr) => {
        match &$db {
            $crate::store::db::Db::Sqlite { read: $pool, .. } => $body,
            $crate::store::db::Db::Postgres($pool) => $body,
        }
    };
    ($db:expr, write, |$pool:ident| $body:expr) => {
        match &$db {
            $crate::store::db::Db::Sqlite { write: $pool, .. } => $body,
            $crate::store::db::Db::Postgres($pool) => $body,
        }
    };
}

/// Runs one body in a transaction and commits it; leaving early rolls back.
/// `BEGIN IMMEDIATE`: a deferred transaction of SQLite may fail when it turns to writing.
macro_rules! in_transaction {
    ($db:expr, |$tx:ident| $body:expr) => {
        match &$db {
            $crate::store::db::Db::Sqlite { write, .. } => {
                let mut $tx = write.begin_with("begin immediate").await?;
                let out = $body;
                $tx.commit().await?;
                out
            }
            $crate::store::db::Db::Postgres(pool) => {
                let mut $tx = pool.begin().await?;
                let out = $body;
                $tx.commit().await?;
                out
            }
        }
    };
}
pub(super) use {in_transaction, on};

impl Db {
    /// Opens the SQLite file, which is made with mode 0600, and brings its schema up to date.
    pub(super) async fn open_sqlite(file: &Path) -> Result<Self, StoreError> {
        make_private(file)?;
        let db = Self::connect_sqlite(sqlite(file).journal_mode(SqliteJournalMode::Wal)).await?;
        if let Self::Sqlite { write, .. } = &db {
            SQLITE_MIGRATIONS.run(write).await?;
        }
        Ok(db)
    }

    /// Opens the file as it is, which must be there.
    pub(super) async fn look_at_sqlite(file: &Path) -> Result<Self, StoreError> {
        Self::connect_sqlite(sqlite(file)).await
    }

    async fn connect_sqlite(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        // A commit that SQLite itself took back, as it does on a full disk, leaves sqlx with a transaction that it
        // can neither end nor begin anew: such a connection is replaced.
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { write, read })
    }
}

fn sqlite(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(true)
        .pragma("trusted_schema", "off")
        .pragma("secure_delete", "on")
}

fn make_private(file: &Path) -> Result<(), StoreError> {
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    Ok(())
}
