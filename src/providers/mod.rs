//! What speaks to a provider, and knows nothing of our rows.
//!
//! The standard half (`oauth.rs`) is the same for every provider. The other half, whose token is this and
//! what may it do, is a [`ProviderApi`]: a later provider is one more implementation and its data.

mod answer;
mod check;
mod error;
mod found;
mod gitlab;
mod instance;
mod oauth;
mod obstacle;
mod salvage;

pub use answer::KeepAnswer;
pub use check::check_use_cases;
pub use error::{ExchangeError, InspectError, RenewError, RevokeError, RotationRefusal, Trouble};
pub use found::{Home, Inspection, Listing, Place, PlacePage};
pub use gitlab::GitLab;
pub use instance::{Instance, Instances, UnknownInstance};
use oauth::Refreshed;
pub use oauth::{AuthorizationRequest, Grant};
pub use obstacle::Obstacle;

pub use crate::outbound::Issuer;

use crate::domain::{
    AccessLevel, Account, BaseUrl, Credential, Renewal, ResourceKind, Scopes, Secret, TokenKind,
};
use async_trait::async_trait;
use http::{HeaderValue, Method};
use std::sync::Arc;
use time::OffsetDateTime;

/// The longest that one call of a provider takes.
pub const CALL_LIMIT: std::time::Duration = crate::outbound::CALL_LIMIT;

/// Where a provider's OAuth endpoints are, below the base URL.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    pub authorize: &'static str,
    pub token: &'static str,
    pub revoke: &'static str,
}

/// The part of a provider that no standard describes.
#[async_trait]
pub trait ProviderApi: Send + Sync {
    fn endpoints(&self) -> Endpoints;

    /// The root of the API below a base URL.
    fn api_url(&self, base_url: &BaseUrl) -> String;

    /// The user name that git sends with a token as the password.
    fn git_username(&self) -> &'static str;

    /// The `Authorization` header by which a request to this path, below the base URL, carries a token.
    fn authorization(&self, path: &str, token: &Secret) -> HeaderValue;

    /// Whether a request would replace or revoke the token that it carries, or hand the new one to who sent it.
    fn endangers_own_token(&self, method: &Method, path: &str) -> bool;

    /// Where a person makes a token of this kind, with name and scopes filled in where that is possible.
    fn token_form_url(&self, base_url: &BaseUrl, kind: TokenKind, name: &str, scopes: &Scopes) -> String;

    /// Refuses what cannot be an access token, before it is sent anywhere.
    fn presentable(&self, token: &Secret) -> Result<(), InspectError>;

    /// Asks the provider what a token is. `believed` is what a person said it is.
    async fn inspect(
        &self,
        instance: &Instance,
        token: &Secret,
        believed: Option<TokenKind>,
        now: OffsetDateTime,
    ) -> Result<Inspection, InspectError>;

    /// Whether this provider answers at the instance, asked without a token.
    async fn recognise(&self, instance: &Instance) -> Result<(), Obstacle>;

    /// The project or group of a bot, to tell a person. `None`: the account is no bot, or the token may not ask.
    async fn home(&self, instance: &Instance, token: &Secret, account: &Account) -> Option<Home>;

    /// Whose token this is: one question. For a token that came from an exchange, whose scopes are known.
    async fn identify(&self, instance: &Instance, token: &Secret) -> Result<Account, InspectError>;

    /// Whether the provider still takes this token: one question, whatever the token may do.
    async fn probe(&self, instance: &Instance, token: &Secret) -> Result<(), InspectError>;

    /// Whether the instance is there and is what it should be: one question, with a token where there is one.
    /// Its version, if it tells.
    async fn greet(
        &self,
        instance: &Instance,
        token: Option<&Secret>,
    ) -> Result<Option<String>, InspectError>;

    /// Whether the token has at least this role anywhere. `None`: it may not ask.
    async fn reaches(
        &self,
        instance: &Instance,
        token: &Secret,
        account: Option<&Account>,
        level: AccessLevel,
    ) -> Result<Option<bool>, InspectError>;

    /// Where the members of a project or group, given by its full path, are looked after.
    fn members_url(&self, base_url: &BaseUrl, kind: ResourceKind, path: &str) -> String;

    /// The projects or groups that a token reaches, with its role in each where the provider tells. `account` is
    /// whose token it is.
    async fn places(
        &self,
        instance: &Instance,
        token: &Secret,
        account: Option<&Account>,
        listing: Listing<'_>,
    ) -> Result<PlacePage, InspectError>;

    /// Kills an access token that was pasted.
    async fn revoke_access_token(&self, instance: &Instance, token: &Secret) -> Result<(), RevokeError>;

    /// Whether this token may replace itself: the instance's version and the token's scopes. Asked when a
    /// person chooses it.
    async fn may_rotate_itself(
        &self,
        instance: &Instance,
        token: &Secret,
        found: &Inspection,
    ) -> Result<(), RotationRefusal>;

    /// Replaces an access token by a new one with the same rights. Sent once: whoever gets `Uncertain` must
    /// not call it again but ask `probe`.
    async fn rotate_itself(
        &self,
        instance: &Instance,
        old: &Credential,
        account: Option<&Account>,
        keep: &dyn KeepAnswer,
        now: OffsetDateTime,
    ) -> Result<Credential, RenewError>;

    /// Reads the kept answer of a rotation, also one that broke off. `None`: there is no token in it.
    fn read_rotation(&self, old: &Credential, answer: &[u8], sent_at: OffsetDateTime) -> Option<Credential>;
}

/// A kind of upstream service: the standard half with the other half.
#[derive(Clone)]
pub struct Provider {
    api: Arc<dyn ProviderApi>,
}

impl Provider {
    pub fn new(api: impl ProviderApi + 'static) -> Self {
        Self { api: Arc::new(api) }
    }

    pub fn api(&self) -> &dyn ProviderApi {
        &*self.api
    }

    /// Where to send the browser (RFC 6749 section 4.1.1, with PKCE).
    pub fn authorization_request(
        &self,
        instance: &Instance,
        scopes: &Scopes,
        state: &Secret,
    ) -> Result<AuthorizationRequest, ExchangeError> {
        oauth::authorization_request(instance, self.api.endpoints(), scopes, state)
    }

    /// Exchanges an authorization code (RFC 6749 section 4.1.3).
    pub async fn exchange_code(
        &self,
        instance: &Instance,
        code: &Secret,
        code_verifier: &Secret,
        now: OffsetDateTime,
    ) -> Result<Grant, ExchangeError> {
        oauth::exchange_code(instance, self.api.endpoints(), code, code_verifier, now).await
    }

    /// Obtains the next credential of an account. The one place that asks how a credential renews.
    pub async fn renew(
        &self,
        instance: &Instance,
        old: &Credential,
        account: Option<&Account>,
        keep: &dyn KeepAnswer,
        now: OffsetDateTime,
    ) -> Result<Credential, RenewError> {
        match &old.renewal {
            Renewal::Refresh(token) => {
                let refreshed = oauth::refresh(instance, self.api.endpoints(), token, keep, now).await?;
                next(refreshed, token, old, now)
            }
            Renewal::SelfRotate => self.api.rotate_itself(instance, old, account, keep, now).await,
            Renewal::Manual => Err(RenewError::NeedsPerson),
        }
    }

    /// Reads an answer that was kept before a crash, as [`Provider::renew`] would have.
    pub fn read_renewal(
        &self,
        old: &Credential,
        answer: &[u8],
        sent_at: OffsetDateTime,
    ) -> Result<Credential, RenewError> {
        let unread = || RenewError::Uncertain { message: NOT_UNDERSTOOD.into(), partial: None };
        match &old.renewal {
            Renewal::Refresh(token) => {
                let refreshed = oauth::read_refreshed(answer, sent_at).ok_or_else(unread)?;
                next(refreshed, token, old, sent_at)
            }
            Renewal::SelfRotate => self.api.read_rotation(old, answer, sent_at).ok_or_else(unread),
            Renewal::Manual => Err(RenewError::NeedsPerson),
        }
    }

    /// Tells the provider to kill a refresh token, and with it the grant (RFC 7009).
    pub async fn revoke_refresh_token(&self, instance: &Instance, token: &Secret) -> Result<(), RevokeError> {
        oauth::revoke(instance, self.api.endpoints(), token).await
    }
}

const NOT_UNDERSTOOD: &str = "The provider's answer was not understood.";
const BROKE_OFF: &str = "The provider's answer broke off, or a part of it could not be used.";

/// The next credential, or as much of it as came. `sent` is the refresh token that was spent.
fn next(
    refreshed: Refreshed,
    sent: &Secret,
    old: &Credential,
    now: OffsetDateTime,
) -> Result<Credential, RenewError> {
    let (message, partial) = match refreshed {
        Refreshed::Whole(grant) => return Ok(granted(grant, sent, old, now)),
        Refreshed::WithoutRefreshToken(grant) => (BROKE_OFF, Some(granted(grant, sent, old, now))),
        // A page that shows what we sent brings nothing.
        Refreshed::RefreshTokenAlone(token) if token.is_same(sent) => (NOT_UNDERSTOOD, None),
        Refreshed::RefreshTokenAlone(token) => {
            let renewal = Renewal::Refresh(token);
            (BROKE_OFF, Some(Credential { expires_at: Some(now), renewal, ..old.clone() }))
        }
    };
    Err(RenewError::Uncertain { message: message.into(), partial: partial.map(Box::new) })
}

/// What an answer leaves out stays as it was: an absent refresh token, and absent scopes.
fn granted(grant: Grant, token: &Secret, old: &Credential, now: OffsetDateTime) -> Credential {
    Credential {
        renewal: Renewal::Refresh(grant.refresh_token.unwrap_or_else(|| token.clone())),
        scopes: grant.scopes.unwrap_or_else(|| old.scopes.clone()),
        access_token: grant.access_token,
        obtained_at: now,
        expires_at: Some(grant.expires_at),
    }
}
