//! A thousand programs see one token refused at the same time, at three processes.

use super::{LONG, finish};
use crate::{
    base::On,
    oracle::Allowed,
    plan::Plan,
    table::{Row, Sums},
    world::{Planted, World},
};
use futures_util::future::join_all;
use gitlab_sim::{Endpoint, Fault};
use std::time::Duration;

const READERS: usize = 1_000;

pub(super) async fn run(plan: &Plan, sums: &Sums) {
    let slow = Duration::from_millis(plan.of(500, 25_000));
    for (name, rounds, delay) in [
        ("1,000 readers of one expired token", plan.of(2, 195), Duration::ZERO),
        ("1,000 readers and a slow provider", plan.of(1, 5), slow),
    ] {
        if plan.wants(name) {
            herd(rounds, delay, Row::new(name, On::Postgres), sums).await;
        }
    }
}

async fn herd(rounds: u64, delay: Duration, row: Row, sums: &Sums) {
    let world = World::new(On::Postgres, LONG, 1).await;
    let processes = world.start_all().await;
    let one = world.all().remove(0);
    let mut wrong = Vec::new();
    for round in 0..rounds {
        wrong.extend(one_round(&world, &one, round, delay).await);
    }
    let mut found = finish(&world, processes, Allowed::default()).await;
    found.complaints.extend(wrong);
    row.end(&world, &found, sums);
}

/// What was wrong in this round.
async fn one_round(world: &World, one: &Planted, round: u64, delay: Duration) -> Option<String> {
    let held = world.store.open_credential(one.id).await.unwrap().unwrap();
    world.sim.expire(held.credential.access_token.expose());
    // A refused token that is younger than half a minute is asked about again and again: this one is old.
    world.base.execute("update credentials set obtained_at = obtained_at - 60000000").await;
    if delay > Duration::ZERO {
        world.sim.fault(Endpoint::Token, Fault::DelayBefore(delay));
    }
    let before = world.sim.counts();
    let generation = held.connection.credential.generation;
    let readers = (0..READERS).map(|nth| world.token(nth % world.on.replicas(), one, Some(generation)));
    let answers = join_all(readers).await;
    let after = world.sim.counts();
    let live = answers.iter().flatten().filter(|handed| world.sim.is_live(&handed.access)).count();
    let refreshes = after.refreshes_granted - before.refreshes_granted;
    let denied = after.refreshes_denied - before.refreshes_denied;
    let right = (refreshes, denied, live) == (1, 0, READERS);
    (!right).then(|| {
        format!("round {round}: {refreshes} refreshes, {denied} denied, {live} readers with a live token")
    })
}
