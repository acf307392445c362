//! The engine: flight, lease, journal, re-read, provider, fenced write, event.

use super::{
    RenewalError, Spool, failure,
    flight::{Boarding, Flights, Waiting},
    journal::Journal,
};
use crate::{
    domain::{Clock, Connection, ConnectionId, Credential, RenewalId, Tending, credential::lasts},
    failpoint,
    providers::{CALL_LIMIT, Instances, Provider, RenewError},
    store::{Held, RenewalCause, RenewalOutcome, Store},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration as StdDuration,
};
use time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

/// Two calls (the second is the one careful retry), a minute to commit, and a margin.
const LEASE: StdDuration = StdDuration::from_secs(2 * 30 + 60 + 30);
const _: () = assert!(LEASE.as_secs() > 2 * CALL_LIMIT.as_secs() + 60, "rule 6");

/// How long a flight waits for another process that renews, and how often it looks.
const WAIT_FOR_OTHERS: StdDuration = StdDuration::from_secs(45);
const LOOK_EVERY: StdDuration = StdDuration::from_millis(150);

/// What the asker wants of the credential.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// A token that is good for so long.
    Lasts(Duration),
    /// Another one than this generation, which the caller saw refused or wants replaced.
    NewerThan(i64),
    /// One that is not due.
    NotDue,
}

/// Renews credentials. Clones share the flights.
#[derive(Clone)]
pub struct Renewals {
    pub(super) store: Store,
    pub(super) provider: Provider,
    pub(super) instances: Instances,
    pub(super) clock: Clock,
    pub(super) tending: Tending,
    pub(super) spool: Spool,
    /// Names this process in leases.
    holder: Arc<str>,
    flights: Flights<ConnectionId, Result<Landed, RenewalError>>,
    waiting: Arc<AtomicUsize>,
}

/// What a flight brought, and how.
#[derive(Clone)]
struct Landed {
    held: Arc<Held>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It was good enough as it was.
    AsKept,
    /// The provider said that it works.
    Probed,
    Renewed,
}

impl Landed {
    fn new(held: Held, how: How) -> Self {
        Self { held: Arc::new(held), how }
    }
}

impl Renewals {
    pub fn new(
        store: Store,
        (provider, instances): (Provider, Instances),
        clock: Clock,
        (tending, spool): (Tending, Spool),
        tracker: TaskTracker,
    ) -> Self {
        let holder = RenewalId::fresh().to_string().into();
        Self {
            store,
            provider,
            instances,
            clock,
            tending,
            spool,
            holder,
            flights: Flights::new(tracker),
            waiting: Arc::default(),
        }
    }

    /// Sees to it that the need is met, by renewing if it must. Callers at the same time share one flight;
    /// one that joined a flight for a lesser need starts its own after it.
    pub async fn renew(
        &self,
        id: ConnectionId,
        need: Need,
        cause: RenewalCause,
    ) -> Result<Arc<Held>, RenewalError> {
        let _waiting = Waiting::begin(&self.waiting);
        loop {
            let engine = self.clone();
            let boarding = self.flights.board(id, move || async move { engine.fly(id, need, cause).await });
            let (joined, flight) = match boarding {
                Boarding::Started(flight) => (false, flight),
                Boarding::Joined(flight) => (true, flight),
            };
            match flight.await.unwrap_or(Err(RenewalError::BrokeOff)) {
                Ok(landed) if joined && !self.settles(&landed, need, cause) => {}
                // The worker does not wait for another process; a caller does.
                Err(RenewalError::Busy) if joined && cause != RenewalCause::Due => {}
                landed => return landed.map(|l| l.held),
            }
        }
    }

    /// Whether somebody else's flight will do. A renewal does for everybody: another would bring nothing
    /// better. A probe answers those who saw the token refused, and nobody who wants another token.
    fn settles(&self, landed: &Landed, need: Need, cause: RenewalCause) -> bool {
        match landed.how {
            How::Renewed => true,
            How::Probed if cause == RenewalCause::Refused => true,
            How::Probed | How::AsKept => self.meets(&landed.held, need),
        }
    }

    /// How many callers wait for a flight now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn meets(&self, held: &Held, need: Need) -> bool {
        let facts = &held.connection.credential;
        match need {
            Need::Lasts(margin) => lasts(facts.expires_at, self.clock.now(), margin),
            Need::NewerThan(generation) => facts.generation > generation,
            Need::NotDue => facts.renew_at.is_none_or(|at| at > self.clock.now()),
        }
    }

    async fn fly(&self, id: ConnectionId, need: Need, cause: RenewalCause) -> Result<Landed, RenewalError> {
        let patience = Instant::now() + WAIT_FOR_OTHERS;
        let mut proven_refused = None;
        loop {
            let held = self.read(id).await?;
            if self.meets(&held, need) {
                return Ok(Landed::new(held, How::AsKept));
            }
            let generation = held.connection.credential.generation;
            if cause == RenewalCause::Refused && proven_refused != Some(generation) {
                if self.still_works(&held).await? {
                    return Ok(Landed::new(held, How::Probed));
                }
                proven_refused = Some(generation);
            }
            self.may_renew(&held.connection, cause)?;
            failpoint::pass("decided");
            if self.store.claim_lease(id, &self.holder, LEASE).await? {
                let landed = self.renew_under_lease(id, need, cause).await;
                self.give_back_lease(id).await;
                failpoint::pass("served");
                return landed;
            }
            if cause == RenewalCause::Due || Instant::now() > patience {
                return Err(RenewalError::Busy);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    pub(super) async fn read(&self, id: ConnectionId) -> Result<Held, RenewalError> {
        self.store.open_credential(id).await?.ok_or(RenewalError::Gone)
    }

    /// Whether the provider may be asked now.
    fn may_renew(&self, connection: &Connection, cause: RenewalCause) -> Result<(), RenewalError> {
        let facts = &connection.credential;
        if let Some(reason) = facts.stopped {
            return Err(RenewalError::Stopped(reason));
        }
        if !facts.renewal.renews_itself() {
            return Err(RenewalError::NeedsPerson);
        }
        match &facts.failure {
            Some(failure)
                if cause != RenewalCause::Requested
                    && failure.next_attempt_at.is_some_and(|at| at > self.clock.now()) =>
            {
                Err(RenewalError::Failed {
                    reason: failure.code,
                    message: failure.message.clone(),
                    next_attempt_at: failure.next_attempt_at,
                })
            }
            _ => Ok(()),
        }
    }

    /// Rule 2 again: what was read before the lease may be old by now. And what a crash left open comes first.
    async fn renew_under_lease(
        &self,
        id: ConnectionId,
        need: Need,
        cause: RenewalCause,
    ) -> Result<Landed, RenewalError> {
        self.recover_one(id).await?;
        let held = self.read(id).await?;
        if self.meets(&held, need) {
            return Ok(Landed::new(held, How::AsKept));
        }
        self.may_renew(&held.connection, cause)?;
        let attempt = self.store.begin_renewal(&held.connection, cause, self.clock.now()).await?;
        failpoint::pass("intent");
        let next = self.ask(&held, attempt).await?;
        Ok(Landed::new(self.commit(held, attempt, next).await?, How::Renewed))
    }

    /// Asks the provider, and once more if the first request went out without an answer. A second rotation
    /// of the same refresh token does no further harm: if the first one was processed, its successor is
    /// lost already; if it was not, this one works.
    async fn ask(&self, held: &Held, attempt: RenewalId) -> Result<Credential, RenewalError> {
        let connection = &held.connection;
        let keep = Journal { renewals: self, connection, attempt };
        let instance = match self.instances.of(connection) {
            Ok(instance) => instance,
            Err(e) => {
                let error = RenewError::Misconfigured { message: e.to_string() };
                return Err(self.note_failure(connection, attempt, &error, false).await);
            }
        };
        let renew = || self.provider.renew(&instance, &held.credential, &keep, self.clock.now());
        match renew().await {
            Err(RenewError::Uncertain { message }) => {
                tracing::warn!(connection = %connection.id, message, "a renewal was sent and not answered; asking once more");
                match renew().await {
                    Ok(next) => Ok(next),
                    Err(error) => Err(self.note_failure(connection, attempt, &error, true).await),
                }
            }
            Ok(next) => Ok(next),
            Err(error) => Err(self.note_failure(connection, attempt, &error, false).await),
        }
    }

    async fn note_failure(
        &self,
        connection: &Connection,
        attempt: RenewalId,
        error: &RenewError,
        after_doubt: bool,
    ) -> RenewalError {
        let now = self.clock.now();
        let in_doubt = after_doubt || self.store.is_in_doubt(connection, attempt).await.unwrap_or(false);
        let (outcome, noted) = failure::consequence(error, connection, in_doubt, now, rand::random());
        // What the second call said does not take back the doubt that the first one left.
        let outcome = if after_doubt { RenewalOutcome::Uncertain } else { outcome };
        tracing::warn!(connection = %connection.id, outcome = %outcome, message = noted.message, "a renewal failed");
        if let Err(e) = self.store.fail_renewal(connection, attempt, outcome, &noted, now).await {
            tracing::error!(connection = %connection.id, error = %e, "a failed renewal could not be noted");
        }
        match noted.stopped {
            Some(reason) => RenewalError::Stopped(reason),
            None => RenewalError::Failed {
                reason: noted.code,
                message: noted.message,
                next_attempt_at: noted.next_attempt_at,
            },
        }
    }

    async fn give_back_lease(&self, id: ConnectionId) {
        if let Err(e) = self.store.release_lease(id, &self.holder).await {
            tracing::warn!(connection = %id, error = %e, "a lease could not be given back; it ends by itself");
        }
    }
}
