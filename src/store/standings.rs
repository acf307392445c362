//! How connections stand, in words of the database: as a number that can be counted, sorted by and looked for.
//!
//! `Connection::standing` is the truth, and this says the same of many at once. A test makes connections of every
//! kind on both databases and compares the two, so they cannot drift apart.

use super::rows::micros;
use time::{Duration, OffsetDateTime};

/// The moment as of which connections stand as they do, where warnings start `warn_before` the end.
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    pub now: OffsetDateTime,
    pub warn_before: Duration,
}

impl AsOf {
    /// Instants up to here are within the time of warnings, in microseconds since 1970.
    pub(super) fn warned_until(self) -> i64 {
        let warn_before = i64::try_from(self.warn_before.whole_microseconds()).unwrap_or(i64::MAX);
        micros(self.now).saturating_add(warn_before)
    }
}

/// The place of a status in `Status::ALL`, of a row of `connections c`, its `credentials k` and its circuit's
/// `breakers b`. `$1` is now, `$2` is [`AsOf::warned_until`].
macro_rules! standing {
    () => {
        "cast(case when k.stopped is not null then 3
                   when k.exported_at is not null and k.expires_at <= $1 then 3
                   when k.exported_at is not null then 2
                   when k.renewal <> 'refresh' and k.expires_at <= $1 then 3
                   when k.failure_code is not null and k.failure_since is not null then 2
                   when k.renewal <> 'manual' and b.opened_at is not null then 2
                   when c.unmet > 0 then 2
                   when k.renewal = 'manual' and k.expires_at <= $2 then 1
                   else 0 end as bigint)"
    };
}
pub(super) use standing;
