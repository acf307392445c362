//! Renewal: the next credential comes in time, once, and is never lost through our own fault.
//!
//! 1. The task owns the work: a caller that hangs up does not cancel a rotation on the wire.
//! 2. Read inside the flight, never before it.
//! 3. Intent before the call: the journal's entry proves that the database can be written.
//! 4. The answer is made durable before it is understood.
//! 5. Fence on the generation, not on the lease.
//! 6. The lease outlives the slowest provider call.
//! 7. Kinds of failure lead to different things: `failure.rs`.
//! 8. Nothing is ever deleted because a provider said no.

mod attempt;
mod circuit;
mod commit;
mod doubt;
mod engine;
mod error;
mod failure;
mod flight;
mod journal;
mod probe;
mod schedule;
mod spool;
mod take_back;
mod tally;
mod uncommitted;
mod worker;

pub use engine::{Need, Renewals};
pub use error::RenewalError;
pub use spool::Spool;
pub use take_back::TakeBackError;
pub use tally::Tally;
pub use worker::{Worker, repeat};
