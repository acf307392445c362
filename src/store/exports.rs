//! Credentials that were sealed for another installation. Two that renew one credential would kill it, so what is sealed
//! was read before the mark, and the mark is made only where nothing renewed it since: from then on nothing here does.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros},
};
use crate::{
    domain::{Actor, Change, Connection, ConnectionId, EventKind},
    vault::{Digest, Recipient, SealedTo, VaultError},
};
use std::collections::HashMap;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Of this generation, for this recipient and no other, while nobody renews it and no renewal's answer can be on its way.
const MARK: &str = "update credentials
    set exported_at = $3, exported_to = $4
  where connection_id = $1 and generation = $2
    and (exported_to is null or exported_to = $4)
    and (lease_until is null or lease_until <= (select now from clock))
    and not exists (select 1 from renewals r
                     where r.connection_id = credentials.connection_id and r.outcome is null)
    and (renewal = 'manual' or stopped is not null
         or not exists (select 1 from renewals r
                         where r.connection_id = credentials.connection_id
                           and r.generation = credentials.generation and r.outcome = 'uncertain'))";

/// Why there was no mark: the generation, the recipient, and how many renewals are in doubt.
const WHY: &str = "select k.generation, coalesce(k.exported_to, $2),
       (select count(*) from renewals r
         where r.connection_id = k.connection_id and r.generation = k.generation and r.outcome = 'uncertain')
  from credentials k
 where k.connection_id = $1";

/// How it went to mark a connection as exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Made,
    /// A renewal is under way, or its answer not taken in yet.
    UnderWay,
    /// A renewal was sent and not answered: only the provider knows whether the credential is spent.
    InDoubt,
    /// It was exported to another recipient before.
    Elsewhere,
    /// It has another credential by now, or is gone.
    Changed,
}

impl Store {
    /// Who another installation exports to, so that this one can import.
    pub fn recipient(&self) -> Recipient {
        self.keyring.recipient()
    }

    /// Opens what was sealed to this installation.
    pub fn open_sealed_to(&self, sealed: &SealedTo) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.keyring.open_sealed_to(sealed)
    }

    /// Marks connections as exported to `recipient`, each as it was read. One that was marked before for the same
    /// recipient is marked again.
    pub async fn mark_exported(
        &self,
        connections: &[&Connection],
        recipient: Recipient,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<Vec<Mark>, StoreError> {
        let (mut marks, recipient) = (Vec::with_capacity(connections.len()), recipient.to_string());
        in_transaction!(self.db, |tx| {
            for connection in connections {
                let changed = sqlx::query(MARK)
                    .bind(connection.id.to_string())
                    .bind(connection.credential.generation)
                    .bind(micros(at))
                    .bind(&recipient)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
                if changed == 1 {
                    let tenant = connection.tenant.as_deref();
                    let mut told = event(EventKind::Exported, at, connection.id, tenant, actor);
                    told.detail = Some(format!("To {recipient}."));
                    append_event!(tx, &told);
                    marks.push(Mark::Made);
                    continue;
                }
                let why: Option<(i64, String, i64)> = sqlx::query_as(WHY)
                    .bind(connection.id.to_string())
                    .bind(&recipient)
                    .fetch_optional(&mut *tx)
                    .await?;
                marks.push(match why {
                    Some((generation, ..)) if generation != connection.credential.generation => Mark::Changed,
                    Some((_, to, _)) if to != recipient => Mark::Elsewhere,
                    Some((_, _, 1..)) => Mark::InDoubt,
                    Some(_) => Mark::UnderWay,
                    None => Mark::Changed,
                });
            }
        });
        for connection in connections {
            self.tell(&Change::Connection(connection.id));
        }
        Ok(marks)
    }

    /// The connections that are marked as exported at this very instant, each with the hash of the access token that
    /// somebody brought last. `None`: it came by consent.
    pub async fn exported_at(
        &self,
        at: OffsetDateTime,
    ) -> Result<HashMap<ConnectionId, Option<Digest>>, StoreError> {
        let rows: Vec<(String, Option<Vec<u8>>)> = on!(self.db, read, |pool| sqlx::query_as(
            "select connection_id, brought_hash from credentials where exported_at = $1"
        )
        .bind(micros(at))
        .fetch_all(pool)
        .await?);
        let read = |(id, hash): (String, Option<Vec<u8>>)| {
            Ok((Reader { table: "credentials", row: &id }.word(&id)?, hash))
        };
        rows.into_iter().map(read).collect()
    }

    /// Lets this installation renew an exported credential again. `false`: it has another one by now, was
    /// exported once more, is not exported, or is gone.
    pub async fn take_back(
        &self,
        was: &Connection,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::TakenBack, at, was.id, was.tenant.as_deref(), actor);
        let changed = in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update credentials set exported_at = null, exported_to = null
                  where connection_id = $1 and generation = $2 and exported_at = $3",
            )
            .bind(was.id.to_string())
            .bind(was.credential.generation)
            .bind(was.credential.exported_at.map(micros))
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
