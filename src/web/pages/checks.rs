//! What a check of one use case found, for a page.

use crate::domain::{CheckOutcome, UseCaseCheck, UseCases};

pub(super) struct CheckView {
    pub(super) title: String,
    /// `ok`, `insufficient_scope`, `insufficient_role`, `role_unknown` or `unchecked`.
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

    /// The chosen use cases in their order; one that was not looked at yet says so.
    pub(super) fn all(chosen: &[String], checks: &[UseCaseCheck], use_cases: &UseCases) -> Vec<Self> {
        let unchecked = |id: &String| Self {
            title: title(id, use_cases),
            outcome: "unchecked",
            missing: vec![],
            least_role: String::new(),
            too_low_in: vec![],
        };
        let view = |id: &String| {
            let found = checks.iter().find(|c| c.use_case == *id);
            found.map_or_else(|| unchecked(id), |c| Self::of(c, use_cases))
        };
        chosen.iter().map(view).collect()
    }

    pub(super) fn is_ok(&self) -> bool {
        self.outcome == CheckOutcome::Ok.as_str()
    }
}

pub(super) fn title(id: &str, use_cases: &UseCases) -> String {
    use_cases.get(id).map_or_else(|| id.to_owned(), |u| u.title.clone())
}
