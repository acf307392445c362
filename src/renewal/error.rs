//! Why there is no newer credential.

use crate::{
    domain::{Failure, Reason},
    store::StoreError,
};
use std::sync::Arc;
use time::OffsetDateTime;

/// All waiters of a flight get the same one, so it is cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RenewalError {
    #[error("the connection is gone")]
    Gone,
    /// Only a person's act brings it back.
    #[error("a person must act: {0}")]
    Stopped(Reason),
    #[error("only a person can renew this credential")]
    NeedsPerson,
    #[error("{message}")]
    Failed { reason: Reason, message: String, next_attempt_at: Option<OffsetDateTime> },
    /// Another process is renewing and has not finished.
    #[error("another process is renewing this credential")]
    Busy,
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The work panicked. It is in the log; the next caller starts afresh.
    #[error("the renewal broke off")]
    BrokeOff,
}

impl From<StoreError> for RenewalError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl RenewalError {
    /// What stands in the way already.
    pub(super) fn failed(failure: &Failure) -> Self {
        Self::Failed {
            reason: failure.code,
            message: failure.message.clone(),
            next_attempt_at: failure.next_attempt_at,
        }
    }
}
