//! OAuth 2.0 scopes (RFC 6749 section 3.3) as a set, with what GitLab's scopes imply.

use std::{collections::BTreeSet, fmt};

/// A set of scopes, as granted or as asked for. Prints as the space-separated list of RFC 6749.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Reads the space-separated form.
    pub fn parse(text: &str) -> Self {
        text.split_whitespace().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Whether this set gives `scope`, itself or through a wider one. `api` holds `read_api` and
    /// `read_user`; it is not taken to stand for the repository scopes, which are granted by name.
    pub fn holds(&self, scope: &str) -> bool {
        self.giver_of(scope).is_some()
    }

    /// The scope in this set that gives `scope`: itself, or a wider one.
    pub fn giver_of(&self, scope: &str) -> Option<&str> {
        let wider = || wider(scope).iter().find_map(|w| self.0.get(*w));
        self.0.get(scope).or_else(wider).map(String::as_str)
    }

    /// Whether these are those of a fine-grained token, which lists this instead: its rights can only be tried.
    pub fn is_granular(&self) -> bool {
        self.0.contains("granular")
    }

    /// What of `needed` this set does not give.
    pub fn missing(&self, needed: &Self) -> Vec<String> {
        needed.0.iter().filter(|s| !self.holds(s)).cloned().collect()
    }
}

fn wider(scope: &str) -> &'static [&'static str] {
    match scope {
        "read_api" => &["api"],
        "read_user" => &["api", "read_api"],
        _ => &[],
    }
}

impl<S: Into<String>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(items: I) -> Self {
        Self(items.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_holds_reading_but_not_repositories() {
        let api = Scopes::parse("api");
        assert!(api.holds("read_api") && api.holds("read_user"));
        assert_eq!(api.missing(&Scopes::parse("read_repository api")), ["read_repository"]);
        assert!(!Scopes::parse("read_api").holds("api"));
        assert_eq!(api.giver_of("api"), Some("api"));
        assert_eq!(Scopes::parse("read_api").giver_of("read_user"), Some("read_api"));
    }
}
