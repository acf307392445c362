//! Brings the schema of PostgreSQL up to date, by one process at a time.
//!
//! All of it is one transaction with a lock that ends with it: a lock of the session would stay behind at
//! a pooler's server. The table of what was applied is the one that sqlx keeps.

use super::{
    StoreError,
    postgres::{Postgres, Transaction},
};
use sqlx::migrate::{MigrateError, Migration, Migrator};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Waits for others that migrate now. Building an index may take its time, waiting for a table may not.
const ALONE: &str = "set local client_min_messages = warning;
    set local statement_timeout = 0;
    set local lock_timeout = '5min';
    select pg_advisory_xact_lock(hashtextextended('mooring migrations', 0));
    set local lock_timeout = '10s'";

const TABLE: &str = "create table if not exists _sqlx_migrations (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
)";

/// Applies what was not applied yet: all of it, or nothing.
pub(super) async fn up_to_date(postgres: &Postgres) -> Result<(), StoreError> {
    let mut tx = postgres.begin().await?;
    sqlx::raw_sql(ALONE).execute(&mut *tx).await?;
    sqlx::raw_sql(TABLE).execute(&mut *tx).await?;
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("select version, checksum from _sqlx_migrations order by version")
            .fetch_all(&mut *tx)
            .await?;
    for migration in pending(&MIGRATIONS, &applied)? {
        apply(&mut tx, migration).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What is to be applied. A schema that this version does not know is refused.
pub(super) fn pending<'a>(
    ours: &'a Migrator,
    applied: &[(i64, Vec<u8>)],
) -> Result<Vec<&'a Migration>, MigrateError> {
    for (version, checksum) in applied {
        match ours.iter().find(|m| m.version == *version) {
            None => return Err(MigrateError::VersionMissing(*version)),
            Some(known) if known.checksum != *checksum => {
                return Err(MigrateError::VersionMismatch(*version));
            }
            Some(_) => {}
        }
    }
    let is_new = |m: &&Migration| !applied.iter().any(|(version, _)| m.version == *version);
    Ok(ours.iter().filter(is_new).collect())
}

async fn apply(tx: &mut Transaction, migration: &Migration) -> Result<(), StoreError> {
    let failed = |e| MigrateError::ExecuteMigration(e, migration.version);
    sqlx::raw_sql(migration.sql.clone()).execute(&mut **tx).await.map_err(failed)?;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values ($1, $2, true, $3, -1)",
    )
    .bind(migration.version)
    .bind(&*migration.description)
    .bind(&*migration.checksum)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
