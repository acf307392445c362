//! When a delivery is tried again, and how long an endpoint rests. Pure: chance is an argument in [0, 1).

use time::{Duration, OffsetDateTime};

/// After the first attempt, the second and so on; the last one counts from then on.
const PAUSES: [Duration; 8] = [
    Duration::seconds(5),
    Duration::seconds(30),
    Duration::minutes(2),
    Duration::minutes(10),
    Duration::minutes(30),
    Duration::hours(1),
    Duration::hours(2),
    Duration::hours(4),
];

/// An undelivered notice is given up at this age.
pub(super) const LIFE: Duration = Duration::days(3);

/// So many failures in a row, and the endpoint rests.
const TOLERATED: i64 = 5;
const SHORTEST_REST: Duration = Duration::seconds(30);
const LONGEST_REST: Duration = Duration::minutes(15);

/// When to try again after attempt number `attempts` failed at `now`, not before `asked` is over. The pause is
/// from half of the longest one to all of it: many deliveries do not come back at once, and none at once. `None`:
/// it is time to give up.
pub(super) fn next_attempt(
    attempts: i64,
    now: OffsetDateTime,
    give_up_at: OffsetDateTime,
    asked: Duration,
    chance: f64,
) -> Option<OffsetDateTime> {
    let nth = usize::try_from(attempts - 1).unwrap_or_default().min(PAUSES.len() - 1);
    let pause = (PAUSES[nth] * part(chance)).max(asked);
    (now < give_up_at).then(|| (now + pause).min(give_up_at))
}

/// How long an endpoint rests after `failures` in a row: doubling, a quarter of an hour at most. `None`: it
/// need not rest yet.
pub(super) fn rest(failures: i64, chance: f64) -> Option<Duration> {
    let beyond = u32::try_from(failures - TOLERATED).ok()?;
    let longest = (SHORTEST_REST * 2_i32.pow(beyond.min(10))).min(LONGEST_REST);
    Some(longest * part(chance))
}

/// From half to all.
fn part(chance: f64) -> f64 {
    0.5 + 0.5 * chance
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-31 12:00 UTC);
    const ALL: f64 = 0.999_999;

    fn pause(attempts: i64, asked: Duration, chance: f64) -> Duration {
        next_attempt(attempts, NOW, NOW + LIFE, asked, chance).unwrap() - NOW
    }

    #[test]
    fn pauses_grow_to_four_hours() {
        for (attempts, longest) in [(1, 5), (2, 30), (5, 1_800), (8, 14_400), (1_000, 14_400)] {
            let found = pause(attempts, Duration::ZERO, ALL).as_seconds_f64();
            assert!((found - f64::from(longest)).abs() < 0.1, "{attempts}: {found}");
        }
        assert_eq!(pause(3, Duration::ZERO, 0.0), Duration::minutes(1));
    }

    #[test]
    fn what_the_endpoint_asks_for_is_the_least() {
        assert_eq!(pause(1, Duration::minutes(7), 0.5), Duration::minutes(7));
        assert_eq!(pause(8, Duration::minutes(7), 0.0), Duration::hours(2));
    }

    #[test]
    fn the_last_attempt_is_at_the_end() {
        let end = NOW + Duration::minutes(3);
        assert_eq!(next_attempt(9, NOW, end, Duration::ZERO, 0.9), Some(end));
        assert_eq!(next_attempt(9, end, end, Duration::ZERO, 0.9), None);
    }

    #[test]
    fn an_endpoint_rests_after_five_failures() {
        assert_eq!(rest(4, ALL), None);
        assert_eq!(rest(5, 0.0), Some(Duration::seconds(15)));
        assert_eq!(rest(6, 0.0), Some(Duration::seconds(30)));
        assert_eq!(rest(1_000, 0.0), Some(LONGEST_REST / 2));
        assert!(rest(1_000, ALL).unwrap() <= LONGEST_REST);
    }
}
