//! The table: one line for each scenario and database, and under it what was violated.

use crate::{base::On, oracle::Found, plan::Plan, world::World};
use std::sync::atomic::{AtomicU64, Ordering};

const WIDTHS: [usize; 13] = [42, 10, 8, 11, 8, 5, 6, 7, 5, 11, 4, 7, 6];
const HEAD: [&str; 13] = [
    "scenario",
    "database",
    "replicas",
    "connections",
    "renewals",
    "kills",
    "window",
    "outside",
    "named",
    "twice",
    "dead",
    "seconds",
    "verdict",
];

/// A scenario and its database.
pub(crate) struct Row {
    name: String,
    on: On,
}

/// What all scenarios came to.
#[derive(Default)]
pub(crate) struct Sums {
    renewals: AtomicU64,
    kills: AtomicU64,
    inside: AtomicU64,
    violated: AtomicU64,
}

impl Sums {
    /// Counts a scenario that did not come to its end.
    pub(crate) fn broke_off(&self) {
        self.violated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn violated(&self) -> u64 {
        self.violated.load(Ordering::Relaxed)
    }
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, on: On) -> Self {
        Self { name: name.into(), on }
    }

    /// Prints the line and adds it up.
    pub(crate) fn end(self, world: &World, found: &Found, sums: &Sums) {
        let seconds = world.begun.elapsed().as_secs_f64();
        let kills = world.kills.lock().unwrap().len() as u64;
        sums.renewals.fetch_add(found.renewals, Ordering::Relaxed);
        sums.kills.fetch_add(kills, Ordering::Relaxed);
        sums.inside.fetch_add(found.inside, Ordering::Relaxed);
        sums.violated.fetch_add(u64::from(!found.complaints.is_empty()), Ordering::Relaxed);
        let verdict = if found.complaints.is_empty() { "holds" } else { "VIOLATED" };
        line(&[
            self.name,
            self.on.name().into(),
            self.on.replicas().to_string(),
            found.connections.to_string(),
            found.renewals.to_string(),
            kills.to_string(),
            found.inside.to_string(),
            found.outside.to_string(),
            found.named.to_string(),
            format!("{} / {}", found.careful, found.other),
            found.dead.to_string(),
            format!("{seconds:.1}"),
            verdict.into(),
        ]);
        for complaint in &found.complaints {
            println!("    {complaint}");
        }
    }

    /// Says that this machine has not what the scenario needs. That is no success.
    pub(crate) fn not_here(self, why: &str) {
        println!("{:<42} {:<10} not here: {why}", self.name, self.on.name());
    }
}

/// The seed, what the columns mean, and the head.
pub(crate) fn head(plan: &Plan) {
    println!("chaos: seed {} ({} kills, {} renewals at least)", plan.seed, plan.kills, plan.renewals);
    println!("window: lost between the provider's commit and the durable answer; outside: lost elsewhere;");
    println!(
        "twice: spent refresh tokens shown again, after a lost answer / otherwise; dead: stopped by a transient fault"
    );
    line(&HEAD.map(str::to_owned));
}

pub(crate) fn foot(plan: &Plan, sums: &Sums) {
    println!(
        "chaos: {} renewals, {} kills, {} lost in the provider's window, {} scenarios violated, {:.0} s, seed {}",
        sums.renewals.load(Ordering::Relaxed),
        sums.kills.load(Ordering::Relaxed),
        sums.inside.load(Ordering::Relaxed),
        sums.violated(),
        plan.started.elapsed().as_secs_f64(),
        plan.seed
    );
}

fn line(cells: &[String; 13]) {
    let padded = cells.iter().zip(WIDTHS).enumerate().map(|(nth, (cell, width))| match nth {
        0 | 1 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    println!("{}", padded.collect::<Vec<_>>().join(" "));
}
