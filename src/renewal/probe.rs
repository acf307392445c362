//! Asks the provider about a token that somebody saw refused, before anything is made of it.

use super::{RenewalError, Renewals};
use crate::{
    domain::{Actor, CredentialFacts, Reason},
    providers::{InspectError, UnknownInstance},
    store::Held,
};
use std::time::Duration as StdDuration;
use time::Duration;
use tokio::time::sleep;

/// A new token may be refused for a moment while a replica of the provider lags behind.
const YOUNG: Duration = Duration::seconds(30);
const ASK_AGAIN_AFTER: [StdDuration; 3] =
    [StdDuration::from_millis(500), StdDuration::from_secs(1), StdDuration::from_secs(2)];

impl Renewals {
    /// Asks the provider about a token that a caller saw refused. A dead token that only itself, or
    /// nobody, can renew stops its connection here, so that the provider is not asked about it again. So does one that
    /// was exported: another installation has renewed it.
    pub(super) async fn still_works(&self, held: &Held) -> Result<bool, RenewalError> {
        let facts = &held.connection.credential;
        if let Some(reason) = facts.stopped {
            return Err(RenewalError::Stopped(reason));
        }
        let Some(reason) = self.refusal(held).await? else { return Ok(true) };
        if was_renewed_elsewhere(facts, reason) {
            self.store.stop(&held.connection, Reason::Exported, self.clock.now(), &Actor::Mooring).await?;
            return Err(RenewalError::Stopped(Reason::Exported));
        }
        if facts.renewal.outlives_its_token() {
            return Ok(false);
        }
        let in_doubt = self.store.doubtful_since(&held.connection, None).await?.is_some();
        let reason = if in_doubt { Reason::RenewalAnswerLost } else { reason };
        self.store.stop(&held.connection, reason, self.clock.now(), &Actor::Mooring).await?;
        Err(RenewalError::Stopped(reason))
    }

    /// Why the provider refuses a token; `None` if it does not. A young token, and a 401 that does not say
    /// why, are asked about again before that is believed.
    pub(super) async fn refusal(&self, held: &Held) -> Result<Option<Reason>, RenewalError> {
        let instance = self.instances.of(&held.connection).map_err(|e| misconfigured(&e))?;
        let young = self.clock.now() - held.credential.obtained_at < YOUNG;
        for pause in ASK_AGAIN_AFTER.map(Some).into_iter().chain([None]) {
            let (reason, says_why) =
                match self.provider.api().probe(&instance, &held.credential.access_token).await {
                    Ok(()) => return Ok(None),
                    Err(InspectError::TokenExpired) => (Reason::TokenExpired, true),
                    Err(InspectError::TokenRevoked) => (Reason::TokenRevoked, true),
                    Err(InspectError::TokenInvalid { .. }) => (Reason::TokenRevoked, false),
                    Err(error) => return Err(cannot_ask(&error)),
                };
            let first = pause == Some(ASK_AGAIN_AFTER[0]);
            match pause.filter(|_| young || (first && !says_why)) {
                Some(pause) => sleep(pause).await,
                None => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }
}

/// A renewal kills the token before it. Where this installation does not renew and the token is dead before its end,
/// another one did.
pub(super) fn was_renewed_elsewhere(facts: &CredentialFacts, refusal: Reason) -> bool {
    facts.exported_at.is_some() && facts.renewal.renews_itself() && refusal != Reason::TokenExpired
}

fn misconfigured(error: &UnknownInstance) -> RenewalError {
    RenewalError::Failed {
        reason: Reason::IntegrationMisconfigured,
        message: error.to_string(),
        next_attempt_at: None,
    }
}

/// The provider would not say whether the token works.
fn cannot_ask(error: &InspectError) -> RenewalError {
    let reason = match error {
        InspectError::RateLimited { .. } => Reason::RateLimited,
        InspectError::AccountBlocked { .. } => Reason::AccountBlocked,
        InspectError::Unreachable { step: "http", .. } | InspectError::NotGitLab { .. } => {
            Reason::ProviderError
        }
        _ => Reason::ProviderUnreachable,
    };
    RenewalError::Failed { reason, message: error.to_string(), next_attempt_at: None }
}
