//! How renewals of this process ended, counted.

use crate::store::RenewalOutcome;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Clones share the counts.
#[derive(Clone, Default)]
pub struct Tally(Arc<[AtomicU64; RenewalOutcome::ALL.len()]>);

impl Tally {
    pub(super) fn count(&self, outcome: RenewalOutcome) {
        let place = RenewalOutcome::ALL.iter().position(|one| *one == outcome);
        self.0[place.expect("every outcome is in the list")].fetch_add(1, Ordering::Relaxed);
    }

    /// Every outcome with how often it came since the start.
    pub fn read(&self) -> Vec<(RenewalOutcome, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        RenewalOutcome::ALL.iter().copied().zip(counts).collect()
    }
}
