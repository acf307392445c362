//! The engine: flight, re-read, permit, lease. What happens under the lease is in `attempt.rs`.

use super::{
    RenewalError, Spool, Tally,
    circuit::Permits,
    flight::{Boarding, Flights, Waiting},
    uncommitted::Uncommitted,
};
use crate::{
    domain::{Clock, Connection, ConnectionId, Reason, RenewalId, RenewalKind, Tending, credential::lasts},
    failpoint,
    providers::{CALL_LIMIT, Instances, Provider},
    store::{Held, RenewalCause, Store, StoreError},
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
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A refresh is one call; before the careful retry the lease is taken anew. What comes after the answer needs
/// no lease: the fence is the generation.
const LEASE: StdDuration = StdDuration::from_secs(45);
/// A rotation looks at the token first, and may have to ask with another date and by another path.
const ROTATION_LEASE: StdDuration = StdDuration::from_secs(5 * 30);
const _: () = assert!(LEASE.as_secs() > CALL_LIMIT.as_secs() + 10, "rule 6");
const _: () = assert!(ROTATION_LEASE.as_secs() > 4 * CALL_LIMIT.as_secs() + 10, "rule 6");

/// How long a flight waits for another process that renews, and how often it looks.
const WAIT_FOR_OTHERS: StdDuration = StdDuration::from_secs(50);
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
    pub(super) permits: Permits,
    pub(super) uncommitted: Uncommitted,
    /// How renewals of this process ended.
    pub tally: Tally,
    /// Names this process in leases.
    holder: Arc<str>,
    flights: Flights<ConnectionId, Result<Landed, RenewalError>>,
    waiting: Arc<AtomicUsize>,
}

/// What a flight brought, and how.
#[derive(Clone)]
pub(super) struct Landed {
    held: Arc<Held>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It was good enough as it was.
    AsKept,
    /// The provider said that it works.
    Probed,
    Renewed,
}

impl Landed {
    pub(super) fn new(held: Held, how: How) -> Self {
        Self { held: Arc::new(held), how }
    }
}

impl Renewals {
    pub fn new(
        store: Store,
        (provider, instances): (Provider, Instances),
        clock: Clock,
        (tending, spool): (Tending, Spool),
        (tracker, stop): (TaskTracker, CancellationToken),
    ) -> Self {
        Self {
            store,
            provider,
            instances,
            clock,
            tending,
            spool,
            permits: Permits::new(stop),
            uncommitted: Uncommitted::default(),
            tally: Tally::default(),
            holder: RenewalId::fresh().to_string().into(),
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
            let landed = tokio::select! {
                landed = flight => landed.unwrap_or(Err(RenewalError::BrokeOff)),
                // The flight goes on until the database has it; nobody else waits for that.
                held = self.uncommitted.wait(id, |held| self.meets(held, need)) => return Ok(held),
            };
            match landed {
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

    /// A credential that the provider gave and the database would not take yet, by its connection's id or name.
    pub fn uncommitted(&self, reference: &str, tenant: Option<&str>) -> Option<Arc<Held>> {
        self.uncommitted.find(reference, tenant)
    }

    /// How many answers wait in the spool; `None` if it cannot be read.
    pub fn spooled(&self) -> Option<usize> {
        self.spool.count().ok()
    }

    pub(super) fn meets(&self, held: &Held, need: Need) -> bool {
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
            let permit = self.permits.take(&held.connection.base_url, cause).await?;
            failpoint::pass("decided");
            if self.take_lease(&held.connection).await? {
                let landed = self.renew_under_lease(id, need, cause).await;
                self.give_back_lease(id).await;
                failpoint::pass("served");
                return landed;
            }
            drop(permit);
            if cause == RenewalCause::Due || Instant::now() > patience {
                return Err(RenewalError::Busy);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    pub(super) async fn read(&self, id: ConnectionId) -> Result<Held, RenewalError> {
        self.store.open_credential(id).await?.ok_or(RenewalError::Gone)
    }

    /// Whether the provider may be asked now. A person may always ask again, also about what was given up.
    pub(super) fn may_renew(&self, connection: &Connection, cause: RenewalCause) -> Result<(), RenewalError> {
        let facts = &connection.credential;
        if facts.exported_at.is_some() {
            return Err(RenewalError::Stopped(Reason::Exported));
        }
        if !facts.renewal.renews_itself() {
            return Err(facts.stopped.map_or(RenewalError::NeedsPerson, RenewalError::Stopped));
        }
        if !facts.renewal.outlives_its_token() && !lasts(facts.expires_at, self.clock.now(), Duration::ZERO) {
            return Err(RenewalError::Stopped(Reason::TokenExpired));
        }
        if cause == RenewalCause::Requested {
            return Ok(());
        }
        if let Some(reason) = facts.stopped {
            return Err(RenewalError::Stopped(reason));
        }
        let waits = [facts.failure.as_ref(), connection.open_circuit()].into_iter().flatten();
        match waits
            .into_iter()
            .find(|failure| failure.next_attempt_at.is_some_and(|at| at > self.clock.now()))
        {
            Some(failure) => Err(RenewalError::failed(failure)),
            None => Ok(()),
        }
    }

    async fn take_lease(&self, connection: &Connection) -> Result<bool, StoreError> {
        self.store.claim_lease(connection.id, &self.holder, lease(connection)).await
    }

    /// Whether the lease is still ours, from now on for its whole length.
    pub(super) async fn extend_lease(&self, connection: &Connection) -> Result<bool, StoreError> {
        self.store.extend_lease(connection.id, &self.holder, lease(connection)).await
    }

    async fn give_back_lease(&self, id: ConnectionId) {
        if let Err(e) = self.store.release_lease(id, &self.holder).await {
            tracing::warn!(connection = %id, error = %e, "a lease could not be given back; it ends by itself");
        }
    }
}

fn lease(connection: &Connection) -> StdDuration {
    match connection.credential.renewal {
        RenewalKind::SelfRotate => ROTATION_LEASE,
        RenewalKind::Refresh | RenewalKind::Manual => LEASE,
    }
}
