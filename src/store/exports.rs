//! Credentials that were sealed for another installation. Two that renew one credential would kill it, so the mark
//! comes first: from then on nothing here renews it, and what is read after it is what the other one gets.

use super::{
    Store, StoreError,
    connection_changes::ImportedConnection,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::micros,
};
use crate::{
    domain::{Actor, Change, Connection, ConnectionId, EventKind},
    vault::{Recipient, SealedTo, VaultError},
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Nobody renews it now, and no renewal's answer can be on its way: after one that was sent and not answered only the
/// provider knows whether the credential is spent. Of a stopped one that is settled.
const MARK: &str = "update credentials
    set exported_at = $2
  where connection_id = $1
    and (lease_until is null or lease_until <= (select now from clock))
    and not exists (
        select 1 from renewals r
         where r.connection_id = credentials.connection_id
           and (r.outcome is null
                or r.outcome = 'uncertain' and r.generation = credentials.generation
                   and credentials.stopped is null))";

impl Store {
    /// Who another installation exports to, so that this one can import.
    pub fn recipient(&self) -> Recipient {
        self.keyring.recipient()
    }

    /// Opens what was sealed to this installation.
    pub fn open_sealed_to(&self, sealed: &SealedTo) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.keyring.open_sealed_to(sealed)
    }

    /// Marks connections as exported, and says which of them were: not those of which a renewal is under way or in
    /// doubt. One that was marked before is marked again.
    pub async fn mark_exported(
        &self,
        connections: &[Connection],
        detail: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let mut marked = Vec::with_capacity(connections.len());
        in_transaction!(self.db, |tx| {
            for connection in connections {
                let changed = sqlx::query(MARK)
                    .bind(connection.id.to_string())
                    .bind(micros(at))
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
                if changed == 1 {
                    let tenant = connection.tenant.as_deref();
                    let mut told = event(EventKind::Exported, at, connection.id, tenant, actor);
                    told.detail = Some(detail.to_owned());
                    append_event!(tx, &told);
                    marked.push(connection.id);
                }
            }
        });
        for id in &marked {
            self.tell(&Change::Connection(*id));
        }
        Ok(marked)
    }

    /// An exported connection with its tokens in the open, as the other installation gets it. `None`: it is not
    /// exported any more.
    pub async fn open_exported(&self, id: ConnectionId) -> Result<Option<ImportedConnection>, StoreError> {
        let held = self.open_credential(id).await?;
        let Some(held) = held.filter(|held| held.connection.credential.exported_at.is_some()) else {
            return Ok(None);
        };
        let brought_hash: Option<Option<Vec<u8>>> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select brought_hash from credentials where connection_id = $1 and generation = $2"
        )
        .bind(id.to_string())
        .bind(held.connection.credential.generation)
        .fetch_optional(pool)
        .await?);
        Ok(brought_hash.map(|brought_hash| ImportedConnection { held, brought_hash }))
    }

    /// Lets this installation renew an exported credential again. `false`: it has another one by now, is not exported,
    /// or is gone.
    pub async fn take_back(
        &self,
        was: &Connection,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::TakenBack, at, was.id, was.tenant.as_deref(), actor);
        let changed = in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update credentials set exported_at = null
                  where connection_id = $1 and generation = $2 and exported_at is not null",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 1 {
                append_event!(tx, &told);
            }
            changed == 1
        });
        self.tell(&Change::Connection(was.id));
        Ok(changed)
    }
}
