//! The database beside the app, as somebody who stole it would see it.

use super::app::TestApp;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::fs;

/// How many rows a table has.
pub(crate) async fn rows(app: &TestApp, table: &str) -> i64 {
    let count = AssertSqlSafe(format!("select count(*) from {table}"));
    if let Some(url) = app.vars().get("MOORING_DATABASE_URL") {
        let mut db = PgConnection::connect(url).await.expect("PostgreSQL answers");
        return sqlx::query_scalar(count).fetch_one(&mut db).await.expect("the table is there");
    }
    let file = format!("sqlite:{}", app.data.path().join("mooring.db").display());
    let mut db = SqliteConnection::connect(&file).await.expect("the file opens");
    sqlx::query_scalar(count).fetch_one(&mut db).await.expect("the table is there")
}

/// Runs a statement behind the app's back.
pub(crate) async fn run(app: &TestApp, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if let Some(url) = app.vars().get("MOORING_DATABASE_URL") {
        let mut db = PgConnection::connect(url).await.expect("PostgreSQL answers");
        sqlx::query(sql).execute(&mut db).await.expect("it runs");
        return;
    }
    let file = format!("sqlite:{}", app.data.path().join("mooring.db").display());
    let mut db = SqliteConnection::connect(&file).await.expect("the file opens");
    sqlx::query(sql).execute(&mut db).await.expect("it runs");
}

/// All that is kept: the files of SQLite as they are, or every row of PostgreSQL as text.
pub(crate) async fn dump(app: &TestApp) -> String {
    match app.vars().get("MOORING_DATABASE_URL") {
        Some(url) => rows_as_text(url).await,
        None => files(app),
    }
}

async fn rows_as_text(url: &str) -> String {
    let mut db = PgConnection::connect(url).await.expect("PostgreSQL answers");
    let names = "select tablename::text from pg_tables where schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut db).await.expect("there are tables");
    let mut text = String::new();
    for table in tables {
        let all = AssertSqlSafe(format!("select coalesce(string_agg(t::text, ' '), '') from {table} t"));
        text +=
            &sqlx::query_scalar::<_, String>(all).fetch_one(&mut db).await.expect("rows have a text form");
    }
    text
}

fn files(app: &TestApp) -> String {
    let parts =
        ["mooring.db", "mooring.db-wal"].map(|name| fs::read(app.data.path().join(name)).unwrap_or_default());
    String::from_utf8_lossy(&parts.concat()).into_owned()
}

/// Whether a secret is in a dump, as it is or in hexadecimal digits.
pub(crate) fn holds(dump: &str, secret: &str) -> bool {
    assert!(secret.len() >= 20, "{secret} is long enough to mean something");
    let hex: Vec<_> = secret.bytes().map(|b| format!("{b:02x}")).collect();
    dump.contains(secret) || dump.contains(&hex.concat())
}
