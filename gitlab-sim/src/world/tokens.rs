//! Personal access tokens and their kin: project, group, service-account and fine-grained tokens. Rotation
//! keeps a family; presenting a revoked member for rotation revokes all of it.

use time::{Date, Duration, OffsetDateTime};

use super::{UserId, World};
use crate::endpoint::Endpoint;
use crate::random;

/// A token as its owner sees it once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintedToken {
    /// The id of the token.
    pub id: i64,
    /// The token itself.
    pub token: String,
    /// The user behind it; for project and group tokens a bot that was made for it.
    pub user_id: UserId,
}

/// What a service account belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceOwner {
    /// The whole instance.
    Instance,
    /// The group with this id.
    Group(i64),
    /// The project with this id.
    Project(i64),
}

/// What a token was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Personal,
    Project(i64),
    Group(i64),
    Service,
}

/// One token of the personal-access-token family of kinds.
#[derive(Clone, Debug)]
pub(crate) struct Pat {
    pub(crate) id: i64,
    pub(crate) token: String,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    /// What a fine-grained token may call; `None` for classic tokens.
    pub(crate) allowed: Option<Vec<Endpoint>>,
    pub(crate) created_at: OffsetDateTime,
    /// Dead at 00:00 UTC of this date.
    pub(crate) expires_at: Option<Date>,
    pub(crate) last_used_at: Option<OffsetDateTime>,
    pub(crate) revoked: bool,
    pub(crate) family: i64,
}

impl Pat {
    pub(crate) fn expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_some_and(|date| now.date() >= date)
    }

    pub(crate) fn active(&self, now: OffsetDateTime) -> bool {
        !self.revoked && !self.expired(now)
    }

    pub(crate) fn minted(&self) -> MintedToken {
        MintedToken { id: self.id, token: self.token.clone(), user_id: self.user }
    }
}

impl World {
    /// Makes a token for a user who exists.
    pub(crate) fn mint(
        &mut self,
        kind: Kind,
        user: UserId,
        name: &str,
        scopes: &[&str],
        expires_at: Option<Date>,
    ) -> &mut Pat {
        let id = self.next_id();
        let pat = Pat {
            id,
            token: self.new_token(),
            kind,
            name: name.to_owned(),
            user,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            allowed: None,
            created_at: self.now(),
            expires_at,
            last_used_at: None,
            revoked: false,
            family: id,
        };
        let at = self.insert_pat(pat);
        &mut self.pats[at]
    }

    pub(crate) fn mint_project(
        &mut self,
        project: i64,
        scopes: &[&str],
        level: i64,
        expires_at: Option<Date>,
    ) -> MintedToken {
        let bot = self.add_bot(&format!("project_{project}_bot_{}", random::hex32()), "project-token", false);
        self.join_project(project, bot, level, expires_at);
        self.mint(Kind::Project(project), bot, "project-token", scopes, expires_at).minted()
    }

    pub(crate) fn mint_group(
        &mut self,
        group: i64,
        scopes: &[&str],
        level: i64,
        expires_at: Option<Date>,
    ) -> MintedToken {
        let bot = self.add_bot(&format!("group_{group}_bot_{}", random::hex32()), "group-token", false);
        self.join_group(group, bot, level, expires_at);
        self.mint(Kind::Group(group), bot, "group-token", scopes, expires_at).minted()
    }

    pub(crate) fn mint_service(
        &mut self,
        owner: ServiceOwner,
        username: Option<&str>,
        scopes: &[&str],
        expires_at: Option<Date>,
    ) -> MintedToken {
        let random = random::hex32();
        let generated = match owner {
            ServiceOwner::Instance => format!("service_account_{random}"),
            ServiceOwner::Group(id) => format!("service_account_group_{id}_{random}"),
            ServiceOwner::Project(id) => format!("service_account_project_{id}_{random}"),
        };
        let account = self.add_bot(username.unwrap_or(&generated), "Service account user", true);
        self.mint(Kind::Service, account, "service-account-token", scopes, expires_at).minted()
    }

    /// Ends a token and begins its successor: same name, scopes and user, a new id.
    pub(crate) fn rotate(&mut self, at: usize, expires_at: Option<Date>) -> &Pat {
        self.pats[at].revoked = true;
        self.counts.rotations += 1;
        let successor = Pat {
            id: self.next_id(),
            token: self.new_token(),
            created_at: self.now(),
            expires_at,
            last_used_at: None,
            revoked: false,
            ..self.pats[at].clone()
        };
        let at = self.insert_pat(successor);
        &self.pats[at]
    }

    /// Revokes every token that came from the same one by rotation.
    pub(crate) fn revoke_family(&mut self, family: i64) {
        for pat in self.pats.iter_mut().filter(|pat| pat.family == family) {
            pat.revoked = true;
        }
        self.counts.families_revoked += 1;
    }

    /// Makes a token of any kind expired now; refresh tokens have no expiry.
    pub(crate) fn expire(&mut self, token: &str) {
        let now = self.now();
        if let Some(at) = self.row_of_access(token) {
            let life = self.rows[at].life;
            self.rows[at].created_at = now - life - Duration::SECOND;
        } else if let Some(at) = self.by_pat.get(token) {
            self.pats[*at].expires_at = Some(now.date());
        }
    }

    /// Revokes a token of any kind; either token of an OAuth pair takes the other with it.
    pub(crate) fn revoke(&mut self, token: &str) {
        if let Some(at) = self.row_of_access(token).or_else(|| self.row_of_refresh(token)) {
            self.rows[at].end.get_or_insert(super::RowEnd::Revoked);
        } else if let Some(at) = self.by_pat.get(token) {
            self.pats[*at].revoked = true;
        }
    }

    /// Whether an access token of any kind would be accepted now, leaving scopes and the user's state aside.
    pub(crate) fn is_live(&self, token: &str) -> bool {
        let now = self.now();
        if let Some(at) = self.row_of_access(token) {
            return self.rows[at].end.is_none() && !self.rows[at].expired(now);
        }
        self.by_pat.get(token).is_some_and(|at| self.pats[*at].active(now))
    }

    fn new_token(&self) -> String {
        format!("{}{}", self.options.token_prefix, random::token_tail())
    }

    fn insert_pat(&mut self, pat: Pat) -> usize {
        let at = self.pats.len();
        self.by_pat.insert(pat.token.clone(), at);
        self.pats.push(pat);
        at
    }
}
