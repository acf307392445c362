//! Gaps in the log's sequence numbers. PostgreSQL gives a number before the transaction commits, so a number
//! that is missing may still come; one that was rolled back never does.
//!
//! The rule it guards: the cursor does not pass a number that may still come.

use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// Longer than an idle transaction lives (30 s): after this a missing number was rolled back.
pub(super) const PATIENCE: Duration = Duration::seconds(35);

/// The gaps that are waited for, by the number that stands behind each, with when it was first seen.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<i64, OffsetDateTime>);

impl Gaps {
    /// How many of `numbers`, which come in order after `cursor`, may be passed now. All gaps among them age
    /// together, so that many are not waited for one after the other.
    pub(super) fn passable(&mut self, cursor: i64, numbers: &[i64], now: OffsetDateTime) -> usize {
        let befores = std::iter::once(cursor).chain(numbers.iter().copied());
        let behind_gap = befores.zip(numbers).filter(|(before, number)| before + 1 != **number);
        self.0 = behind_gap.map(|(_, n)| (*n, self.0.get(n).copied().unwrap_or(now))).collect();
        let waits = |number: &i64| self.0.get(number).is_some_and(|seen| now - *seen < PATIENCE);
        numbers.iter().position(waits).unwrap_or(numbers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-31 12:00 UTC);

    #[test]
    fn numbers_without_a_gap_are_passed_at_once() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.passable(4, &[5, 6, 7], NOW), 3);
        assert_eq!(gaps.passable(7, &[], NOW), 0);
    }

    #[test]
    fn a_missing_number_is_waited_for_and_then_passed() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.passable(4, &[5, 7, 8], NOW), 1);
        assert_eq!(gaps.passable(5, &[7, 8], NOW + PATIENCE - Duration::SECOND), 0);
        assert_eq!(gaps.passable(5, &[7, 8], NOW + PATIENCE), 2);
    }

    #[test]
    fn a_number_that_shows_up_late_is_not_missed() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.passable(4, &[6], NOW), 0);
        assert_eq!(gaps.passable(4, &[5, 6], NOW + Duration::SECOND), 2);
    }

    #[test]
    fn gaps_age_together_and_one_that_splits_begins_anew() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.passable(0, &[4, 6], NOW), 0);
        let later = NOW + PATIENCE;
        assert_eq!(gaps.passable(0, &[2, 4, 6], later), 0, "1 may come as late as 2 did");
        assert_eq!(gaps.passable(0, &[2, 4, 6], later + PATIENCE), 3);
    }
}
