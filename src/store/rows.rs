//! Between columns and the types of `domain`: instants as microseconds, JSON as text, no tenant as ''.

use super::StoreError;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, str::FromStr};
use time::OffsetDateTime;

/// Microseconds since 1970: the same value and order in both databases.
pub(super) fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).expect("years up to 9999 fit")
}

pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have string keys")
}

/// Reads the columns of one row, and can say which row would not be read.
pub(super) struct Reader<'a> {
    pub(super) table: &'static str,
    pub(super) row: &'a str,
}

impl Reader<'_> {
    pub(super) fn error(&self, cause: impl Display) -> StoreError {
        StoreError::Row { table: self.table, row: self.row.to_owned(), cause: cause.to_string() }
    }

    pub(super) fn instant(&self, micros: i64) -> Result<OffsetDateTime, StoreError> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|e| self.error(e))
    }

    pub(super) fn instant_if_any(&self, micros: Option<i64>) -> Result<Option<OffsetDateTime>, StoreError> {
        micros.map(|m| self.instant(m)).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|e| self.error(e))
    }

    pub(super) fn word<T: FromStr<Err: Display>>(&self, word: &str) -> Result<T, StoreError> {
        word.parse().map_err(|e| self.error(e))
    }
}

/// What was read of a row. One that cannot be read is passed over, so that it does not hide the others; the
/// log names it and tells nothing of its content.
pub(super) fn readable<T>(table: &'static str, row: &str, read: Result<T, StoreError>) -> Option<T> {
    let error = match read {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let cause = match error {
        StoreError::Vault(cause) => cause.to_string(),
        _ => "a column is not understood".to_owned(),
    };
    tracing::error!(table, row, cause, "a row cannot be read and is passed over");
    None
}

/// The column form of an optional tenant: a unique index does not compare nulls.
pub(super) fn tenant_column(tenant: Option<&str>) -> &str {
    tenant.unwrap_or_default()
}

pub(super) fn tenant_from(column: String) -> Option<String> {
    Some(column).filter(|t| !t.is_empty())
}

/// Characters of a search that count. SQLite refuses patterns of more than 50,000 bytes.
const LONGEST_SEARCH: usize = 200;

/// `%text%` with the text's own wildcards taken literally. Its case is the database's to fold, as it folds the
/// columns': SQLite knows ASCII alone.
pub(super) fn like_pattern(text: &str) -> String {
    let text: String = text.trim().chars().take(LONGEST_SEARCH).collect();
    if text.is_empty() {
        return String::new();
    }
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
