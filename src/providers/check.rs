//! Checks a token against use cases: what is missing, said once for connecting and for the daily check.

use super::{InspectError, Inspection, Instance, Listing, Place, ProviderApi};
use crate::domain::{AccessLevel, CheckOutcome, ResourceKind, Scopes, Secret, UseCase, UseCaseCheck};
use std::collections::BTreeMap;

/// How many projects are looked at, and named, where a role is too low.
const LOOKED_AT: usize = 100;
const NAMED: usize = 20;

/// Checks each use case. Errors only when the provider cannot be asked. What several use cases ask is asked
/// once.
pub async fn check_use_cases(
    api: &dyn ProviderApi,
    instance: &Instance,
    token: &Secret,
    found: &Inspection,
    use_cases: &[&UseCase],
) -> Result<Vec<UseCaseCheck>, InspectError> {
    let mut asked = Asked { api, instance, token, found, reached: BTreeMap::new(), projects: None };
    let mut checks = Vec::new();
    for use_case in use_cases {
        checks.push(asked.check(use_case).await?);
    }
    Ok(checks)
}

/// The questions of one check, with the answers so far.
struct Asked<'a> {
    api: &'a dyn ProviderApi,
    instance: &'a Instance,
    token: &'a Secret,
    found: &'a Inspection,
    reached: BTreeMap<AccessLevel, Option<bool>>,
    projects: Option<Vec<Place>>,
}

impl Asked<'_> {
    async fn check(&mut self, use_case: &UseCase) -> Result<UseCaseCheck, InspectError> {
        let needs = use_case.needs(self.found.token_kind);
        let missing_scopes = missing(&self.found.scopes, &needs.scopes);
        let level = needs.least_role;
        let outcome = if missing_scopes.is_empty() {
            match self.reaches(level).await? {
                Some(true) => CheckOutcome::Ok,
                Some(false) => CheckOutcome::InsufficientRole,
                None => CheckOutcome::RoleUnknown,
            }
        } else {
            CheckOutcome::InsufficientScope
        };
        let too_low_in =
            if outcome == CheckOutcome::Ok { self.projects_below(level).await } else { Vec::new() };
        Ok(UseCaseCheck {
            use_case: use_case.id.clone(),
            outcome,
            missing_scopes,
            least_role: level.to_string(),
            too_low_in,
        })
    }

    async fn reaches(&mut self, level: AccessLevel) -> Result<Option<bool>, InspectError> {
        if let Some(known) = self.reached.get(&level) {
            return Ok(*known);
        }
        let account = self.found.account.as_ref();
        let answer = self.api.reaches(self.instance, self.token, account, level).await?;
        self.reached.insert(level, answer);
        Ok(answer)
    }

    /// The projects where the role is too low. A list that cannot be had is no reason to refuse.
    async fn projects_below(&mut self, level: AccessLevel) -> Vec<String> {
        if self.projects.is_none() {
            let listing = Listing::first(ResourceKind::Project, LOOKED_AT);
            let account = self.found.account.as_ref();
            let page = self.api.places(self.instance, self.token, account, listing).await;
            self.projects = Some(page.map(|p| p.places).unwrap_or_default());
        }
        let projects = self.projects.iter().flatten();
        let below = projects.filter(|p| p.access_level.is_some_and(|held| held < level));
        below.map(|p| p.path.clone()).take(NAMED).collect()
    }
}

fn missing(held: &Scopes, needed: &Scopes) -> Vec<String> {
    if held.is_granular() { Vec::new() } else { held.missing(needed) }
}
