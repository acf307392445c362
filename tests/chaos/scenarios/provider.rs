//! The provider breaks off, lies, or no longer knows our application.

use super::{LONG, PATIENCE, SHORT, Scenario, finish, until};
use crate::{
    base::On,
    oracle::Allowed,
    plan::Plan,
    table::{Row, Sums},
    world::World,
};
use futures_util::FutureExt;
use gitlab_sim::{App, Endpoint, Fault};
use std::time::Duration;
use tokio::time::sleep;

/// Each fault is a scenario.
pub(super) fn all<'a>(plan: &'a Plan, on: On, sums: &'a Sums) -> impl Iterator<Item = Scenario<'a>> {
    let rubbish = Fault::Json { status: 200, body: "<html>{".into() };
    let faults = [
        ("provider drops the request", Fault::DropBefore, false),
        ("provider commits and drops the answer", Fault::DropAfterCommit, true),
        ("provider commits and truncates the answer", Fault::Truncate, true),
        ("provider answers 502 in HTML", Fault::bad_gateway(), false),
        ("provider answers rubbish with 200", rubbish, false),
    ];
    let begin = move |name: &str| plan.wants(name).then(|| Row::new(name, on));
    let single = faults.into_iter().filter_map(move |(name, fault, lost)| {
        let row = begin(name)?;
        let run = move || one_fault_each(plan, on, (fault, lost), row, sums).boxed_local();
        Some(Box::new(run) as Scenario<'a>)
    });
    let rejected = begin("false invalid_grant, one to four times")
        .map(|row| Box::new(move || false_rejections(plan, on, row, sums).boxed_local()) as Scenario<'a>);
    let refused = begin("invalid_client for long, then mended")
        .map(|row| Box::new(move || wrong_secret(plan, on, row, sums).boxed_local()) as Scenario<'a>);
    let left = begin("the caller hangs up")
        .map(|row| Box::new(move || hang_up(plan, on, row, sums).boxed_local()) as Scenario<'a>);
    single.chain(rejected).chain(refused).chain(left)
}

async fn one_fault_each(plan: &Plan, on: On, (fault, lost): (Fault, bool), row: Row, sums: &Sums) {
    let world = World::new(on, LONG, plan.of(2, 20)).await;
    let processes = world.start_all().await;
    for (nth, one) in world.all().iter().enumerate() {
        world.sim.fault(Endpoint::Token, fault.clone());
        world.renew(nth % processes.len(), one).await;
    }
    let most = if lost { world.all().len() as u64 } else { 0 };
    let found = finish(&world, processes, Allowed { lost_at_provider: most, ..Allowed::default() }).await;
    row.end(&world, &found, sums);
}

/// A replica of GitLab lags behind: it does not know the newest refresh token yet.
async fn false_rejections(plan: &Plan, on: On, row: Row, sums: &Sums) {
    let world = World::new(on, LONG, plan.of(4, 40)).await;
    let processes = world.start_all().await;
    let body =
        r#"{"error":"invalid_grant","error_description":"The provided authorization grant is invalid."}"#;
    for (nth, one) in world.all().iter().enumerate() {
        for time in 0..=nth % 4 {
            world.sim.fault(Endpoint::Token, Fault::Json { status: 400, body: body.into() });
            world.renew((nth + time) % processes.len(), one).await;
        }
    }
    let found = finish(&world, processes, Allowed::default()).await;
    row.end(&world, &found, sums);
}

async fn wrong_secret(plan: &Plan, on: On, row: Row, sums: &Sums) {
    let world = World::new(on, SHORT, plan.of(10, 100)).await;
    let processes = world.start_all().await;
    let App { client_id, .. } = &world.application;
    world.sim.renew_secret(client_id);
    let denied = world.sim.counts().refreshes_denied;
    until("refusals", PATIENCE, async || world.sim.counts().refreshes_denied >= denied + 5).await;
    sleep(Duration::from_secs(plan.of(3, 60))).await;
    world.sim.register_application(&world.application, "http://localhost/oauth/gitlab/callback", &["api"]);
    let found = finish(&world, processes, Allowed::default()).await;
    row.end(&world, &found, sums);
}

async fn hang_up(plan: &Plan, on: On, row: Row, sums: &Sums) {
    let world = World::new(on, LONG, plan.of(2, 40)).await;
    let processes = world.start_all().await;
    for (nth, one) in world.all().into_iter().enumerate() {
        let gate = if nth % 2 == 0 {
            world.sim.hold(Endpoint::Token)
        } else {
            world.sim.hold_after(Endpoint::Token)
        };
        let (asking, id) = (std::sync::Arc::clone(&world), one.id);
        let call = tokio::spawn(async move { asking.renew(0, &one).await });
        gate.reached().await;
        call.abort();
        gate.release();
        let renewed =
            format!("select count(*) from credentials where connection_id = '{id}' and generation = 2");
        until("the renewal", PATIENCE, async || world.base.count(&renewed).await == 1).await;
    }
    let found = finish(&world, processes, Allowed::default()).await;
    row.end(&world, &found, sums);
}
