//! The fields of the form that edits a connection: read, compared with what stands there, and shown again.

use super::{
    checks::{ScopeHeld, ScopeView, title},
    form::Form,
};
use crate::{
    connect::{ConnectError, Fields, one_kind_of_line},
    domain::{Connection, UseCase},
    web::state::AppState,
};
use std::collections::{BTreeMap, BTreeSet};

/// The fields as they are shown: as they stand, or as they were sent.
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) tags: Vec<(String, String)>,
    pub(super) use_cases: Vec<String>,
}

/// A use case to choose, with what this token lacks for it.
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) purpose: String,
    pub(super) least_role: String,
    pub(super) scopes: Vec<ScopeView>,
    pub(super) is_chosen: bool,
}

impl Choice {
    pub(super) fn of(known: &UseCase, c: &Connection, chosen: &[String]) -> Self {
        let needs = known.needs(c.token_kind);
        Self {
            id: known.id.clone(),
            title: known.title.clone(),
            purpose: known.purpose.clone(),
            least_role: needs.least_role.to_string(),
            scopes: ScopeView::all(&needs.scopes, &c.credential.scopes),
            is_chosen: chosen.contains(&known.id),
        }
    }

    pub(super) fn lacks(&self) -> Vec<&str> {
        let missing = self.scopes.iter().filter(|scope| scope.held == ScopeHeld::No);
        missing.map(|scope| scope.name.as_str()).collect()
    }
}

impl Typed {
    pub(super) fn of(c: &Connection) -> Self {
        Self {
            name: c.name.clone(),
            description: c.description.clone().unwrap_or_default(),
            tags: c.tags.clone().into_iter().collect(),
            use_cases: c.use_cases.clone(),
        }
    }

    pub(super) fn sent(form: &Form) -> Self {
        let trimmed = |name| form.all(name).into_iter().map(|text| text.trim().to_owned());
        let rows = trimmed("tag_key").zip(trimmed("tag_value"));
        Self {
            name: form.text("name").to_owned(),
            description: one_kind_of_line(form.text("description")),
            tags: rows.filter(|(key, value)| !key.is_empty() || !value.is_empty()).collect(),
            use_cases: form.all("use_cases"),
        }
    }

    /// What is to stand in the connection. A tag without a key, or with one that stands twice, would be lost.
    pub(super) fn fields(&self, c: &Connection) -> Result<Fields, ConnectError> {
        let mut tags = BTreeMap::new();
        for (key, value) in &self.tags {
            if key.is_empty() || tags.insert(key.clone(), value.clone()).is_some() {
                let message = if key.is_empty() {
                    format!("The tag with the value “{value}” has no key. Give it one, or empty the value.")
                } else {
                    format!("The tag “{key}” stands twice. Keep one of them.")
                };
                return Err(ConnectError::Field { field: "tags", message });
            }
        }
        Ok(Fields {
            name: self.name.clone(),
            description: Some(self.description.clone()).filter(|text| !text.is_empty()),
            tags,
            use_cases: self.use_cases.clone(),
            ..Fields::of(c)
        })
    }
}

/// Where what was sent differs from what stands there now.
pub(super) fn theirs(typed: &Typed, c: &Connection, state: &AppState) -> Vec<(&'static str, String)> {
    let now = Typed::of(c);
    let tags = |tags: &[(String, String)]| {
        let all: BTreeMap<_, _> =
            tags.iter().filter(|(key, _)| !key.is_empty()).map(|(k, v)| (k, v)).collect();
        all.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    };
    let use_cases = |ids: &[String]| {
        let all: BTreeSet<_> = ids.iter().map(|id| title(id, &state.use_cases)).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let pairs = [
        ("Name", typed.name.clone(), now.name),
        ("Description", typed.description.clone(), now.description),
        ("Tags", tags(&typed.tags), tags(&now.tags)),
        ("Use cases", use_cases(&typed.use_cases), use_cases(&now.use_cases)),
    ];
    pairs.into_iter().filter(|(_, mine, theirs)| mine != theirs).map(|(field, _, now)| (field, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::{change::mark, pages::connection::sample};
    use time::macros::datetime;

    #[test]
    fn rows_of_tags_are_read_and_empty_ones_left_out() {
        let c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        let fields = |text: &str| Typed::sent(&Form::parse(text.as_bytes())).fields(&c);
        let good = fields("name=a&tag_key=+team+&tag_value=sec&tag_key=&tag_value=&tag_key=env&tag_value=");
        let tags: Vec<_> = good.unwrap().tags.into_iter().collect();
        assert_eq!(tags, [("env".to_owned(), String::new()), ("team".to_owned(), "sec".to_owned())]);
        for bad in ["tag_key=&tag_value=x", "tag_key=a&tag_value=1&tag_key=a&tag_value=2"] {
            assert!(matches!(fields(bad), Err(ConnectError::Field { field: "tags", .. })), "{bad}");
        }
    }

    #[test]
    fn the_mark_changes_with_what_the_form_shows_and_with_nothing_else() {
        let c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        let mut renewed = c.clone();
        renewed.credential.generation += 1;
        renewed.updated_at = datetime!(2027-01-01 13:00 UTC);
        assert_eq!(mark(&c), mark(&renewed));
        let mut tagged = c.clone();
        tagged.tags.insert("a".into(), "b".into());
        assert_ne!(mark(&c), mark(&tagged));
    }
}
