//! The database goes away, refuses to write, or is locked while an answer is on its way.

use super::{LONG, PATIENCE, finish, says, until};
use crate::{
    base::{Base, On},
    cluster::Cluster,
    oracle::Allowed,
    plan::Plan,
    table::{Row, Sums},
    world::{Planted, World},
};
use gitlab_sim::Endpoint;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Longer than the journal waits for the database before the spool has an answer.
const LOCKED_FOR: Duration = Duration::from_secs(10);

pub(super) async fn run(plan: &Plan, sums: &Sums) {
    let rounds = plan.of(1, 10);
    story(
        plan,
        "database gone before the answer",
        (On::FragilePostgres, rounds),
        sums,
        async |world, one| {
            gone_before_the_answer(world, one, false).await;
        },
    )
    .await;
    story(plan, "database gone, then kill -9", (On::FragilePostgres, rounds), sums, async |world, one| {
        gone_before_the_answer(world, one, true).await;
    })
    .await;
    let name = "database gone between answer and commit";
    story(plan, name, (On::FragilePostgres, rounds), sums, gone_before_the_commit).await;
    story(plan, "database read-only at the answer", (On::FragilePostgres, rounds), sums, read_only).await;
    let length = plan.of(Duration::from_secs(6), LOCKED_FOR);
    let name = "write lock held by another process";
    story(plan, name, (On::Sqlite, plan.of(1, 5)), sums, async |world, one| locked(world, one, length).await)
        .await;
}

/// The same done to each connection. Nothing may be lost, although some of these processes were killed.
async fn story(
    plan: &Plan,
    name: &str,
    (on, connections): (On, usize),
    sums: &Sums,
    round: impl AsyncFn(&Arc<World>, &Planted),
) {
    if !plan.wants(name) {
        return;
    }
    let row = Row::new(name, on);
    let world = World::new(on, LONG, connections).await;
    for one in world.all() {
        round(&world, &one).await;
    }
    let processes = world.start_all().await;
    let mut found = finish(&world, processes, Allowed::default()).await;
    if found.inside > 0 {
        found.complaints.push(format!("{} connections were lost with an answer in hand", found.inside));
    }
    row.end(&world, &found, sums);
}

async fn gone_before_the_answer(world: &Arc<World>, one: &Planted, killed: bool) {
    let mut process = world.start(0, None).await;
    let gate = world.sim.hold_after(Endpoint::Token);
    ask(world, one);
    gate.reached().await;
    Cluster::fragile().stop();
    gate.release();
    let spool = world.data(0).join("spool");
    until("the answer is in the spool", PATIENCE, async || holds_an_answer(&spool)).await;
    if killed {
        let at = process.kill().await;
        Cluster::fragile().start();
        // It comes back before its lease ends: the spool is its own, and no other process has it.
        let next = world.start(0, None).await;
        world.buried(&process, at).await;
        process = next;
        ask(world, one);
    } else {
        Cluster::fragile().start();
    }
    renewed(world, one).await;
    process.stop().await;
}

async fn gone_before_the_commit(world: &Arc<World>, one: &Planted) {
    let mut process = world.start(0, Some("kept=stop")).await;
    ask(world, one);
    until("the process stands still", PATIENCE, async || process.stands_still()).await;
    Cluster::fragile().stop();
    process.signal("-CONT").await;
    says(&process, "could not be kept; trying again").await;
    Cluster::fragile().start();
    renewed(world, one).await;
    process.stop().await;
}

async fn read_only(world: &Arc<World>, one: &Planted) {
    let mut process = world.start(0, None).await;
    let gate = world.sim.hold_after(Endpoint::Token);
    ask(world, one);
    gate.reached().await;
    world.base.refuse_writes(true).await;
    gate.release();
    says(&process, "could not be kept; trying again").await;
    world.base.refuse_writes(false).await;
    renewed(world, one).await;
    process.stop().await;
}

async fn locked(world: &Arc<World>, one: &Planted, length: Duration) {
    let mut process = world.start(0, None).await;
    let gate = world.sim.hold_after(Endpoint::Token);
    ask(world, one);
    gate.reached().await;
    let Base::Sqlite(pool) = &world.base else { unreachable!("this is a scenario of SQLite") };
    let lock = pool.begin_with("begin immediate").await.unwrap();
    gate.release();
    sleep(length).await;
    lock.rollback().await.unwrap();
    renewed(world, one).await;
    process.stop().await;
}

fn ask(world: &Arc<World>, one: &Planted) {
    let (asking, one) = (Arc::clone(world), one.clone());
    tokio::spawn(async move { asking.renew(0, &one).await });
}

fn holds_an_answer(spool: &std::path::Path) -> bool {
    let entries = std::fs::read_dir(spool).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().extension().is_none())
}

/// Waits until the answer that was in danger is kept.
async fn renewed(world: &Arc<World>, one: &Planted) {
    let kept =
        format!("select count(*) from credentials where connection_id = '{}' and generation = 2", one.id);
    until("the answer is kept", PATIENCE, async || {
        world.base.end_leases_of_the_dead().await;
        world.base.count(&kept).await == 1
    })
    .await;
}
