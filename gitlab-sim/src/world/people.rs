//! Users, also the bots behind project, group and service-account tokens, and the states that shut them out.

use std::str::FromStr;

use time::OffsetDateTime;

use super::World;

/// The id of a user, as `/user` prints it.
pub type UserId = i64;

/// A human, a bot or a service account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) state: UserState,
    pub(crate) bot: bool,
    /// Service accounts are shown as external.
    pub(crate) external: bool,
    pub(crate) created_at: OffsetDateTime,
}

/// Whether GitLab lets a user in. None of these states kills a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    /// Lets the user in.
    Active,
    /// Blocked by an administrator.
    Blocked,
    /// Waits for an administrator's approval.
    PendingApproval,
    /// Deactivated; a browser login lifts it.
    Deactivated,
    /// Has to accept the Terms of Service first.
    TermsNotAccepted,
    /// The primary e-mail address is not confirmed.
    Unconfirmed,
    /// The password expired.
    PasswordExpired,
    /// An internal user, such as the ghost.
    Internal,
}

impl UserState {
    /// The `state` field of `/user`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::PendingApproval => "blocked_pending_approval",
            Self::Deactivated => "deactivated",
            _ => "active",
        }
    }

    /// Why GitLab refuses the user, in its own words; `None` for an active user.
    pub(crate) fn refusal(self, username: &str, links: &str) -> Option<String> {
        let text = match self {
            Self::Active => return None,
            Self::Blocked => "Your account has been blocked.".to_owned(),
            Self::PendingApproval => {
                "Your account is pending approval from your administrator and hence blocked.".to_owned()
            }
            Self::Deactivated => format!(
                "Your account has been deactivated by your administrator. \
                 Please log back in from a web browser to reactivate your account at {links}"
            ),
            Self::TermsNotAccepted => format!(
                "You (@{username}) must accept the Terms of Service in order to perform this action. \
                 To accept these terms, please access GitLab from a web browser at {links}."
            ),
            Self::Unconfirmed => format!(
                "Your primary email address is not confirmed. Please check your inbox for the confirmation \
                 instructions. In case the link is expired, you can request a new confirmation email at \
                 {links}/users/confirmation/new"
            ),
            Self::PasswordExpired => {
                "Your password expired. Please access GitLab from a web browser to update your password."
                    .to_owned()
            }
            Self::Internal => "This action cannot be performed by internal users".to_owned(),
        };
        Some(text)
    }
}

impl FromStr for UserState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "active" => Ok(Self::Active),
            "blocked" => Ok(Self::Blocked),
            "pending_approval" => Ok(Self::PendingApproval),
            "deactivated" => Ok(Self::Deactivated),
            "terms_not_accepted" => Ok(Self::TermsNotAccepted),
            "unconfirmed" => Ok(Self::Unconfirmed),
            "password_expired" => Ok(Self::PasswordExpired),
            "internal" => Ok(Self::Internal),
            other => Err(format!("no user state is called {other}")),
        }
    }
}

impl World {
    /// Adds a human. The first one is signed in to the browser.
    pub(crate) fn add_user(&mut self, username: &str, name: &str) -> UserId {
        let email = format!("{username}@example.com");
        let id = self.insert_user(username, name, email, false, false);
        self.signed_in.get_or_insert(id);
        id
    }

    /// Adds the user behind a project, group or service-account token.
    pub(crate) fn add_bot(&mut self, username: &str, name: &str, external: bool) -> UserId {
        let email = format!("{username}@noreply.{}", self.host());
        self.insert_user(username, name, email, true, external)
    }

    fn insert_user(
        &mut self,
        username: &str,
        name: &str,
        email: String,
        bot: bool,
        external: bool,
    ) -> UserId {
        let (id, created_at) = (self.next_id(), self.now());
        let (username, name) = (username.to_owned(), name.to_owned());
        let user = User { id, username, name, email, state: UserState::Active, bot, external, created_at };
        self.users.insert(id, user);
        id
    }

    pub(crate) fn user_named(&self, username: &str) -> Option<UserId> {
        self.users.values().find(|user| user.username == username).map(|user| user.id)
    }

    pub(crate) fn set_user_state(&mut self, user: UserId, state: UserState) {
        if let Some(user) = self.users.get_mut(&user) {
            user.state = state;
        }
    }

    /// Who is signed in to the browser, else the first human.
    pub(crate) fn browser_user(&self) -> Option<UserId> {
        self.signed_in.or_else(|| self.humans().next().map(|user| user.id))
    }

    pub(crate) fn humans(&self) -> impl Iterator<Item = &User> {
        self.users.values().filter(|user| !user.bot)
    }
}
