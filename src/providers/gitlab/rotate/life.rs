//! How long the next token may live: as long as the one before, and no longer than the instance allows.

use crate::{domain::Credential, providers::gitlab::inspect::midnight};
use serde::Deserialize;
use time::{Date, Duration, OffsetDateTime};

/// GitLab's own limit, and what is asked for where it is refused without a word about the right one.
const LONGEST: Duration = Duration::days(365);
const MODEST: Duration = Duration::days(30);

/// What a living token says of itself, as far as its successor depends on it.
#[derive(Deserialize)]
pub(super) struct Living {
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
}

impl Living {
    /// The end to ask for, counted from `today`. `None` for a token without an end: its successor has none
    /// either where the instance allows that, and lives a week where it no longer does.
    pub(super) fn next_end(&self, old: &Credential, today: Date) -> Option<Date> {
        let known = || old.expires_at.map(OffsetDateTime::date);
        let end = day(self.expires_at.as_deref()?).or_else(known)?;
        let created = self.created_at.as_deref().and_then(day).unwrap_or_else(|| old.obtained_at.date());
        today.checked_add((end - created).clamp(Duration::DAY, LONGEST))
    }
}

/// The end to ask for after one was refused: the day before `limit`, the date that the refusal named.
pub(super) fn within(limit: Option<Date>, today: Date) -> Date {
    limit.and_then(Date::previous_day).filter(|day| *day > today).unwrap_or(today + MODEST)
}

/// The first ISO date in a sentence.
pub(super) fn date_in(text: &str) -> Option<Date> {
    text.as_bytes().windows(10).find_map(|window| day(std::str::from_utf8(window).ok()?))
}

/// The date that a date or an instant begins with.
fn day(text: &str) -> Option<Date> {
    Some(midnight(text.get(..10)?)?.date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Renewal, Scopes, Secret};
    use time::macros::{date, datetime};

    const TODAY: Date = date!(2027 - 01 - 01);

    fn next_end(created_at: Option<&str>, expires_at: Option<&str>) -> Option<Date> {
        let old = Credential {
            access_token: Secret::new("a"),
            obtained_at: datetime!(2026-12-22 12:00 UTC),
            expires_at: Some(datetime!(2027-01-11 0:00 UTC)),
            scopes: Scopes::default(),
            renewal: Renewal::SelfRotate,
        };
        let living =
            Living { created_at: created_at.map(str::to_owned), expires_at: expires_at.map(str::to_owned) };
        living.next_end(&old, TODAY)
    }

    #[test]
    fn the_next_token_lives_as_long_as_the_one_before() {
        let created = Some("2026-10-13T08:00:00.123Z");
        assert_eq!(next_end(created, Some("2027-01-11")), Some(TODAY + Duration::days(90)));
        assert_eq!(next_end(created, Some("2030-01-01")), Some(TODAY + Duration::days(365)), "the limit");
        assert_eq!(next_end(created, Some("2026-10-13")), Some(TODAY + Duration::DAY));
        assert_eq!(next_end(created, None), None, "a token without an end");
        assert_eq!(next_end(None, Some("2027-01-11")), Some(TODAY + Duration::days(20)), "as far as we know");
        assert_eq!(next_end(Some("soon"), Some("later")), Some(TODAY + Duration::days(20)));
    }

    #[test]
    fn a_refusal_names_its_limit_in_many_ways() {
        for text in [
            "400 Bad request - Expiration date must be before 2027-03-01",
            "{\"expires_at\":[\"must be before 2027-03-01\"]}",
            "– 2027-03-01 –",
        ] {
            assert_eq!(date_in(text), Some(date!(2027 - 03 - 01)), "{text}");
            assert_eq!(within(date_in(text), TODAY), date!(2027 - 02 - 28));
        }
        for text in ["", "expires_at is invalid", "2027-13-01", "öööööö2027"] {
            assert_eq!(date_in(text), None, "{text}");
        }
        assert_eq!(within(None, TODAY), date!(2027 - 01 - 31));
        assert_eq!(within(Some(TODAY), TODAY), date!(2027 - 01 - 31), "a limit in the past is no limit");
    }
}
