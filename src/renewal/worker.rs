//! Work in the background: try once, and do so forever. Tests call `try_once`.

use super::{Need, RenewalError, Renewals};
use crate::{
    domain::Clock,
    store::{RenewalCause, Store, StoreError},
};
use futures_util::{StreamExt, stream};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Renewals at once, and those taken from the database at a time.
const AT_ONCE: usize = 16;
const BATCH: i64 = 64;

/// Renews what is due.
#[derive(Clone)]
pub struct Worker {
    pub store: Store,
    pub renewals: Renewals,
    pub clock: Clock,
    /// Once cancelled nothing more is begun; what is on the wire is finished.
    pub stop: CancellationToken,
}

impl Worker {
    /// Renews the credentials whose time has come, and says how many were looked at.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let due = self.store.due_for_renewal(self.clock.now(), BATCH).await?;
        let looked_at = due.len();
        stream::iter(due)
            .take_until(self.stop.cancelled())
            .for_each_concurrent(AT_ONCE, |id| async move {
                match self.renewals.renew(id, Need::NotDue, RenewalCause::Due).await {
                    Ok(_) => {}
                    Err(error @ RenewalError::Store(_)) => {
                        tracing::error!(connection = %id, %error, "a due renewal could not be begun");
                    }
                    Err(error) => {
                        tracing::debug!(connection = %id, %error, "a due renewal did not come about");
                    }
                }
            })
            .await;
        Ok(looked_at)
    }
}

/// Runs `once` every `period` until the stop. A round that fails is logged, the next one comes.
pub async fn repeat<E: std::fmt::Display>(
    what: &'static str,
    period: Duration,
    stop: CancellationToken,
    once: impl AsyncFn() -> Result<(), E>,
) {
    while !stop.is_cancelled() {
        if let Err(error) = once().await {
            tracing::warn!(what, %error, "a round of background work failed");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(period) => {}
        }
    }
}
