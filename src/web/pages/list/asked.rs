//! What an address asks of the list. Every filter is in it, so that a list can be kept, sent and gone back to.

use crate::{
    domain::{Method, Status, TokenKind},
    store::{ConnectionFilter, Sort},
};
use serde::Deserialize;
use std::{ops::Range, str::FromStr};
use time::{Date, Duration, OffsetDateTime, macros::format_description};

/// The parameters as they came. One that cannot be read asks for nothing.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub(in crate::web::pages) struct Asked {
    pub(super) q: String,
    pub(super) status: String,
    pub(super) integration: String,
    pub(super) method: String,
    pub(super) kind: String,
    pub(super) tenant: String,
    /// Two days with two dots between, in UTC, both within.
    pub(super) ends: String,
    /// A word of [`SORTS`], with a minus before it for the other end.
    pub(super) sort: String,
    pub(super) page: String,
}

/// The words of an address for what a list begins with.
const SORTS: [(Sort, &str); 4] =
    [(Sort::Standing, "status"), (Sort::Name, "name"), (Sort::End, "expiry"), (Sort::Used, "used")];

impl Asked {
    pub(super) fn filter(&self) -> ConnectionFilter {
        ConnectionFilter {
            tenant: self.tenant.trim().to_owned(),
            integration: self.integration.clone(),
            method: known::<Method>(&self.method).map_or(String::new(), |m| m.to_string()),
            token_kind: known::<TokenKind>(&self.kind).map_or(String::new(), |k| k.to_string()),
            q: self.q.clone(),
            status: self.status(),
            ends: self.ends(),
        }
    }

    pub(super) fn status(&self) -> Option<Status> {
        known(&self.status)
    }

    /// From the first moment of the first day up to the first moment after the last.
    fn ends(&self) -> Option<Range<OffsetDateTime>> {
        let (first, last) = self.ends.split_once("..")?;
        let day = |text: &str| Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
        let (first, last) = (day(first)?, day(last)?);
        Some(first.midnight().assume_utc()..last.next_day()?.midnight().assume_utc())
    }

    /// The days of these periods, as [`Asked::ends`] reads them.
    pub(super) fn ends_within(from: OffsetDateTime, days: i64) -> String {
        let last = from + Duration::days(days - 1);
        format!("{}..{}", from.date(), last.date())
    }

    /// What the list begins with, and whether it is turned around.
    pub(super) fn sort(&self) -> (Sort, bool) {
        let (word, reversed) = match self.sort.strip_prefix('-') {
            Some(word) => (word, true),
            None => (self.sort.as_str(), false),
        };
        let known = SORTS.iter().find(|(_, known)| *known == word);
        known.map_or((Sort::default(), false), |(sort, _)| (*sort, reversed))
    }

    /// The same list, beginning with something else, or turned around if it begins with that already.
    pub(super) fn sorted(&self, by: Sort) -> Self {
        let turned = self.sort() == (by, false);
        let word = SORTS.iter().find(|(sort, _)| *sort == by).map_or("", |(_, word)| word);
        let sort = if turned { format!("-{word}") } else { word.to_owned() };
        Self { sort, page: String::new(), ..self.clone() }
    }

    /// The page that is asked for, from 1 on.
    pub(super) fn page(&self) -> i64 {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    pub(super) fn at(&self, page: i64) -> Self {
        let page = if page > 1 { page.to_string() } else { String::new() };
        Self { page, ..self.clone() }
    }

    /// Whether something may be left out of the list.
    pub(super) fn is_narrow(&self) -> bool {
        let all =
            [&self.q, &self.status, &self.integration, &self.method, &self.kind, &self.tenant, &self.ends];
        all.iter().any(|text| !text.trim().is_empty())
    }

    /// How many of the filters behind the search are set.
    pub(super) fn more(&self) -> usize {
        let all = [&self.integration, &self.method, &self.kind, &self.tenant];
        all.iter().filter(|text| !text.trim().is_empty()).count()
    }

    /// The address that asks for this, without what goes without saying.
    pub(super) fn address(&self) -> String {
        let all = [
            ("q", &self.q),
            ("status", &self.status),
            ("integration", &self.integration),
            ("method", &self.method),
            ("kind", &self.kind),
            ("tenant", &self.tenant),
            ("ends", &self.ends),
            ("sort", &self.sort),
            ("page", &self.page),
        ];
        let given: Vec<_> = all.iter().filter(|(_, text)| !text.is_empty()).collect();
        if given.is_empty() {
            return "/".to_owned();
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
        format!("/?{query}")
    }
}

fn known<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_address_leads_back_to_what_it_asks() {
        assert_eq!(Asked::default().address(), "/");
        let asked = Asked { q: "a&b %".into(), tenant: "acme".into(), page: "2".into(), ..Asked::default() };
        assert_eq!(asked.address(), "/?q=a%26b+%25&tenant=acme&page=2");
        assert_eq!(asked.at(1).address(), "/?q=a%26b+%25&tenant=acme");
    }

    #[test]
    fn a_second_press_turns_the_order_around() {
        let first = Asked { page: "7".into(), ..Asked::default() }.sorted(Sort::Name);
        assert_eq!((first.sort(), first.address().as_str()), ((Sort::Name, false), "/?sort=name"));
        let second = first.sorted(Sort::Name);
        assert_eq!((second.sort(), second.address().as_str()), ((Sort::Name, true), "/?sort=-name"));
        assert_eq!(second.sorted(Sort::Name), first);
        assert_eq!(second.sorted(Sort::Used).sort(), (Sort::Used, false));
        assert_eq!(Asked { sort: "-magic".into(), ..Asked::default() }.sort(), (Sort::Standing, false));
    }

    #[test]
    fn days_are_whole_and_both_ends_count() {
        let asked = |ends: &str| Asked { ends: ends.into(), ..Asked::default() }.filter().ends;
        let week = Asked::ends_within(datetime!(2027-01-29 0:00 UTC), 7);
        assert_eq!(asked(&week), Some(datetime!(2027-01-29 0:00 UTC)..datetime!(2027-02-05 0:00 UTC)));
        for wrong in
            ["", "2027-01-29", "..", "2027-01-29..", "2027-02-30..2027-03-01", "9999-12-31..9999-12-31"]
        {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing() {
        let wrong = |text: &str| text.to_owned();
        let asked = Asked {
            status: wrong("fine"),
            method: wrong("magic"),
            kind: wrong("x"),
            page: wrong("-3"),
            ..Asked::default()
        };
        let filter = asked.filter();
        assert_eq!((filter.status, filter.method.as_str(), filter.token_kind.as_str()), (None, "", ""));
        assert_eq!((asked.page(), Asked { page: wrong("1e9"), ..asked }.page()), (1, 1));
    }
}
