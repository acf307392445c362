//! The simulator's clock: real time plus an offset that tests move. The only reader of the real clock.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Real time shifted by `offset`.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub(crate) fn now(offset: Duration) -> OffsetDateTime {
    OffsetDateTime::now_utc() + offset
}

/// Writes an instant the way the REST API does, with milliseconds.
pub(crate) fn stamp(at: OffsetDateTime) -> String {
    at.format(STAMP).expect("every UTC instant has these parts")
}

/// Writes an instant the way HTTP headers do.
pub(crate) fn http_date(at: OffsetDateTime) -> String {
    at.format(HTTP_DATE).expect("every UTC instant has these parts")
}
