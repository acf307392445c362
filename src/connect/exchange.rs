//! An authorization code becomes a grant, and the grant a connection or the next credential of one.
//!
//! The code is exchanged once. A grant that comes to nothing is revoked.

use super::{
    Connect, ConnectError, Fields,
    establish::{Inspected, MOST_SWAPS, PROVIDER, Place},
    fields,
    same_account::same_account,
};
use crate::{
    domain::{
        Account, Actor, BaseUrl, ConnectionId, Credential, EventKind, Method, Renewal, Scopes, Secret,
        TokenKind,
    },
    providers::{Grant, InspectError, Inspection},
    store::{GivenUp, Held},
};
use time::OffsetDateTime;

/// What a person consented to, and what is to come of it.
pub(super) struct Consent {
    pub(super) integration: String,
    pub(super) base_url: BaseUrl,
    pub(super) scopes: Scopes,
    pub(super) wish: Wish,
}

pub(super) enum Wish {
    Connect { name: Option<String>, tenant: Option<String>, use_cases: Vec<String> },
    Reauthorize(ConnectionId),
}

impl Connect {
    /// The code's one exchange, and what comes of it. A grant that comes to nothing is revoked.
    pub(super) async fn exchange(
        &self,
        consent: Consent,
        code: Secret,
        code_verifier: Secret,
        actor: &Actor,
    ) -> Result<ConnectionId, ConnectError> {
        let instance = self.instances.at(Some(&consent.integration), &consent.base_url)?;
        let now = self.clock.now();
        let grant = self.provider.exchange_code(&instance, &code, &code_verifier, now).await?;
        let place = Place { integration: Some(consent.integration.clone()), instance };
        let credential = credential(grant, &consent.scopes, now);
        match self.use_grant(&place, consent, &credential, actor).await {
            Ok(id) => Ok(id),
            Err(error) => {
                self.give_up_grant(&place, &credential).await;
                Err(error)
            }
        }
    }

    /// Whose grant it is. A narrow one may not ask for its name; then at least the account's id is found.
    async fn identity(&self, place: &Place, credential: &Credential) -> Result<Inspection, ConnectError> {
        let (api, token) = (self.provider.api(), &credential.access_token);
        let account = match api.identify(&place.instance, token).await {
            Ok(account) => Some(account),
            Err(InspectError::Denied) => {
                api.inspect(&place.instance, token, None, credential.obtained_at).await?.account
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Inspection {
            token_kind: TokenKind::OAuth,
            kind_is_sure: true,
            account,
            token_name: None,
            scopes: credential.scopes.clone(),
            expires_at: credential.expires_at,
        })
    }

    async fn use_grant(
        &self,
        place: &Place,
        consent: Consent,
        credential: &Credential,
        actor: &Actor,
    ) -> Result<ConnectionId, ConnectError> {
        let token = &credential.access_token;
        let identity = self.identity(place, credential).await?;
        match consent.wish {
            Wish::Connect { name, tenant, use_cases } => {
                let own = username(identity.account.as_ref()).filter(|own| fields::name(own).is_ok());
                let wanted = name.or(own).unwrap_or(consent.integration);
                let name = self.free_name(&wanted, tenant.as_deref()).await?;
                let checks = self.checked(place, token, &identity, &use_cases, &name).await?;
                let account = Inspected { found: &identity, checks, method: Method::OAuth };
                let fields = Fields { name, tenant, use_cases, ..Fields::default() }.checked()?;
                Ok(self.establish(place, fields, account, credential, actor).await?.id)
            }
            Wish::Reauthorize(id) => {
                let old = self.take_over(place, id, &identity, credential, actor).await?;
                // The new credential is in use: from here on nothing may end in giving its grant up. The one before
                // lives on where it was exported to.
                if old.connection.credential.exported_at.is_some() {
                    return Ok(id);
                }
                let now = self.clock.now();
                let given_up = GivenUp::of(&old.connection, &old.credential);
                if let Err(error) = self.store.owe_revocation(&given_up, now).await {
                    tracing::error!(connection = %id, %error, "the grant before could not be given up");
                }
                Ok(id)
            }
        }
    }

    /// Puts the new grant in the place of the one before, and returns that one. A renewal in the background
    /// may be faster; the person who consented wins all the same.
    async fn take_over(
        &self,
        place: &Place,
        id: ConnectionId,
        identity: &Inspection,
        credential: &Credential,
        actor: &Actor,
    ) -> Result<Held, ConnectError> {
        for _ in 0..MOST_SWAPS {
            let old = self.store.open_credential(id).await?.ok_or(ConnectError::Gone)?;
            let was = &old.connection;
            if *place.base_url() != was.base_url {
                return Err(ConnectError::ChangedMeanwhile);
            }
            same_account(was.account.as_ref(), identity.account.as_ref())?;
            let token = &credential.access_token;
            let checks = self.checked(place, token, identity, &was.use_cases, &was.name).await?;
            let account = Inspected { found: identity, checks, method: Method::OAuth };
            match self.swap(was, account, credential, (EventKind::Reauthorized, actor)).await {
                Err(ConnectError::ChangedMeanwhile) => {}
                swapped => return swapped.map(|_| old),
            }
        }
        Err(ConnectError::ChangedMeanwhile)
    }

    /// The wanted name, with a number behind it if it is taken.
    pub(super) async fn free_name(&self, wanted: &str, tenant: Option<&str>) -> Result<String, ConnectError> {
        let mut candidate = wanted.to_owned();
        for number in 2.. {
            match self.refuse_taken_name(&candidate, tenant).await {
                Err(ConnectError::NameTaken(_)) => candidate = format!("{wanted}-{number}"),
                Ok(()) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(candidate)
    }

    /// The grant came to nothing: the provider is told to forget it.
    async fn give_up_grant(&self, place: &Place, credential: &Credential) {
        let given_up = GivenUp {
            connection: ConnectionId::fresh(),
            integration: place.integration.as_deref(),
            provider: PROVIDER,
            base_url: place.base_url(),
            credential,
        };
        if let Err(error) = self.store.owe_revocation(&given_up, self.clock.now()).await {
            tracing::error!(%error, "a grant that came to nothing could not be given up");
        }
    }
}

fn username(account: Option<&Account>) -> Option<String> {
    account?.username.clone()
}

fn credential(grant: Grant, asked: &Scopes, now: OffsetDateTime) -> Credential {
    Credential {
        access_token: grant.access_token,
        obtained_at: now,
        expires_at: Some(grant.expires_at),
        scopes: grant.scopes.unwrap_or_else(|| asked.clone()),
        renewal: grant.refresh_token.map_or(Renewal::Manual, Renewal::Refresh),
    }
}
