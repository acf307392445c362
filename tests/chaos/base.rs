//! The database behind Mooring's back: where time is moved, dead processes' leases end, and the journal is read.

use crate::cluster::Cluster;
use mooring::store::Location;
use sqlx::{
    AssertSqlSafe, Connection, FromRow, PgConnection, PgPool, SqlitePool,
    postgres::{PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use std::{path::Path, time::Duration};

/// Which database a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgres,
    /// PostgreSQL in a cluster that the scenario takes away.
    FragilePostgres,
}

impl On {
    pub(crate) const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres | Self::FragilePostgres => "PostgreSQL",
        }
    }

    /// As many processes as this database lets work together, three at most.
    pub(crate) fn replicas(self) -> usize {
        match self {
            Self::Sqlite => 1,
            Self::Postgres | Self::FragilePostgres => 3,
        }
    }
}

/// Notes which process wrote an intent and took a lease: a lease of a process that was killed can then be ended
/// without touching those of the living, as if its time had passed.
const WITNESSES: &str = "
create table chaos_intents (renewal_id text primary key, process text not null);
create table chaos_holders (holder text primary key, process text not null);
create table chaos_dead (process text primary key);
create function chaos_refuse() returns trigger language plpgsql as $$ begin
    raise exception 'cannot write in a read-only transaction' using errcode = '25006';
end $$;
create function chaos_intent() returns trigger language plpgsql as $$ begin
    insert into chaos_intents values (new.renewal_id, current_setting('application_name'));
    return new;
end $$;
create trigger chaos_intent after insert on renewals for each row execute function chaos_intent();
create function chaos_holder() returns trigger language plpgsql as $$ begin
    insert into chaos_holders values (new.lease_holder, current_setting('application_name')) on conflict do nothing;
    return new;
end $$;
create trigger chaos_holder after update of lease_holder on credentials for each row
    when (new.lease_holder is not null) execute function chaos_holder();";

pub(crate) enum Base {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Base {
    /// Where a new database of this kind is.
    pub(crate) async fn make(on: On, folder: &Path) -> Location {
        let cluster = match on {
            On::Sqlite => return Location::Sqlite(folder.join("mooring.db")),
            On::Postgres => Cluster::steady(),
            On::FragilePostgres => Cluster::fragile(),
        };
        let name = format!("chaos_{}", uuid::Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
        let create = AssertSqlSafe(format!("create database {name}"));
        sqlx::query(create).execute(&mut admin).await.unwrap();
        Location::Postgres(cluster.url(&name))
    }

    /// Opens what Mooring's store has set up.
    pub(crate) async fn open(location: &Location) -> Self {
        match location {
            Location::Sqlite(file) => {
                let options =
                    SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(30));
                Self::Sqlite(SqlitePool::connect_with(options).await.unwrap())
            }
            Location::Postgres(url) => {
                let pool = PgPoolOptions::new().max_connections(4).connect(url).await.unwrap();
                sqlx::raw_sql(WITNESSES).execute(&pool).await.unwrap();
                Self::Postgres(pool)
            }
        }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => sqlx::query(sql).execute(pool).await.map(drop),
            Self::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(drop),
        }
        .unwrap();
    }

    pub(crate) async fn rows<T>(&self, sql: &str) -> Vec<T>
    where
        T: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>,
    {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Self::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        }
        .unwrap()
    }

    pub(crate) async fn count(&self, sql: &str) -> u64 {
        let rows: Vec<(i64,)> = self.rows(sql).await;
        u64::try_from(rows[0].0).expect("a count")
    }

    /// Waits until the database has finished what a killed process had sent it. A lease lasts five times as long as
    /// a statement may, so nobody sees the lease end before that.
    pub(crate) async fn outlive(&self, process: &str) {
        let sessions = format!("select count(*) from pg_stat_activity where application_name = '{process}'");
        while self.count(&sessions).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the leases of processes that were killed, as if their time had passed.
    pub(crate) async fn end_leases_of_the_dead(&self) {
        if matches!(self, Self::Postgres(_)) {
            self.execute(
                "update credentials set lease_until = 0
                  where lease_until > 0 and lease_holder in
                        (select holder from chaos_holders h join chaos_dead d on d.process = h.process)",
            )
            .await;
        }
    }

    /// Refuses every write of Mooring as a standby does, or takes them again.
    pub(crate) async fn refuse_writes(&self, refused: bool) {
        for table in ["credentials", "renewals", "events"] {
            self.execute(&if refused {
                format!(
                    "create trigger chaos_refuse before insert or update or delete on {table}
                        for each statement execute function chaos_refuse()"
                )
            } else {
                format!("drop trigger chaos_refuse on {table}")
            })
            .await;
        }
    }

    /// What waits for a later attempt may be tried now, as if the time had passed.
    pub(crate) async fn end_waits(&self) {
        self.execute(
            "update credentials set next_attempt_at = 0 where next_attempt_at > 0 and stopped is null",
        )
        .await;
        self.execute("update breakers set probe_at = 0 where probe_at > 0").await;
    }
}
