//! Renewals as people read them, day by day: how each ended, why it was begun, and which generation it made.

use super::moment::Moment;
use crate::store::{RenewalCause, RenewalOutcome, RenewalRecord};
use time::{Date, Duration, OffsetDateTime, macros::format_description};

/// The renewals of one day in UTC.
pub(super) struct Day {
    pub(super) text: String,
    pub(super) renewals: Vec<RenewalView>,
    date: Date,
}

pub(super) struct RenewalView {
    pub(super) at: Moment,
    pub(super) cause: &'static str,
    pub(super) outcome: &'static str,
    pub(super) is_good: bool,
    pub(super) is_open: bool,
    pub(super) generation: i64,
    pub(super) took: Option<String>,
    pub(super) detail: Option<String>,
}

/// Renewals, newest first, with a heading for each day.
pub(super) fn days(renewals: &[RenewalRecord], now: OffsetDateTime) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for record in renewals {
        let date = record.started_at.date();
        if days.last().is_none_or(|day| day.date != date) {
            days.push(Day { text: day_text(date, now.date()), renewals: vec![], date });
        }
        let day = days.last_mut().expect("one was added");
        day.renewals.push(RenewalView::of(record, now));
    }
    days
}

fn day_text(date: Date, today: Date) -> String {
    let shape = format_description!("[weekday], [day padding:none] [month repr:long] [year]");
    let text = date.format(shape).expect("a date has a day, a month and a year");
    match (today - date).whole_days() {
        0 => format!("Today, {text}"),
        1 => format!("Yesterday, {text}"),
        _ => text,
    }
}

impl RenewalView {
    pub(super) fn of(record: &RenewalRecord, now: OffsetDateTime) -> Self {
        let renewed = record.outcome == Some(RenewalOutcome::Renewed);
        Self {
            at: Moment::new(record.started_at, now),
            cause: cause(record.cause),
            outcome: outcome(record, now),
            is_good: renewed,
            is_open: record.outcome.is_none(),
            generation: record.generation + i64::from(renewed),
            took: record.finished_at.map(|end| took(end - record.started_at)),
            detail: record.detail.clone(),
        }
    }
}

fn took(time: Duration) -> String {
    match time.whole_milliseconds() {
        ..1_000 => format!("{} ms", time.whole_milliseconds().max(0)),
        1_000..120_000 => format!("{:.1} s", time.as_seconds_f32()),
        _ => format!("{} minutes", time.whole_minutes()),
    }
}

fn cause(cause: RenewalCause) -> &'static str {
    match cause {
        RenewalCause::Due => "Ahead of its end",
        RenewalCause::HandOut => "A caller needed a token that lasts",
        RenewalCause::Refused => "GitLab refused the token",
        RenewalCause::Requested => "Somebody asked for it",
    }
}

fn outcome(record: &RenewalRecord, now: OffsetDateTime) -> &'static str {
    match record.outcome {
        Some(RenewalOutcome::Renewed) => "Renewed",
        Some(RenewalOutcome::Rejected) => "GitLab said no",
        Some(RenewalOutcome::Refused) => "GitLab does not do this for this token",
        Some(RenewalOutcome::Unavailable) => "GitLab did not answer properly",
        Some(RenewalOutcome::Misconfigured) => "GitLab refused the OAuth application",
        Some(RenewalOutcome::Uncertain) => "Sent, and the answer was lost",
        Some(RenewalOutcome::Superseded) => "A newer credential came in between",
        None if now - record.started_at < Duration::minutes(5) => "Under way",
        None => "Never finished: the server stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RenewalId, RenewalKind};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-02 00:10 UTC);

    fn record(minutes_ago: i64, outcome: Option<RenewalOutcome>) -> RenewalRecord {
        let started_at = NOW - Duration::minutes(minutes_ago);
        RenewalRecord {
            id: RenewalId::fresh(),
            generation: 6,
            renewal: RenewalKind::Refresh,
            cause: RenewalCause::Due,
            started_at,
            finished_at: outcome.map(|_| started_at + Duration::milliseconds(340)),
            outcome,
            detail: Some("<b>".into()),
        }
    }

    #[test]
    fn renewals_stand_under_their_day_with_their_generation() {
        let records = [
            record(1, Some(RenewalOutcome::Renewed)),
            record(2, Some(RenewalOutcome::Unavailable)),
            record(60, None),
            record(3_000, Some(RenewalOutcome::Renewed)),
        ];
        let days = days(&records, NOW);
        let told: Vec<_> = days.iter().map(|day| (day.text.as_str(), day.renewals.len())).collect();
        let expected = [
            ("Today, Saturday, 2 January 2027", 2),
            ("Yesterday, Friday, 1 January 2027", 1),
            ("Wednesday, 30 December 2026", 1),
        ];
        assert_eq!(told, expected);
        let [good, bad] = [&days[0].renewals[0], &days[0].renewals[1]];
        assert_eq!((good.outcome, good.generation, good.took.as_deref()), ("Renewed", 7, Some("340 ms")));
        assert_eq!((bad.is_good, bad.generation, bad.cause), (false, 6, "Ahead of its end"));
        assert_eq!(days[1].renewals[0].outcome, "Never finished: the server stopped");
    }
}
