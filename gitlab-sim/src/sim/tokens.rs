//! Making and ending tokens of every kind.

use time::Date;

use crate::endpoint::Endpoint;
use crate::sim::Sim;
use crate::world::{App, Kind, Link, MintedToken, OAuthPair, ServiceOwner, UserId};

impl Sim {
    /// A classic personal access token.
    pub fn mint_personal(&self, user: UserId, scopes: &[&str], expires_at: Option<Date>) -> MintedToken {
        self.world().mint(Kind::Personal, user, "personal-token", scopes, expires_at).minted()
    }

    /// A project access token with a bot user of its own, who is a member with `access_level`.
    pub fn mint_project(
        &self,
        project: i64,
        scopes: &[&str],
        access_level: i64,
        expires_at: Option<Date>,
    ) -> MintedToken {
        self.world().mint_project(project, scopes, access_level, expires_at)
    }

    /// A group access token with a bot user of its own, who is a member with `access_level`.
    pub fn mint_group(
        &self,
        group: i64,
        scopes: &[&str],
        access_level: i64,
        expires_at: Option<Date>,
    ) -> MintedToken {
        self.world().mint_group(group, scopes, access_level, expires_at)
    }

    /// A service account with one token. It is a member of nothing until it is made one.
    pub fn mint_service_account(
        &self,
        owner: ServiceOwner,
        username: Option<&str>,
        scopes: &[&str],
        expires_at: Option<Date>,
    ) -> MintedToken {
        self.world().mint_service(owner, username, scopes, expires_at)
    }

    /// A fine-grained personal access token that may call the named endpoints and no other.
    pub fn mint_granular(&self, user: UserId, allow: &[Endpoint], expires_at: Option<Date>) -> MintedToken {
        let mut world = self.world();
        let pat = world.mint(Kind::Personal, user, "fine-grained-token", &["granular"], expires_at);
        pat.allowed = Some(allow.to_vec());
        pat.minted()
    }

    /// An OAuth pair, as if the user had just consented.
    pub fn mint_oauth(&self, user: UserId, app: &App, scopes: &[&str]) -> OAuthPair {
        let mut world = self.world();
        let life = world.token_life();
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let row = world.insert_row(&app.client_id, user, scopes, life);
        OAuthPair { access: row.access.clone(), refresh: row.refresh.clone() }
    }

    /// What tokens minted from now on start with; may be empty. OAuth tokens have no prefix.
    pub fn set_token_prefix(&self, prefix: &str) {
        prefix.clone_into(&mut self.world().options.token_prefix);
    }

    /// The longest life in days that a rotation gives from now on.
    pub fn set_longest_token_life(&self, days: u16) {
        self.world().options.longest_token_life = days;
    }

    /// Ends the life of an access token of any kind; an OAuth refresh token stays good.
    pub fn expire(&self, token: &str) {
        self.world().expire(token);
    }

    /// Revokes a token of any kind; either token of an OAuth pair takes the other with it.
    pub fn revoke(&self, token: &str) {
        self.world().revoke(token);
    }

    /// The user withdraws what was given to an application: all its tokens and codes.
    pub fn revoke_authorization(&self, user: UserId, client_id: &str) {
        self.world().revoke_authorization(user, client_id);
    }

    /// Whether an access token of any kind would be accepted now, scopes and user state aside.
    pub fn is_live(&self, token: &str) -> bool {
        self.world().is_live(token)
    }

    /// All refresh tokens that would be accepted now, oldest first.
    pub fn live_refresh_tokens(&self) -> Vec<String> {
        self.world().live_refresh_tokens()
    }

    /// The pair with this refresh token and all that refreshes made of it, oldest first: what became of a
    /// grant, whoever holds it.
    pub fn chain(&self, refresh: &str) -> Vec<Link> {
        self.world().chain(refresh)
    }
}
