//! The one place that asks what time it is. Everywhere else time is an argument.
//!
//! Leases alone follow the database's clock, which all replicas share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;

/// The system's clock, which a test may move forward. Clones move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_by_micros: Arc<AtomicI64>,
}

impl Clock {
    /// Now, in UTC, cut to the microseconds that both databases keep.
    pub fn now(&self) -> OffsetDateTime {
        #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
        let now = OffsetDateTime::now_utc();
        let moved = now + time::Duration::microseconds(self.ahead_by_micros.load(Ordering::Relaxed));
        moved.replace_nanosecond(moved.microsecond() * 1_000).expect("a microsecond is below one second")
    }

    /// Moves this clock and its clones forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests move less than 292,000 years");
        self.ahead_by_micros.fetch_add(micros, Ordering::Relaxed);
    }
}
