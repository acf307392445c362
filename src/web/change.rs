//! A connection is changed, by a program or on a page: what it is newly meant for is checked at once.

use super::state::AppState;
use crate::{
    connect::{ConnectError, Desired, Fields},
    domain::{Actor, Connection, Method, RenewalKind},
    vault::digest,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

/// Changes what a person may change of a connection as it `was`, and tells how it is now. That the provider cannot
/// be asked about new use cases refuses nothing: they stay unchecked, and the next round looks at them.
pub(super) async fn change(
    state: &AppState,
    was: &Connection,
    fields: Fields,
    renewal: Option<RenewalKind>,
    actor: &Actor,
) -> Result<Connection, ConnectError> {
    let asks_more = fields.use_cases.iter().any(|id| !was.use_cases.contains(id));
    state.connect.edit(was, fields, renewal, actor).await?;
    if asks_more && let Err(error) = state.health.check(was.id, actor).await {
        tracing::info!(connection = %was.id, %error, "new use cases could not be checked yet");
    }
    state.store.connection(was.id).await?.ok_or(ConnectError::Gone)
}

/// Brings a connection to what it is to be. Where it is that already nothing happens, and nobody is asked.
pub(super) async fn bring(
    state: &AppState,
    was: &Connection,
    desired: &Desired,
    actor: &Actor,
) -> Result<Connection, ConnectError> {
    let was = state.connect.bring_token(was, desired, actor).await?;
    let usual = if was.method == Method::OAuth { RenewalKind::Refresh } else { RenewalKind::Manual };
    let renewal = desired.renewal.unwrap_or(usual);
    if renewal == was.credential.renewal && Fields::of(&was) == desired.fields {
        return Ok(was);
    }
    change(state, &was, desired.fields.clone(), Some(renewal), actor).await
}

/// A short mark of what an edit changes of a connection. Renewals and checks do not change it.
pub(super) fn mark(c: &Connection) -> String {
    short(&format!("{:?}", (&c.name, &c.description, &c.tags, &c.use_cases)))
}

/// A short text that another text has for itself.
pub(super) fn short(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&digest(text)[..12])
}
