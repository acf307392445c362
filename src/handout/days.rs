//! Tells of hand-outs in the log once their day is over: one event for each connection and caller.
//!
//! A hand-out itself writes no event: there are too many, and what an owner asks is who took how much when.

use crate::{
    domain::Clock,
    store::{Store, StoreError, UsageDay},
};
use time::Duration;

/// Counts reach the database some seconds after their hand-outs, so a day ends a little later.
const GRACE: Duration = Duration::minutes(10);
/// Told at a time. The rest comes the next time.
const BATCH: i64 = 250;

/// Tells of finished days.
#[derive(Clone)]
pub struct UsageDays {
    pub store: Store,
    pub clock: Clock,
}

impl UsageDays {
    /// Tells of the days that are over, and says how many entries that made.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let over = self.store.untold_usage((now - GRACE).date(), BATCH).await?;
        if over.is_empty() {
            return Ok(0);
        }
        let with_sentence = |usage: UsageDay| {
            let sentence = sentence(&usage);
            (usage, sentence)
        };
        let over: Vec<_> = over.into_iter().map(with_sentence).collect();
        self.store.tell_usage(&over, now).await
    }
}

fn sentence(usage: &UsageDay) -> String {
    let plural = if usage.hand_outs == 1 { "" } else { "s" };
    format!("{} hand-out{plural} on {}", in_thousands(usage.hand_outs), usage.day)
}

/// `1,204`.
fn in_thousands(count: i64) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_in_thousands() {
        for (count, told) in [(1, "1"), (999, "999"), (1_204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(in_thousands(count), told);
        }
    }
}
