//! Which connections are to be looked at, and when. When that is, `health` decides.
//!
//! A token that is known to be dead is never taken: GitLab bans addresses that go on showing such tokens.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, micros},
};
use crate::domain::{Connection, ConnectionId};
use time::{Duration, OffsetDateTime};

/// A connection whose time to be looked at has come, and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCheck {
    pub connection: ConnectionId,
    pub base_url: String,
}

/// How many checks are taken at a time.
#[derive(Clone, Copy, Debug)]
pub struct CheckLimits {
    pub in_all: i64,
    /// So that one instance with many holds up no other.
    pub of_each_base_url: i64,
}

impl Store {
    /// Takes checks whose time has come, longest due first. Each is put off by `hold` at once, so that two
    /// replicas do not take the same one, and one that is never made comes again. Left out are dead tokens,
    /// and what an open breaker shows to be failing already.
    pub async fn take_checks(
        &self,
        now: OffsetDateTime,
        hold: Duration,
        limits: CheckLimits,
    ) -> Result<Vec<DueCheck>, StoreError> {
        let rows: Vec<(String, String)> = on!(self.db, write, |pool| sqlx::query_as(
            "update connections set next_check_at = $2
              where next_check_at <= $1
                and connection_id in (
                    select connection_id
                      from (select c.connection_id, c.next_check_at,
                                   row_number() over (partition by c.base_url
                                                      order by c.next_check_at) as place
                              from connections c
                              join credentials k on k.connection_id = c.connection_id
                             where c.next_check_at <= $1
                               and k.stopped is null
                               and k.exported_at is null
                               and (k.renewal <> 'manual' or k.expires_at is null or k.expires_at > $1)
                               and (k.renewal = 'manual' or not exists (
                                    select 1 from breakers b
                                     where b.circuit = c.method || ' ' || coalesce(c.integration, c.base_url)
                                       and b.opened_at is not null))) as due
                     where place <= $4
                     order by next_check_at
                     limit $3)
             returning connection_id, base_url",
        )
        .bind(micros(now))
        .bind(micros(now + hold))
        .bind(limits.in_all)
        .bind(limits.of_each_base_url)
        .fetch_all(pool)
        .await?);
        let read = |(id, base_url): (String, String)| {
            let connection = Reader { table: "connections", row: &id }.word(&id)?;
            Ok(DueCheck { connection, base_url })
        };
        rows.into_iter().map(read).collect()
    }

    /// Connections whose first check is not planned: made a moment ago, or with another credential since. All
    /// are put to `until` at once, so that one that cannot be planned better comes up then.
    pub async fn take_unplanned_checks(
        &self,
        until: OffsetDateTime,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let ids: Vec<String> = on!(self.db, write, |pool| {
            sqlx::query_scalar(
            "update connections set next_check_at = $1 where next_check_at is null returning connection_id",
        )
        .bind(micros(until))
        .fetch_all(pool)
        .await?
        });
        ids.iter().map(|id| Reader { table: "connections", row: id }.word(id)).collect()
    }

    /// Plans the next check of a connection as it was read. Of another credential this says nothing.
    pub async fn plan_check(&self, of: &Connection, at: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update connections set next_check_at = $3
              where connection_id = $1
                and $2 = (select generation from credentials where connection_id = $1)",
        )
        .bind(of.id.to_string())
        .bind(of.credential.generation)
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }
}
