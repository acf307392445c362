//! Checks a token against use cases: what is missing, said once for connecting and for the daily check.

use super::{InspectError, Inspection, Instance, ProviderApi};
use crate::domain::{AccessLevel, CheckOutcome, Scopes, Secret, UseCase, UseCaseCheck};
use std::collections::{BTreeMap, btree_map::Entry};

/// Fine-grained tokens list this instead of scopes; their rights can only be tried.
const GRANULAR: &str = "granular";

/// How many projects are looked at, and named, where a role is too low.
const LOOKED_AT: usize = 100;
const NAMED: usize = 20;

/// Checks each use case. Errors only when the provider cannot be asked.
pub async fn check_use_cases(
    api: &dyn ProviderApi,
    instance: &Instance,
    token: &Secret,
    found: &Inspection,
    use_cases: &[&UseCase],
) -> Result<Vec<UseCaseCheck>, InspectError> {
    let mut reached = BTreeMap::new();
    let mut checks = Vec::new();
    for use_case in use_cases {
        let needs = use_case.needs(found.token_kind);
        let missing_scopes = missing(&found.scopes, &needs.scopes);
        let level = needs.least_role;
        let mut too_low_in = Vec::new();
        let outcome = if missing_scopes.is_empty() {
            let answer = match reached.entry(level.0) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => {
                    *unknown.insert(api.reaches(instance, token, found.account.as_ref(), level).await?)
                }
            };
            match answer {
                Some(true) => CheckOutcome::Ok,
                Some(false) => CheckOutcome::InsufficientRole,
                None => CheckOutcome::RoleUnknown,
            }
        } else {
            CheckOutcome::InsufficientScope
        };
        if outcome == CheckOutcome::Ok {
            too_low_in = projects_below(api, instance, token, level).await;
        }
        checks.push(UseCaseCheck {
            use_case: use_case.id.clone(),
            outcome,
            missing_scopes,
            least_role: level.to_string(),
            too_low_in,
        });
    }
    Ok(checks)
}

fn missing(held: &Scopes, needed: &Scopes) -> Vec<String> {
    if held.holds(GRANULAR) { Vec::new() } else { held.missing(needed) }
}

/// The projects where the role is too low. A list that cannot be had is no reason to refuse.
async fn projects_below(
    api: &dyn ProviderApi,
    instance: &Instance,
    token: &Secret,
    level: AccessLevel,
) -> Vec<String> {
    let Ok(page) = api.projects(instance, token, None, LOOKED_AT).await else { return Vec::new() };
    let below = page.projects.into_iter().filter(|p| p.access_level.is_some_and(|held| held < level));
    below.map(|p| p.path).take(NAMED).collect()
}
