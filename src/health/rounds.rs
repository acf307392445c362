//! Checks on a schedule, in rounds: take what is due, look, find out when to look again.

use super::{CheckError, Health, schedule::Prospect};
use crate::{
    domain::{Actor, ConnectionId},
    providers::InspectError,
    store::{CheckLimits, DueCheck, StoreError},
};
use futures_util::{StreamExt, stream};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration as StdDuration,
};
use time::Duration;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

const LIMITS: CheckLimits = CheckLimits { in_all: 2_000, of_each_base_url: 500 };
/// In this process. Looking can wait; what callers ask for cannot.
const AT_ONCE: usize = 4;
const AT_ONE_BASE_URL: usize = 2;
/// After this a round begins no more checks, however slowly a provider answers.
const ROUND: StdDuration = StdDuration::from_secs(180);
/// Longer than a round and its last checks, so that two replicas do not look at once.
const HOLD: Duration = Duration::minutes(10);

/// So many checks in a row that reached nobody speak for their base URL.
const NOBODY_THERE: usize = 2;
/// So many dead tokens are shown to one instance in a round. GitLab bans addresses for more of them.
const DEAD: usize = 10;

/// How often connections are looked at. Clones share the round.
#[derive(Clone)]
pub struct Pace {
    every: Duration,
    /// No check is begun once this is cancelled; those under way are finished.
    stop: CancellationToken,
    round: Arc<tokio::sync::Mutex<()>>,
}

impl Pace {
    pub fn new(every: Duration, stop: CancellationToken) -> Self {
        Self { every, stop, round: Arc::default() }
    }
}

impl Health {
    /// Looks at the connections whose time has come, and says how many there were. One round at a time: a
    /// second one waits.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let _round = self.pace.round.lock().await;
        let now = self.clock.now();
        for id in self.store.take_unplanned_checks(now + self.pace.every).await? {
            self.plan(id, None).await?;
        }
        let due = self.store.take_checks(now, HOLD, LIMITS).await?;
        let count = due.len();
        let round = Round { ends: Instant::now() + ROUND, permits: Semaphore::new(AT_ONCE) };
        let look = |due| self.look_at_place(due, &round);
        stream::iter(by_base_url(due)).for_each_concurrent(None, look).await;
        Ok(count)
    }

    /// All that is due at one base URL.
    async fn look_at_place(&self, due: Vec<ConnectionId>, round: &Round) {
        let met = Mutex::new(Met::default());
        let learn = |outcome: &_| met.lock().expect("nothing panics under this lock").learn(outcome);
        let mood = || met.lock().expect("nothing panics under this lock").mood();
        stream::iter(due)
            .for_each_concurrent(AT_ONE_BASE_URL, |id| async move {
                let _permit = round.permits.acquire().await.expect("it is never closed");
                if self.pace.stop.is_cancelled() || Instant::now() > round.ends {
                    return;
                }
                match mood() {
                    Mood::Ask => learn(&self.check(id, &Actor::Mooring).await),
                    Mood::Spare(error) => self.spare(id, &error).await,
                    Mood::Leave => {}
                }
            })
            .await;
    }

    /// Notes of a connection what others at its base URL met, and asks nobody.
    async fn spare(&self, id: ConnectionId, error: &InspectError) {
        if let Err(error) = self.note_unasked(id, error).await {
            tracing::warn!(connection = %id, %error, "a check could not be noted; it comes again");
        }
    }

    async fn note_unasked(&self, id: ConnectionId, error: &InspectError) -> Result<(), StoreError> {
        let Some(was) = self.store.connection(id).await? else { return Ok(()) };
        if was.credential.stopped.is_none() {
            self.note(&was, error, &Actor::Mooring).await?;
        }
        self.plan(id, None).await
    }

    /// Plans when to look at a connection again, by how it stands now.
    pub(super) async fn plan(
        &self,
        id: ConnectionId,
        retry_after: Option<Duration>,
    ) -> Result<(), StoreError> {
        let Some(connection) = self.store.connection(id).await? else { return Ok(()) };
        let prospect = Prospect::of(&connection, retry_after);
        let next = prospect.next(self.clock.now(), self.pace.every, rand::random());
        self.store.plan_check(&connection, next).await
    }
}

struct Round {
    ends: Instant,
    permits: Semaphore,
}

/// What the checks of one round met at one base URL.
#[derive(Default)]
struct Met {
    nobody: usize,
    dead: usize,
    last: Option<InspectError>,
}

/// What that means for the connections that are still to be looked at.
enum Mood {
    Ask,
    /// Where two connections in a row reached nobody, the others would not either. Their owners are to know
    /// within this round that GitLab cannot be reached, and GitLab, which may be just coming up again, is not
    /// to be met by ten thousand checks at once. So each of them is noted as unreachable without a question.
    Spare(InspectError),
    /// Nothing is known of them, and the instance has had enough for now: they come again when their hold ends.
    Leave,
}

impl Met {
    fn learn(&mut self, outcome: &Result<crate::domain::Connection, CheckError>) {
        match outcome {
            Err(CheckError::Inspect(error)) if speaks_for_all(error) => {
                self.nobody += 1;
                self.last = Some(error.clone());
            }
            Ok(connection) if connection.failure().is_none() => {
                self.nobody = 0;
                self.dead += usize::from(connection.credential.stopped.is_some());
            }
            _ => {}
        }
    }

    fn mood(&self) -> Mood {
        match &self.last {
            _ if self.dead >= DEAD => Mood::Leave,
            Some(InspectError::RateLimited { .. }) if self.nobody >= NOBODY_THERE => Mood::Leave,
            Some(error) if self.nobody >= NOBODY_THERE => Mood::Spare(error.clone()),
            _ => Mood::Ask,
        }
    }
}

/// Whether an error is of the instance and not of one token.
fn speaks_for_all(error: &InspectError) -> bool {
    matches!(error, InspectError::Unreachable { .. } | InspectError::RateLimited { .. })
}

fn by_base_url(due: Vec<DueCheck>) -> Vec<Vec<ConnectionId>> {
    let mut places = BTreeMap::<String, Vec<ConnectionId>>::new();
    for one in due {
        places.entry(one.base_url).or_default().push(one.connection);
    }
    places.into_values().collect()
}
