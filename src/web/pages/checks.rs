//! What a check of one use case found, for a page: in a line where a token is looked at, and in full where a
//! connection stands.

use crate::{
    domain::{CheckOutcome, Connection, Needs, ResourceKind, Scopes, UseCase, UseCaseCheck, UseCases},
    providers::ProviderApi,
};

pub(super) struct CheckView {
    pub(super) title: String,
    /// `ok`, `insufficient_scope`, `insufficient_role` or `role_unknown`.
    pub(super) outcome: &'static str,
    pub(super) missing: Vec<String>,
    pub(super) least_role: String,
    pub(super) too_low_in: Vec<String>,
}

impl CheckView {
    pub(super) fn of(check: &UseCaseCheck, use_cases: &UseCases) -> Self {
        Self {
            title: title(&check.use_case, use_cases),
            outcome: check.outcome.as_str(),
            missing: check.missing_scopes.clone(),
            least_role: check.least_role.clone(),
            too_low_in: check.too_low_in.clone(),
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.outcome == CheckOutcome::Ok.as_str()
    }
}

pub(super) fn title(id: &str, use_cases: &UseCases) -> String {
    use_cases.get(id).map_or_else(|| id.to_owned(), |u| u.title.clone())
}

/// One use case of a connection: every scope that it needs, and its role.
pub(super) struct UseCaseView {
    pub(super) title: String,
    pub(super) scopes: Vec<ScopeView>,
    pub(super) least_role: String,
    /// When more than the least role is needed.
    pub(super) note: Option<String>,
    pub(super) role: RoleFound,
    /// Projects where the role is too low, with the page where it is raised.
    pub(super) too_low_in: Vec<(String, String)>,
    /// This installation does not know it any more.
    pub(super) is_gone: bool,
}

/// What is known of the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoleFound {
    Enough,
    Nowhere,
    /// The token may not ask.
    Untold,
    /// It is looked at once the scopes are right.
    Later,
    Unchecked,
}

/// One scope that a use case needs.
pub(super) struct ScopeView {
    pub(super) name: String,
    pub(super) held: ScopeHeld,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScopeHeld {
    Yes,
    /// A wider scope, which is named, gives it.
    Through(String),
    No,
    /// The rights of a fine-grained token can only be tried.
    Untold,
}

impl ScopeView {
    fn of(name: &str, scopes: &Scopes) -> Self {
        let held = match scopes.giver_of(name) {
            _ if scopes.is_granular() => ScopeHeld::Untold,
            Some(giver) if giver == name => ScopeHeld::Yes,
            Some(giver) => ScopeHeld::Through(giver.to_owned()),
            None => ScopeHeld::No,
        };
        Self { name: name.to_owned(), held }
    }

    /// Each scope that is needed, against those that a token has.
    pub(super) fn all(needed: &Scopes, held: &Scopes) -> Vec<Self> {
        needed.iter().map(|name| Self::of(name, held)).collect()
    }
}

impl UseCaseView {
    /// The chosen use cases in their order.
    pub(super) fn all(c: &Connection, use_cases: &UseCases, api: &dyn ProviderApi) -> Vec<Self> {
        let view = |id: &String| {
            let check = c.checks.iter().find(|check| check.use_case == *id);
            match use_cases.get(id) {
                Some(known) => Self::of(known, check, c, api),
                None => Self::gone(id),
            }
        };
        c.use_cases.iter().map(view).collect()
    }

    fn of(known: &UseCase, check: Option<&UseCaseCheck>, c: &Connection, api: &dyn ProviderApi) -> Self {
        let Needs { scopes, least_role, note } = known.needs(c.token_kind);
        let low = check.map(|check| check.too_low_in.as_slice()).unwrap_or_default();
        let members = |path: &String| api.members_url(&c.base_url, ResourceKind::Project, path);
        Self {
            title: known.title.clone(),
            scopes: ScopeView::all(scopes, &c.credential.scopes),
            least_role: least_role.to_string(),
            note: note.clone().filter(|note| !note.is_empty()),
            role: RoleFound::of(check),
            too_low_in: low.iter().map(|path| (path.clone(), members(path))).collect(),
            is_gone: false,
        }
    }

    fn gone(id: &str) -> Self {
        Self {
            title: id.to_owned(),
            scopes: vec![],
            least_role: String::new(),
            note: None,
            role: RoleFound::Untold,
            too_low_in: vec![],
            is_gone: true,
        }
    }

    pub(super) fn lacks_scope(&self) -> bool {
        self.scopes.iter().any(|scope| scope.held == ScopeHeld::No)
    }

    /// The class that gives it its mark.
    pub(super) fn mark(&self) -> &'static str {
        match self.role {
            _ if self.lacks_scope() => "bad",
            RoleFound::Nowhere => "bad",
            RoleFound::Enough => "good",
            RoleFound::Untold | RoleFound::Later | RoleFound::Unchecked => "unsure",
        }
    }
}

impl RoleFound {
    fn of(check: Option<&UseCaseCheck>) -> Self {
        match check.map(|check| check.outcome) {
            Some(CheckOutcome::Ok) => Self::Enough,
            Some(CheckOutcome::InsufficientRole) => Self::Nowhere,
            Some(CheckOutcome::InsufficientScope) => Self::Later,
            Some(CheckOutcome::RoleUnknown) => Self::Untold,
            None => Self::Unchecked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{providers::GitLab, web::pages::connection::sample};
    use time::macros::datetime;

    fn view(scopes: &str, use_case: &str, outcome: Option<CheckOutcome>) -> UseCaseView {
        let mut c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        c.credential.scopes = Scopes::parse(scopes);
        c.use_cases = vec![use_case.to_owned()];
        c.checks = outcome
            .map(|outcome| UseCaseCheck {
                use_case: use_case.to_owned(),
                outcome,
                missing_scopes: vec![],
                least_role: "Developer".into(),
                too_low_in: vec!["acme/docs".into()],
            })
            .into_iter()
            .collect();
        UseCaseView::all(&c, &UseCases::shipped(), &GitLab).pop().unwrap()
    }

    #[test]
    fn each_scope_is_held_or_implied_or_missing() {
        let one = view("api", "read-only", Some(CheckOutcome::InsufficientScope));
        let held: Vec<_> = one.scopes.iter().map(|s| (s.name.as_str(), s.held.clone())).collect();
        let expected = [("read_api", ScopeHeld::Through("api".into())), ("read_repository", ScopeHeld::No)];
        assert_eq!(held, expected);
        assert_eq!((one.mark(), one.role), ("bad", RoleFound::Later));
        let tried = view("granular", "read-only", Some(CheckOutcome::Ok));
        assert!(tried.scopes.iter().all(|scope| scope.held == ScopeHeld::Untold));
    }

    #[test]
    fn a_role_that_is_too_low_somewhere_leads_to_where_it_is_raised() {
        let one = view("api", "code-review", Some(CheckOutcome::Ok));
        let place = ("acme/docs".to_owned(), "https://gitlab.com/acme/docs/-/project_members".to_owned());
        assert_eq!(one.too_low_in, [place]);
        assert_eq!((one.mark(), one.least_role.as_str()), ("good", "Maintainer"));
        assert_eq!(view("api", "code-review", None).role, RoleFound::Unchecked);
        assert!(view("api", "of-yesterday", None).is_gone);
    }
}
