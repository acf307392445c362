//! Whose token it is, what kind of token, and the roles that GitLab knows.

use super::words::words;
use std::fmt;

words! {
    /// The kinds of token that make a connection. A service account's token is `personal`.
    pub enum TokenKind {
        OAuth = "oauth",
        Personal = "personal",
        Project = "project",
        Group = "group",
    }
}

words! {
    /// Who stands behind a token.
    pub enum AccountKind {
        User = "user",
        ServiceAccount = "service_account",
        ProjectBot = "project_bot",
        GroupBot = "group_bot",
    }
}

words! {
    /// What a bot account belongs to.
    pub enum ResourceKind {
        Project = "project",
        Group = "group",
    }
}

/// The project or group that a bot account belongs to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Resource {
    pub kind: ResourceKind,
    pub id: i64,
}

/// The provider's account behind a credential. Only the id is sure: a token with repository scopes
/// alone may not ask for its own name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Account {
    pub id: i64,
    pub username: Option<String>,
    pub name: Option<String>,
    pub kind: AccountKind,
    pub web_url: Option<String>,
    pub resource: Option<Resource>,
}

impl Account {
    /// Whether it is the bot of one project's or group's token, whose role is chosen when the token is made.
    pub fn is_bot(&self) -> bool {
        self.resource.is_some()
    }

    /// The name that a person knows it by.
    pub fn label(&self) -> String {
        self.username.as_ref().map_or_else(|| format!("account {}", self.id), |u| format!("@{u}"))
    }
}

/// A role as GitLab's number for it (GitLab docs, "Roles and permissions"). 15 (Planner) and 25
/// (Security manager) are side roles, so "at least Developer" is a comparison with 30.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct AccessLevel(pub u8);

impl AccessLevel {
    pub const REPORTER: Self = Self(20);
    pub const DEVELOPER: Self = Self(30);
    pub const MAINTAINER: Self = Self(40);
    pub const OWNER: Self = Self(50);

    const NAMES: [(u8, &'static str); 9] = [
        (0, "No access"),
        (5, "Minimal access"),
        (10, "Guest"),
        (15, "Planner"),
        (20, "Reporter"),
        (25, "Security manager"),
        (30, "Developer"),
        (40, "Maintainer"),
        (50, "Owner"),
    ];

    /// Reads a role's name in any case, as a use-case file spells it.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(level, _)| Self(*level))
    }
}

impl fmt::Display for AccessLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(level, _)| *level == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "access level {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_their_gitlab_names() {
        assert_eq!(AccessLevel::named("maintainer"), Some(AccessLevel::MAINTAINER));
        assert_eq!(AccessLevel(40).to_string(), "Maintainer");
        assert_eq!(AccessLevel(42).to_string(), "access level 42");
    }
}
