//! Every column that holds sealed values: which keys they depend on, and how they move to the active one.
//!
//! A value is replaced only while it is the one that was read. Its nonce makes it unlike any other, so a renewal
//! that comes in between is never overwritten.

use super::{
    Store, StoreError,
    authorizations::hex,
    db::{in_transaction, on},
};
use crate::vault::{Binding, KeyId, VaultError};
use std::collections::BTreeMap;

/// How many values each key seals, also keys that are not in the keyring.
pub type SealedCounts = BTreeMap<KeyId, i64>;

/// How many rows are read, and then written in one transaction, so that nobody waits long for it.
const BATCH: i64 = 100;

/// A column that holds sealed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SealedColumn {
    AccessTokens,
    RefreshTokens,
    Answers,
    Revocations,
    CodeVerifiers,
    WebhookSecrets,
    EarlierWebhookSecrets,
    /// What people brought in connect sessions that are not completed.
    Brought,
    /// Code verifiers of sign-ins under way.
    SignIns,
    /// Answers of the API that are given again.
    IdempotentCalls,
}

/// What a reseal of one column did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    pub resealed: u64,
    /// Replaced or deleted by somebody else in between.
    pub superseded: u64,
    /// Sealed under a key that is not in the keyring, or damaged.
    pub unopened: u64,
}

/// A column with the statements that read what is not under the active key, and replace one value.
struct Column {
    table: &'static str,
    field: &'static str,
    select: &'static str,
    update: &'static str,
}

macro_rules! column {
    ($table:literal, $key:literal, $field:literal, $base_url:literal) => {
        column!($table, $key, $field, $base_url, "cast(1 as bigint)", "")
    };
    ($table:literal, $key:literal, $field:literal, $base_url:literal, $generation:literal, $join:literal) => {
        Column {
            table: $table,
            field: $field,
            select: concat!(
                "select s.",
                $key,
                ", ",
                $base_url,
                ", ",
                $generation,
                ", s.",
                $field,
                " from ",
                $table,
                " s ",
                $join,
                " where s.",
                $field,
                " is not null and substr(s.",
                $field,
                ", 2, 4) <> $1 and s.",
                $key,
                " > $2",
                " order by s.",
                $key,
                " limit $3"
            ),
            update: concat!(
                "update ",
                $table,
                " set ",
                $field,
                " = $1 where ",
                $key,
                " = $2 and ",
                $field,
                " = $3"
            ),
        }
    };
}

macro_rules! of_a_connection {
    ($table:literal, $key:literal, $field:literal) => {
        column!(
            $table,
            $key,
            $field,
            "c.base_url",
            "s.generation",
            "join connections c on c.connection_id = s.connection_id"
        )
    };
}

impl SealedColumn {
    /// In the order of a reseal.
    pub const ALL: [Self; 10] = [
        Self::AccessTokens,
        Self::RefreshTokens,
        Self::Answers,
        Self::Revocations,
        Self::CodeVerifiers,
        Self::WebhookSecrets,
        Self::EarlierWebhookSecrets,
        Self::Brought,
        Self::SignIns,
        Self::IdempotentCalls,
    ];

    fn column(self) -> Column {
        match self {
            Self::AccessTokens => of_a_connection!("credentials", "connection_id", "access_token"),
            Self::RefreshTokens => of_a_connection!("credentials", "connection_id", "refresh_token"),
            Self::Answers => of_a_connection!("renewals", "renewal_id", "answer"),
            Self::Revocations => column!("revocations", "revocation_id", "token", "s.base_url"),
            Self::CodeVerifiers => column!("authorizations", "state_hash", "code_verifier", "s.base_url"),
            Self::WebhookSecrets => column!("webhook_endpoints", "endpoint_id", "secret", "s.url"),
            Self::EarlierWebhookSecrets => {
                column!("webhook_endpoints", "endpoint_id", "previous_secret", "s.url")
            }
            Self::Brought => column!("connect_sessions", "connect_session_id", "waiting", "s.return_url"),
            Self::SignIns => column!("single_sign_ons", "state_hash", "code_verifier", "s.issuer"),
            Self::IdempotentCalls => {
                column!("idempotent_calls", "call_id", "answer", "''", "s.claimed_at", "")
            }
        }
    }
}

/// Goes through a column whose key is of this type, batch by batch behind the last key that was read.
macro_rules! reseal_all {
    ($store:expr, $column:expr, $key:ty, $row:expr, $at_most:expr) => {{
        let (store, column): (&Store, Column) = ($store, $column);
        let active = store.keyring.ids().0.as_bytes().to_vec();
        let (mut done, mut after) = (Resealed::default(), <$key>::default());
        loop {
            let left = i64::try_from($at_most - done.resealed).unwrap_or(i64::MAX).min(BATCH);
            let rows: Vec<($key, String, i64, Vec<u8>)> =
                on!(store.db, read, |pool| sqlx::query_as(column.select)
                    .bind(&active)
                    .bind(&after)
                    .bind(left)
                    .fetch_all(pool)
                    .await?);
            let Some((last, ..)) = rows.last() else { return Ok(done) };
            after = last.clone();
            let mut replacements = Vec::with_capacity(rows.len());
            for (key, base_url, generation, was) in rows {
                match store.sealed_anew(&column, (&$row(&key), &base_url, generation), &was) {
                    Ok(next) => replacements.push((key, was, next)),
                    Err(_) => done.unopened += 1,
                }
            }
            in_transaction!(store.db, |tx| {
                for (key, was, next) in &replacements {
                    let replace = sqlx::query(column.update).bind(next).bind(key).bind(was);
                    match replace.execute(&mut *tx).await?.rows_affected() {
                        0 => done.superseded += 1,
                        _ => done.resealed += 1,
                    }
                }
            });
        }
    }};
}

impl Store {
    /// The ids of the active key and of the retired ones.
    pub fn key_ids(&self) -> (KeyId, Vec<KeyId>) {
        self.keyring.ids()
    }

    /// Seals up to `at_most` values of a column under the active key, beside servers that renew. What is under it
    /// already is not read; what cannot be opened is counted and left as it is.
    pub async fn reseal(&self, of: SealedColumn, at_most: u64) -> Result<Resealed, StoreError> {
        if matches!(of, SealedColumn::CodeVerifiers | SealedColumn::SignIns) {
            reseal_all!(self, of.column(), Vec<u8>, |key: &Vec<u8>| hex(key), at_most);
        }
        reseal_all!(self, of.column(), String, |key: &String| key.clone(), at_most)
    }

    fn sealed_anew(
        &self,
        column: &Column,
        (row, base_url, generation): (&str, &str, i64),
        was: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let bound = Binding { table: column.table, row, field: column.field, base_url, generation };
        Ok(self.keyring.seal(&self.keyring.open(was, bound)?, bound))
    }

    /// Counts every sealed value by its key. Reads the heads of all of them.
    pub async fn sealed_counts(&self) -> Result<SealedCounts, StoreError> {
        let mut counts = SealedCounts::new();
        for (_, key, count) in self.sealed_values().await? {
            *counts.entry(key).or_default() += count;
        }
        Ok(counts)
    }

    /// The same by column.
    pub async fn sealed_values(&self) -> Result<Vec<(SealedColumn, KeyId, i64)>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select cast(s.place as bigint), s.key_id, count(*)
               from (select 0 as place, substr(access_token, 2, 4) as key_id from credentials
                      union all
                     select 1, substr(refresh_token, 2, 4) from credentials where refresh_token is not null
                      union all
                     select 2, substr(answer, 2, 4) from renewals where answer is not null
                      union all
                     select 3, substr(token, 2, 4) from revocations
                      union all
                     select 4, substr(code_verifier, 2, 4) from authorizations where code_verifier is not null
                      union all
                     select 5, substr(secret, 2, 4) from webhook_endpoints
                      union all
                     select 6, substr(previous_secret, 2, 4) from webhook_endpoints
                      where previous_secret is not null
                      union all
                     select 7, substr(waiting, 2, 4) from connect_sessions where waiting is not null
                      union all
                     select 8, substr(code_verifier, 2, 4) from single_sign_ons
                      union all
                     select 9, substr(answer, 2, 4) from idempotent_calls where answer is not null) s
              group by s.place, s.key_id
              order by s.place, s.key_id"
        )
        .fetch_all(pool)
        .await?);
        let column = |place: i64| SealedColumn::ALL.get(usize::try_from(place).ok()?).copied();
        let read =
            |(place, key, count): (i64, Vec<u8>, i64)| Some((column(place)?, KeyId::from_head(&key)?, count));
        Ok(rows.into_iter().filter_map(read).collect())
    }
}
