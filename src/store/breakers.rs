//! Breakers: what renewals of a whole circuit meet, shared by all replicas.
//!
//! Faults in a row are counted; at the limit the breaker opens, one event tells of it, and from then on one
//! connection at a time probes. A success takes the row away.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros},
};
use crate::domain::{Actor, Change, Connection, Event, EventKind, Reason};
use time::OffsetDateTime;

/// A fault that is not one connection's own.
#[derive(Clone, Debug)]
pub struct Fault {
    pub code: Reason,
    pub message: String,
    /// So many in a row open the breaker.
    pub limit: i64,
    /// When the breaker is open: the earliest probe.
    pub probe_at: OffsetDateTime,
}

/// A breaker that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    pub circuit: String,
    pub code: Reason,
    pub faults: i64,
    pub opened_at: OffsetDateTime,
}

impl Store {
    /// Counts a fault. The one that opens the breaker raises the alarm, unless the provider only asks for
    /// patience.
    pub async fn note_fault(
        &self,
        of: &Connection,
        fault: &Fault,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let alarms = fault.code != Reason::RateLimited;
        let told =
            Event { detail: Some(fault.message.clone()), ..about(of, EventKind::IntegrationFailing, at) };
        in_transaction!(self.db, |tx| {
            let (opened_at, alarmed): (Option<i64>, i64) = sqlx::query_as(
                "insert into breakers as b (circuit, faults, code, message, opened_at, probe_at, alarmed)
                 values ($1, 1, $2, $3, case when $4 <= 1 then $5 end, case when $4 <= 1 then $6 end, 0)
                 on conflict (circuit) do update
                    set faults = b.faults + 1, code = excluded.code, message = excluded.message,
                        opened_at = coalesce(b.opened_at, case when b.faults + 1 >= $4 then $5 end),
                        probe_at = case when b.opened_at is not null or b.faults + 1 >= $4 then $6 end
                 returning opened_at, alarmed",
            )
            .bind(of.circuit())
            .bind(fault.code.as_str())
            .bind(&fault.message)
            .bind(fault.limit)
            .bind(micros(at))
            .bind(micros(fault.probe_at))
            .fetch_one(&mut *tx)
            .await?;
            if alarms && alarmed == 0 && opened_at.is_some() {
                sqlx::query("update breakers set alarmed = 1 where circuit = $1")
                    .bind(of.circuit())
                    .execute(&mut *tx)
                    .await?;
                append_event!(tx, &told);
            }
        });
        self.tell(&Change::Circuit);
        Ok(())
    }

    /// Takes the right to probe an open breaker until `until`. `false`: somebody else probes, or its time has
    /// not come.
    pub async fn claim_probe(
        &self,
        circuit: &str,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(on!(self.db, write, |pool| sqlx::query(
            "update breakers set probe_at = $3
              where circuit = $1 and opened_at is not null and probe_at <= $2"
        )
        .bind(circuit)
        .bind(micros(now))
        .bind(micros(until))
        .execute(pool)
        .await?
        .rows_affected())
            == 1)
    }

    /// Lets a probe be made at `at`: of one circuit, or of all where none is named, because something may have
    /// been mended. Who only asks for patience is not among these.
    pub async fn allow_probe(&self, circuit: Option<&str>, at: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update breakers set probe_at = $2
              where opened_at is not null and probe_at > $2
                and (circuit = $1 or $1 = '' and code <> 'rate_limited')"
        )
        .bind(circuit.unwrap_or_default())
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// The provider works again for this circuit.
    pub async fn close_breaker(&self, of: &Connection, at: OffsetDateTime) -> Result<(), StoreError> {
        let told = about(of, EventKind::IntegrationRecovered, at);
        in_transaction!(self.db, |tx| {
            let alarmed: Option<i64> =
                sqlx::query_scalar("delete from breakers where circuit = $1 returning alarmed")
                    .bind(of.circuit())
                    .fetch_optional(&mut *tx)
                    .await?;
            if alarmed == Some(1) {
                append_event!(tx, &told);
            }
        });
        self.tell(&Change::Circuit);
        Ok(())
    }

    /// The breakers that are open.
    pub async fn open_breakers(&self) -> Result<Vec<OpenBreaker>, StoreError> {
        let rows: Vec<(String, String, i64, i64)> = on!(self.db, read, |pool| {
            sqlx::query_as(
            "select circuit, code, faults, opened_at from breakers where opened_at is not null order by circuit"
        )
        .fetch_all(pool)
        .await?
        });
        let read = |(circuit, code, faults, opened_at): (String, String, i64, i64)| {
            let reader = Reader { table: "breakers", row: &circuit };
            let (code, opened_at) = (reader.word(&code)?, reader.instant(opened_at)?);
            Ok(OpenBreaker { circuit, code, faults, opened_at })
        };
        rows.into_iter().map(read).collect()
    }
}

/// An event about an integration, or about an instance that a user typed.
fn about(of: &Connection, kind: EventKind, at: OffsetDateTime) -> Event {
    let subject = of.integration.clone().unwrap_or_else(|| of.base_url.to_string());
    event(kind, at, subject, None, &Actor::Mooring)
}
