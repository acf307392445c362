//! A connection is changed, by a program or on a page: what it is newly meant for is checked at once.

use super::state::AppState;
use crate::{
    connect::{ConnectError, Fields},
    domain::{Actor, Connection, RenewalKind},
};

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
