//! Whether two tokens are of one account.

use super::ConnectError;
use crate::domain::Account;

/// Accounts are the same if their ids are, or if both are bots of one project or group: GitLab makes a new
/// bot user for each of its tokens. Where the provider does not say whose a token is, nothing can be
/// compared, and a person must say that it is meant.
pub(super) fn same_account(was: Option<&Account>, now: Option<&Account>) -> Result<(), ConnectError> {
    match (was, now) {
        (Some(was), Some(now)) if was.id == now.id || of_one_resource(was, now) => Ok(()),
        _ => Err(ConnectError::DifferentAccount { was: was.map(label), now: now.map(label) }),
    }
}

fn of_one_resource(was: &Account, now: &Account) -> bool {
    was.resource.is_some() && was.resource == now.resource
}

fn label(account: &Account) -> String {
    account.label()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountKind, Resource, ResourceKind};

    fn account(id: i64, resource: Option<(ResourceKind, i64)>) -> Account {
        let kind = if resource.is_some() { AccountKind::ProjectBot } else { AccountKind::User };
        let resource = resource.map(|(kind, id)| Resource { kind, id });
        Account { id, username: None, name: None, kind, web_url: None, resource }
    }

    #[test]
    fn a_person_is_the_same_by_id_and_a_bot_by_its_place() {
        let is_same = |a: &Account, b: &Account| same_account(Some(a), Some(b)).is_ok();
        let (project, group) = (ResourceKind::Project, ResourceKind::Group);
        assert!(is_same(&account(1, None), &account(1, None)));
        assert!(!is_same(&account(1, None), &account(2, None)));
        assert!(is_same(&account(1, Some((project, 7))), &account(2, Some((project, 7)))));
        assert!(!is_same(&account(1, Some((project, 7))), &account(2, Some((project, 8)))));
        assert!(!is_same(&account(1, Some((project, 7))), &account(2, Some((group, 7)))));
        assert!(!is_same(&account(1, Some((project, 7))), &account(2, None)));
    }

    #[test]
    fn what_nobody_names_cannot_be_compared() {
        let known = account(1, None);
        for (was, now) in [(None, None), (Some(&known), None), (None, Some(&known))] {
            let refused = same_account(was, now).unwrap_err();
            assert_eq!(refused.code(), "different_account");
            assert!(refused.to_string().contains("does not say whose"), "{refused}");
        }
    }
}
