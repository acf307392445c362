//! Ends connections: unusable at once here, and at the provider as soon as it hears of it.

use crate::{
    domain::{Actor, Clock, Connection, ConnectionId, Credential, Event, EventId, EventKind},
    providers::{Instances, Provider, RevokeError},
    store::{Held, OwedRevocation, Store, StoreError, TokenHint, UnfinishedRenewal},
};
use futures_util::{StreamExt, stream};
use time::{Duration, OffsetDateTime};

/// Attempts go on for about three days, then a person is told.
const MOST_ATTEMPTS: i64 = 40;
const LONGEST_PAUSE: Duration = Duration::hours(2);
/// Longer than a call takes, so that two replicas do not revoke at once.
const HOLD: Duration = Duration::minutes(2);
const AT_ONCE: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum DisconnectError {
    #[error(
        "This connection was exported, and its token lives on in another installation. Disconnect it without revoking \
         the token, or take it back first."
    )]
    Exported,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone)]
pub struct Disconnect {
    pub store: Store,
    pub provider: Provider,
    pub instances: Instances,
    pub clock: Clock,
}

impl Disconnect {
    /// Ends a connection. With `revoke` the provider is told as well, now or as soon as it answers; without,
    /// nothing is opened. `false`: it was gone before.
    pub async fn end(&self, id: ConnectionId, revoke: bool, actor: &Actor) -> Result<bool, DisconnectError> {
        // A renewal may come in between; its newer credential is then the one to end.
        loop {
            let Some((was, credentials)) = self.to_end(id, revoke).await? else { return Ok(false) };
            if revoke && was.credential.exported_at.is_some() {
                return Err(DisconnectError::Exported);
            }
            let now = self.clock.now();
            if self.store.disconnect(&was, &credentials, now, actor).await? {
                if revoke && credentials.is_empty() {
                    self.store.append_event(&never_revoked(&was, now, actor)).await?;
                }
                return Ok(true);
            }
        }
    }

    /// A connection, and the credentials to revoke. One that does not open keeps no connection alive.
    async fn to_end(
        &self,
        id: ConnectionId,
        revoke: bool,
    ) -> Result<Option<(Connection, Vec<Credential>)>, StoreError> {
        if revoke {
            match self.store.open_credential(id).await {
                Ok(None) => return Ok(None),
                Ok(Some(held)) => {
                    let mut credentials = self.not_committed(&held).await?;
                    credentials.push(held.credential);
                    return Ok(Some((held.connection, credentials)));
                }
                Err(StoreError::Vault(error)) => {
                    tracing::error!(connection = %id, %error, "a token cannot be opened and is not revoked");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.store.connection(id).await?.map(|was| (was, vec![])))
    }

    /// What a process that was killed left in the journal: the provider gave it, and no connection has it.
    async fn not_committed(&self, held: &Held) -> Result<Vec<Credential>, StoreError> {
        let unfinished = self.store.unfinished_renewals(Some(held.connection.id)).await?;
        let read = |one: &UnfinishedRenewal| {
            let answer = self.store.open_answer(&held.connection, one).ok()??;
            self.provider.read_renewal(&held.credential, &answer, one.started_at).ok()
        };
        Ok(unfinished.iter().filter_map(read).collect())
    }

    /// Tells providers what they are owed, and says how many were tried.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let owed = self.store.take_revocations(self.clock.now(), HOLD, 64).await?;
        let tried = owed.len();
        stream::iter(owed)
            .for_each_concurrent(AT_ONCE, |owed| async move {
                if let Err(error) = self.settle(&owed).await {
                    tracing::error!(connection = %owed.connection, %error, "a revocation could not be noted");
                }
            })
            .await;
        Ok(tried)
    }

    async fn settle(&self, owed: &OwedRevocation) -> Result<(), StoreError> {
        let now = self.clock.now();
        match self.revoke(owed).await {
            Ok(()) => self.store.settle_revocation(owed, None, now).await,
            Err(RevokeError::Unavailable { message, retry_after }) if owed.attempts < MOST_ATTEMPTS => {
                tracing::warn!(connection = %owed.connection, message, "a token is not revoked yet; trying again later");
                let asked = retry_after.and_then(|d| Duration::try_from(d).ok()).unwrap_or_default();
                self.store.put_off_revocation(owed.id, now + pause(owed.attempts).max(asked)).await
            }
            Err(error) => {
                tracing::warn!(connection = %owed.connection, %error, "a token could not be revoked at the provider");
                self.store.settle_revocation(owed, Some(error.to_string()), now).await
            }
        }
    }

    async fn revoke(&self, owed: &OwedRevocation) -> Result<(), RevokeError> {
        let instance = self
            .instances
            .at(owed.integration.as_deref(), &owed.base_url)
            .map_err(|e| RevokeError::Unavailable { message: e.to_string(), retry_after: None })?;
        match owed.hint {
            TokenHint::RefreshToken => self.provider.revoke_refresh_token(&instance, &owed.token).await,
            TokenHint::AccessToken => self.provider.api().revoke_access_token(&instance, &owed.token).await,
        }
    }
}

fn never_revoked(was: &Connection, at: OffsetDateTime, actor: &Actor) -> Event {
    let detail = "The token could not be revoked, because it could not be opened with the encryption keys. \
                  Revoke it at the provider.";
    Event {
        id: EventId::fresh(),
        at,
        kind: EventKind::RevocationFailed,
        subject: Some(was.id.to_string()),
        tenant: was.tenant.clone(),
        actor: actor.to_string(),
        detail: Some(detail.to_owned()),
    }
}

/// Doubles from five seconds up to two hours.
fn pause(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 12) - 1).expect("clamped");
    (Duration::seconds(5) * 2_i32.pow(doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_go_on_for_days() {
        let all: Duration = (1..=MOST_ATTEMPTS).map(pause).sum();
        assert!(all > Duration::days(2) && all < Duration::days(4), "{all}");
        assert_eq!(pause(1), Duration::seconds(5));
    }
}
