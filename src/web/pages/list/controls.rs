//! What narrows and sorts the list: each choice is an address, or a field of the form.

use super::asked::Asked;
use crate::{
    domain::{Method, Status, TokenKind},
    store::Sort,
    web::pages::words,
};

/// A status with how many there are, as a filter.
pub(super) struct Chip {
    pub(super) href: String,
    pub(super) value: &'static str,
    pub(super) text: &'static str,
    pub(super) count: i64,
    pub(super) is_chosen: bool,
}

pub(super) struct Select {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) options: Vec<Choice>,
}

pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

/// The head of a column; a link where the list can begin with it.
pub(super) struct Head {
    pub(super) text: &'static str,
    pub(super) href: Option<String>,
    pub(super) order: Option<&'static str>,
}

/// All, and then each status, what needs a person most first.
pub(super) fn chips(asked: &Asked, all: i64, of: impl Fn(&Status) -> i64) -> Vec<Chip> {
    let chosen = asked.status();
    let at = |status: &str| Asked { status: status.to_owned(), ..asked.at(1) }.address();
    let any = Chip { href: at(""), value: "any", text: "All", count: all, is_chosen: chosen.is_none() };
    let each = Status::ALL.iter().rev().map(|status| Chip {
        href: at(status.as_str()),
        value: status.as_str(),
        text: words::status_text(*status),
        count: of(status),
        is_chosen: chosen == Some(*status),
    });
    std::iter::once(any).chain(each).collect()
}

pub(super) fn selects(asked: &Asked, mut integrations: Vec<String>) -> [Select; 4] {
    if !asked.integration.is_empty() && !integrations.contains(&asked.integration) {
        integrations.push(asked.integration.clone());
    }
    let integrations = integrations.into_iter().map(|id| (id.clone(), id)).collect();
    let methods = Method::ALL.iter().map(|m| (m.to_string(), words::method(*m).to_owned())).collect();
    let kinds = TokenKind::ALL.iter().map(|k| (k.to_string(), words::token_kind(*k).to_owned())).collect();
    [
        Select::of(("integration", "Integration"), "Any", (&asked.integration, integrations)),
        Select::of(("method", "Connected by"), "Any", (&asked.method, methods)),
        Select::of(("kind", "Token"), "Any", (&asked.kind, kinds)),
        Select::of(("sort", "Sort by"), "What needs a look first", (&asked.sort, sorts())),
    ]
}

/// Every order that the heads of the columns give, for where they are not shown.
fn sorts() -> Vec<(String, String)> {
    let all = [
        ("-status", "What works first"),
        ("name", "Name"),
        ("-name", "Name, from the end"),
        ("expiry", "Token that ends first"),
        ("-expiry", "Token that ends last"),
        ("used", "Last used"),
        ("-used", "Longest unused"),
    ];
    all.map(|(value, text)| (value.to_owned(), text.to_owned())).into()
}

impl Select {
    fn of(
        (name, label): (&'static str, &'static str),
        any: &str,
        (chosen, options): (&str, Vec<(String, String)>),
    ) -> Self {
        let any = (String::new(), any.to_owned());
        let choice = |(value, text): (String, String)| Choice { is_chosen: value == chosen, value, text };
        Self { name, label, options: std::iter::once(any).chain(options).map(choice).collect() }
    }
}

pub(super) fn heads(asked: &Asked) -> [Head; 6] {
    let (sort, reversed) = asked.sort();
    let plain = |text| Head { text, href: None, order: None };
    let head = |text, by: Sort, falls: bool| {
        let order = if reversed == falls { "ascending" } else { "descending" };
        Head { text, href: Some(asked.sorted(by).address()), order: (sort == by).then_some(order) }
    };
    [
        head("Name", Sort::Name, false),
        head("Status", Sort::Standing, true),
        plain("Account"),
        plain("Integration"),
        head("Token ends", Sort::End, false),
        head("Last used", Sort::Used, true),
    ]
}
