//! The access-token way: a person pastes a token, the provider says what it is.

use super::{
    Connect, ConnectError, Fields, Target,
    establish::{Inspected as Found, MOST_SWAPS, Place},
    same_account::same_account,
    self_rotation::refuse_refresh,
};
use crate::{
    domain::{
        Account, Actor, BaseUrl, Connection, ConnectionId, Credential, EventKind, Method, Renewal,
        RenewalKind, Secret, TokenKind, UseCase, UseCaseCheck,
    },
    providers::{Home, InspectError, Inspection, Instance, Instances, check_use_cases},
    store::ConnectionEdit,
};

/// A pasted token with what the person said about it.
pub struct Pasted {
    pub target: Target,
    pub token: Secret,
    pub token_kind: Option<TokenKind>,
    pub renewal: RenewalKind,
    pub fields: Fields,
}

/// A pasted token that is to take the place of another.
pub struct Replacement {
    pub token: Secret,
    pub allow_different_account: bool,
    pub token_kind: Option<TokenKind>,
    /// `None`: the connection stays for what it is.
    pub use_cases: Option<Vec<String>>,
    /// `None`: it renews as the token before.
    pub renewal: Option<RenewalKind>,
}

impl Replacement {
    /// A token of the same account, for the same use.
    pub fn of(token: Secret) -> Self {
        Self { token, allow_different_account: false, token_kind: None, use_cases: None, renewal: None }
    }
}

/// What a token turned out to be, with every use case checked.
pub struct Inspected {
    /// Where it is from.
    pub instance: Instance,
    pub found: Inspection,
    pub checks: Vec<UseCaseCheck>,
}

/// The integration that the operator configured at a base URL, however it is typed.
pub(super) fn known_integration(instances: &Instances, text: &str) -> Option<String> {
    let url = BaseUrl::parse_configured(text).ok()?;
    instances.integration_at(&url).map(|integration| integration.id.clone())
}

impl Connect {
    /// Where a target is, and whether it may be reached.
    pub(super) fn place(&self, target: &Target) -> Result<Place, ConnectError> {
        match target {
            Target::Integration(id) => {
                Ok(Place { instance: self.instances.configured(id)?, integration: Some(id.clone()) })
            }
            Target::BaseUrl(text) => self.typed_place(text),
        }
    }

    /// A typed base URL that the operator configured is that integration: its trust and its addresses hold.
    fn typed_place(&self, text: &str) -> Result<Place, ConnectError> {
        if let Some(id) = known_integration(&self.instances, text) {
            return self.place(&Target::Integration(id));
        }
        let instance = self.instances.typed(BaseUrl::parse_typed(text)?)?;
        let url = instance.base_url.join("");
        instance.http.check_literal(&url).map_err(|e| InspectError::Forbidden { message: e.to_string() })?;
        Ok(Place { integration: None, instance })
    }

    /// Looks a token up against these use cases, or all if none is named, and stores nothing.
    pub async fn inspect(
        &self,
        target: &Target,
        token: &Secret,
        believed: Option<TokenKind>,
        use_cases: &[String],
    ) -> Result<Inspected, ConnectError> {
        let wanted =
            if use_cases.is_empty() { self.use_cases.iter().collect() } else { self.chosen(use_cases)? };
        let instance = self.place(target)?.instance;
        self.look_up(instance, token, believed, &wanted).await
    }

    /// The same for a token that may take the place of a connection's own, where that one is from.
    pub async fn inspect_for(&self, was: &Connection, token: &Secret) -> Result<Inspected, ConnectError> {
        self.look_up(self.instances.of(was)?, token, None, &self.known(&was.use_cases)).await
    }

    async fn look_up(
        &self,
        instance: Instance,
        token: &Secret,
        believed: Option<TokenKind>,
        wanted: &[&UseCase],
    ) -> Result<Inspected, ConnectError> {
        let api = self.provider.api();
        let found = api.inspect(&instance, token, believed, self.clock.now()).await?;
        let checks = check_use_cases(api, &instance, token, &found, wanted).await?;
        Ok(Inspected { instance, found, checks })
    }

    /// The project or group of a bot's token, to tell a person. `None`: there is none, or it cannot be had.
    pub async fn home(&self, instance: &Instance, token: &Secret, account: Option<&Account>) -> Option<Home> {
        self.provider.api().home(instance, token, account?).await
    }

    /// The connection that has this name and holds this very token: a form that was sent twice.
    pub async fn already(&self, name: &str, token: &Secret) -> Result<Option<ConnectionId>, ConnectError> {
        for there in self.store.connections_named(name.trim(), Some("")).await? {
            let held = self.store.open_credential(there.id).await?;
            if held.is_some_and(|held| held.credential.access_token.is_same(token)) {
                return Ok(Some(there.id));
            }
        }
        Ok(None)
    }

    /// Makes a connection of a pasted token.
    pub async fn adopt(&self, pasted: Pasted, actor: &Actor) -> Result<Connection, ConnectError> {
        let fields = pasted.fields.checked()?;
        self.chosen(&fields.use_cases)?;
        refuse_refresh(pasted.renewal)?;
        let place = self.place(&pasted.target)?;
        self.refuse_taken_name(&fields.name, fields.tenant.as_deref()).await?;
        let now = self.clock.now();
        let found =
            self.provider.api().inspect(&place.instance, &pasted.token, pasted.token_kind, now).await?;
        let checks = self.checked(&place, &pasted.token, &found, &fields.use_cases, &fields.name).await?;
        let token = pasted.token;
        let renewal = self.chosen_renewal(pasted.renewal, &place, &token, &found, &fields.name).await?;
        let credential = self.pasted(token, renewal, &found);
        let account = Found { found: &found, checks, method: Method::AccessToken };
        self.establish(&place, fields, account, &credential, actor).await
    }

    /// Manual rotation: the new token is verified before the old one is dropped. A change in the background
    /// does not win over the person who brought a token. Where the old one rotated itself, the new one must be
    /// able to: that it stops is never decided silently.
    pub async fn replace(
        &self,
        was: &Connection,
        replacement: Replacement,
        actor: &Actor,
    ) -> Result<Connection, ConnectError> {
        if was.method == Method::OAuth {
            return Err(ConnectError::MadeByOAuth);
        }
        let place = Place { integration: was.integration.clone(), instance: self.instances.of(was)? };
        let now = self.clock.now();
        let Replacement { token, token_kind, .. } = &replacement;
        let found = self.provider.api().inspect(&place.instance, token, *token_kind, now).await?;
        let mut was = was.clone();
        for _ in 0..MOST_SWAPS {
            if was.credential.exported_at.is_some() && self.store.is_brought(was.id, token).await? {
                return Err(ConnectError::ExportedToken);
            }
            was.use_cases = replacement.use_cases.clone().unwrap_or(was.use_cases);
            if !replacement.allow_different_account {
                same_account(was.account.as_ref(), found.account.as_ref())?;
            }
            let checks = self.checked(&place, token, &found, &was.use_cases, &was.name).await?;
            let kept = replacement.renewal.unwrap_or(was.credential.renewal);
            let renewal = self.chosen_renewal(kept, &place, token, &found, &was.name).await?;
            let credential = self.pasted(token.clone(), renewal, &found);
            let account = Found { found: &found, checks, method: Method::AccessToken };
            match self.swap(&was, account, &credential, (EventKind::Rotated, actor)).await {
                Err(ConnectError::ChangedMeanwhile) => {}
                swapped => return swapped,
            }
            was = self.store.connection(was.id).await?.ok_or(ConnectError::Gone)?;
        }
        Err(ConnectError::ChangedMeanwhile)
    }

    /// Changes what a person may change. New use cases are not checked here: the handler of the API
    /// checks the connection at once.
    pub async fn edit(
        &self,
        was: &Connection,
        fields: Fields,
        renewal: Option<RenewalKind>,
        actor: &Actor,
    ) -> Result<(), ConnectError> {
        let fields = fields.checked()?;
        let is_new = |id: &&String| !was.use_cases.contains(id);
        self.chosen(&fields.use_cases.iter().filter(is_new).cloned().collect::<Vec<_>>())?;
        let renewal = self.rechosen(was, renewal).await?;
        let checks = was.checks.iter().filter(|c| fields.use_cases.contains(&c.use_case)).cloned().collect();
        let edit = ConnectionEdit {
            name: fields.name.clone(),
            description: fields.description,
            tags: fields.tags,
            use_cases: fields.use_cases,
            checks,
            renewal,
        };
        match self.store.edit_connection(was, &edit, self.clock.now(), actor).await {
            Ok(true) => Ok(()),
            Ok(false) if self.store.connection(was.id).await?.is_some() => {
                Err(ConnectError::ChangedMeanwhile)
            }
            Ok(false) => Err(ConnectError::Gone),
            Err(crate::store::StoreError::NameTaken) => Err(ConnectError::NameTaken(fields.name)),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn refuse_taken_name(
        &self,
        name: &str,
        tenant: Option<&str>,
    ) -> Result<(), ConnectError> {
        let there = self.store.connections_named(name, Some(tenant.unwrap_or_default())).await?;
        if there.is_empty() { Ok(()) } else { Err(ConnectError::NameTaken(name.to_owned())) }
    }

    fn pasted(&self, access_token: Secret, renewal: Renewal, found: &Inspection) -> Credential {
        Credential {
            access_token,
            obtained_at: self.clock.now(),
            expires_at: found.expires_at,
            scopes: found.scopes.clone(),
            renewal,
        }
    }
}
