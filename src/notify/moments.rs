//! Instants in the middle of a sentence, for people who are not in a hurry.

use time::{
    Duration, OffsetDateTime, format_description::StaticFormatDescription, macros::format_description,
};

const DATE: StaticFormatDescription =
    format_description!("[day padding:none] [month repr:long] [year] [hour]:[minute] UTC");

/// `31 January 2027 00:00 UTC`.
pub(super) fn date(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(DATE).expect("an instant has a date and a time")
}

/// `7 days`, to the nearest: hours below two days, minutes below two hours.
pub(super) fn length(left: Duration) -> String {
    let seconds = left.whole_seconds().max(0);
    let nearest = |unit: i64| (seconds + unit / 2) / unit;
    match seconds {
        0..7_200 => counted(nearest(60).max(1), "minute"),
        7_200..172_800 if nearest(3_600) < 48 => counted(nearest(3_600), "hour"),
        _ => counted(nearest(86_400), "day"),
    }
}

fn counted(count: i64, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn what_is_left_is_rounded_to_what_a_person_would_say() {
        let told = |left: Duration| length(left);
        assert_eq!(told(Duration::days(7) - Duration::seconds(40)), "7 days");
        assert_eq!(told(Duration::days(1) - Duration::seconds(40)), "24 hours");
        assert_eq!(told(Duration::hours(48) - Duration::SECOND), "2 days");
        assert_eq!(told(Duration::minutes(119)), "119 minutes");
        assert_eq!(told(Duration::seconds(20)), "1 minute");
        assert_eq!(told(-Duration::DAY), "1 minute");
    }

    #[test]
    fn a_date_is_told_in_utc() {
        assert_eq!(date(datetime!(2027-01-31 0:00 UTC)), "31 January 2027 00:00 UTC");
        assert_eq!(date(datetime!(2027-02-01 1:30 +2)), "31 January 2027 23:30 UTC");
    }
}
