//! A process ends at each step of a renewal: killed, or asked to stop.

use super::{LONG, Scenario, finish};
use crate::{
    base::On,
    oracle::{Allowed, settle},
    plan::Plan,
    process::Process,
    table::{Row, Sums},
    world::{Planted, World},
};
use futures_util::FutureExt;
use gitlab_sim::{Endpoint, Gate};
use std::sync::Arc;

/// The steps in their order. `sent` and `rotated` lie at the provider, before and after its commit.
const STEPS: [&str; 8] = ["decided", "intent", "sent", "rotated", "answered", "kept", "committed", "served"];

/// Between the provider's commit and the durable answer: what a kill here loses, nobody can keep.
const WINDOW: [&str; 3] = ["sent", "rotated", "answered"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    Term,
}

/// Each step with each end is a scenario.
pub(super) fn all<'a>(plan: &'a Plan, on: On, sums: &'a Sums) -> impl Iterator<Item = Scenario<'a>> {
    let both = [(End::Kill, "kill -9"), (End::Term, "SIGTERM")];
    let named = STEPS
        .into_iter()
        .flat_map(move |step| both.map(|(end, name)| (step, end, format!("{name} at {step}"))));
    let wanted = named.filter(|(_, _, name)| plan.wants(name));
    wanted.map(move |(step, end, name)| -> Scenario<'a> {
        Box::new(move || at_step(plan, on, (step, end), name, sums).boxed_local())
    })
}

async fn at_step(plan: &Plan, on: On, (step, end): (&str, End), name: String, sums: &Sums) {
    let row = Row::new(name, on);
    let world = World::new(on, LONG, plan.of(1, 3)).await;
    let mut others = Vec::new();
    for place in 1..on.replicas() {
        others.push(world.start(place, None).await);
    }
    for one in world.all() {
        match end {
            End::Kill => {
                killed(&world, &one, step).await;
                // What is still in doubt is asked for again, and must not meet what is prepared for the next one.
                let mut process = world.start(0, None).await;
                settle(&world).await;
                process.stop().await;
            }
            End::Term => stopped(&world, &one, step).await,
        }
    }
    others.push(world.start(0, None).await);
    let mut found = finish(&world, others, Allowed::default()).await;
    let lost = if end == End::Kill && WINDOW.contains(&step) { found.connections } else { 0 };
    if found.inside != lost {
        found.complaints.push(format!("{} connections were lost here, not {lost}", found.inside));
    }
    row.end(&world, &found, sums);
}

async fn killed(world: &Arc<World>, one: &Planted, step: &str) {
    let (mut process, gate) = at_work(world, one, step, "kill").await;
    let at = match gate {
        Some(gate) => {
            gate.reached().await;
            let at = process.kill().await;
            gate.release();
            at
        }
        None => process.died().await,
    };
    world.buried(&process, at).await;
}

async fn stopped(world: &Arc<World>, one: &Planted, step: &str) {
    let (mut process, gate) = at_work(world, one, step, "term").await;
    if let Some(gate) = gate {
        gate.reached().await;
        process.signal("-TERM").await;
        gate.release();
    }
    process.ended().await;
}

/// A process that begins to renew this connection, and what holds it where the step is the provider's.
async fn at_work(world: &Arc<World>, one: &Planted, step: &str, action: &str) -> (Process, Option<Gate>) {
    let gate = match step {
        "sent" => Some(world.sim.hold(Endpoint::Token)),
        "rotated" => Some(world.sim.hold_after(Endpoint::Token)),
        _ => None,
    };
    let plan = format!("{step}={action}");
    let process = world.start(0, gate.is_none().then_some(plan.as_str())).await;
    let (asking, one) = (Arc::clone(world), one.clone());
    tokio::spawn(async move { asking.renew(0, &one).await });
    (process, gate)
}
