//! What a person says about a connection, checked before anybody is asked.

use super::ConnectError;
use crate::domain::Connection;
use std::collections::BTreeMap;
use uuid::Uuid;

const LONGEST_NAME: usize = 100;
/// The API has connections by their names below it.
const RESERVED: &str = "by-name";
const LONGEST_DESCRIPTION: usize = 1_000;
const MOST_TAGS: usize = 50;
const LONGEST_TAG: usize = 200;

/// Where to connect.
#[derive(Clone, Debug)]
pub enum Target {
    /// An integration, by id.
    Integration(String),
    /// A base URL that a user typed.
    BaseUrl(String),
}

/// What a person says about a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub name: String,
    pub description: Option<String>,
    pub tenant: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub use_cases: Vec<String>,
}

impl Fields {
    /// What a connection says of itself already.
    pub fn of(connection: &Connection) -> Self {
        Self {
            name: connection.name.clone(),
            description: connection.description.clone(),
            tenant: connection.tenant.clone(),
            tags: connection.tags.clone(),
            use_cases: connection.use_cases.clone(),
        }
    }

    /// Trims and checks every field.
    pub fn checked(mut self) -> Result<Self, ConnectError> {
        self.name = name(&self.name)?;
        self.description = self.description.map(|d| one_kind_of_line(d.trim())).filter(|d| !d.is_empty());
        if self.description.as_ref().is_some_and(|d| d.contains('\0')) {
            return Err(ConnectError::field(
                "description",
                "A description is text, without a null character.",
            ));
        }
        if self.description.as_ref().is_some_and(|d| d.chars().count() > LONGEST_DESCRIPTION) {
            return Err(ConnectError::field("description", "A description has 1,000 characters at most."));
        }
        if let Some(tenant) = &self.tenant {
            check_tenant(tenant)?;
        }
        check_tags(&self.tags)?;
        let mut seen = Vec::new();
        self.use_cases.retain(|id| {
            !seen.contains(id) && {
                seen.push(id.clone());
                true
            }
        });
        Ok(self)
    }
}

/// Browsers send two characters for the end of a line, programs one.
pub fn one_kind_of_line(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// A name is used in addresses, so it has no slash, and it must not look like an id.
pub(super) fn name(text: &str) -> Result<String, ConnectError> {
    let name = text.trim();
    let refuse = |message: &str| Err(ConnectError::field("name", message));
    if name.is_empty() {
        return refuse("Give the connection a name.");
    }
    if name.chars().count() > LONGEST_NAME {
        return refuse("A name has 100 characters at most.");
    }
    if name.chars().any(|c| c.is_control() || "/\\?#%".contains(c)) {
        return refuse("A name has no slash, question mark, #, % or control character.");
    }
    if name == RESERVED {
        return refuse("This name stands for something else in addresses. Choose another one.");
    }
    if Uuid::parse_str(name).is_ok() {
        return refuse("A name must not look like an id.");
    }
    Ok(name.to_owned())
}

pub(super) fn check_tenant(tenant: &str) -> Result<(), ConnectError> {
    check_text("tenant", tenant)
}

/// Somebody's own word for something.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), ConnectError> {
    let plain = !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
    if plain { Ok(()) } else { Err(ConnectError::field(field, "Give 1 to 200 characters of text.")) }
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ConnectError> {
    let long = |text: &str| text.chars().count() > LONGEST_TAG || text.chars().any(char::is_control);
    if tags.len() > MOST_TAGS || tags.iter().any(|(k, v)| k.is_empty() || long(k) || long(v)) {
        return Err(ConnectError::field(
            "tags",
            "There are 50 tags at most, each key and value 200 characters of text.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_an_address() {
        assert_eq!(name("  acme review ").unwrap(), "acme review");
        for bad in
            ["", " ", "by-name", "a/b", "a?b", "a#b", "a%2fb", "a\nb", "0199a3c2-9f4e-7c3a-8d1e-2f3a4b5c6d7e"]
        {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert!(name(&"x".repeat(101)).is_err());
    }

    #[test]
    fn a_use_case_counts_once() {
        let twice = Fields {
            name: "a".into(),
            use_cases: vec!["x".into(), "y".into(), "x".into()],
            ..Fields::default()
        };
        assert_eq!(twice.checked().unwrap().use_cases, ["x", "y"]);
    }
}
