//! Many connections: filtered, counted by how they stand, sorted, and a page at a time. All of it is the database's
//! work, so that tens of thousands cost what one page costs.

use super::{
    Store, StoreError,
    connections::{ConnectionRow, select_connections},
    db::on,
    rows::{Reader, like_pattern, micros, readable},
    standings::{AsOf, standing},
};
use crate::domain::{Connection, ConnectionId, Status};
use std::{collections::BTreeMap, ops::Range};
use time::OffsetDateTime;

/// Which connections to list. Empty text means any.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    pub tenant: String,
    pub integration: String,
    pub method: String,
    pub token_kind: String,
    /// Part of the name, the account or the base URL, in any case.
    pub q: String,
    pub status: Option<Status>,
    /// Whose token works, is renewed by nobody, and ends in here.
    pub ends: Option<Range<OffsetDateTime>>,
}

/// What a list begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// What needs a person most.
    #[default]
    Standing,
    /// The first name of the alphabet.
    Name,
    /// What stops working first: dead tokens, then those that nobody renews by their end, then the others.
    End,
    /// What was used last.
    Used,
}

/// Which rows of a sorted list.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub sort: Sort,
    /// From the other end.
    pub reversed: bool,
    pub offset: i64,
    pub limit: i64,
}

/// The rows that [`ConnectionFilter`] lets through, with the parameters of [`bind_filter`].
macro_rules! matching {
    () => {
        concat!(
            " ($3 = '' or c.tenant = $3)
          and ($4 = '' or c.integration = $4)
          and ($5 = '' or c.method = $5)
          and ($6 = '' or c.token_kind = $6)
          and ($7 = '' or lower(c.name) like lower($7) escape '!' or lower(c.account_name) like lower($7) escape '!'
                       or lower(c.base_url) like lower($7) escape '!')
          and ($8 < 0 or $8 = ",
            standing!(),
            ")
          and ($9 = 0 or k.renewal = 'manual' and k.stopped is null and k.exported_at is null
                         and k.expires_at > $1 and k.expires_at >= $9 and k.expires_at < $10) "
        )
    };
}

macro_rules! bind_filter {
    ($query:expr, $filter:expr, $as_of:expr) => {{
        let (filter, as_of): (&ConnectionFilter, AsOf) = ($filter, $as_of);
        let ends = filter.ends.as_ref().map_or((0, 0), |ends| (micros(ends.start), micros(ends.end)));
        $query
            .bind(micros(as_of.now))
            .bind(as_of.warned_until())
            .bind(&filter.tenant)
            .bind(&filter.integration)
            .bind(&filter.method)
            .bind(&filter.token_kind)
            .bind(like_pattern(&filter.q))
            .bind(filter.status.map_or(-1, place))
            .bind(ends.0)
            .bind(ends.1)
    }};
}

/// From the tables that a connection and how it stands are read of.
macro_rules! from_connections {
    () => {
        " from connections c
          join credentials k on k.connection_id = c.connection_id
          left join breakers b on b.circuit = c.method || ' ' || coalesce(c.integration, c.base_url) where "
    };
}

/// When a token stops working without anybody's doing: at once, at its end, or never.
macro_rules! end {
    () => {
        "case when k.stopped is not null or k.renewal <> 'refresh' and k.expires_at <= $1 then 0
              when k.renewal = 'manual' and k.expires_at is not null then k.expires_at
              else 9223372036854775807 end"
    };
}

/// The ids are found and sorted first, so that only the rows of one page are carried along whole.
macro_rules! slice {
    ($($order:tt)*) => {
        select_connections!(
            "where c.connection_id in (select c.connection_id",
            from_connections!(),
            matching!(),
            " order by ", $($order)*, ", c.connection_id limit $11 offset $12)
              order by ", $($order)*, ", c.connection_id"
        )
    };
}

impl Slice {
    fn sql(self) -> &'static str {
        match (self.sort, self.reversed) {
            (Sort::Standing, false) => slice!(standing!(), " desc, lower(c.name)"),
            (Sort::Standing, true) => slice!(standing!(), ", lower(c.name)"),
            (Sort::Name, false) => slice!("lower(c.name)"),
            (Sort::Name, true) => slice!("lower(c.name) desc"),
            (Sort::End, false) => slice!(end!(), ", k.expires_at is null, k.expires_at, lower(c.name)"),
            (Sort::End, true) => {
                slice!(end!(), " desc, k.expires_at is null desc, k.expires_at desc, lower(c.name)")
            }
            (Sort::Used, false) => slice!("c.last_used_at desc nulls last, lower(c.name)"),
            (Sort::Used, true) => slice!("c.last_used_at nulls first, lower(c.name)"),
        }
    }
}

impl Store {
    /// Connections, newest first, older than `before`: `limit` of them if there are so many. A row that
    /// cannot be read is passed over.
    pub async fn list_connections(
        &self,
        filter: &ConnectionFilter,
        as_of: AsOf,
        before: Option<ConnectionId>,
        limit: i64,
    ) -> Result<Vec<Connection>, StoreError> {
        let mut before = before.map(|id| id.to_string()).unwrap_or_default();
        let mut missing = limit;
        let mut found = Vec::new();
        loop {
            let rows = self.connection_rows(filter, as_of, &before, missing).await?;
            let is_last = i64::try_from(rows.len()).is_ok_and(|got| got < missing);
            let had = found.len();
            found.extend(readable_of(&rows));
            missing -= i64::try_from(found.len() - had).expect("no more than the limit");
            let Some(last) = rows.last().filter(|_| !is_last && missing > 0) else { return Ok(found) };
            before.clone_from(&last.connection_id);
        }
    }

    async fn connection_rows(
        &self,
        filter: &ConnectionFilter,
        as_of: AsOf,
        before: &str,
        limit: i64,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        const SQL: &str = select_connections!(
            "where ($11 = '' or c.connection_id < $11) and ",
            matching!(),
            "order by c.connection_id desc
             limit $12"
        );
        Ok(on!(self.db, read, |pool| bind_filter!(sqlx::query_as(SQL), filter, as_of)
            .bind(before)
            .bind(limit)
            .fetch_all(pool)
            .await?))
    }

    /// A slice of the sorted list. A row that cannot be read is left out.
    pub async fn sorted_connections(
        &self,
        filter: &ConnectionFilter,
        as_of: AsOf,
        slice: Slice,
    ) -> Result<Vec<Connection>, StoreError> {
        let rows: Vec<ConnectionRow> =
            on!(self.db, read, |pool| bind_filter!(sqlx::query_as(slice.sql()), filter, as_of)
                .bind(slice.limit)
                .bind(slice.offset)
                .fetch_all(pool)
                .await?);
        Ok(readable_of(&rows).collect())
    }

    /// How many there are, by how they stand. Nothing stands for none.
    pub async fn count_connections(
        &self,
        filter: &ConnectionFilter,
        as_of: AsOf,
    ) -> Result<BTreeMap<Status, i64>, StoreError> {
        const SQL: &str = concat!(
            "select standing, count(*) from (select ",
            standing!(),
            " as standing",
            from_connections!(),
            matching!(),
            ") as found group by standing"
        );
        let counts: Vec<(i64, i64)> =
            on!(self.db, read, |pool| bind_filter!(sqlx::query_as(SQL), filter, as_of)
                .fetch_all(pool)
                .await?);
        let status = |at: i64| usize::try_from(at).ok().and_then(|at| Status::ALL.get(at).copied());
        Ok(counts.into_iter().filter_map(|(at, count)| Some((status(at)?, count))).collect())
    }

    /// How many tokens end in each period of so many days, counted from the start of the filter's `ends`; with one
    /// of the connections. Periods in which none ends are left out. What the filter says of ends is said again in a
    /// form that leads into an index.
    pub async fn count_ends(
        &self,
        filter: &ConnectionFilter,
        as_of: AsOf,
        days: i64,
    ) -> Result<Vec<EndCount>, StoreError> {
        const SQL: &str = concat!(
            "select period, count(*), min(connection_id), min(expires_at)
               from (select (k.expires_at - $9) / $11 as period, c.connection_id, k.expires_at",
            from_connections!(),
            "k.renewal = 'manual' and k.stopped is null and k.exported_at is null
                and k.expires_at >= $9 and k.expires_at < $10 and",
            matching!(),
            ") as ends group by period order by period"
        );
        let rows: Vec<(i64, i64, String, i64)> =
            on!(self.db, read, |pool| bind_filter!(sqlx::query_as(SQL), filter, as_of)
                .bind(days * MICROS_A_DAY)
                .fetch_all(pool)
                .await?);
        rows.into_iter().map(EndCount::of).collect()
    }

    /// The connections of these ids that are there.
    pub async fn connections_of(&self, ids: &[ConnectionId]) -> Result<Vec<Connection>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<ConnectionRow> = on!(self.db, read, |pool| {
            let mut query = sqlx::QueryBuilder::new(select_connections!("where c.connection_id in ("));
            let mut places = query.separated(", ");
            for id in ids {
                places.push_bind(id.to_string());
            }
            query.push(")").build_query_as().fetch_all(pool).await?
        });
        Ok(readable_of(&rows).collect())
    }
}

const MICROS_A_DAY: i64 = 86_400_000_000;

/// The tokens that end in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndCount {
    pub period: i64,
    pub count: i64,
    /// One of them: the one, if there is one.
    pub connection: ConnectionId,
    pub first: OffsetDateTime,
}

impl EndCount {
    fn of((period, count, id, first): (i64, i64, String, i64)) -> Result<Self, StoreError> {
        let read = Reader { table: "credentials", row: &id };
        Ok(Self { period, count, connection: read.word(&id)?, first: read.instant(first)? })
    }
}

fn readable_of(rows: &[ConnectionRow]) -> impl Iterator<Item = Connection> + use<'_> {
    rows.iter().filter_map(|r| readable("connections", &r.connection_id, r.connection()))
}

/// Where a status stands in `Status::ALL`, as `standing!` counts.
fn place(status: Status) -> i64 {
    let at = Status::ALL.iter().position(|known| *known == status).expect("all are there");
    i64::try_from(at).expect("there are four")
}
