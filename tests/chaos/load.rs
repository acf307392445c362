//! What programs ask of Mooring meanwhile, and whether what they get is alive.

use crate::{
    plan::Plan,
    world::{Planted, World},
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

const PAUSE: Duration = Duration::from_millis(25);

/// A token as it was handed out.
pub(crate) struct Handed {
    pub(crate) access: String,
    pub(crate) generation: i64,
}

impl World {
    /// Asks one process to renew now. `None`: the connection broke.
    pub(crate) async fn renew(&self, place: usize, one: &Planted) -> Option<u16> {
        let url = format!("{}/api/v1/connections/{}/renew", self.url(place), one.id);
        let answer = self.http.post(url).bearer_auth(&self.key).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// Asks one process for a token; `None` where it has none to give.
    pub(crate) async fn token(&self, place: usize, one: &Planted, newer_than: Option<i64>) -> Option<Handed> {
        let query = newer_than.map(|refused| format!("?newer_than={refused}")).unwrap_or_default();
        let url = format!("{}/api/v1/connections/{}/token{query}", self.url(place), one.id);
        let answer = self.http.get(url).bearer_auth(&self.key).send().await.ok()?;
        if answer.status() != 200 {
            return None;
        }
        let token: Value = answer.json().await.ok()?;
        Some(Handed {
            access: token["access_token"].as_str()?.to_owned(),
            generation: token["generation"].as_i64()?,
        })
    }
}

/// Programs that fetch tokens all the time and try them at the simulator.
pub(crate) struct Readers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
    dead_thrice: Arc<AtomicU64>,
}

impl Readers {
    pub(crate) fn begin(world: &Arc<World>, plan: &Plan, readers: usize) -> Self {
        let (stop, dead_thrice) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..readers {
            let (world, stop, dead) = (Arc::clone(world), Arc::clone(&stop), Arc::clone(&dead_thrice));
            let mut turn = plan.index(1_000);
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    turn += 7;
                    dead.fetch_add(u64::from(!use_one(&world, turn).await), Ordering::Relaxed);
                    sleep(PAUSE).await;
                }
            });
        }
        Self { stop, tasks, dead_thrice }
    }

    /// Ends them, and says how often one was left with dead tokens.
    pub(crate) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        self.dead_thrice.load(Ordering::Relaxed)
    }
}

/// Fetches a token, and a newer one if it was dead before it was asked for. `false`: so was the newer one, for
/// the same generation or twice more. A token that dies between the question and the answer is nobody's fault.
async fn use_one(world: &World, turn: usize) -> bool {
    let planted = world.all();
    let one = &planted[turn % planted.len()];
    let mut refused = None;
    for _ in 0..3 {
        let links = world.sim.chain(&one.root).len();
        let Some(handed) = world.token(turn % world.on.replicas(), one, refused).await else { return true };
        let place = world.sim.chain(&one.root).iter().position(|link| link.pair.access == handed.access);
        if place.is_some_and(|nth| nth + 1 >= links) {
            return true;
        }
        if refused.is_some_and(|refused| handed.generation <= refused) {
            return false;
        }
        refused = Some(handed.generation);
    }
    false
}
