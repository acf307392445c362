//! An instant as people read it: how far away, with the date behind it. The script keeps it current.

use askama::Template;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// Prints as `in 3 days`, with the date as its title. [`Moment::date`] prints the date itself.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = "<time datetime=\"{{ iso }}\" title=\"{{ text }}\" data-relative>{{ relative }}</time>"
)]
pub(super) struct Moment {
    iso: String,
    pub(super) text: String,
    clock: String,
    relative: String,
    is_due: bool,
}

impl askama::filters::HtmlSafe for Moment {}

/// Prints as `in 3 minutes` for what is to come, and as `any moment` when its time is there.
#[derive(Template)]
#[template(path = "parts/due.html")]
pub(super) struct Due<'a> {
    moment: &'a Moment,
}

impl askama::filters::HtmlSafe for Due<'_> {}

/// Prints as `31 Jan 2027, 00:00 UTC`.
#[derive(Template)]
#[template(ext = "html", source = "<time datetime=\"{{ moment.iso }}\" data-date>{{ moment.text }}</time>")]
pub(super) struct Date<'a> {
    moment: &'a Moment,
}

impl askama::filters::HtmlSafe for Date<'_> {}

/// Prints as `14:03 UTC`, for what stands under its day.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<time datetime=\"{{ moment.iso }}\" title=\"{{ moment.text }}\">{{ moment.clock }}</time>"
)]
pub(super) struct Clock<'a> {
    moment: &'a Moment,
}

impl askama::filters::HtmlSafe for Clock<'_> {}

impl Moment {
    pub(super) fn new(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        let shape = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute] UTC");
        Self {
            iso: at.format(&Rfc3339).expect("years have four digits"),
            text: at.format(shape).expect("an instant has a date and a time"),
            clock: at.format(format_description!("[hour]:[minute] UTC")).expect("an instant has a time"),
            relative: relative(at - now),
            is_due: at - now < Duration::seconds(5),
        }
    }

    pub(super) fn due(&self) -> Due<'_> {
        Due { moment: self }
    }

    pub(super) fn clock(&self) -> Clock<'_> {
        Clock { moment: self }
    }

    pub(super) fn date(&self) -> Date<'_> {
        Date { moment: self }
    }
}

/// The same words as in `app.js`.
fn relative(left: Duration) -> String {
    let seconds = left.whole_seconds();
    let size = seconds.abs();
    let (count, unit) = match size {
        0..5 => return "just now".into(),
        5..60 => (size, "second"),
        60..3_600 => (size / 60, "minute"),
        3_600..172_800 => (size / 3_600, "hour"),
        172_800..5_184_000 => (size / 86_400, "day"),
        5_184_000..63_072_000 => (size / 2_592_000, "month"),
        _ => (size / 31_536_000, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("{count} {unit}{plural} ago") } else { format!("in {count} {unit}{plural}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_near_words_and_an_exact_date() {
        let now = datetime!(2027-01-01 12:00 UTC);
        let told = |at| Moment::new(at, now).relative;
        assert_eq!(told(now), "just now");
        assert_eq!(told(now + Duration::seconds(30)), "in 30 seconds");
        assert_eq!(told(now - Duration::minutes(1)), "1 minute ago");
        assert_eq!(told(now + Duration::hours(47)), "in 47 hours");
        assert_eq!(told(now + Duration::days(30)), "in 30 days");
        assert_eq!(told(now - Duration::days(400)), "13 months ago");
        assert!(Moment::new(now - Duration::HOUR, now).due().to_string().contains(">any moment<"));
        let html = Moment::new(datetime!(2027-01-31 0:00 UTC), now).to_string();
        assert!(html.contains("datetime=\"2027-01-31T00:00:00Z\""), "{html}");
        assert!(html.contains("31 Jan 2027, 00:00 UTC"), "{html}");
    }
}
