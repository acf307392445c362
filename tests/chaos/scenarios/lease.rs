//! A process sleeps past its lease, as in a paused virtual machine, while another one renews.

use super::{LONG, PATIENCE, finish, until};
use crate::{
    base::On,
    oracle::Allowed,
    plan::Plan,
    table::{Row, Sums},
    world::{Planted, World},
};
use gitlab_sim::Endpoint;
use std::sync::Arc;

const LAPSE: &str = "update credentials set lease_until = 0 where lease_until > 0";

pub(super) async fn run(plan: &Plan, sums: &Sums) {
    story(plan, "paused past its lease before it sends", 1, sums, before_sending).await;
    story(plan, "paused past its lease with an answer due", 1, sums, with_an_answer_due).await;
}

/// `shown`: how many spent tokens a sleeper may show for each connection, because nobody can know better:
/// either the sleeper itself, or the one that renews while the sleeper holds the answer.
async fn story(plan: &Plan, name: &str, shown: u64, sums: &Sums, round: impl AsyncFn(&Arc<World>, &Planted)) {
    if !plan.wants(name) {
        return;
    }
    let row = Row::new(name, On::Postgres);
    let world = World::new(On::Postgres, LONG, plan.of(1, 10)).await;
    for one in world.all() {
        round(&world, &one).await;
    }
    let processes = world.start_all().await;
    let shown_by_sleepers = shown * world.all().len() as u64;
    let found = finish(&world, processes, Allowed { shown_by_sleepers, ..Allowed::default() }).await;
    row.end(&world, &found, sums);
}

/// The other one renews; the sleeper wakes with a token that is spent by then, and must not do harm.
async fn before_sending(world: &Arc<World>, one: &Planted) {
    let mut sleeper = world.start(0, Some("intent=stop")).await;
    let mut other = world.start(1, None).await;
    let asked = ask(world, one);
    until("it stands still", PATIENCE, async || sleeper.stands_still()).await;
    world.base.execute(LAPSE).await;
    world.renew(1, one).await;
    sleeper.signal("-CONT").await;
    asked.await.unwrap();
    sleeper.stop().await;
    other.stop().await;
}

/// The provider has committed; the other one asks again in vain; then the sleeper wakes and its answer arrives.
async fn with_an_answer_due(world: &Arc<World>, one: &Planted) {
    let mut sleeper = world.start(0, None).await;
    let mut other = world.start(1, None).await;
    let gate = world.sim.hold_after(Endpoint::Token);
    let asked = ask(world, one);
    gate.reached().await;
    sleeper.signal("-STOP").await;
    world.base.execute(LAPSE).await;
    world.renew(1, one).await;
    gate.release();
    sleeper.signal("-CONT").await;
    asked.await.unwrap();
    sleeper.stop().await;
    other.stop().await;
}

fn ask(world: &Arc<World>, one: &Planted) -> tokio::task::JoinHandle<Option<u16>> {
    let (asking, one) = (Arc::clone(world), one.clone());
    tokio::spawn(async move { asking.renew(0, &one).await })
}
