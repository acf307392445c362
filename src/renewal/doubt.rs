//! Rotations whose answer never came. A second one could present a spent token, and for that GitLab revokes the
//! whole family of tokens, the newest included. So the old token is only looked at, never rotated, until it is
//! certain that the first request came to nothing.

use super::{RenewalError, Renewals};
use crate::{
    domain::{Actor, Reason},
    store::{Held, RenewalFailure},
};
use time::Duration;

/// After so long no request is still under way, and no replica of the provider lags behind.
const SETTLED: Duration = Duration::minutes(10);

/// When the token is looked at again where the provider would not say.
const LOOK_AGAIN: Duration = Duration::minutes(1);

const LOST: &str = "The provider rotated the token, but its answer never came, and the old token is dead. \
                    Paste a new one.";
const OPEN: &str = "A rotation was sent and not answered. The token still works; whether it was rotated is \
                    being watched before it is tried again.";

impl Renewals {
    /// What follows a rotation that was sent and not answered, by the old token's word.
    pub(super) async fn after_unanswered_rotation(
        &self,
        held: &Held,
        noted: RenewalFailure,
    ) -> RenewalFailure {
        match self.refusal(held).await {
            Ok(Some(_)) => RenewalFailure {
                code: Reason::RenewalAnswerLost,
                message: LOST.into(),
                next_attempt_at: None,
                stopped: Some(Reason::RenewalAnswerLost),
            },
            Ok(None) => RenewalFailure {
                message: OPEN.into(),
                next_attempt_at: Some(self.clock.now() + SETTLED),
                ..noted
            },
            Err(_) => noted,
        }
    }

    /// Lets a rotation be sent only if no earlier one of this token can still have done its work.
    pub(super) async fn settle_rotation(&self, held: &Held) -> Result<(), RenewalError> {
        let connection = &held.connection;
        let Some(since) = self.store.doubtful_since(connection, None).await? else { return Ok(()) };
        let refusal = match self.refusal(held).await {
            Ok(refusal) => refusal,
            Err(error) => {
                self.store.put_off_renewal(connection, self.clock.now() + LOOK_AGAIN).await?;
                return Err(error);
            }
        };
        if refusal.is_some() {
            let reason = Reason::RenewalAnswerLost;
            self.store.stop(connection, reason, self.clock.now(), &Actor::Mooring).await?;
            return Err(RenewalError::Stopped(reason));
        }
        let settled_at = since + SETTLED;
        if self.clock.now() >= settled_at {
            return Ok(());
        }
        self.store.put_off_renewal(connection, settled_at).await?;
        Err(RenewalError::Failed {
            reason: Reason::ProviderError,
            message: OPEN.into(),
            next_attempt_at: Some(settled_at),
        })
    }
}
