//! What the journal of renewals tells people.

use super::{RenewalCause, RenewalOutcome, Store, StoreError, db::on, rows::Reader};
use crate::domain::{ConnectionId, RenewalId, RenewalKind};
use time::OffsetDateTime;

/// One entry of the journal.
#[derive(Clone, Debug)]
pub struct RenewalRecord {
    pub id: RenewalId,
    pub generation: i64,
    pub renewal: RenewalKind,
    pub cause: RenewalCause,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    pub outcome: Option<RenewalOutcome>,
    pub detail: Option<String>,
}

#[derive(sqlx::FromRow)]
struct RenewalRow {
    renewal_id: String,
    generation: i64,
    renewal: String,
    cause: String,
    started_at: i64,
    finished_at: Option<i64>,
    outcome: Option<String>,
    detail: Option<String>,
}

impl TryFrom<RenewalRow> for RenewalRecord {
    type Error = StoreError;

    fn try_from(row: RenewalRow) -> Result<Self, StoreError> {
        let read = Reader { table: "renewals", row: &row.renewal_id };
        Ok(Self {
            id: read.word(&row.renewal_id)?,
            generation: row.generation,
            renewal: read.word(&row.renewal)?,
            cause: read.word(&row.cause)?,
            started_at: read.instant(row.started_at)?,
            finished_at: read.instant_if_any(row.finished_at)?,
            outcome: row.outcome.as_deref().map(|o| read.word(o)).transpose()?,
            detail: row.detail,
        })
    }
}

impl Store {
    /// The renewals of a connection, newest first, older than `before`.
    pub async fn list_renewals(
        &self,
        id: ConnectionId,
        before: Option<RenewalId>,
        limit: i64,
    ) -> Result<Vec<RenewalRecord>, StoreError> {
        let rows: Vec<RenewalRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select renewal_id, generation, renewal, cause, started_at, finished_at, outcome, detail
               from renewals
              where connection_id = $1 and ($2 = '' or renewal_id < $2)
              order by renewal_id desc
              limit $3",
        )
        .bind(id.to_string())
        .bind(before.map(|b| b.to_string()).unwrap_or_default())
        .bind(limit)
        .fetch_all(pool)
        .await?);
        rows.into_iter().map(RenewalRecord::try_from).collect()
    }
}
