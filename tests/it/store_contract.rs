//! The store's promises, each on both databases: there is no SQL that the compiler checked.

mod breakers;
mod checks;
mod connect_sessions;
mod connections;
mod credentials;
mod events;
mod expiry;
mod exports;
mod figures;
mod idempotent_calls;
mod notices;
mod opening;
mod people;
mod renewals;
mod reseal;
mod revocations;
mod roles;
mod settings;
mod single_sign_on;
mod standings;

use crate::support::{app::On, postgres};
use mooring::{
    domain::{
        Account, AccountKind, Actor, BaseUrl, CheckOutcome, Connection, ConnectionId, Credential,
        CredentialFacts, Method, Renewal, RenewalKind, Resource, ResourceKind, Scopes, Secret, TokenKind,
        UseCaseCheck,
    },
    store::{AsOf, Held, Location, NextCredential, Renewed, Store, StoreError},
    vault::{Keyring, generate_key},
};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2027-01-31 12:00:00.123456 UTC);
const MOORING: Actor = Actor::Mooring;
const AS_OF: AsOf = AsOf { now: NOW, warn_before: Duration::days(30) };

/// A store on a database of its own, which can also be reached behind its back.
struct Shelf {
    store: Store,
    location: Location,
    key: String,
    raw: Raw,
    folder: TempDir,
}

enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Shelf {
    async fn open(on: On) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let key = generate_key().to_string();
        let location = match on {
            On::Sqlite => Location::Sqlite(folder.path().join("mooring.db")),
            On::Postgres => Location::Postgres(postgres::database().await.url()),
        };
        let store = open(&location, &key, &[]).await.expect("the store opens");
        let raw = Raw::connect(&location).await;
        Self { store, location, key, raw, folder }
    }

    /// Adds a connection with its first credential, as it then is in the store.
    async fn with(&self, connection: &Connection, credential: &Credential) -> Held {
        self.store.add_connection(connection, credential, &MOORING).await.expect("it is added");
        self.held(connection.id).await
    }

    /// A connection by OAuth with nothing special.
    async fn plain(&self, name: &str) -> Held {
        self.with(&connection(name, None), &oauth("access-1", "refresh-1")).await
    }

    async fn held(&self, id: ConnectionId) -> Held {
        self.store.open_credential(id).await.expect("the store answers").expect("it is there")
    }

    /// Runs a statement behind the store's back and says how many rows it changed.
    async fn run(&self, sql: impl Into<String>) -> u64 {
        let sql = AssertSqlSafe(sql.into());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query(sql).execute(pool).await.expect("it runs").rows_affected(),
            Raw::Postgres(pool) => sqlx::query(sql).execute(pool).await.expect("it runs").rows_affected(),
        }
    }

    /// The one number that a query gives.
    async fn number(&self, sql: impl Into<String>) -> i64 {
        let sql = AssertSqlSafe(sql.into());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.expect("a number"),
            Raw::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.expect("a number"),
        }
    }

    /// The one row of bytes that a query gives, or `None` for null.
    async fn bytes(&self, sql: impl Into<String>) -> Option<Vec<u8>> {
        let sql = AssertSqlSafe(sql.into());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.expect("bytes"),
            Raw::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.expect("bytes"),
        }
    }
}

impl Raw {
    async fn connect(location: &Location) -> Self {
        match location {
            Location::Sqlite(file) => {
                let url = format!("sqlite://{}", file.display());
                Self::Sqlite(SqlitePool::connect(&url).await.expect("the file opens"))
            }
            Location::Postgres(url) => {
                Self::Postgres(PgPool::connect(url).await.expect("PostgreSQL answers"))
            }
        }
    }
}

async fn open(location: &Location, active: &str, retired: &[&str]) -> Result<Store, StoreError> {
    let keyring = Keyring::new(active, retired.iter().copied()).expect("these are keys");
    Store::open(location, Arc::new(keyring)).await
}

fn base_url() -> BaseUrl {
    BaseUrl::parse_typed("https://gitlab.example.com/sub").expect("a base URL")
}

/// A connection by OAuth in which every optional field says something.
fn connection(name: &str, tenant: Option<&str>) -> Connection {
    Connection {
        id: ConnectionId::fresh(),
        name: name.into(),
        description: Some("what it is for".into()),
        tenant: tenant.map(str::to_owned),
        tags: BTreeMap::from([("team".into(), "sec".into())]),
        integration: Some("gitlab".into()),
        provider: "gitlab".into(),
        base_url: base_url(),
        method: Method::OAuth,
        token_kind: TokenKind::OAuth,
        account: Some(Account {
            id: 7,
            username: Some("alice".into()),
            name: Some("Alice Adams".into()),
            kind: AccountKind::ProjectBot,
            web_url: Some("https://gitlab.example.com/alice".into()),
            resource: Some(Resource { kind: ResourceKind::Project, id: 12 }),
        }),
        use_cases: vec!["code-review".into()],
        checks: vec![check("code-review", CheckOutcome::Ok)],
        credential: CredentialFacts {
            rejections: 0,
            exported_at: None,
            generation: 1,
            scopes: Scopes::parse("api read_user"),
            renewal: RenewalKind::Refresh,
            obtained_at: NOW,
            expires_at: Some(NOW + Duration::hours(2)),
            renew_at: Some(NOW + Duration::hours(1)),
            last_renewed_at: None,
            stopped: None,
            failure: None,
        },
        last_checked_at: Some(NOW),
        last_used_at: None,
        breaker: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn check(use_case: &str, outcome: CheckOutcome) -> UseCaseCheck {
    UseCaseCheck {
        use_case: use_case.into(),
        outcome,
        missing_scopes: vec!["write_repository".into()],
        least_role: "Maintainer".into(),
        too_low_in: vec!["acme/web".into()],
    }
}

fn oauth(access_token: &str, refresh_token: &str) -> Credential {
    Credential {
        access_token: Secret::new(access_token),
        obtained_at: NOW,
        expires_at: Some(NOW + Duration::hours(2)),
        scopes: Scopes::parse("api read_user"),
        renewal: Renewal::Refresh(Secret::new(refresh_token)),
    }
}

fn pasted(access_token: &str) -> Credential {
    Credential { expires_at: None, renewal: Renewal::Manual, ..oauth(access_token, "") }
}

fn renewed(credential: &Credential, renew_at: Option<OffsetDateTime>) -> Renewed<'_> {
    Renewed { next: NextCredential { credential, renew_at }, lost: None }
}

fn refresh_token(credential: &Credential) -> Option<&str> {
    match &credential.renewal {
        Renewal::Refresh(token) => Some(token.expose()),
        Renewal::SelfRotate | Renewal::Manual => None,
    }
}

/// A method that nobody calls here was never run on one of the two databases.
#[test]
fn every_method_of_the_store_is_called_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let called: String = rust_files(&root.join("tests/it/store_contract")).into_iter().map(read).collect();
    let methods: Vec<String> = rust_files(&root.join("src/store"))
        .into_iter()
        .flat_map(|file| public_methods(&read(file)))
        .collect();
    assert!(methods.len() > 40, "the source was read: {methods:?}");
    let missing: Vec<_> = methods.iter().filter(|name| !called.contains(&format!("store.{name}("))).collect();
    assert!(missing.is_empty(), "not called in tests/it/store_contract: {missing:?}");
}

fn public_methods(source: &str) -> Vec<String> {
    let lines = source.lines().filter_map(|line| line.strip_prefix("    pub async fn "));
    let names = lines.filter_map(|line| line.split(['(', '<']).next().map(str::to_owned));
    names.filter(|name| !["open", "look"].contains(&name.as_str())).collect()
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.expect("it can be read").path()).filter(|path| path.is_file()).collect()
}

fn read(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
