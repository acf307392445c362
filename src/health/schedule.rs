//! When to look at a connection next. Pure: chance is an argument.

use crate::domain::{Connection, Reason};
use time::{Duration, OffsetDateTime};

/// In the last days of a token that nobody renews, what a person may have changed is looked for more often.
const LAST_DAYS: Duration = Duration::days(7);
const IN_LAST_DAYS: Duration = Duration::hours(6);
/// A check that could not be made is tried again after this, and after twice as long each time.
const FIRST_RETRY: Duration = Duration::minutes(15);
const LONGEST_RETRY: Duration = Duration::hours(6);
/// Whoever blocks an account often takes it back; after a day it is as with any other finding.
const WHILE_BLOCKED: Duration = Duration::hours(1);
const BLOCKED_AFRESH: Duration = Duration::days(1);
/// All waits differ by up to this much, so that what was made together is not looked at together.
const JITTER: f64 = 0.1;

/// What stood in the way of the last check, and since when something does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    Blocked(OffsetDateTime),
    Unasked(OffsetDateTime),
}

/// What the time of the next check depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prospect {
    /// The end of a token that nobody renews.
    ends_at: Option<OffsetDateTime>,
    obstacle: Option<Obstacle>,
    /// How long the provider wants to be left alone.
    retry_after: Duration,
}

impl Prospect {
    pub(super) fn of(connection: &Connection, retry_after: Option<Duration>) -> Self {
        let facts = &connection.credential;
        let obstacle = connection.failure().and_then(|failure| match failure.code {
            Reason::AccountBlocked => Some(Obstacle::Blocked(failure.since)),
            Reason::ProviderUnreachable
            | Reason::ProviderError
            | Reason::RateLimited
            | Reason::IntegrationMisconfigured => Some(Obstacle::Unasked(failure.since)),
            _ => None,
        });
        Self {
            ends_at: facts.expires_at.filter(|_| !facts.renewal.renews_itself()),
            obstacle,
            retry_after: retry_after.unwrap_or_default(),
        }
    }

    /// When to look again, where `every` is the usual period. `chance` is in [0, 1).
    pub(super) fn next(&self, now: OffsetDateTime, every: Duration, chance: f64) -> OffsetDateTime {
        let wait = match self.obstacle {
            Some(Obstacle::Unasked(since)) => retry(now - since, every),
            Some(Obstacle::Blocked(since)) if now - since < BLOCKED_AFRESH => every.min(WHILE_BLOCKED),
            Some(Obstacle::Blocked(_)) | None => self.usual(now, every),
        };
        let spread = 1.0 - JITTER + 2.0 * JITTER * chance;
        let asked = self.retry_after * (1.0 + JITTER * chance);
        now + (wait * spread).max(asked)
    }

    fn usual(&self, now: OffsetDateTime, every: Duration) -> Duration {
        let Some(end) = self.ends_at else { return every };
        let until_last_days = end - LAST_DAYS - now;
        every.min(until_last_days.max(IN_LAST_DAYS))
    }
}

/// As long again as it has been failing already, and a quarter of an hour: that doubles from try to try, and
/// does not grow because a person tries too.
fn retry(failing_for: Duration, every: Duration) -> Duration {
    (failing_for.max(Duration::ZERO) + FIRST_RETRY).min(every.min(LONGEST_RETRY).max(FIRST_RETRY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);
    const DAY: Duration = Duration::DAY;
    const WELL: Prospect = Prospect { ends_at: None, obstacle: None, retry_after: Duration::ZERO };

    /// The wait in the middle of its jitter.
    fn wait(prospect: Prospect, every: Duration) -> Duration {
        prospect.next(NOW, every, 0.5) - NOW
    }

    fn failing_for(time: Duration) -> Prospect {
        Prospect { obstacle: Some(Obstacle::Unasked(NOW - time)), ..WELL }
    }

    #[test]
    fn what_was_made_together_is_spread_over_a_fifth_of_the_period() {
        let waits: Vec<_> = (0..1_000).map(|n| WELL.next(NOW, DAY, f64::from(n) / 1_000.0) - NOW).collect();
        assert_eq!(waits[0], DAY * 9 / 10);
        assert!(waits.is_sorted() && waits[999] < DAY * 11 / 10 && waits[999] > DAY * 109 / 100);
        let in_first_half = waits.iter().filter(|wait| **wait < DAY).count();
        assert_eq!(in_first_half, 500, "evenly");
    }

    #[test]
    fn the_last_days_of_a_token_are_watched_closely() {
        let ending_in = |left| Prospect { ends_at: Some(NOW + left), ..WELL };
        assert_eq!(wait(ending_in(DAY * 30), DAY), DAY);
        assert_eq!(wait(ending_in(DAY * 7 + Duration::hours(8)), DAY), Duration::hours(8), "they begin then");
        assert_eq!(wait(ending_in(DAY * 7), DAY), Duration::hours(6));
        assert_eq!(wait(ending_in(DAY), DAY), Duration::hours(6));
        assert_eq!(wait(ending_in(DAY), Duration::HOUR), Duration::HOUR, "never longer than the setting");
        assert_eq!(wait(ending_in(DAY * 20), DAY * 30), DAY * 13);
    }

    #[test]
    fn a_check_that_could_not_be_made_is_tried_twice_as_late_each_time() {
        let (mut failing, mut waits) = (Duration::ZERO, vec![]);
        for _ in 0..8 {
            let next = wait(failing_for(failing), DAY);
            waits.push(next.whole_minutes());
            failing += next;
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 360, 360, 360]);
        assert_eq!(wait(failing_for(DAY), Duration::HOUR), Duration::HOUR);
        assert_eq!(wait(failing_for(DAY), Duration::minutes(5)), Duration::minutes(15));
    }

    #[test]
    fn a_provider_is_left_alone_for_as_long_as_it_asks() {
        let asked = Prospect { retry_after: Duration::HOUR, ..failing_for(Duration::ZERO) };
        for chance in [0.0, 0.5, 0.999] {
            let wait = asked.next(NOW, DAY, chance) - NOW;
            assert!(wait >= Duration::HOUR && wait < Duration::minutes(67), "{wait}");
        }
    }

    #[test]
    fn a_blocked_account_is_looked_at_hourly_for_a_day() {
        let blocked_for = |time| Prospect { obstacle: Some(Obstacle::Blocked(NOW - time)), ..WELL };
        assert_eq!(wait(blocked_for(Duration::ZERO), DAY), Duration::HOUR);
        assert_eq!(wait(blocked_for(Duration::hours(23)), DAY), Duration::HOUR);
        assert_eq!(wait(blocked_for(Duration::hours(24)), DAY), DAY);
        assert_eq!(wait(blocked_for(Duration::ZERO), Duration::minutes(5)), Duration::minutes(5));
    }
}
