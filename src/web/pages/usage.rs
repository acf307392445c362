//! Who got the token of one connection, and how often: the last thirty days, by API key.

use super::{
    Frame,
    chart::{self, Bar},
    connection,
    head::{Head, Tab},
    ok,
    problem::Failure,
};
use crate::{
    store::KeyUsage,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use std::collections::BTreeMap;
use time::{Date, Duration, OffsetDateTime, macros::format_description};

const DAYS: usize = 30;
/// The page stays small, whoever asks: the others are counted together.
const KEYS_SHOWN: usize = 50;
const NAMED_A_DAY: usize = 8;
/// The heights of the charts, in their own units.
const TALL: i64 = 100;
const LOW: i64 = 24;

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    frame: Frame,
    head: Head,
    /// Nobody ever asked.
    is_unused: bool,
    chart: Chart,
    keys: Vec<KeyRow>,
    others: usize,
}

/// All callers together.
struct Chart {
    width: i64,
    height: i64,
    low: i64,
    top: i64,
    total: i64,
    days: Vec<DayRow>,
    bars: Vec<Bar>,
}

impl Chart {
    fn newest_first(&self) -> impl Iterator<Item = &DayRow> {
        self.days.iter().rev()
    }
}

struct DayRow {
    text: String,
    total: i64,
    /// Who it was, the one that asked most first.
    keys: Vec<(String, i64)>,
    others: usize,
}

/// One API key with a small chart of its own, on the scale of all of them.
struct KeyRow {
    label: KeyLabel,
    recent: i64,
    all: i64,
    last: String,
    path: String,
}

/// How an API key is called where it was used.
pub(super) struct KeyLabel {
    pub(super) name: String,
    pub(super) is_revoked: bool,
    /// There is no such key any more: the name is its id.
    pub(super) is_gone: bool,
}

impl KeyLabel {
    pub(super) fn of(used: &KeyUsage) -> Self {
        Self {
            name: used.name.clone().unwrap_or_else(|| used.api_key_id.clone()),
            is_revoked: used.revoked_at.is_some(),
            is_gone: used.name.is_none(),
        }
    }
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let days = last_days(state.clock.now());
    let usage = state.store.usage_of(c.id).await?;
    let daily = state.store.daily_usage_of(c.id, days[0]).await?;
    let counts = Counts::of(&days, &daily);
    Ok(ok(UsagePage {
        frame: Frame::of(Some(&who), "connections"),
        head: Head::of(&state, &c, Tab::Usage),
        is_unused: c.last_used_at.is_none() && usage.is_empty(),
        chart: counts.chart(&usage),
        keys: counts.keys(&usage),
        others: usage.len().saturating_sub(KEYS_SHOWN),
    }))
}

/// The days that are shown, oldest first; the last one is today.
fn last_days(now: OffsetDateTime) -> Vec<Date> {
    let days = i64::try_from(DAYS).expect("small");
    (0..days).rev().map(|ago| now.date() - Duration::days(ago)).collect()
}

/// `21 Nov 2026`.
pub(super) fn day_text(day: Date) -> String {
    let shape = format_description!("[day padding:none] [month repr:short] [year]");
    day.format(shape).expect("a date has a day, a month and a year")
}

/// Hand-outs of each API key, day by day.
struct Counts<'a> {
    days: &'a [Date],
    by_key: BTreeMap<&'a str, Vec<i64>>,
}

impl<'a> Counts<'a> {
    fn of(days: &'a [Date], daily: &'a [(String, Date, i64)]) -> Self {
        let mut by_key = BTreeMap::<_, Vec<i64>>::new();
        for (key, day, hand_outs) in daily {
            let Ok(at) = days.binary_search(day) else { continue };
            by_key.entry(key.as_str()).or_insert_with(|| vec![0; days.len()])[at] += hand_outs;
        }
        Self { days, by_key }
    }

    fn on(&self, day: usize) -> i64 {
        self.by_key.values().map(|counts| counts[day]).sum()
    }

    fn chart(&self, usage: &[KeyUsage]) -> Chart {
        let totals: Vec<_> = (0..self.days.len()).map(|day| self.on(day)).collect();
        let top = totals.iter().copied().max().unwrap_or(0);
        let days = (0..self.days.len()).map(|day| self.day(day, usage)).collect();
        Chart {
            width: chart::width(self.days.len()),
            height: TALL,
            low: LOW,
            top,
            total: totals.iter().sum(),
            days,
            bars: chart::bars(&totals, top, TALL),
        }
    }

    fn day(&self, day: usize, usage: &[KeyUsage]) -> DayRow {
        let count =
            |used: &KeyUsage| self.by_key.get(used.api_key_id.as_str()).map_or(0, |counts| counts[day]);
        let mut keys: Vec<_> = usage.iter().map(|used| (KeyLabel::of(used).name, count(used))).collect();
        keys.retain(|(_, hand_outs)| *hand_outs > 0);
        keys.sort_by_key(|(_, hand_outs)| std::cmp::Reverse(*hand_outs));
        let others = keys.len().saturating_sub(NAMED_A_DAY);
        keys.truncate(NAMED_A_DAY);
        DayRow { text: day_text(self.days[day]), total: self.on(day), keys, others }
    }

    /// The API keys, the one that asked most first.
    fn keys(&self, usage: &[KeyUsage]) -> Vec<KeyRow> {
        let top = self.by_key.values().flatten().copied().max().unwrap_or(0);
        let none = Vec::new();
        let row = |used: &KeyUsage| {
            let counts = self.by_key.get(used.api_key_id.as_str()).unwrap_or(&none);
            KeyRow {
                label: KeyLabel::of(used),
                recent: counts.iter().sum(),
                all: used.hand_outs,
                last: day_text(used.last_day),
                path: chart::path(counts, top, LOW),
            }
        };
        let mut rows: Vec<_> = usage.iter().map(row).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse((row.recent, row.all)), row.label.name.clone()));
        rows.truncate(KEYS_SHOWN);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::connection::sample;
    use time::macros::{date, datetime};

    const NOW: OffsetDateTime = datetime!(2027-01-30 12:00 UTC);

    fn used(id: &str, name: Option<&str>, hand_outs: i64) -> KeyUsage {
        let (api_key_id, name) = (id.to_owned(), name.map(str::to_owned));
        let revoked_at = id.starts_with("old").then_some(NOW);
        KeyUsage { api_key_id, name, revoked_at, hand_outs, last_day: date!(2027 - 01 - 29) }
    }

    fn render(usage: &[KeyUsage], daily: &[(String, Date, i64)]) -> String {
        let c = sample::connection(NOW);
        let days = last_days(NOW);
        let counts = Counts::of(&days, daily);
        let page = UsagePage {
            frame: Frame::sample(),
            head: Head::standing(&c, c.standing(NOW, Duration::ZERO), Tab::Usage),
            is_unused: usage.is_empty(),
            chart: counts.chart(usage),
            keys: counts.keys(usage),
            others: usage.len().saturating_sub(KEYS_SHOWN),
        };
        page.render().unwrap()
    }

    #[test]
    fn keys_have_their_names_and_the_table_says_what_the_bars_show() {
        let usage = [used("k1", Some("ci <1>"), 12), used("old", Some("deploy"), 700), used("gone", None, 1)];
        let daily =
            [("k1".to_owned(), date!(2027 - 01 - 29), 12), ("old".to_owned(), date!(2027 - 01 - 29), 3)];
        let html = render(&usage, &daily);
        for words in ["ci &#60;1&#62; 12", "deploy 3", "29 Jan 2027", "revoked", "gone", "700"] {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
        assert!(html.find("ci &#60;1").unwrap() < html.find("deploy").unwrap(), "who asks most stands first");
        assert!(!html.contains("style=") && !html.contains("31 Dec 2026"), "thirty days, no more");
        assert!(html.contains("1 Jan 2027"));
    }

    #[test]
    fn fifty_busy_keys_with_long_names_make_a_small_page() {
        let name = "a key with quite a long name, number";
        let usage: Vec<_> =
            (0..60).map(|nth| used(&format!("k{nth}"), Some(&format!("{name} {nth}")), 40_000)).collect();
        let days = last_days(NOW);
        let daily: Vec<_> = days
            .iter()
            .flat_map(|day| (0..60).map(move |nth| (format!("k{nth}"), *day, 1_000 + nth)))
            .collect();
        let html = render(&usage, &daily);
        assert!(html.len() < 80_000, "{}", html.len());
        assert!(html.contains("10 more API keys"));
    }
}
