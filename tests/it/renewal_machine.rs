//! Lease, generation, journal and spool as a machine: runs that nobody thought of, over the real engine.
//!
//! Two processes with runtimes and spools of their own share a database and a GitLab that knows which tokens
//! live. Callers ask, requests go wrong, time passes, processes are killed with requests under way, the
//! database refuses writes, and people reauthorize and disconnect. `op.rs` lists what may happen, `steps.rs`
//! does it, `verdict.rs` says what must hold after every step and at the end.
//!
//! `PROPTEST_CASES` sets the number of runs. A failure prints the shortest run that shows it.

mod behind;
mod op;
mod replica;
mod rig;
mod steps;
mod verdict;

use crate::support::app::On;
use op::Op;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use rig::Rig;
use steps::Verdict;
use tokio::runtime::Builder;

/// Plays runs on a database: as many as `PROPTEST_CASES` says, or `cases`.
fn play(on: On, cases: u32, may_lose: bool, runs: &impl Strategy<Value = Vec<Op>>) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("it starts");
    let played = TestRunner::new(config).run(runs, |ops| runtime.block_on(run(on, may_lose, &ops)));
    if let Err(failure) = played {
        panic!("{failure}");
    }
}

async fn run(on: On, may_lose: bool, ops: &[Op]) -> Verdict {
    let mut rig = Rig::start(on, may_lose).await;
    for op in ops {
        rig.step(op).await?;
        rig.judge().await?;
    }
    rig.settle().await?;
    rig.judge_end().await
}

mod where_every_answer_arrives_nothing_is_lost {
    use super::*;

    #[test]
    fn sqlite() {
        play(On::Sqlite, 16, false, &op::without_loss());
    }

    #[test]
    fn postgres() {
        play(On::Postgres, 4, false, &op::without_loss());
    }
}

mod what_a_lost_answer_costs_is_named {
    use super::*;

    #[test]
    fn sqlite() {
        play(On::Sqlite, 16, true, &op::with_loss());
    }

    #[test]
    fn postgres() {
        play(On::Postgres, 4, true, &op::with_loss());
    }
}
