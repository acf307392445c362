//! Leases: which process may renew a credential now. Times are the database's clock.
//!
//! A lease only keeps two processes from asking the provider at once. What protects the credential is
//! the fence on its generation, in `credentials.rs`.

use super::{
    Store, StoreError,
    db::{Db, on},
};
use crate::domain::ConnectionId;
use std::time::Duration;

impl Store {
    /// Takes the lease on a credential for `holder`. `false`: another holder has it, it was exported, or nothing is
    /// there. One statement: whoever's update matches holds it.
    pub async fn claim_lease(
        &self,
        id: ConnectionId,
        holder: &str,
        length: Duration,
    ) -> Result<bool, StoreError> {
        let micros = i64::try_from(length.as_micros()).expect("a lease lasts minutes");
        Ok(on!(self.db, write, |pool| sqlx::query(
            "update credentials
                set lease_holder = $2, lease_until = (select now from clock) + $3
              where connection_id = $1 and exported_at is null
                and (lease_until is null or lease_until <= (select now from clock))",
        )
        .bind(id.to_string())
        .bind(holder)
        .bind(micros)
        .execute(pool)
        .await?
        .rows_affected())
            == 1)
    }

    /// Lets the lease last from now on again. `false`: another holder has it, or it was exported.
    pub async fn extend_lease(
        &self,
        id: ConnectionId,
        holder: &str,
        length: Duration,
    ) -> Result<bool, StoreError> {
        let micros = i64::try_from(length.as_micros()).expect("a lease lasts minutes");
        Ok(on!(self.db, write, |pool| sqlx::query(
            "update credentials set lease_until = (select now from clock) + $3
              where connection_id = $1 and lease_holder = $2 and exported_at is null",
        )
        .bind(id.to_string())
        .bind(holder)
        .bind(micros)
        .execute(pool)
        .await?
        .rows_affected())
            == 1)
    }

    /// Ends every lease, where only one process can be at work: a predecessor's crash must hold nothing back.
    pub async fn drop_leases_of_predecessor(&self) -> Result<(), StoreError> {
        if let Db::Sqlite { write, .. } = &self.db {
            sqlx::query("update credentials set lease_holder = null, lease_until = null")
                .execute(write)
                .await?;
        }
        Ok(())
    }

    /// Gives the lease back, if it is still this holder's.
    pub async fn release_lease(&self, id: ConnectionId, holder: &str) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update credentials
                set lease_holder = null, lease_until = null
              where connection_id = $1 and lease_holder = $2",
        )
        .bind(id.to_string())
        .bind(holder)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }
}
