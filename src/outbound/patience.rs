//! How long a call may take, counted in time that this process was awake.
//!
//! A process that stood still (a paused container, a machine that slept) wakes up with its time over and the
//! answer lying there unread. The answer of a refresh cannot be asked for again, so what has come is read.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// However long the process stood still, it counts as one of so many steps.
const STEPS: u32 = 60;

/// The patience of one call; what one part of it used up the next does not have.
pub(super) struct Patience {
    step: Interval,
    left: u32,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        let length = limit / STEPS;
        let mut step = interval_at(Instant::now() + length, length);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { step, left: STEPS }
    }

    /// Waits for `work`; `None` when the patience is used up.
    pub(super) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        while self.left > 0 {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = self.step.tick() => self.left -= 1,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::{advance, sleep};

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn it_ends() {
        let began = Instant::now();
        assert_eq!(Patience::new(LIMIT).wait(pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_part_used_up_is_gone() {
        let mut patience = Patience::new(LIMIT);
        assert!(patience.wait(sleep(LIMIT * 2 / 3)).await.is_some());
        assert!(patience.wait(sleep(LIMIT * 2 / 3)).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_process_stood_still_does_not_count() {
        let stood_still = async {
            advance(LIMIT * 10).await;
            sleep(LIMIT / 2).await;
        };
        assert!(Patience::new(LIMIT).wait(stood_still).await.is_some());
    }
}
