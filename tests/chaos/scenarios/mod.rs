//! What is done to Mooring. Each scenario has a world of its own and ends before the judge.

mod database;
mod disk;
mod herd;
mod lease;
mod outage;
mod provider;
mod steps;
mod storm;

use crate::{
    base::On,
    oracle::{Allowed, Found, judge, settle},
    plan::Plan,
    process::Process,
    table::{self, Sums},
    world::World,
};
use futures_util::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join_all},
    stream,
};
use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Scenarios at once.
const AT_ONCE: usize = 8;
/// The life of an access token where no renewal shall come by itself.
const LONG: Duration = Duration::from_hours(2);
/// And where they shall come all the time.
const SHORT: Duration = Duration::from_secs(2);

/// How long what must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs them all. `false`: something was violated.
pub(crate) async fn run(plan: &Plan) -> bool {
    let sums = Sums::default();
    table::head(plan);
    let alone = [
        outage::run(plan, &sums).boxed_local(),
        database::run(plan, &sums).boxed_local(),
        herd::run(plan, &sums).boxed_local(),
    ];
    let storms = On::BOTH.map(|on| storm::kills(plan, on, &sums).boxed_local());
    let stops = On::BOTH.map(|on| storm::terms(plan, on, &sums).boxed_local());
    let rest = [disk::run(plan, &sums).boxed_local(), lease::run(plan, &sums).boxed_local()];
    let each = On::BOTH
        .map(|on| steps::all(plan, on, &sums).chain(provider::all(plan, on, &sums)).collect::<Vec<_>>());
    // The longest first: they wait more than they work, so several go on at once.
    let all = alone.into_iter().chain(storms).chain(stops).chain(rest).chain(each.into_iter().flatten());
    stream::iter(all).for_each_concurrent(AT_ONCE, |scenario| guarded(scenario, &sums)).await;
    table::foot(plan, &sums);
    sums.violated() == 0
}

/// A scenario that cannot go on has failed; its panic says why, and the others go on.
async fn guarded(scenario: LocalBoxFuture<'_, ()>, sums: &Sums) {
    if AssertUnwindSafe(scenario).catch_unwind().await.is_err() {
        println!("    a scenario broke off: VIOLATED");
        sums.broke_off();
    }
}

/// Lets everything settle, stops every process, and judges.
async fn finish(world: &World, processes: Vec<Process>, allowed: Allowed) -> Found {
    let settled = settle(world).await;
    let mut found = stop_and_judge(world, processes, allowed).await;
    if !settled {
        found.complaints.push("it did not come to rest".into());
    }
    found
}

async fn stop_and_judge(world: &World, mut processes: Vec<Process>, allowed: Allowed) -> Found {
    join_all(processes.iter_mut().map(Process::stop)).await;
    judge(world, allowed).await
}

/// Waits until a process says this in its log.
async fn says(process: &Process, what: &str) {
    let patience = Instant::now() + PATIENCE;
    while !process.log().contains(what) {
        assert!(Instant::now() < patience, "{} never said {what:?}:\n{}", process.name, process.log());
        sleep(LOOK_EVERY).await;
    }
}

/// Waits for what must come.
async fn until(what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + within;
    while !is_so().await {
        assert!(Instant::now() < patience, "{what}: not within {within:?}");
        sleep(LOOK_EVERY).await;
    }
}
