//! Sends what is due, in a lane for each endpoint.
//!
//! The rules it guards: a slow or dead endpoint holds up no other; a resting one is tried by one delivery at a
//! time; what is on the wire when the process stops is finished.

use super::{
    post::{Answered, Message, post},
    schedule::{next_attempt, rest},
};
use crate::{
    domain::{Clock, WebhookEndpointId},
    outbound::Outbound,
    store::{AttemptEnd, Attempted, Store, StoreError, TakenDelivery, WebhookTarget},
};
use futures_util::{StreamExt, stream, stream::FuturesUnordered};
use http::StatusCode;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use time::{Duration, OffsetDateTime};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Calls at once, and those of them to one endpoint.
const AT_ONCE: usize = 16;
const AT_ONCE_TO_ONE: usize = 4;
/// Longer than a call may take (15 s), so that two replicas do not make the same one.
const HOLD: Duration = Duration::minutes(1);
/// How soon an endpoint gets a lane while other lanes are still busy.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// The second half of the way: from deliveries to endpoints.
pub struct Courier {
    store: Store,
    http: Outbound,
    clock: Clock,
    /// Once cancelled nothing more is begun.
    stop: CancellationToken,
    calls: Arc<Semaphore>,
}

/// A delivery under way, and the right to make a call.
struct Errand {
    target: WebhookTarget,
    probe: bool,
    delivery: TakenDelivery,
    _call: OwnedSemaphorePermit,
}

impl Courier {
    pub fn new(store: Store, http: Outbound, clock: Clock, stop: CancellationToken) -> Self {
        Self { store, http, clock, stop, calls: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Sends until nothing is due, and says how many attempts were made. Endpoints that become due meanwhile
    /// do not wait for those that answer slowly.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let (mut lanes, mut made, mut passed_over) = (FuturesUnordered::new(), 0, HashSet::new());
        let mut idle = Vec::new();
        let mut failed = None;
        loop {
            if failed.is_none() && !self.stop.is_cancelled() {
                match self.store.endpoints_due(self.clock.now()).await {
                    Ok(due) => {
                        let new = due.into_iter().filter(|id| passed_over.insert(*id));
                        lanes.extend(new.map(|id| self.lane(id)));
                    }
                    // What is on the wire is finished before the failure is told.
                    Err(error) => failed = Some(error),
                }
            }
            tokio::select! {
                ended = lanes.next() => match ended {
                    // A lane that came to nothing would come to nothing again at once.
                    Some((endpoint, 0)) => idle.push(endpoint),
                    Some((endpoint, attempts)) => {
                        made += attempts;
                        passed_over.remove(&endpoint);
                    }
                    None => return failed.map_or(Ok(made), Err),
                },
                () = sleep(LOOK_AGAIN), if !lanes.is_empty() => {
                    idle.drain(..).for_each(|endpoint| {
                        passed_over.remove(&endpoint);
                    });
                }
            }
        }
    }

    /// Everything that is due for one endpoint, a few at once. Gives back how many attempts it made.
    async fn lane(&self, endpoint: WebhookEndpointId) -> (WebhookEndpointId, usize) {
        let made = AtomicUsize::new(0);
        let errands = stream::unfold((), async |()| {
            let errand = self.next_errand(endpoint).await;
            errand
                .unwrap_or_else(|error| {
                    tracing::error!(%endpoint, %error, "a delivery could not be begun");
                    None
                })
                .map(|errand| (errand, ()))
        });
        errands
            .for_each_concurrent(AT_ONCE_TO_ONE, async |errand| {
                made.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = self.run(endpoint, &errand).await {
                    tracing::error!(%endpoint, %error, "how a delivery ended could not be noted");
                }
            })
            .await;
        (endpoint, made.into_inner())
    }

    async fn next_errand(&self, endpoint: WebhookEndpointId) -> Result<Option<Errand>, StoreError> {
        let call = Arc::clone(&self.calls).acquire_owned().await.expect("the semaphore is never closed");
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        let now = self.clock.now();
        let Some((target, probe)) = self.store.admit_to_endpoint(endpoint, now, HOLD).await? else {
            return Ok(None);
        };
        let taken = self.store.take_deliveries(&endpoint.to_string(), now, HOLD, 1).await?.pop();
        Ok(taken.map(|delivery| Errand { target, probe, delivery, _call: call }))
    }

    async fn run(&self, endpoint: WebhookEndpointId, errand: &Errand) -> Result<(), StoreError> {
        let delivery = &errand.delivery;
        let message = Message { id: &delivery.event_id, body: &delivery.body };
        let answered = post(&self.http, &errand.target, &message, self.clock.now()).await;
        let now = self.clock.now();
        let attempted = Attempted {
            status: answered.status.map(|status| status.as_u16()),
            error: answered.error.clone(),
            end: end(delivery, &answered, now),
        };
        self.store.end_attempt(delivery.id, &attempted, now).await?;
        self.note(endpoint, errand.probe, &answered, now).await
    }

    /// What an answer means for the endpoint.
    async fn note(
        &self,
        endpoint: WebhookEndpointId,
        probe: bool,
        answered: &Answered,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let Some(error) = &answered.error else { return self.store.endpoint_recovered(endpoint).await };
        tracing::warn!(%endpoint, error, "an endpoint did not take a notice");
        if answered.status == Some(StatusCode::GONE) {
            let reason = "The endpoint answered 410: it does not want to be told any more.";
            return self.store.disable_webhook_endpoint(endpoint, reason, now).await;
        }
        let until = |failures| {
            let asked = Some(asked(answered)).filter(|asked| asked.is_positive());
            rest(failures, rand::random()).max(asked).map(|rest| now + rest)
        };
        self.store.endpoint_failed(endpoint, probe, until).await
    }
}

fn end(delivery: &TakenDelivery, answered: &Answered, now: OffsetDateTime) -> AttemptEnd {
    if answered.error.is_none() {
        return AttemptEnd::Delivered;
    }
    next_attempt(delivery.attempts, now, delivery.give_up_at, asked(answered), rand::random())
        .map_or(AttemptEnd::GivenUp, AttemptEnd::TryAgainAt)
}

fn asked(answered: &Answered) -> Duration {
    Duration::try_from(answered.retry_after).expect("an hour at most")
}
