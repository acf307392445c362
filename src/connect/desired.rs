//! A connection as somebody says that it is to be, by its name: for those who keep their infrastructure as text.

use super::{Connect, ConnectError, Fields, Pasted, Replacement, Target};
use crate::{
    domain::{Actor, Connection, Method, RenewalKind, Secret, TokenKind},
    providers::InspectError,
};

/// What is to be. Its fields were checked.
pub struct Desired {
    /// `None`: where it is.
    pub target: Option<Target>,
    /// `None`: the one that it has.
    pub token: Option<Secret>,
    pub token_kind: Option<TokenKind>,
    /// `None`: as a connection renews unless somebody chooses.
    pub renewal: Option<RenewalKind>,
    pub allow_different_account: bool,
    pub fields: Fields,
}

impl Connect {
    /// Checks what can be checked before anybody is asked.
    pub fn desired(&self, desired: Desired) -> Result<Desired, ConnectError> {
        let fields = desired.fields.checked()?;
        self.chosen(&fields.use_cases)?;
        Ok(Desired { fields, ..desired })
    }

    /// Makes the connection that is to be.
    pub async fn make(&self, desired: &Desired, actor: &Actor) -> Result<Connection, ConnectError> {
        let missing = |field, what| {
            let message = format!("There is no connection of this name yet: give {what} to make it.");
            ConnectError::Field { field, message }
        };
        let target = desired.target.clone();
        let pasted = Pasted {
            target: target.ok_or_else(|| missing("integration", "integration or base_url"))?,
            token: desired.token.clone().ok_or_else(|| missing("token", "its access token"))?,
            token_kind: desired.token_kind,
            renewal: desired.renewal.unwrap_or(RenewalKind::Manual),
            fields: desired.fields.clone(),
        };
        self.adopt(pasted, actor).await
    }

    /// Gives a connection the token that is to be in it, unless that was brought already: then nobody is asked.
    pub async fn bring_token(
        &self,
        was: &Connection,
        desired: &Desired,
        actor: &Actor,
    ) -> Result<Connection, ConnectError> {
        self.refuse_elsewhere(was, desired.target.as_ref())?;
        let is_held = match &desired.token {
            Some(token) if was.method == Method::AccessToken => self.store.is_brought(was.id, token).await?,
            Some(_) => return Err(ConnectError::MadeByOAuth),
            None => true,
        };
        if let Some(believed) = desired.token_kind.filter(|kind| is_held && *kind != was.token_kind) {
            return Err(InspectError::WrongKind { believed, found: was.token_kind }.into());
        }
        let Some(token) = desired.token.clone().filter(|_| !is_held) else { return Ok(was.clone()) };
        let replacement = Replacement {
            token,
            allow_different_account: desired.allow_different_account,
            token_kind: desired.token_kind,
            use_cases: Some(desired.fields.use_cases.clone()),
            renewal: Some(desired.renewal.unwrap_or(RenewalKind::Manual)),
        };
        self.replace(was, replacement, actor).await
    }

    fn refuse_elsewhere(&self, was: &Connection, target: Option<&Target>) -> Result<(), ConnectError> {
        let Some(target) = target else { return Ok(()) };
        let place = self.place(target)?;
        if place.integration == was.integration && *place.base_url() == was.base_url {
            return Ok(());
        }
        Err(ConnectError::Elsewhere(was.base_url.to_string()))
    }
}
