//! GitLab: whose token is this, what may it do, which projects does it reach.
//!
//! Follows the REST API as GitLab documents it. Tokens travel as `Authorization: Bearer` alone, which works
//! for every kind. Nothing is believed of a token's prefix: administrators may change it.

mod account;
mod call;
mod greet;
mod groups;
mod home;
mod inspect;
mod links;
mod projects;
mod proxied;
mod recognise;
mod revoke;
mod rotate;

use super::{
    Endpoints, Home, InspectError, Inspection, Instance, KeepAnswer, Listing, Obstacle, PlacePage,
    ProviderApi, RenewError, RevokeError, RotationRefusal,
};
use crate::domain::{AccessLevel, Account, BaseUrl, Credential, ResourceKind, Scopes, Secret, TokenKind};
use async_trait::async_trait;
use call::Call;
use http::{HeaderValue, Method};
use rotate::Rotation;
use time::OffsetDateTime;

/// The provider `gitlab`.
pub struct GitLab;

#[async_trait]
impl ProviderApi for GitLab {
    fn endpoints(&self) -> Endpoints {
        Endpoints { authorize: "oauth/authorize", token: "oauth/token", revoke: "oauth/revoke" }
    }

    fn api_url(&self, base_url: &BaseUrl) -> String {
        format!("{}/api/v4", base_url.as_str())
    }

    /// Old versions want exactly this name with an OAuth token; for the other kinds any name will do.
    fn git_username(&self) -> &'static str {
        "oauth2"
    }

    fn authorization(&self, path: &str, token: &Secret) -> HeaderValue {
        proxied::authorization(path, self.git_username(), token)
    }

    fn endangers_own_token(&self, method: &Method, path: &str) -> bool {
        proxied::endangers_own_token(method, path)
    }

    fn token_form_url(&self, base_url: &BaseUrl, kind: TokenKind, name: &str, scopes: &Scopes) -> String {
        links::token_form_url(base_url, kind, name, scopes)
    }

    fn presentable(&self, token: &Secret) -> Result<(), InspectError> {
        inspect::presentable(token)
    }

    async fn inspect(
        &self,
        instance: &Instance,
        token: &Secret,
        believed: Option<TokenKind>,
        now: OffsetDateTime,
    ) -> Result<Inspection, InspectError> {
        inspect::inspect(&Call { instance, token }, believed, now).await
    }

    async fn recognise(&self, instance: &Instance) -> Result<(), Obstacle> {
        recognise::recognise(instance).await
    }

    async fn home(&self, instance: &Instance, token: &Secret, account: &Account) -> Option<Home> {
        home::home(&Call { instance, token }, account.resource.as_ref()?, account.id).await
    }

    async fn identify(&self, instance: &Instance, token: &Secret) -> Result<Account, InspectError> {
        inspect::identify(&Call { instance, token }).await
    }

    async fn probe(&self, instance: &Instance, token: &Secret) -> Result<(), InspectError> {
        inspect::probe(&Call { instance, token }).await
    }

    async fn greet(
        &self,
        instance: &Instance,
        token: Option<&Secret>,
    ) -> Result<Option<String>, InspectError> {
        greet::greet(instance, token).await
    }

    async fn reaches(
        &self,
        instance: &Instance,
        token: &Secret,
        account: Option<&Account>,
        level: AccessLevel,
    ) -> Result<Option<bool>, InspectError> {
        projects::reaches(&Call { instance, token }, account, level).await
    }

    fn members_url(&self, base_url: &BaseUrl, kind: ResourceKind, path: &str) -> String {
        links::members_url(base_url, kind, path)
    }

    async fn places(
        &self,
        instance: &Instance,
        token: &Secret,
        account: Option<&Account>,
        listing: Listing<'_>,
    ) -> Result<PlacePage, InspectError> {
        let call = Call { instance, token };
        match listing.kind {
            ResourceKind::Project => projects::list(&call, listing).await,
            ResourceKind::Group => groups::list(&call, account, listing).await,
        }
    }

    async fn revoke_access_token(&self, instance: &Instance, token: &Secret) -> Result<(), RevokeError> {
        revoke::revoke(&Call { instance, token }).await
    }

    async fn may_rotate_itself(
        &self,
        instance: &Instance,
        token: &Secret,
        found: &Inspection,
    ) -> Result<(), RotationRefusal> {
        rotate::may_rotate(&Call { instance, token }, found).await
    }

    async fn rotate_itself(
        &self,
        instance: &Instance,
        old: &Credential,
        account: Option<&Account>,
        keep: &dyn KeepAnswer,
        now: OffsetDateTime,
    ) -> Result<Credential, RenewError> {
        let call = Call { instance, token: &old.access_token };
        Rotation { call, old, keep, now }.run(account).await
    }

    fn read_rotation(&self, old: &Credential, answer: &[u8], sent_at: OffsetDateTime) -> Option<Credential> {
        rotate::replayed(old, answer, sent_at)
    }
}
