//! Which keys the sealed columns depend on: a retired key may go when nothing is sealed under it any more.

use super::{Store, StoreError, db::on};
use crate::vault::KeyId;
use std::collections::BTreeMap;

/// How many values each key seals, also keys that are not in the keyring.
pub type SealedCounts = BTreeMap<KeyId, i64>;

impl Store {
    /// The ids of the active key and of the retired ones.
    pub fn key_ids(&self) -> (KeyId, Vec<KeyId>) {
        self.keyring.ids()
    }

    /// Counts every sealed value by its key. Reads the heads of all of them.
    pub async fn sealed_counts(&self) -> Result<SealedCounts, StoreError> {
        let rows: Vec<(Vec<u8>, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select s.key_id, count(*)
               from (select substr(access_token, 2, 4) as key_id from credentials
                      union all
                     select substr(refresh_token, 2, 4) from credentials where refresh_token is not null
                      union all
                     select substr(answer, 2, 4) from renewals where answer is not null
                      union all
                     select substr(token, 2, 4) from revocations
                      union all
                     select substr(code_verifier, 2, 4) from authorizations where code_verifier is not null
                      union all
                     select substr(secret, 2, 4) from webhook_endpoints
                      union all
                     select substr(previous_secret, 2, 4) from webhook_endpoints
                      where previous_secret is not null) s
              group by s.key_id"
        )
        .fetch_all(pool)
        .await?);
        Ok(rows.into_iter().filter_map(|(id, count)| Some((KeyId::from_head(&id)?, count))).collect())
    }
}
