//! The provider comes back from an outage, and everything is due at once.

use super::{LONG, PATIENCE, stop_and_judge, until};
use crate::{
    base::On,
    oracle::Allowed,
    plan::Plan,
    table::{Row, Sums},
    world::World,
};
use gitlab_sim::{Endpoint, Fault};
use std::time::{Duration, Instant};

/// As many token requests may be under way at one provider.
const AT_ONCE: u64 = 16;

/// How long it takes for a refresh, so that there can be many at once.
const TAKES: Duration = Duration::from_millis(50);

pub(super) async fn run(plan: &Plan, sums: &Sums) {
    let connections = plan.of(100, 10_000);
    let name = format!("{connections} due after an outage");
    if !plan.wants(&name) {
        return;
    }
    let row = Row::new(name, On::Sqlite);
    let world = World::new(On::Sqlite, LONG, connections).await;
    world.base.execute("update credentials set renew_at = 1, expires_at = 2").await;
    world.sim.fault_always(Endpoint::Token, Fault::bad_gateway());
    let processes = vec![world.start(0, None).await];
    let open = "select count(*) from breakers where opened_at is not null";
    until("the breaker opens", PATIENCE, async || world.base.count(open).await == 1).await;
    world.sim.clear_faults();
    world.sim.fault_always(Endpoint::Token, Fault::DelayBefore(TAKES));
    let begun = Instant::now();
    let stale = "select count(*) from credentials where generation = 1";
    until("all are fresh", Duration::from_mins(15), async || {
        world.base.end_waits().await;
        world.base.count(stale).await == 0
    })
    .await;
    let fresh_after = begun.elapsed();
    let mut found = stop_and_judge(&world, processes, Allowed::default()).await;
    let most = world.sim.counts().token_requests_at_once_most;
    if most > AT_ONCE {
        found.complaints.push(format!("{most} token requests at once"));
    }
    row.end(&world, &found, sums);
    println!(
        "    all fresh {:.1} s after the outage, {most} token requests at once at most",
        fresh_after.as_secs_f64()
    );
}
