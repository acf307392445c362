//! When to try again. Pure: chance is an argument.

use time::Duration;

/// How long after a rejection the provider is asked again. GitLab answers a false `invalid_grant` while a
/// replica lags; one such answer proves nothing.
const CONFIRM_AFTER: [Duration; 5] = [
    Duration::seconds(2),
    Duration::seconds(10),
    Duration::minutes(1),
    Duration::minutes(5),
    Duration::minutes(15),
];

/// The same where an answer was lost before: the rejection is what had to be expected, and its owner is to know
/// within a minute.
const CONFIRM_DOUBT_AFTER: [Duration; 4] =
    [Duration::seconds(2), Duration::seconds(6), Duration::seconds(14), Duration::seconds(28)];

const LONGEST_BACKOFF: Duration = Duration::minutes(5);

/// When a rejection is to be confirmed, after `rejections` of them in a row (1 for the first).
/// `None`: it was confirmed often enough.
pub(super) fn confirm_after(rejections: i64, in_doubt: bool) -> Option<Duration> {
    let nth = usize::try_from(rejections - 1).ok()?;
    let schedule: &[Duration] = if in_doubt { &CONFIRM_DOUBT_AFTER } else { &CONFIRM_AFTER };
    schedule.get(nth).copied()
}

/// How long to wait after `failures` in a row (1 for the first): exponential with full jitter, and never
/// less than the provider asked for.
pub(super) fn back_off(failures: i64, retry_after: Option<Duration>, chance: f64) -> Duration {
    let exponent = u32::try_from(failures.clamp(1, 16)).expect("clamped");
    let ceiling = Duration::seconds(1 << exponent).min(LONGEST_BACKOFF);
    let wait = Duration::SECOND.max(ceiling * chance);
    retry_after.map_or(wait, |asked| asked.max(Duration::SECOND) + wait * 0.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_rejection_is_confirmed_five_times() {
        assert_eq!(confirm_after(1, false), Some(Duration::seconds(2)));
        assert_eq!(confirm_after(5, false), Some(Duration::minutes(15)));
        assert_eq!(confirm_after(6, false), None);
    }

    #[test]
    fn a_lost_answer_is_known_within_a_minute() {
        let all: Duration = (1..).map_while(|nth| confirm_after(nth, true)).sum();
        assert!(all < Duration::minutes(1), "{all}");
    }

    #[test]
    fn waiting_grows_to_five_minutes_and_obeys_the_provider() {
        assert_eq!(back_off(1, None, 0.0), Duration::SECOND);
        assert!(back_off(1, None, 0.99) < Duration::seconds(2));
        assert!(back_off(99, None, 0.999) <= Duration::minutes(5));
        assert!(back_off(1, Some(Duration::minutes(20)), 0.5) >= Duration::minutes(20));
    }
}
