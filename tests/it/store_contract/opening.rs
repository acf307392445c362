//! Opening: the key is proven, the file is private, and both schemas are one.

use super::{AssertSqlSafe, Raw, Shelf, open};
use crate::support::app::{On, on_both};
use mooring::{
    store::{Location, Schema, Store, StoreError},
    vault::{Keyring, generate_key},
};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, sync::Arc};

on_both!(another_encryption_key_does_not_open, async |on: On| {
    let shelf = Shelf::open(on).await;
    let wrong = open(&shelf.location, &generate_key(), &[]).await;
    assert!(matches!(wrong, Err(StoreError::WrongKey)));
    open(&shelf.location, &shelf.key, &[]).await.expect("the right one still opens").close().await;
});

on_both!(a_retired_key_opens_what_it_sealed, async |on: On| {
    let shelf = Shelf::open(on).await;
    let held = shelf.plain("acme").await;
    let rotated = open(&shelf.location, &generate_key(), &[&shelf.key]).await.expect("it opens");
    let again = rotated.open_credential(held.connection.id).await.unwrap().unwrap();
    assert_eq!(again.credential.access_token.expose(), "access-1");
});

on_both!(the_proof_of_the_key_follows_the_active_one, async |on: On| {
    let shelf = Shelf::open(on).await;
    let next = generate_key();
    open(&shelf.location, &next, &[&shelf.key]).await.expect("it opens").close().await;
    open(&shelf.location, &next, &[]).await.expect("the retired key is not needed to start").close().await;
    let retired = open(&shelf.location, &shelf.key, &[]).await;
    assert!(matches!(retired, Err(StoreError::WrongKey)));
});

on_both!(a_look_changes_nothing_and_tells_of_the_schema, async |on: On| {
    let shelf = Shelf::open(on).await;
    shelf.plain("acme").await;
    let look = async |key: &str, retired: &[&str]| {
        let keyring = Keyring::new(key, retired.iter().copied()).unwrap();
        Store::look(&shelf.location, Arc::new(keyring)).await.unwrap()
    };
    let (store, schema) = look(&shelf.key, &[]).await;
    assert_eq!((schema, store.proves_key().await.unwrap()), (Schema::Current, true));
    store.prove_writable().await.unwrap();
    store.prove_writable().await.expect("nothing was left behind");
    let next = generate_key();
    let (store, _) = look(&next, &[&shelf.key]).await;
    for _ in 0..2 {
        assert!(!store.proves_key().await.unwrap(), "the proof stays where it was");
    }
    let (store, _) = look(&next, &[]).await;
    assert!(matches!(store.proves_key().await, Err(StoreError::WrongKey)));
    shelf.run("delete from _sqlx_migrations where version > 7").await;
    let Schema::Older { missing } = look(&shelf.key, &[]).await.1 else { panic!("it is older") };
    assert!(missing >= 2, "{missing}");
    shelf.run("delete from _sqlx_migrations").await;
    assert!(matches!(look(&shelf.key, &[]).await.1, Schema::Older { .. }));
});

#[tokio::test]
async fn a_look_makes_no_file() {
    let folder = tempfile::TempDir::new().unwrap();
    let location = Location::Sqlite(folder.path().join("mooring.db"));
    let keyring = Keyring::new(&generate_key(), []).unwrap();
    assert!(Store::look(&location, Arc::new(keyring)).await.is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

on_both!(a_closed_store_does_not_answer, async |on: On| {
    let shelf = Shelf::open(on).await;
    shelf.store.ping().await.unwrap();
    shelf.store.close().await;
    assert!(shelf.store.ping().await.is_err());
    let again = open(&shelf.location, &shelf.key, &[]).await.expect("its migrations run once");
    again.ping().await.unwrap();
});

#[tokio::test]
async fn every_file_of_sqlite_is_for_its_owner_alone() {
    let shelf = Shelf::open(On::Sqlite).await;
    shelf.plain("acme").await;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(shelf.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?} has mode {mode:o}", entry.file_name());
        names.insert(entry.file_name().into_string().unwrap());
    }
    assert!(names.contains("mooring.db") && names.contains("mooring.db-wal"), "{names:?}");
}

#[tokio::test]
async fn no_token_stands_in_the_files_of_sqlite() {
    let shelf = Shelf::open(On::Sqlite).await;
    shelf.plain("acme").await;
    shelf.store.close().await;
    for entry in fs::read_dir(shelf.folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for token in ["access-1", "refresh-1"] {
            assert!(!bytes.windows(token.len()).any(|w| w == token.as_bytes()), "{token}");
        }
    }
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let (sqlite, postgres) = (Shelf::open(On::Sqlite).await, Shelf::open(On::Postgres).await);
    let (sqlite, postgres) = (columns(&sqlite).await, columns(&postgres).await);
    assert!(sqlite.len() > 80, "columns were found: {sqlite:?}");
    let differing: Vec<_> = sqlite.symmetric_difference(&postgres).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

/// Table, column, its type in one word for both databases, and whether it takes null.
async fn columns(shelf: &Shelf) -> BTreeSet<(String, String, String, bool)> {
    const SQLITE: &str = "select m.name, p.name, lower(p.type), p.\"notnull\" = 0 and p.pk = 0
          from sqlite_master m, pragma_table_info(m.name) p
         where m.type = 'table' and m.name not like 'sqlite!_%' escape '!' and m.name <> '_sqlx_migrations'";
    const POSTGRES: &str = "select c.table_name::text, c.column_name::text,
               case c.data_type when 'bigint' then 'integer' when 'bytea' then 'blob' else c.data_type::text end,
               c.is_nullable = 'YES'
          from information_schema.columns c
          join information_schema.tables t using (table_schema, table_name)
         where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.table_name <> '_sqlx_migrations'";
    let rows: Vec<(String, String, String, bool)> = match &shelf.raw {
        Raw::Sqlite(pool) => sqlx::query_as(AssertSqlSafe(SQLITE)).fetch_all(pool).await.expect("columns"),
        Raw::Postgres(pool) => {
            sqlx::query_as(AssertSqlSafe(POSTGRES)).fetch_all(pool).await.expect("columns")
        }
    };
    rows.into_iter().collect()
}
