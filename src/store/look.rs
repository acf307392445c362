//! A look at a database as it is, for a person: nothing is made, brought up to date or sealed.

use super::{
    Location, Store, StoreError,
    db::{Db, SQLITE_MIGRATIONS, on},
    migrate::{MIGRATIONS, pending},
    postgres::Postgres,
};
use crate::vault::Keyring;
use std::sync::Arc;

/// How the schema of a database and this version go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Current,
    /// The next start brings it up to date, in so many steps.
    Older {
        missing: usize,
    },
    /// A newer version was here, or another program.
    Newer,
}

impl Store {
    /// Opens a database that is there. With a schema that is not current, only [`Store::prove_writable`] and
    /// [`Store::close`] are certain to work.
    pub async fn look(location: &Location, keyring: Arc<Keyring>) -> Result<(Self, Schema), StoreError> {
        let db = match location {
            Location::Sqlite(file) => Db::look_at_sqlite(file).await?,
            Location::Postgres(url) => Db::Postgres(Postgres::connect(url).await?),
        };
        let schema = schema(&db).await?;
        Ok((Self { db, keyring, watchers: Arc::default() }, schema))
    }

    /// Writes something and takes it back.
    pub async fn prove_writable(&self) -> Result<(), StoreError> {
        const WRITE: &str = "create table writable (one bigint)";
        match &self.db {
            Db::Sqlite { write, .. } => {
                let mut tx = write.begin_with("begin immediate").await?;
                sqlx::query(WRITE).execute(&mut *tx).await?;
                tx.rollback().await?;
            }
            Db::Postgres(postgres) => {
                let mut tx = postgres.begin().await?;
                sqlx::query(WRITE).execute(&mut *tx).await?;
            }
        }
        Ok(())
    }
}

async fn schema(db: &Db) -> Result<Schema, StoreError> {
    let ours = match db {
        Db::Sqlite { .. } => &SQLITE_MIGRATIONS,
        Db::Postgres(_) => &MIGRATIONS,
    };
    let applied = on!(db, read, |pool| sqlx::query_as::<_, (i64, Vec<u8>)>(
        "select version, checksum from _sqlx_migrations order by version"
    )
    .fetch_all(pool)
    .await);
    let applied = match applied {
        // The table is made by the first start.
        Err(sqlx::Error::Database(_)) => Vec::new(),
        applied => applied?,
    };
    Ok(match pending(ours, &applied) {
        Ok(missing) if missing.is_empty() => Schema::Current,
        Ok(missing) => Schema::Older { missing: missing.len() },
        Err(_) => Schema::Newer,
    })
}
