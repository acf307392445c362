//! One mail made of any number of notices: its subject, and the same content as text and as HTML.

use super::{
    Notice, moments,
    wording::{Wording, one_line},
};
use askama::Template;
use std::collections::BTreeSet;

/// Told in full. More are counted, and found on the list page.
const MOST: usize = 25;

#[derive(Template)]
#[template(path = "mail/notice.txt")]
struct Text<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail/notice.html")]
struct Html<'a> {
    letter: &'a Letter,
}

/// What a mail says, before it is laid out.
pub(super) struct Letter {
    pub(super) subject: String,
    items: Vec<Item>,
    /// How many are not told in full.
    left_out: usize,
    /// The list of connections.
    list: String,
}

/// One notice.
struct Item {
    wording: Wording,
    link: Link,
    facts: Vec<(&'static str, String)>,
}

struct Link {
    text: &'static str,
    url: String,
}

impl Letter {
    /// Those that need a person come first, each kind in the order of the notices.
    pub(super) fn of(notices: &[Notice], site_url: &str) -> Self {
        let mut items: Vec<_> = notices.iter().map(|notice| Item::of(notice, site_url)).collect();
        let subject = subject(notices, &items);
        items.sort_by_key(|item| !item.wording.needs_you);
        let left_out = items.len().saturating_sub(MOST);
        items.truncate(MOST);
        Self { subject, items, left_out, list: format!("{site_url}/") }
    }

    pub(super) fn text(&self) -> Result<String, askama::Error> {
        Text { letter: self }.render()
    }

    pub(super) fn html(&self) -> Result<String, askama::Error> {
        Html { letter: self }.render()
    }
}

impl Item {
    fn of(notice: &Notice, site_url: &str) -> Self {
        let wording = Wording::of(notice);
        Self { link: link(notice, wording.needs_you, site_url), facts: facts(notice), wording }
    }
}

/// Where to go on: only ever to our own pages, and to an action only where one is needed.
fn link(notice: &Notice, needs_you: bool, site_url: &str) -> Link {
    let ours = |url: &&str| url.strip_prefix(site_url).is_some_and(|path| path.starts_with('/'));
    let connection = notice.data.connection.as_ref();
    let action = connection.and_then(|c| c.action_url.as_deref()).filter(ours).filter(|_| needs_you);
    let page = connection.map(|c| c.url.as_str()).filter(ours);
    let text = match (connection.and_then(|c| c.action.as_deref()), action, page) {
        (Some("rotate"), Some(_), _) => "Rotate token",
        (Some("reauthorize"), Some(_), _) => "Reauthorize",
        (_, _, Some(_)) => "Open the connection",
        _ => "Open Mooring",
    };
    let url = action.or(page).map_or_else(|| format!("{site_url}/"), one_line);
    Link { text, url }
}

fn facts(notice: &Notice) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(connection) = &notice.data.connection {
        facts.push(("Connection", one_line(&connection.name)));
        facts.push(("Instance", one_line(&connection.base_url)));
        facts.extend(connection.account.as_deref().map(|account| ("Account", one_line(account))));
        facts.extend(connection.expires_at.map(|end| ("Token ends", moments::date(end))));
    }
    facts.extend(notice.data.tenant.as_deref().map(|tenant| ("Tenant", one_line(tenant))));
    facts.push(("When", moments::date(notice.timestamp)));
    facts
}

fn subject(notices: &[Notice], items: &[Item]) -> String {
    if let [one] = items {
        return format!("Mooring: {}", one.wording.title);
    }
    let needing = notices.iter().zip(items).filter(|(_, item)| item.wording.needs_you);
    let are_connections = needing.clone().all(|(notice, _)| notice.data.connection.is_some());
    let what = if are_connections { "connection" } else { "thing" };
    match needing.map(|(notice, _)| &notice.data.subject).collect::<BTreeSet<_>>().len() {
        0 => format!("Mooring: {} notices", items.len()),
        1 => format!("Mooring: 1 {what} needs you"),
        more => format!("Mooring: {more} {what}s need you"),
    }
}
