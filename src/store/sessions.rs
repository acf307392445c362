//! Operators' sessions, kept under the hash of their id: a stolen database holds no usable cookie.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros},
};
use crate::domain::{Actor, EventKind, OperatorId};
use time::OffsetDateTime;

/// Which sessions of an operator end.
#[derive(Clone, Copy, Debug)]
pub enum EndSessions<'a> {
    One(&'a [u8]),
    AllBut(&'a [u8]),
}

/// A session as it is kept. What `data` means is the affair of who keeps it.
#[derive(Clone, Debug)]
pub struct StoredSession {
    pub id_hash: Vec<u8>,
    pub data: String,
    pub expires_at: OffsetDateTime,
}

impl Store {
    /// `false`: a session with that id is there already. Whose it is says `owner`; it ends with them.
    pub async fn create_session(
        &self,
        id_hash: &[u8],
        owner: Option<OperatorId>,
        data: &str,
        expires_at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(on!(self.db, write, |pool| sqlx::query(
            "insert into sessions (id_hash, data, expires_at, operator_id)
             values ($1, $2, $3, (select o.operator_id from operators o where o.operator_id = $4))
             on conflict do nothing"
        )
        .bind(id_hash)
        .bind(data)
        .bind(micros(expires_at))
        .bind(owner.map(|id| id.to_string()))
        .execute(pool)
        .await?
        .rows_affected())
            == 1)
    }

    /// Updates only: a slow request must not bring back a session that a sign-out deleted meanwhile.
    pub async fn save_session(
        &self,
        id_hash: &[u8],
        owner: Option<OperatorId>,
        data: &str,
        expires_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update sessions
                set data = $2, expires_at = $3,
                    operator_id = (select o.operator_id from operators o where o.operator_id = $4)
              where id_hash = $1"
        )
        .bind(id_hash)
        .bind(data)
        .bind(micros(expires_at))
        .bind(owner.map(|id| id.to_string()))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// The data and the end of a session that has not ended, in microseconds since 1970.
    pub async fn load_session(
        &self,
        id_hash: &[u8],
        now: OffsetDateTime,
    ) -> Result<Option<(String, i64)>, StoreError> {
        Ok(on!(self.db, read, |pool| sqlx::query_as(
            "select data, expires_at from sessions where id_hash = $1 and expires_at > $2"
        )
        .bind(id_hash)
        .bind(micros(now))
        .fetch_optional(pool)
        .await?))
    }

    pub async fn delete_session(&self, id_hash: &[u8]) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query("delete from sessions where id_hash = $1")
            .bind(id_hash)
            .execute(pool)
            .await?
            .rows_affected());
        Ok(())
    }

    /// The sessions of one operator that have not ended.
    pub async fn list_sessions(
        &self,
        owner: OperatorId,
        now: OffsetDateTime,
    ) -> Result<Vec<StoredSession>, StoreError> {
        let rows: Vec<(Vec<u8>, String, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select id_hash, data, expires_at
               from sessions
              where operator_id = $1 and expires_at > $2
              order by expires_at desc"
        )
        .bind(owner.to_string())
        .bind(micros(now))
        .fetch_all(pool)
        .await?);
        let stored = |(id_hash, data, expires_at): (Vec<u8>, String, i64)| {
            let read = Reader { table: "sessions", row: "of an operator" };
            Ok(StoredSession { id_hash, data, expires_at: read.instant(expires_at)? })
        };
        rows.into_iter().map(stored).collect()
    }

    /// Ends sessions of an operator: the one of this id, or all but the one that is kept. How many ended.
    pub async fn end_sessions(
        &self,
        owner: OperatorId,
        which: EndSessions<'_>,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<u64, StoreError> {
        let (id_hash, one) = match which {
            EndSessions::One(id_hash) => (id_hash, 1_i64),
            EndSessions::AllBut(id_hash) => (id_hash, 0),
        };
        Ok(in_transaction!(self.db, |tx| {
            let email: Option<String> =
                sqlx::query_scalar("select email from operators where operator_id = $1")
                    .bind(owner.to_string())
                    .fetch_optional(&mut *tx)
                    .await?;
            let ended = sqlx::query(
                "delete from sessions
                  where operator_id = $1 and ($3 = 1 and id_hash = $2 or $3 = 0 and id_hash <> $2)",
            )
            .bind(owner.to_string())
            .bind(id_hash)
            .bind(one)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if let Some(email) = email.filter(|_| ended > 0) {
                let mut told = event(EventKind::SessionsEnded, at, email, None, actor);
                told.detail = Some(format!("{ended} ended"));
                append_event!(tx, &told);
            }
            ended
        }))
    }
}
