//! The journal of renewals: an entry is committed before a provider is asked and closed after.
//!
//! An entry without an outcome tells of a crash. The provider's answer is sealed into it before anybody
//! tries to understand it.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    rows::{Reader, micros},
};
use crate::{
    domain::{Connection, ConnectionId, RenewalId, words},
    vault::Binding,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

words! {
    /// Why a renewal was started.
    pub enum RenewalCause {
        /// The worker, ahead of the end.
        Due = "due",
        /// A caller asked for a token that does not last.
        HandOut = "hand_out",
        /// A caller saw the token refused.
        Refused = "refused",
        /// Somebody asked for it.
        Requested = "requested",
    }
}

words! {
    /// How a renewal ended.
    pub enum RenewalOutcome {
        Renewed = "renewed",
        Rejected = "rejected",
        Unavailable = "unavailable",
        /// The provider will not do it for this token, which lives on.
        Refused = "refused",
        Misconfigured = "misconfigured",
        Uncertain = "uncertain",
        /// A newer credential, or the end of the connection, came in between.
        Superseded = "superseded",
    }
}

/// An attempt without an outcome: its process ended in between.
#[derive(Debug)]
pub struct UnfinishedRenewal {
    pub id: RenewalId,
    pub connection: ConnectionId,
    pub generation: i64,
    pub started_at: OffsetDateTime,
    /// The sealed answer, if one had come.
    answer: Option<Vec<u8>>,
}

/// Closes an entry, once, in an open transaction or on a pool. A good answer is kept in the credential by then, so
/// the sealed copy goes; one that was not understood stays.
macro_rules! finish {
    ($at:expr, $attempt:expr, $outcome:expr, $detail:expr, $executor:expr) => {{
        let detail: Option<&str> = $detail;
        sqlx::query($crate::store::renewals::FINISH)
            .bind($attempt.to_string())
            .bind($crate::store::rows::micros($at))
            .bind($outcome.as_str())
            .bind(detail)
            .execute($executor)
            .await?
    }};
}
pub(super) use finish;

pub(super) const FINISH: &str = "update renewals
    set finished_at = $2, outcome = $3, detail = $4,
        answer = case when $3 = 'renewed' then null else answer end
  where renewal_id = $1 and outcome is null";

#[derive(sqlx::FromRow)]
struct UnfinishedRow {
    renewal_id: String,
    connection_id: String,
    generation: i64,
    started_at: i64,
    answer: Option<Vec<u8>>,
}

impl TryFrom<UnfinishedRow> for UnfinishedRenewal {
    type Error = StoreError;

    fn try_from(row: UnfinishedRow) -> Result<Self, StoreError> {
        let read = Reader { table: "renewals", row: &row.renewal_id };
        Ok(Self {
            id: read.word(&row.renewal_id)?,
            connection: read.word(&row.connection_id)?,
            generation: row.generation,
            started_at: read.instant(row.started_at)?,
            answer: row.answer,
        })
    }
}

impl Store {
    /// Opens an entry before anything is sent. If this fails, nothing may be sent: the answer could
    /// not be kept either.
    pub async fn begin_renewal(
        &self,
        connection: &Connection,
        cause: RenewalCause,
        at: OffsetDateTime,
    ) -> Result<RenewalId, StoreError> {
        let id = RenewalId::fresh();
        on!(self.db, write, |pool| sqlx::query(
            "insert into renewals (renewal_id, connection_id, generation, renewal, cause, started_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.to_string())
        .bind(connection.id.to_string())
        .bind(connection.credential.generation)
        .bind(connection.credential.renewal.as_str())
        .bind(cause.as_str())
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(id)
    }

    /// Seals a provider's raw answer for one attempt.
    pub fn seal_answer(&self, connection: &Connection, attempt: RenewalId, answer: &[u8]) -> Vec<u8> {
        let generation = connection.credential.generation;
        self.keyring.seal(answer, binding(&attempt.to_string(), connection.base_url.as_str(), generation))
    }

    /// Keeps a sealed answer. An attempt that was closed without one is open again. `false`: it is gone with its
    /// connection, or had its outcome.
    pub async fn keep_answer(&self, attempt: RenewalId, sealed: &[u8]) -> Result<bool, StoreError> {
        Ok(on!(self.db, write, |pool| sqlx::query(
            "update renewals set answer = $2, outcome = null, finished_at = null, detail = null
              where renewal_id = $1 and (outcome is null or outcome = 'uncertain')"
        )
        .bind(attempt.to_string())
        .bind(sealed)
        .execute(pool)
        .await?
        .rows_affected())
            == 1)
    }

    /// Attempts without an outcome: of one connection, or of all whose lease has ended.
    pub async fn unfinished_renewals(
        &self,
        of: Option<ConnectionId>,
    ) -> Result<Vec<UnfinishedRenewal>, StoreError> {
        let rows: Vec<UnfinishedRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select r.renewal_id, r.connection_id, r.generation, r.started_at, r.answer
               from renewals r
               join credentials k on k.connection_id = r.connection_id
              where r.outcome is null
                and (r.connection_id = $1
                     or ($1 = '' and (k.lease_until is null or k.lease_until <= (select now from clock))))
              order by r.renewal_id",
        )
        .bind(of.map(|id| id.to_string()).unwrap_or_default())
        .fetch_all(pool)
        .await?);
        rows.into_iter().map(UnfinishedRenewal::try_from).collect()
    }

    /// Opens the answer of an unfinished attempt. `None`: none had come.
    pub fn open_answer(
        &self,
        connection: &Connection,
        one: &UnfinishedRenewal,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(sealed) = &one.answer else { return Ok(None) };
        let row = one.id.to_string();
        let bound = binding(&row, connection.base_url.as_str(), one.generation);
        Ok(Some(self.keyring.open(sealed, bound)?))
    }

    /// Closes an attempt whose answer never came. The token may be spent, which only the provider knows: what
    /// renews itself is due at once.
    pub async fn close_unanswered(
        &self,
        one: &UnfinishedRenewal,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        in_transaction!(self.db, |tx| {
            sqlx::query(
                "update credentials set renew_at = $3
                  where connection_id = $1 and generation = $2 and renewal <> 'manual'
                    and (renew_at is null or renew_at > $3)",
            )
            .bind(one.connection.to_string())
            .bind(one.generation)
            .bind(micros(at))
            .execute(&mut *tx)
            .await?;
            let detail = Some("The process ended before an answer came.");
            finish!(at, one.id, RenewalOutcome::Uncertain, detail, &mut *tx);
        });
        Ok(())
    }

    /// When a doubtful attempt with this credential, other than `attempt`, was begun last. `None`: none was.
    pub async fn doubtful_since(
        &self,
        connection: &Connection,
        attempt: Option<RenewalId>,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let last: Option<i64> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select max(started_at)
               from renewals
              where connection_id = $1 and generation = $2 and renewal_id <> $3
                and (outcome is null or outcome = 'uncertain')",
        )
        .bind(connection.id.to_string())
        .bind(connection.credential.generation)
        .bind(attempt.map(|id| id.to_string()).unwrap_or_default())
        .fetch_one(pool)
        .await?);
        Reader { table: "renewals", row: "of a connection" }.instant_if_any(last)
    }

    /// Closes an attempt that changed nothing. A sealed answer stays.
    pub async fn close_renewal(
        &self,
        attempt: RenewalId,
        outcome: RenewalOutcome,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        on!(self.db, write, |pool| finish!(at, attempt, outcome, None, pool).rows_affected());
        Ok(())
    }
}

fn binding<'a>(row: &'a str, base_url: &'a str, generation: i64) -> Binding<'a> {
    Binding { table: "renewals", row, field: "answer", base_url, generation }
}
