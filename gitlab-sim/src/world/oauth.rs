//! OAuth applications, authorization grants and token rows. One row holds the access token and the refresh
//! token, and a refresh ends the old row in the same commit that makes the new one.

use time::{Duration, OffsetDateTime};

use super::{UserId, World};
use crate::random;

/// The credentials of a registered OAuth application. A public application has no secret to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The application id, 64 hexadecimal characters.
    pub client_id: String,
    /// The secret, `gloas-` and 64 hexadecimal characters.
    pub client_secret: String,
}

/// An access token and its refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthPair {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) confidential: bool,
    pub(crate) trusted: bool,
}

/// An authorization code that was given out.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) user: UserId,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Vec<String>,
    /// The challenge and whether it is hashed (`S256`).
    pub(crate) challenge: Option<(String, bool)>,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) spent: bool,
}

/// How a token row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowEnd {
    Refreshed,
    Revoked,
}

/// One access token with its refresh token.
#[derive(Clone, Debug)]
pub(crate) struct OauthRow {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) client_id: String,
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) life: Duration,
    pub(crate) end: Option<RowEnd>,
    /// The application was deleted and took the row with it.
    pub(crate) gone: bool,
    /// The row that a refresh made of this one.
    pub(crate) next: Option<usize>,
    /// How often the refresh token arrived after it had been spent.
    pub(crate) presented_spent: u64,
}

/// One pair of a chain: each refresh adds the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The pair.
    pub pair: OAuthPair,
    /// Whether the refresh token would be accepted now.
    pub live: bool,
    /// How often the refresh token arrived after it had been spent.
    pub presented_spent: u64,
}

impl OauthRow {
    pub(crate) fn expired(&self, now: OffsetDateTime) -> bool {
        now >= self.created_at + self.life
    }

    pub(crate) fn seconds_left(&self, now: OffsetDateTime) -> i64 {
        (self.created_at + self.life - now).whole_seconds()
    }
}

impl World {
    /// A new row, which is a new pair of tokens.
    pub(crate) fn insert_row(
        &mut self,
        client_id: &str,
        user: UserId,
        scopes: Vec<String>,
        life: Duration,
    ) -> &OauthRow {
        let row = OauthRow {
            access: random::hex64(),
            refresh: random::hex64(),
            client_id: client_id.to_owned(),
            user,
            scopes,
            created_at: self.now(),
            life,
            end: None,
            gone: false,
            next: None,
            presented_spent: 0,
        };
        let at = self.rows.len();
        self.by_access.insert(row.access.clone(), at);
        self.by_refresh.insert(row.refresh.clone(), at);
        self.rows.push(row);
        &self.rows[at]
    }

    /// The hard rotation: the old row ends, and with it both of its tokens, as the new one begins.
    pub(crate) fn refresh_row(&mut self, at: usize, scopes: Vec<String>) -> &OauthRow {
        self.rows[at].end = Some(RowEnd::Refreshed);
        self.rows[at].next = Some(self.rows.len());
        let OauthRow { client_id, user, .. } = self.rows[at].clone();
        let life = self.token_life();
        self.insert_row(&client_id, user, scopes, life)
    }

    /// The life of the next access token.
    pub(crate) fn token_life(&self) -> Duration {
        Duration::try_from(self.options.access_token_life).unwrap_or(Duration::HOUR)
    }

    pub(crate) fn row_of_access(&self, token: &str) -> Option<usize> {
        self.by_access.get(token).copied().filter(|at| !self.rows[*at].gone)
    }

    pub(crate) fn row_of_refresh(&self, token: &str) -> Option<usize> {
        self.by_refresh.get(token).copied().filter(|at| !self.rows[*at].gone)
    }

    /// The refresh tokens that would be accepted now.
    pub(crate) fn live_refresh_tokens(&self) -> Vec<String> {
        let live = self.rows.iter().filter(|row| row.end.is_none() && !row.gone);
        live.map(|row| row.refresh.clone()).collect()
    }

    /// The pair with this refresh token and those that refreshes made of it, oldest first.
    pub(crate) fn chain(&self, refresh: &str) -> Vec<Link> {
        let first = self.row_of_refresh(refresh);
        let rows = std::iter::successors(first, |at| self.rows[*at].next).map(|at| &self.rows[at]);
        let link = |row: &OauthRow| Link {
            pair: OAuthPair { access: row.access.clone(), refresh: row.refresh.clone() },
            live: row.end.is_none() && !row.gone,
            presented_spent: row.presented_spent,
        };
        rows.map(link).collect()
    }

    /// Revokes all tokens and codes that a user gave to an application.
    pub(crate) fn revoke_authorization(&mut self, user: UserId, client_id: &str) {
        for row in self.rows.iter_mut().filter(|row| row.user == user && row.client_id == client_id) {
            row.end.get_or_insert(RowEnd::Revoked);
        }
        self.grants.retain(|_, grant| grant.user != user || grant.client_id != client_id);
    }

    /// Registers an application with the given credentials.
    pub(crate) fn register(&mut self, app: &App, redirect_uris: &str, scopes: &[&str]) -> &mut Application {
        let application = Application {
            client_id: app.client_id.clone(),
            secret: app.client_secret.clone(),
            name: "Mooring".to_owned(),
            redirect_uris: redirect_uris.lines().map(|line| line.trim().to_owned()).collect(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            confidential: true,
            trusted: false,
        };
        self.applications.entry(app.client_id.clone()).insert_entry(application).into_mut()
    }

    /// Registers an application with fresh credentials.
    pub(crate) fn add_application(&mut self, redirect_uris: &str, scopes: &[&str]) -> App {
        let app = App { client_id: random::hex64(), client_secret: new_secret() };
        self.register(&app, redirect_uris, scopes);
        app
    }

    /// The old secret stops working at once.
    pub(crate) fn renew_secret(&mut self, client_id: &str) -> String {
        let secret = new_secret();
        if let Some(application) = self.applications.get_mut(client_id) {
            application.secret.clone_from(&secret);
        }
        secret
    }

    /// Takes the application's codes and tokens with it.
    pub(crate) fn delete_application(&mut self, client_id: &str) {
        self.applications.remove(client_id);
        self.grants.retain(|_, grant| grant.client_id != client_id);
        for row in self.rows.iter_mut().filter(|row| row.client_id == client_id) {
            row.gone = true;
        }
    }
}

fn new_secret() -> String {
    format!("gloas-{}", random::hex64())
}
