//! One renewal per connection and process, never cancelled by those who wait for it.
//!
//! axum drops a handler when its client hangs up. The work therefore belongs to a tracked task, and
//! callers only wait for it.

use futures_util::future::{BoxFuture, FutureExt, Shared};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Resolves to `None` only when the work panicked.
pub(super) type Flight<T> = Shared<BoxFuture<'static, Option<T>>>;

type InTheAir<K, T> = Arc<Mutex<HashMap<K, Flight<T>>>>;

#[derive(Clone)]
pub(super) struct Flights<K, T: Clone> {
    in_the_air: InTheAir<K, T>,
    tracker: TaskTracker,
}

/// Whether this caller's own work is in the air, or somebody else's that was there before.
pub(super) enum Boarding<T: Clone> {
    Started(Flight<T>),
    Joined(Flight<T>),
}

/// Clears the key however the work ends, by returning or by panicking.
struct Landing<K: Eq + Hash, T: Clone>(InTheAir<K, T>, K);

impl<K: Eq + Hash, T: Clone> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.0.lock().expect("nothing panics under this lock").remove(&self.1);
    }
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(super) fn new(tracker: TaskTracker) -> Self {
        Self { in_the_air: Arc::default(), tracker }
    }

    /// Joins the flight for `key`, starting it if none is in the air.
    pub(super) fn board<F>(&self, key: K, start: impl FnOnce() -> F) -> Boarding<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut in_the_air = self.in_the_air.lock().expect("nothing panics under this lock");
        if let Some(flight) = in_the_air.get(&key) {
            return Boarding::Joined(flight.clone());
        }
        let landing = Landing(Arc::clone(&self.in_the_air), key.clone());
        let work = start();
        let task = async move {
            let _landing = landing;
            work.await
        };
        let task = self.tracker.spawn(task.in_current_span());
        let flight = async move { task.await.ok() }.boxed().shared();
        in_the_air.insert(key, flight.clone());
        Boarding::Started(flight)
    }
}

/// Counts a caller for as long as it waits, also when it hangs up.
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub(super) fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::sync::oneshot;

    fn flight<T: Clone>(boarding: Boarding<T>) -> Flight<T> {
        match boarding {
            Boarding::Started(flight) | Boarding::Joined(flight) => flight,
        }
    }

    #[tokio::test]
    async fn many_wait_and_one_flies() {
        let (flights, flown) = (Flights::new(TaskTracker::new()), Arc::new(AtomicUsize::new(0)));
        let (open, gate) = oneshot::channel::<()>();
        let mut gate = Some(gate);
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let (flown, gate) = (flown.clone(), gate.take());
                flight(flights.board("k", move || async move {
                    gate.expect("the first starts it").await.unwrap();
                    flown.fetch_add(1, SeqCst);
                    7
                }))
            })
            .collect();
        open.send(()).unwrap();
        assert!(futures_util::future::join_all(waiting).await.iter().all(|v| *v == Some(7)));
        assert_eq!(flown.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn nobody_waiting_does_not_stop_it() {
        let tracker = TaskTracker::new();
        let flights = Flights::new(tracker.clone());
        let flown = Arc::new(AtomicUsize::new(0));
        let (open, gate) = oneshot::channel::<()>();
        let counted = flown.clone();
        drop(flights.board("k", move || async move {
            gate.await.unwrap();
            counted.fetch_add(1, SeqCst)
        }));
        open.send(()).unwrap();
        tracker.close();
        tracker.wait().await;
        assert_eq!(flown.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_lands_too() {
        let flights = Flights::<_, u32>::new(TaskTracker::new());
        assert_eq!(flight(flights.board("k", || async { panic!("as this test wants") })).await, None);
        assert_eq!(flight(flights.board("k", || async { 7 })).await, Some(7));
    }
}
