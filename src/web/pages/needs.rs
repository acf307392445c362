//! What the chosen use cases need of each kind of token: the scopes and the least role, for the form and, as
//! data, for its script.

use super::words;
use crate::domain::{Scopes, TokenKind, UseCase, UseCases};
use serde_json::json;

/// What all chosen use cases together need, for each kind of token.
pub(super) struct Needs {
    pub(super) oauth: NeedView,
    pub(super) personal: NeedView,
    pub(super) project: NeedView,
    pub(super) group: NeedView,
}

/// What they need of one kind. Without a choice there is nothing to name.
pub(super) struct NeedView {
    pub(super) kind: &'static str,
    pub(super) scopes: Vec<String>,
    pub(super) least_role: Option<String>,
    /// Where more than the least role is needed, with the use case that says so.
    pub(super) notes: Vec<String>,
}

/// A use case with what it needs, and where one kind of token needs something else.
pub(super) struct UseCaseView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) purpose: String,
    pub(super) scopes: String,
    pub(super) least_role: String,
    pub(super) note: Option<String>,
    pub(super) differs: Vec<String>,
    /// All of it, for the script.
    pub(super) data: String,
    pub(super) chosen: bool,
}

impl Needs {
    pub(super) fn of(use_cases: &UseCases, chosen: &[String]) -> Self {
        let of = |kind| NeedView::of(use_cases, chosen, kind);
        Self {
            oauth: of(TokenKind::OAuth),
            personal: of(TokenKind::Personal),
            project: of(TokenKind::Project),
            group: of(TokenKind::Group),
        }
    }
}

impl NeedView {
    pub(super) fn of(use_cases: &UseCases, chosen: &[String], kind: TokenKind) -> Self {
        let chosen: Vec<_> = chosen.iter().filter_map(|id| use_cases.get(id)).collect();
        let needs = || chosen.iter().map(|u| u.needs(kind));
        Self {
            kind: kind.as_str(),
            scopes: needs().fold(Scopes::default(), |all, n| all.union(&n.scopes)).to_vec(),
            least_role: needs().map(|n| n.least_role).max().map(|role| role.to_string()),
            notes: chosen.iter().filter_map(|u| note(u, kind).map(|n| format!("{}: {n}", u.title))).collect(),
        }
    }
}

impl UseCaseView {
    pub(super) fn of(use_case: &UseCase, chosen: &[String]) -> Self {
        let usual = use_case.needs(TokenKind::Personal);
        Self {
            id: use_case.id.clone(),
            title: use_case.title.clone(),
            purpose: use_case.purpose.clone(),
            scopes: usual.scopes.to_vec().join(", "),
            least_role: usual.least_role.to_string(),
            note: note(use_case, TokenKind::Personal).map(str::to_owned),
            differs: [TokenKind::Project, TokenKind::Group]
                .into_iter()
                .filter_map(|k| differs(use_case, k))
                .collect(),
            data: as_data(use_case),
            chosen: chosen.contains(&use_case.id),
        }
    }
}

/// What one kind of token needs otherwise than a personal one.
fn differs(use_case: &UseCase, kind: TokenKind) -> Option<String> {
    let (usual, own) = (use_case.needs(TokenKind::Personal), use_case.needs(kind));
    let mut parts = Vec::new();
    if own.scopes != usual.scopes {
        parts.push(format!("scope {}", own.scopes.to_vec().join(", ")));
    }
    if own.least_role != usual.least_role {
        parts.push(format!("role {}", own.least_role));
    }
    (!parts.is_empty()).then(|| format!("{}: {}", words::token_kind(kind), parts.join(", ")))
}

/// When a use case needs more than its least role.
fn note(use_case: &UseCase, kind: TokenKind) -> Option<&str> {
    use_case.needs(kind).note.as_deref().filter(|text| !text.is_empty())
}

/// One use case's needs of every kind, as JSON for the script.
fn as_data(use_case: &UseCase) -> String {
    let of = |kind: TokenKind| {
        let needs = use_case.needs(kind);
        let (role, level) = (needs.least_role.to_string(), needs.least_role);
        let note = note(use_case, kind).map(|n| format!("{}: {n}", use_case.title));
        (kind.to_string(), json!({"scopes": needs.scopes, "role": role, "level": level, "note": note}))
    };
    serde_json::Value::Object(TokenKind::ALL.iter().copied().map(of).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(chosen: &[&str]) -> Needs {
        let chosen: Vec<_> = chosen.iter().map(|id| (*id).to_owned()).collect();
        Needs::of(&UseCases::shipped(), &chosen)
    }

    #[test]
    fn several_use_cases_need_all_scopes_and_the_highest_role() {
        let needs = of(&["secret-sync", "secret-scanning", "read-only"]);
        assert_eq!(needs.group.scopes, ["api", "read_api", "read_repository"]);
        assert_eq!(needs.project.least_role.as_deref(), Some("Owner"));
        assert_eq!(needs.oauth.least_role.as_deref(), Some("Maintainer"));
        assert_eq!(needs.group.notes.len(), 2);
        assert!(needs.project.notes.is_empty());
    }

    #[test]
    fn without_a_choice_nothing_is_named() {
        let needs = of(&["no-such-use-case"]);
        assert!(needs.personal.scopes.is_empty() && needs.personal.least_role.is_none());
    }

    #[test]
    fn the_script_is_told_every_kind() {
        let data = as_data(UseCases::shipped().get("secret-sync").unwrap());
        let data: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(data["project"]["role"], "Owner");
        assert_eq!(data["group"]["level"], 40);
        assert_eq!(data["oauth"]["scopes"], json!(["api"]));
        assert_eq!(data["project"]["note"], json!(null));
    }
}
