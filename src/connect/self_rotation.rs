//! The choice that a pasted access token rotates itself. The rule it guards: a person makes it, for a token that
//! may do it, and no other token slips in under that choice.

use super::{Connect, ConnectError, establish::Place};
use crate::{
    domain::{Connection, Credential, Method, Renewal, RenewalKind, Scopes, Secret},
    providers::{Inspection, RotationRefusal},
    store::RenewalChoice,
};

impl Connect {
    /// How this pasted token renews, as it was chosen; refused where the token cannot do it.
    pub(super) async fn chosen_renewal(
        &self,
        choice: RenewalKind,
        place: &Place,
        token: &Secret,
        found: &Inspection,
        name: &str,
    ) -> Result<Renewal, ConnectError> {
        if choice != RenewalKind::SelfRotate {
            return Ok(Renewal::Manual);
        }
        let api = self.provider.api();
        match api.may_rotate_itself(&place.instance, token, found).await {
            Ok(()) => Ok(Renewal::SelfRotate),
            Err(RotationRefusal::Inspect(error)) => Err(error.into()),
            Err(refusal @ RotationRefusal::InsufficientScope { scope, .. }) => {
                let needed = found.scopes.union(&Scopes::parse(scope));
                let mend_at = api.token_form_url(place.base_url(), found.token_kind, name, &needed);
                Err(ConnectError::NoRotationScope { refusal, mend_at })
            }
            Err(refusal) => Err(ConnectError::SelfRotationUnsupported(refusal)),
        }
    }

    /// What choosing another renewal changes of a connection. `None`: it is as chosen already.
    pub(super) async fn rechosen(
        &self,
        was: &Connection,
        choice: Option<RenewalKind>,
    ) -> Result<Option<RenewalChoice>, ConnectError> {
        let Some(kind) = choice else { return Ok(None) };
        refuse_foreign(was.method, kind)?;
        if kind == was.credential.renewal {
            return Ok(None);
        }
        let held = self.store.open_credential(was.id).await?.ok_or(ConnectError::Gone)?;
        let generation = held.connection.credential.generation;
        let credential = self.switched(&held.connection, held.credential, kind).await?;
        let renew_at = self.tending.renew_at(&credential, rand::random());
        Ok(Some(RenewalChoice { kind, renew_at, generation }))
    }

    /// The kept credential with another renewal. To rotate itself it must be alive and allowed to.
    async fn switched(
        &self,
        was: &Connection,
        credential: Credential,
        kind: RenewalKind,
    ) -> Result<Credential, ConnectError> {
        if kind == RenewalKind::Manual {
            return Ok(Credential { renewal: Renewal::Manual, ..credential });
        }
        let place = Place { integration: was.integration.clone(), instance: self.instances.of(was)? };
        let (token, now) = (&credential.access_token, self.clock.now());
        let found = self.provider.api().inspect(&place.instance, token, Some(was.token_kind), now).await?;
        let renewal = self.chosen_renewal(kind, &place, token, &found, &was.name).await?;
        Ok(Credential { renewal, ..credential })
    }
}

/// What a pasted token can be told: it has no refresh token.
pub(super) fn refuse_refresh(choice: RenewalKind) -> Result<(), ConnectError> {
    if choice == RenewalKind::Refresh {
        return Err(ConnectError::field("renewal", "A pasted token has no refresh token. Use manual."));
    }
    Ok(())
}

/// A renewal that does not fit the way in.
fn refuse_foreign(method: Method, choice: RenewalKind) -> Result<(), ConnectError> {
    if (method == Method::OAuth) == (choice == RenewalKind::Refresh) {
        return Ok(());
    }
    let message = format!("A connection made by {method} cannot renew by {choice}.");
    Err(ConnectError::field("renewal", message))
}
