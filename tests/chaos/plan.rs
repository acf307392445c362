//! How much is done, and the dice: one seed makes the same choices again.

use std::{
    collections::hash_map::RandomState,
    env,
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What this run is to do.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Hard kills and renewals of the whole run, at least.
    pub(crate) kills: u64,
    pub(crate) renewals: u64,
    pub(crate) long: bool,
    pub(crate) started: Instant,
    only: String,
    state: AtomicU64,
}

impl Plan {
    pub(crate) fn from_env() -> Self {
        let text = |name| env::var(name).unwrap_or_default();
        let number = |name, otherwise| text(name).parse().unwrap_or(otherwise);
        let long = text("CHAOS") == "long";
        let seed = number("CHAOS_SEED", RandomState::new().build_hasher().finish() % 1_000_000);
        Self {
            seed,
            kills: number("CHAOS_KILLS", if long { 1_000 } else { 12 }),
            renewals: number("CHAOS_RENEWALS", if long { 10_000 } else { 200 }),
            long,
            started: Instant::now(),
            only: text("CHAOS_ONLY"),
            state: AtomicU64::new(seed),
        }
    }

    /// The short run's number, or the long one's.
    pub(crate) fn of<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }

    pub(crate) fn wants(&self, scenario: &str) -> bool {
        scenario.contains(&self.only)
    }

    /// A number below `end`. `SplitMix64`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    pub(crate) fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }

    pub(crate) fn millis(&self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}
