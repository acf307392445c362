//! What ends in the next 90 days and is renewed by nobody, week by week.

use super::asked::Asked;
use crate::{
    store::{ConnectionFilter, EndCount, StoreError},
    web::{pages::moment::Moment, state::AppState},
};
use askama::Template;
use time::{Duration, OffsetDateTime, macros::format_description};

const DAYS: i64 = 90;
const WEEK: i64 = 7;
/// Ends within so many weeks stand out.
const SOON: i64 = 4;

#[derive(Template)]
#[template(path = "parts/strip.html")]
pub(super) struct Strip {
    total: i64,
    next: Option<Moment>,
    weeks: Vec<Week>,
}

impl askama::filters::HtmlSafe for Strip {}

struct Week {
    /// Its first day.
    day: String,
    count: i64,
    /// Of the highest, in percent.
    height: i64,
    is_soon: bool,
    /// To the connection if it is the only one, else to those of this week. `None`: nothing ends.
    href: Option<String>,
    is_chosen: bool,
}

impl Strip {
    /// Counts among what the address asks for, whatever status and week it asks for.
    pub(super) async fn of(state: &AppState, asked: &Asked) -> Result<Self, StoreError> {
        let now = state.clock.now();
        let today = now.replace_time(time::Time::MIDNIGHT);
        let ends = Some(today..today + Duration::days(DAYS));
        let filter = ConnectionFilter { status: None, ends, ..asked.filter() };
        let counts = state.store.count_ends(&filter, state.as_of(), WEEK).await?;
        Ok(Self::view(asked, &counts, today, now))
    }

    #[cfg(test)]
    pub(super) fn sample(asked: &Asked, now: OffsetDateTime) -> Self {
        Self::view(asked, &[], now, now)
    }

    fn view(asked: &Asked, counts: &[EndCount], today: OffsetDateTime, now: OffsetDateTime) -> Self {
        let most = counts.iter().map(|c| c.count).max().unwrap_or(1);
        let week = |at: i64| {
            let found = counts.iter().find(|c| c.period == at);
            week(asked, today + Duration::days(at * WEEK), at, (found, most))
        };
        Self {
            total: counts.iter().map(|c| c.count).sum(),
            next: counts.first().map(|c| Moment::new(c.first, now)),
            weeks: (0..=(DAYS - 1) / WEEK).map(week).collect(),
        }
    }
}

fn week(asked: &Asked, from: OffsetDateTime, at: i64, (found, most): (Option<&EndCount>, i64)) -> Week {
    let days = WEEK.min(DAYS - at * WEEK);
    let ends = Asked::ends_within(from, days);
    let is_chosen = asked.ends == ends;
    let all =
        Asked { ends, status: String::new(), sort: "expiry".into(), page: String::new(), ..asked.clone() };
    let href = found.map(|c| match c.count {
        1 => format!("/connections/{}", c.connection),
        _ => all.address(),
    });
    let count = found.map_or(0, |c| c.count);
    let shape = format_description!("[day padding:none] [month repr:short]");
    Week {
        day: from.format(shape).expect("an instant has a date"),
        count,
        height: if count == 0 { 0 } else { (count * 100 / most).max(8) },
        is_soon: at < SOON,
        href,
        is_chosen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ConnectionId;
    use time::macros::datetime;

    fn html(counts: &[(i64, i64)], ends: &str) -> (String, ConnectionId) {
        let today = datetime!(2027-01-01 0:00 UTC);
        let id = ConnectionId::fresh();
        let counted = |&(period, count): &(i64, i64)| EndCount {
            period,
            count,
            connection: id,
            first: today + Duration::days(period * WEEK + 3),
        };
        let counts: Vec<_> = counts.iter().map(counted).collect();
        let asked = Asked { q: "acme".into(), ends: ends.into(), ..Asked::default() };
        (Strip::view(&asked, &counts, today, today).render().unwrap(), id)
    }

    #[test]
    fn one_token_is_a_link_to_its_connection_and_several_to_their_list() {
        let (html, id) = html(&[(1, 1), (12, 300)], "2027-03-26..2027-03-31");
        assert_eq!(html.matches("<li").count(), 13);
        assert_eq!(html.matches("<a ").count(), 2);
        assert!(html.contains(&format!("href=\"/connections/{id}\"")), "{html}");
        let last = "/?q=acme&#38;ends=2027-03-26..2027-03-31&#38;sort=expiry";
        assert!(html.contains(last), "the 90 days end within the last week: {html}");
        assert_eq!(html.matches("aria-current").count(), 1);
        assert!(html.contains("301 tokens") && html.contains("in 10 days"), "{html}");
    }

    #[test]
    fn where_nothing_ends_there_are_words_and_no_bars() {
        let (html, _) = html(&[], "");
        assert!(html.contains("Nothing that") && !html.contains("<li"), "{html}");
    }
}
