//! The database behind the stores' backs: leases follow its clock, and it can be made to refuse writes.

use super::op::Table;
use mooring::{domain::ConnectionId, store::Location};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool, sqlite::SqlitePoolOptions};

pub(super) enum Behind {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Behind {
    pub(super) async fn connect(location: &Location) -> Self {
        match location {
            Location::Sqlite(file) => {
                let url = format!("sqlite://{}", file.display());
                // One connection: a second one would not know at once which triggers there are.
                let pool = SqlitePoolOptions::new().max_connections(1).connect(&url).await;
                Self::Sqlite(pool.expect("the file opens"))
            }
            Location::Postgres(url) => {
                Self::Postgres(PgPool::connect(url).await.expect("PostgreSQL answers"))
            }
        }
    }

    async fn run(&self, sql: impl Into<String>) {
        let sql = sql.into();
        match self {
            Self::Sqlite(pool) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("it runs");
            }
            Self::Postgres(pool) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("it runs");
            }
        }
    }

    /// The one number that a query gives.
    pub(super) async fn number(&self, sql: impl Into<String>) -> i64 {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.expect("a number"),
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.expect("a number"),
        }
    }

    /// Lets the database's clock pass as far as leases are concerned.
    pub(super) async fn age_leases(&self, seconds: u64) {
        let micros = seconds * 1_000_000;
        self.run(format!("update credentials set lease_until = lease_until - {micros}")).await;
    }

    pub(super) async fn is_leased(&self, id: ConnectionId) -> bool {
        let leased = "lease_until > (select now from clock)";
        self.number(format!("select count(*) from credentials where connection_id = '{id}' and {leased}"))
            .await
            > 0
    }

    /// Answers of this connection that are in the journal and not yet understood.
    pub(super) async fn answers_waiting(&self, id: ConnectionId) -> i64 {
        let open = "outcome is null and answer is not null";
        self.number(format!("select count(*) from renewals where connection_id = '{id}' and {open}")).await
    }

    /// The database refuses writes to a table from now on.
    pub(super) async fn refuse(&self, table: Table) {
        let name = name(table);
        match self {
            Self::Sqlite(_) => {
                for verb in ["insert", "update"] {
                    let body = "begin select raise(abort, 'refused'); end";
                    self.run(format!("create trigger refuse_{verb} before {verb} on {name} {body}")).await;
                }
            }
            Self::Postgres(_) => {
                self.run(
                    "create or replace function refuse() returns trigger language plpgsql
                     as $$ begin raise exception 'refused'; end $$",
                )
                .await;
                let trigger = format!("create trigger refuse before insert or update on {name}");
                self.run(format!("{trigger} for each row execute function refuse()")).await;
            }
        }
    }

    pub(super) async fn mend(&self, table: Table) {
        match self {
            Self::Sqlite(_) => self.run("drop trigger refuse_insert; drop trigger refuse_update").await,
            Self::Postgres(_) => self.run(format!("drop trigger refuse on {}", name(table))).await,
        }
    }
}

fn name(table: Table) -> &'static str {
    match table {
        Table::Renewals => "renewals",
        Table::Credentials => "credentials",
    }
}
