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
    FutureExt,
    future::{LocalBoxFuture, join_all},
};
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, time::sleep};

/// Scenarios at once.
const AT_ONCE: usize = 8;
/// The life of an access token where no renewal shall come by itself.
const LONG: Duration = Duration::from_hours(2);
/// And where they shall come all the time.
const SHORT: Duration = Duration::from_secs(2);

/// How long what must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Begins a scenario. It may begin on any thread, and stays there.
type Scenario<'a> = Box<dyn FnOnce() -> LocalBoxFuture<'a, ()> + Send + 'a>;

/// Runs them all. `false`: something was violated.
pub(crate) fn run(plan: &Plan, runtime: &Handle) -> bool {
    let sums = Sums::default();
    table::head(plan);
    let waiting = Mutex::new(all(plan, &sums));
    let next = || waiting.lock().expect("nothing panics under this lock").pop_front();
    thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(scenario) = next() {
                    runtime.block_on(guarded(scenario(), &sums));
                }
            });
        }
    });
    table::foot(plan, &sums);
    sums.violated() == 0
}

/// The longest first: they wait more than they work, so several go on at once, each on a thread of its own, where a
/// thousand readers of one keep nobody from the others.
fn all<'a>(plan: &'a Plan, sums: &'a Sums) -> VecDeque<Scenario<'a>> {
    let alone: [Scenario<'a>; 3] = [
        Box::new(|| outage::run(plan, sums).boxed_local()),
        Box::new(|| database::run(plan, sums).boxed_local()),
        Box::new(|| herd::run(plan, sums).boxed_local()),
    ];
    let kills =
        On::BOTH.map(|on| -> Scenario<'a> { Box::new(move || storm::kills(plan, on, sums).boxed_local()) });
    let terms =
        On::BOTH.map(|on| -> Scenario<'a> { Box::new(move || storm::terms(plan, on, sums).boxed_local()) });
    let rest: [Scenario<'a>; 2] =
        [Box::new(|| disk::run(plan, sums).boxed_local()), Box::new(|| lease::run(plan, sums).boxed_local())];
    let each =
        On::BOTH.into_iter().flat_map(|on| steps::all(plan, on, sums).chain(provider::all(plan, on, sums)));
    alone.into_iter().chain(kills).chain(terms).chain(rest).chain(each).collect()
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
