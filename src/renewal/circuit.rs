//! What connections to one provider have in common: how many may ask at once, and whether asking makes sense.
//!
//! A fault of our OAuth application, or of the whole instance, is told once and kills nobody. While the breaker
//! is open one connection probes; when that works, all may.

use super::{RenewalError, Renewals, schedule};
use crate::{
    domain::{BaseUrl, Connection, Reason},
    providers::{RenewError, Trouble},
    store::{Fault, RenewalCause, StoreError},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Renewals at once at one instance, in this process. A provider limits calls to its token endpoint by address.
const AT_ONCE: usize = 16;
/// Faults in a row that open a breaker: what one answer proves needs no second one.
const FAULTS: i64 = 5;
/// A probe that says nothing within this time leaves the next one free.
const PROBE: Duration = Duration::seconds(90);

/// Clones share the permits.
#[derive(Clone)]
pub(super) struct Permits {
    of: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    /// The worker begins nothing more once this is cancelled.
    stop: CancellationToken,
}

impl Permits {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { of: Arc::default(), stop }
    }

    /// Waits until the instance may be asked by one more.
    pub(super) async fn take(
        &self,
        base_url: &BaseUrl,
        cause: RenewalCause,
    ) -> Result<OwnedSemaphorePermit, RenewalError> {
        let semaphore = {
            let mut of = self.of.lock().expect("nothing panics under this lock");
            Arc::clone(
                of.entry(base_url.as_str().to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))),
            )
        };
        let permit = async { semaphore.acquire_owned().await.expect("a semaphore is never closed") };
        if cause != RenewalCause::Due {
            return Ok(permit.await);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(RenewalError::Busy),
            permit = permit => Ok(permit),
        }
    }
}

impl Renewals {
    /// Whether an open breaker lets this renewal through: as its one probe, or because a person asks.
    pub(super) async fn pass_breaker(
        &self,
        connection: &Connection,
        cause: RenewalCause,
    ) -> Result<(), RenewalError> {
        let Some(open) = connection.open_circuit().filter(|_| cause != RenewalCause::Requested) else {
            return Ok(());
        };
        let now = self.clock.now();
        if self.store.claim_probe(&connection.circuit(), now, now + PROBE).await? {
            return Ok(());
        }
        Err(RenewalError::failed(open))
    }

    /// Learns from how a renewal ended what it means for the circuit.
    pub(super) async fn heard(
        &self,
        connection: &Connection,
        outcome: Result<(), &RenewError>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(breaker) = &connection.breaker else {
            return match outcome.err().and_then(|error| self.fault(connection, error)) {
                Some(fault) => self.store.note_fault(connection, &fault, now).await,
                None => Ok(()),
            };
        };
        match outcome {
            // The provider looks at the refresh token first, so that this says nothing of our application.
            Err(RenewError::Rejected) if breaker.failure.code == Reason::IntegrationMisconfigured => {
                self.store.allow_probe(Some(&connection.circuit()), now).await
            }
            Err(error) if let Some(fault) = self.fault(connection, error) => {
                self.store.note_fault(connection, &fault, now).await
            }
            Ok(()) | Err(RenewError::Rejected) => self.store.close_breaker(connection, now).await,
            Err(_) => self.store.allow_probe(Some(&connection.circuit()), now).await,
        }
    }

    /// The fault of the circuit in a failed renewal. `None`: it is this connection's own.
    fn fault(&self, connection: &Connection, error: &RenewError) -> Option<Fault> {
        let (code, limit, retry_after) = match error {
            RenewError::Misconfigured { .. } => (Reason::IntegrationMisconfigured, 1, None),
            RenewError::Uncertain { .. } => (Reason::ProviderError, FAULTS, None),
            RenewError::Unavailable { trouble: Trouble::RateLimited, retry_after, .. } => {
                (Reason::RateLimited, if retry_after.is_some() { 1 } else { FAULTS }, *retry_after)
            }
            RenewError::Rejected
            | RenewError::NeedsPerson
            | RenewError::Refused { .. }
            | RenewError::Unavailable { trouble: Trouble::Account, .. } => return None,
            RenewError::Unavailable { trouble, retry_after, .. } => (trouble.reason(), FAULTS, *retry_after),
        };
        let faults = connection.breaker.as_ref().map_or(0, |breaker| breaker.failure.attempts) + 1;
        let asked = retry_after.and_then(|wait| Duration::try_from(wait).ok());
        let wait = schedule::back_off((faults - limit + 1).max(1), asked, rand::random());
        Some(Fault { code, message: error.to_string(), limit, probe_at: self.clock.now() + wait })
    }
}
