//! One known value, sealed: a wrong key is found at start, before it can seal anything.
//!
//! It follows the active key, so that it does not keep a retired one in the keyring for ever.

use super::{Store, StoreError, db::on};
use crate::vault::Binding;

const KNOWN: &[u8] = b"mooring";
const BINDING: Binding<'static> =
    Binding { table: "vault_canary", row: "1", field: "sealed", base_url: "", generation: 1 };

impl Store {
    pub(super) async fn prove_key(&self) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "insert into vault_canary (canary_id, sealed) values (1, $1) on conflict do nothing"
        )
        .bind(self.keyring.seal(KNOWN, BINDING))
        .execute(pool)
        .await?
        .rows_affected());
        if self.proves_key().await? { Ok(()) } else { self.reseal_canary().await }
    }

    /// Whether the known value is sealed under the active key, and not under a retired one. An error where none of
    /// the keys opens it. Before the first start there is none, and every key is right.
    pub async fn proves_key(&self) -> Result<bool, StoreError> {
        let sealed: Option<Vec<u8>> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select sealed from vault_canary where canary_id = 1"
        )
        .fetch_optional(pool)
        .await?);
        let Some(sealed) = sealed else { return Ok(true) };
        match self.keyring.open(&sealed, BINDING) {
            Ok(known) if *known == KNOWN => Ok(self.keyring.is_current(&sealed)),
            _ => Err(StoreError::WrongKey),
        }
    }

    async fn reseal_canary(&self) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query("update vault_canary set sealed = $1 where canary_id = 1")
            .bind(self.keyring.seal(KNOWN, BINDING))
            .execute(pool)
            .await?
            .rows_affected());
        Ok(())
    }
}
