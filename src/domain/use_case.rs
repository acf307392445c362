//! Use cases: named sets of scopes and a least role, as data. The check says what is missing.

use super::{AccessLevel, Scopes, TokenKind, words::words};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The use cases that ship. An operator's file may add to them or replace them by id.
const SHIPPED: &str = include_str!("use_cases.toml");

/// What one use case needs of one kind of token.
#[derive(Clone, Debug)]
pub struct Needs {
    pub scopes: Scopes,
    pub least_role: AccessLevel,
    /// When more than the least role is needed.
    pub note: Option<String>,
}

#[derive(Clone, Debug)]
pub struct UseCase {
    pub id: String,
    pub title: String,
    pub purpose: String,
    needs: BTreeMap<TokenKind, Needs>,
}

impl UseCase {
    pub fn needs(&self, kind: TokenKind) -> &Needs {
        &self.needs[&kind]
    }
}

words! {
    /// What a check of one use case found.
    pub enum CheckOutcome {
        Ok = "ok",
        InsufficientScope = "insufficient_scope",
        InsufficientRole = "insufficient_role",
        /// The token may not ask for its own roles, so the role could not be checked.
        RoleUnknown = "role_unknown",
    }
}

/// The result of checking one use case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct UseCaseCheck {
    pub use_case: String,
    pub outcome: CheckOutcome,
    pub missing_scopes: Vec<String>,
    /// The role that is needed at least.
    pub least_role: String,
    /// Projects that the token reaches with a lower role, by path; the first twenty.
    #[serde(default)]
    pub too_low_in: Vec<String>,
}

/// All use cases that this installation knows.
#[derive(Clone, Debug)]
pub struct UseCases(Vec<UseCase>);

#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    #[error("the use cases are not valid TOML: {0}")]
    Toml(String),
    #[error("use case {id}: {role:?} is not a role; use reporter, developer, maintainer or owner")]
    Role { id: String, role: String },
    #[error("use case {id:?}: an id is lower-case letters, digits and hyphens")]
    Id { id: String },
}

impl UseCases {
    pub fn shipped() -> Self {
        Self(read(SHIPPED).expect("the shipped use cases are valid, a test reads them"))
    }

    /// The shipped ones with those of an operator's file; the same id replaces.
    pub fn with_file(text: &str) -> Result<Self, UseCaseError> {
        let mut all = Self::shipped().0;
        for more in read(text)? {
            all.retain(|known| known.id != more.id);
            all.push(more);
        }
        Ok(Self(all))
    }

    pub fn iter(&self) -> impl Iterator<Item = &UseCase> {
        self.0.iter()
    }

    pub fn get(&self, id: &str) -> Option<&UseCase> {
        self.0.iter().find(|u| u.id == id)
    }

    /// The scopes that all of `ids` together need of a token of this kind.
    pub fn scopes_for(&self, ids: &[String], kind: TokenKind) -> Scopes {
        ids.iter()
            .filter_map(|id| self.get(id))
            .fold(Scopes::default(), |all, u| all.union(&u.needs(kind).scopes))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    use_case: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    title: String,
    #[serde(default)]
    purpose: String,
    scopes: Vec<String>,
    least_role: String,
    note: Option<String>,
    #[serde(default)]
    oauth: Differs,
    #[serde(default)]
    personal: Differs,
    #[serde(default)]
    project: Differs,
    #[serde(default)]
    group: Differs,
}

/// Where one kind of token needs something else.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Differs {
    scopes: Option<Vec<String>>,
    least_role: Option<String>,
    note: Option<String>,
}

fn read(text: &str) -> Result<Vec<UseCase>, UseCaseError> {
    let file: File = toml::from_str(text).map_err(|e| UseCaseError::Toml(e.message().to_owned()))?;
    file.use_case.into_iter().map(Entry::into_use_case).collect()
}

impl Entry {
    fn into_use_case(self) -> Result<UseCase, UseCaseError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.id.is_empty() || !self.id.chars().all(plain) {
            return Err(UseCaseError::Id { id: self.id });
        }
        let mut needs = BTreeMap::new();
        for kind in TokenKind::ALL.iter().copied() {
            needs.insert(kind, self.needs(kind)?);
        }
        Ok(UseCase { id: self.id, title: self.title, purpose: self.purpose, needs })
    }

    fn needs(&self, kind: TokenKind) -> Result<Needs, UseCaseError> {
        let differs = match kind {
            TokenKind::OAuth => &self.oauth,
            TokenKind::Personal => &self.personal,
            TokenKind::Project => &self.project,
            TokenKind::Group => &self.group,
        };
        let role = differs.least_role.as_ref().unwrap_or(&self.least_role);
        let least_role = AccessLevel::named(role)
            .ok_or_else(|| UseCaseError::Role { id: self.id.clone(), role: role.clone() })?;
        Ok(Needs {
            scopes: differs.scopes.as_ref().unwrap_or(&self.scopes).iter().cloned().collect(),
            least_role,
            note: differs.note.clone().or_else(|| self.note.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenKind::{Group, OAuth, Personal, Project};

    #[test]
    fn the_shipped_use_cases_need_what_the_contract_says() {
        let all = UseCases::shipped();
        let needs = |id: &str, kind| {
            let n = all.get(id).unwrap().needs(kind);
            (n.scopes.to_string(), n.least_role)
        };
        assert_eq!(needs("code-review", Personal), ("api".into(), AccessLevel::MAINTAINER));
        assert_eq!(
            needs("remediation", Project),
            ("api read_repository write_repository".into(), AccessLevel::DEVELOPER)
        );
        assert_eq!(needs("secret-sync", Project), ("api".into(), AccessLevel::OWNER));
        assert_eq!(needs("secret-sync", Group), ("api".into(), AccessLevel::MAINTAINER));
        assert_eq!(needs("secret-scanning", OAuth), ("api read_repository".into(), AccessLevel::MAINTAINER));
        assert_eq!(needs("secret-scanning", Group), ("api".into(), AccessLevel::MAINTAINER));
        assert_eq!(needs("read-only", Group), ("read_api read_repository".into(), AccessLevel::REPORTER));
    }

    #[test]
    fn a_file_adds_and_replaces() {
        let all = UseCases::with_file(
            "[[use_case]]\nid = \"read-only\"\ntitle = \"Mine\"\nscopes = [\"read_api\"]\nleast_role = \"guest\"\n",
        )
        .unwrap();
        assert_eq!(all.get("read-only").unwrap().title, "Mine");
        assert_eq!(all.iter().count(), UseCases::shipped().iter().count());
        assert!(UseCases::with_file("[[use_case]]\nid = 3").is_err());
    }

    #[test]
    fn several_use_cases_ask_for_the_union() {
        let all = UseCases::shipped();
        let ids = ["code-review".to_owned(), "read-only".to_owned()];
        assert_eq!(all.scopes_for(&ids, TokenKind::OAuth).to_string(), "api read_api read_repository");
    }
}
