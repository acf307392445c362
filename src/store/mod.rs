//! Everything that is kept: one concrete `Store` on SQLite and PostgreSQL, one SQL text for both.
//!
//! Plaintext of a credential leaves it only as a `Secret`, through `credentials.rs`, `authorizations.rs`,
//! `connect_sessions.rs`, `single_sign_ons.rs` and `revocations.rs`; a signing secret through `endpoint_health.rs`; an
//! answer that is given again through `idempotent_calls.rs`. No transaction is open across a call
//! to a provider. Every change of a connection or an API key writes its event in the same transaction: the
//! log is the change feed.

mod api_keys;
mod authorizations;
mod breakers;
mod check_outcomes;
mod checks;
mod connect_sessions;
mod connection_changes;
mod connection_list;
mod connections;
mod credentials;
mod db;
mod deliveries;
mod delivery_log;
mod endpoint_health;
mod events;
mod expiry;
mod exports;
mod figures;
mod idempotent_calls;
mod identities;
mod invitations;
mod leases;
mod look;
mod migrate;
mod operators;
mod outbox;
mod outcomes;
mod people;
mod postgres;
mod renewal_history;
mod renewals;
mod revocations;
mod rows;
mod sealed;
mod sessions;
mod single_sign_ons;
mod standings;
mod sweep;
mod usage;
mod usage_days;
mod vault_canary;
mod wake;
mod webhook_endpoints;

pub use api_keys::{ApiKey, ApiKeyFilter, NewApiKey};
pub use authorizations::{Authorization, NewAuthorization};
pub use breakers::{Fault, OpenBreaker};
pub use checks::{CheckLimits, DueCheck};
pub use connection_changes::{ConnectionEdit, ImportedConnection, RenewalChoice};
pub use connection_list::{ConnectionFilter, EndCount, Slice, Sort};
pub use connections::AllNames;
pub use credentials::{Held, NextCredential};
pub use deliveries::{AttemptEnd, Attempted, TakenDelivery};
pub use delivery_log::{DeliveryRecord, DeliveryState};
pub use endpoint_health::WebhookTarget;
pub use events::{EventFilter, EventPage, LoggedEvent, Watcher};
pub use expiry::{Enders, Ending};
pub use exports::Mark;
pub use figures::{ConnectionFigures, EXPIRING_WITHIN_DAYS, Figures, NoticeFigures, RenewalFigures};
pub use idempotent_calls::{Claim, IdempotentCall};
pub use identities::{Admitted, Identity, KeptOut};
pub use invitations::{Invitation, Invited};
pub use look::Schema;
pub use operators::Operator;
pub use outbox::{Audience, MAIL, NewDelivery};
pub use outcomes::{RenewalFailure, Renewed};
pub use people::{Changed, Person};
pub use renewal_history::RenewalRecord;
pub use renewals::{RenewalCause, RenewalOutcome, UnfinishedRenewal};
pub use revocations::{GivenUp, OwedRevocation, TokenHint};
pub use sealed::{Resealed, SealedColumn, SealedCounts};
pub use sessions::{EndSessions, StoredSession};
pub use single_sign_ons::{NewSingleSignOn, SingleSignOn};
pub use standings::AsOf;
pub use usage::{KeyUsage, KeyUse, UsageCount};
pub use usage_days::UsageDay;
pub use webhook_endpoints::{EndpointStatus, NewWebhookEndpoint, WebhookEndpoint};

use crate::vault::{Keyring, VaultError};
use db::{Db, on};
use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
};

/// Where the database is.
#[derive(Clone)]
pub enum Location {
    Sqlite(PathBuf),
    /// A `postgres://` URL, which holds a password.
    Postgres(String),
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("a file could not be read or written: {0}")]
    File(#[from] std::io::Error),
    #[error("MOORING_ENCRYPTION_KEY is not the key that this database was sealed with")]
    WrongKey,
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("another connection of this tenant has that name")]
    NameTaken,
    #[error("row {row} of {table} cannot be read: {cause}")]
    Row { table: &'static str, row: String, cause: String },
}

/// The database and the keyring that opens its sealed columns.
#[derive(Clone)]
pub struct Store {
    db: Db,
    keyring: Arc<Keyring>,
    watchers: Arc<RwLock<Vec<Watcher>>>,
}

impl Store {
    /// Opens the database, brings its schema up to date, and refuses a keyring that does not open it.
    pub async fn open(location: &Location, keyring: Arc<Keyring>) -> Result<Self, StoreError> {
        let db = match location {
            Location::Sqlite(file) => Db::open_sqlite(file).await?,
            Location::Postgres(url) => Db::Postgres(postgres::Postgres::open(url).await?),
        };
        let store = Self { db, keyring, watchers: Arc::default() };
        store.prove_key().await?;
        Ok(store)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        on!(self.db, read, |pool| sqlx::query("select now from clock").execute(pool).await?.rows_affected());
        Ok(())
    }

    /// Closes every connection to the database.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}
