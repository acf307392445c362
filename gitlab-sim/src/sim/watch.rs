//! Looking at what was asked, and standing in the way.

use crate::counts::{Counts, Seen};
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Gate, Obstacle};
use crate::sim::Sim;

impl Sim {
    /// Requests at one endpoint so far.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.world().counts.of(endpoint)
    }

    /// All counters.
    pub fn counts(&self) -> Counts {
        self.world().counts.clone()
    }

    /// Sets every counter to zero.
    pub fn reset_counts(&self) {
        self.world().counts = Counts::default();
    }

    /// The last request at an endpoint; `Endpoint::Any` gives the last of all.
    pub fn last_request(&self, endpoint: Endpoint) -> Option<Seen> {
        self.world().seen.get(&endpoint).cloned()
    }

    /// Queues a fault for the next request at this endpoint that has none before it.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.world().faults.queue(endpoint, Obstacle::Fault(fault));
    }

    /// Lets every request at this endpoint meet the fault until [`Sim::clear_faults`].
    pub fn fault_always(&self, endpoint: Endpoint, fault: Fault) {
        self.world().faults.stand(endpoint, fault);
    }

    /// Forgets all faults, queued and standing, also gates that no request has reached.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Holds the next request at this endpoint before anything is done.
    pub fn hold(&self, endpoint: Endpoint) -> Gate {
        let (gate, state) = Gate::new();
        self.world().faults.queue(endpoint, Obstacle::HoldBefore(state));
        gate
    }

    /// Holds the answer of the next request at this endpoint: what was asked is done already.
    pub fn hold_after(&self, endpoint: Endpoint) -> Gate {
        let (gate, state) = Gate::new();
        self.world().faults.queue(endpoint, Obstacle::HoldAfter(state));
        gate
    }
}
