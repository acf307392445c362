//! Whose token it is, read from `GET /user` (GitLab docs, "Users API").
//!
//! A project or group token acts as a bot whose user name tells the resource. A bot without that pattern
//! is a service account, whose name its owner may choose.

use crate::domain::{Account, AccountKind, Resource, ResourceKind, TokenKind};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct User {
    id: i64,
    username: Option<String>,
    name: Option<String>,
    #[serde(default)]
    bot: bool,
    web_url: Option<String>,
}

impl User {
    pub(super) fn into_account(self) -> Account {
        let resource = self.username.as_deref().filter(|_| self.bot).and_then(bot_of);
        let kind = match &resource {
            Some(Resource { kind: ResourceKind::Project, .. }) => AccountKind::ProjectBot,
            Some(Resource { kind: ResourceKind::Group, .. }) => AccountKind::GroupBot,
            None if self.bot => AccountKind::ServiceAccount,
            None => AccountKind::User,
        };
        Account {
            id: self.id,
            username: self.username,
            name: self.name,
            kind,
            web_url: self.web_url,
            resource,
        }
    }
}

/// The kind of token that such an account has.
pub(super) fn token_kind(account: &Account) -> TokenKind {
    match account.kind {
        AccountKind::ProjectBot => TokenKind::Project,
        AccountKind::GroupBot => TokenKind::Group,
        AccountKind::User | AccountKind::ServiceAccount => TokenKind::Personal,
    }
}

/// The resource in a bot's user name: `project_12_bot_<random>`, or the oldest form `project_12_bot1`.
fn bot_of(username: &str) -> Option<Resource> {
    let mut parts = username.splitn(4, '_');
    let kind = match parts.next()? {
        "project" => ResourceKind::Project,
        "group" => ResourceKind::Group,
        _ => return None,
    };
    let id = parts.next()?.parse().ok()?;
    let digits = parts.next()?.strip_prefix("bot")?;
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(Resource { kind, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_tells_its_resource() {
        let of = |name| bot_of(name).map(|r| (r.kind, r.id));
        assert_eq!(of("project_12_bot_ab"), Some((ResourceKind::Project, 12)));
        assert_eq!(of("group_3_bot_0f1e2d_x"), Some((ResourceKind::Group, 3)));
        assert_eq!(of("project_1_bot"), Some((ResourceKind::Project, 1)));
        assert_eq!(of("project_1_bot1"), Some((ResourceKind::Project, 1)));
        for other in
            ["service_account_group_5_ab", "project_x_bot_1", "project_1_robot", "projectbot", "group_7"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_person_may_be_called_like_a_bot() {
        let user =
            User { id: 1, username: Some("project_1_bot".into()), name: None, bot: false, web_url: None };
        assert_eq!(user.into_account().kind, AccountKind::User);
    }
}
