//! Processes end at random times while everything is renewed all the time and programs read.

use super::{SHORT, finish};
use crate::{
    base::On,
    load::Readers,
    oracle::Allowed,
    plan::Plan,
    process::Process,
    table::{Row, Sums},
    world::World,
};
use std::sync::Arc;
use tokio::time::sleep;

const CONNECTIONS: usize = 48;
/// How often lost connections are replaced, in ends.
const REPLACE_EVERY: u64 = 10;

/// Half of the kills and half of the renewals that the plan wants, on each database.
pub(super) async fn kills(plan: &Plan, on: On, sums: &Sums) {
    let name = "kill -9 at random times";
    if plan.wants(name) {
        let storm_of = Storm { kills: plan.kills.div_ceil(2), terms: 0, renewals: plan.renewals.div_ceil(2) };
        storm(plan, on, storm_of, Row::new(name, on), sums).await;
    }
}

/// Restarts one process after the other. Nothing may be lost.
pub(super) async fn terms(plan: &Plan, on: On, sums: &Sums) {
    let name = "rolling restarts by SIGTERM";
    if plan.wants(name) {
        let storm_of = Storm { kills: 0, terms: plan.of(2, 25), renewals: 0 };
        storm(plan, on, storm_of, Row::new(name, on), sums).await;
    }
}

struct Storm {
    kills: u64,
    terms: u64,
    renewals: u64,
}

async fn storm(plan: &Plan, on: On, wanted: Storm, row: Row, sums: &Sums) {
    let world = World::new(on, SHORT, CONNECTIONS).await;
    let mut processes = world.start_all().await;
    let readers = Readers::begin(&world, plan, 2);
    for nth in 0..wanted.kills + wanted.terms {
        sleep(plan.millis(300)).await;
        let place = plan.index(processes.len());
        end_one(&world, &mut processes[place], nth < wanted.kills).await;
        processes[place] = world.start(place, None).await;
        if nth % REPLACE_EVERY == 0 {
            replace_lost(&world).await;
        }
    }
    while world.sim.counts().refreshes_granted < wanted.renewals {
        sleep(plan.millis(300)).await;
    }
    let dead_thrice = readers.end().await;
    let mut found = finish(&world, processes, Allowed::default()).await;
    if dead_thrice > 0 {
        found.complaints.push(format!("readers were left with dead tokens {dead_thrice} times"));
    }
    if wanted.kills == 0 && found.inside > 0 {
        found.complaints.push(format!("{} connections were lost by a stop", found.inside));
    }
    row.end(&world, &found, sums);
}

async fn end_one(world: &Arc<World>, process: &mut Process, hard: bool) {
    if hard {
        let at = process.kill().await;
        world.buried(process, at).await;
    } else {
        process.stop().await;
    }
}

/// People connect again what was lost, so that there is always as much to do.
async fn replace_lost(world: &World) {
    let lost =
        world.base.count("select count(*) from credentials where failure_code = 'renewal_answer_lost'").await;
    let well = world.all().len() - usize::try_from(lost).expect("a count");
    world.plant(CONNECTIONS.saturating_sub(well)).await;
}
