//! The judge: what Mooring holds of each connection against what the simulated GitLab knows.
//!
//! Either the refresh token lives, or its rotation was committed at the provider while the process that had sent it
//! was killed before the answer was durable, and the connection says so.

use crate::{base::Base, world::World};
use gitlab_sim::Link;
use mooring::{
    domain::{Reason, Renewal},
    store::{Held, RenewalOutcome, RenewalRecord},
};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::time::sleep;

/// How often the provider may say no before a connection is given up.
const REJECTIONS: usize = 7;
const SETTLES_WITHIN: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a scenario may lead to beside the rule.
#[derive(Clone, Copy, Default)]
pub(crate) struct Allowed {
    /// Connections lost because the provider committed and its answer never came.
    pub(crate) lost_at_provider: u64,
    /// Spent tokens shown by a process that slept past its lease.
    pub(crate) shown_by_sleepers: u64,
}

#[derive(Default)]
pub(crate) struct Found {
    pub(crate) connections: u64,
    pub(crate) renewals: u64,
    pub(crate) inside: u64,
    pub(crate) outside: u64,
    pub(crate) named: u64,
    pub(crate) careful: u64,
    pub(crate) other: u64,
    pub(crate) dead: u64,
    pub(crate) complaints: Vec<String>,
    /// Those that no process died with.
    suspects: Vec<String>,
    /// Those that live, and of which a spent token was shown.
    repeats: Vec<String>,
}

/// Lets the system come to rest: every wait and every dead process's lease ends, everything is renewed once more, and
/// what is lost has been told. Needs a process that runs. `false`: it did not come to rest.
pub(crate) async fn settle(world: &World) -> bool {
    let begun = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000;
    let stale = format!("stopped is null and coalesce(last_renewed_at, 0) < {begun}");
    let unsettled = format!(
        "select (select count(*) from credentials where ({stale}) or (stopped is null and failure_code is not null))
              + (select count(*) from renewals where outcome is null and started_at < {begun})"
    );
    let patience = Instant::now() + SETTLES_WITHIN;
    while world.base.count(&unsettled).await > 0 {
        if Instant::now() > patience {
            return false;
        }
        world
            .base
            .execute(&format!("update credentials set renew_at = 1 where renew_at > 1 and {stale}"))
            .await;
        world.base.end_leases_of_the_dead().await;
        world.base.end_waits().await;
        sleep(LOOK_EVERY).await;
    }
    true
}

/// Judges every connection of a world in which nothing runs any more.
pub(crate) async fn judge(world: &World, allowed: Allowed) -> Found {
    let evidence = Evidence::gather(world).await;
    let mut found = Found::default();
    for one in world.all() {
        let held = world.store.open_credential(one.id).await.unwrap().expect("nothing is deleted");
        let journal = world.store.list_renewals(one.id, None, 100_000).await.unwrap();
        let case = Case { chain: world.sim.chain(&one.root), held, journal };
        let before = found.complaints.len();
        case.judge(&evidence, &mut found);
        if found.complaints.len() > before {
            found.complaints.push(case.told(&evidence));
        }
    }
    let at_provider = found.outside.min(allowed.lost_at_provider);
    found.outside -= at_provider;
    found.inside += at_provider;
    if found.outside > 0 {
        found
            .complaints
            .push(format!("{} connections were lost outside the provider's window", found.outside));
        found.complaints.append(&mut found.suspects);
    }
    if found.other > allowed.shown_by_sleepers {
        found.complaints.push(format!("{} spent refresh tokens were shown again without need", found.other));
        found.complaints.append(&mut found.repeats);
    }
    found
}

/// Who was killed when, and what was durable.
struct Evidence {
    kills: Vec<crate::world::Kill>,
    /// Which process wrote an intent; empty where there is one process at a time.
    writers: HashMap<String, String>,
    without_answer: HashSet<String>,
}

impl Evidence {
    async fn gather(world: &World) -> Self {
        let writers: Vec<(String, String)> = match world.base {
            Base::Postgres(_) => world.base.rows("select renewal_id, process from chaos_intents").await,
            Base::Sqlite(_) => vec![],
        };
        let without: Vec<(String,)> =
            world.base.rows("select renewal_id from renewals where answer is null").await;
        Self {
            kills: world.kills.lock().unwrap().clone(),
            writers: writers.into_iter().collect(),
            without_answer: without.into_iter().map(|(id,)| id).collect(),
        }
    }

    /// Who wrote an intent, and when that process was killed.
    fn told(&self, attempt: &str) -> String {
        let Some(writer) = self.writers.get(attempt) else { return "the only process".into() };
        let killed = self.kills.iter().find(|kill| kill.process == *writer).map(|kill| kill.at);
        killed.map_or_else(|| writer.clone(), |at| format!("{writer}, killed {at}"))
    }

    /// Whether this attempt was open, without a durable answer, when its process was killed.
    fn died_with(&self, entry: &RenewalRecord) -> bool {
        let id = entry.id.to_string();
        self.without_answer.contains(&id)
            && self.kills.iter().any(|kill| {
                self.writers.get(&id).is_none_or(|writer| *writer == kill.process)
                    && entry.started_at <= kill.at
                    && entry.finished_at.is_none_or(|end| kill.at <= end)
            })
    }
}

/// One connection: the simulator's chain, what Mooring holds, and its journal.
struct Case {
    chain: Vec<Link>,
    held: Held,
    journal: Vec<RenewalRecord>,
}

impl Case {
    fn judge(&self, evidence: &Evidence, found: &mut Found) {
        let facts = &self.held.connection.credential;
        let generation = usize::try_from(facts.generation).expect("a generation is small");
        let mut complain = |what: String| found.complaints.push(what);
        found.connections += 1;
        found.renewals += self.chain.len() as u64 - 1;
        let lost = Some(Reason::RenewalAnswerLost);
        let named = facts.stopped == lost
            || (facts.stopped.is_none() && facts.failure.as_ref().map(|f| f.code) == lost);
        let here = self.position();
        // Of an answer that broke off the access token may be kept, and the refresh token before it.
        if here.is_none_or(|nth| nth != generation - 1 && !(named && nth < generation)) {
            complain(format!("generation {generation} holds the token of refresh {here:?}"));
        }
        self.judge_journal(&mut complain);
        let shown: u64 =
            (1..).zip(&self.chain).map(|(with, link)| self.shown_again(with, link, evidence)).sum();
        if here.is_some_and(|nth| self.chain[nth].live) {
            found.other += shown;
            if shown > 0 {
                found.repeats.push(self.told(evidence));
            }
            if let Some(reason) = facts.stopped {
                found.dead += 1;
                found.complaints.push(format!("stopped for {reason} while its refresh token lives"));
            }
            return;
        }
        let own = here.map_or(0, |nth| self.chain[nth].presented_spent);
        found.careful += own;
        let at = here.unwrap_or_default();
        found.other +=
            shown - here.map_or(0, |nth| self.shown_again(generation_with(nth), &self.chain[nth], evidence));
        found.named += u64::from(named);
        if !named {
            found.complaints.push(format!(
                "lost, and says {:?} {:?}",
                facts.stopped,
                facts.failure.as_ref().map(|f| f.code)
            ));
        }
        self.judge_showings((at, own), &mut |what| found.complaints.push(what));
        let in_doubt = self.journal.iter().filter(|entry| entry.generation == facts.generation);
        if in_doubt.into_iter().any(|entry| evidence.died_with(entry)) {
            found.inside += 1;
        } else {
            found.outside += 1;
            found.suspects.push(self.told(evidence));
        }
    }

    /// A spent token is shown once for each intent, and once more where that one stayed without an answer.
    fn judge_showings(&self, (at, again): (usize, u64), complain: &mut impl FnMut(String)) {
        let with_it = generation_with(at)..=self.generation();
        let own = |wanted| {
            let is =
                |entry: &&RenewalRecord| entry.outcome == Some(wanted) && with_it.contains(&entry.generation);
            self.journal.iter().filter(is).count()
        };
        let rejected = own(RenewalOutcome::Rejected);
        // What broke off was asked for again, and may have brought a part after all.
        let in_doubt = own(RenewalOutcome::Uncertain) + own(RenewalOutcome::Renewed);
        if again + 1 > (rejected + 2 * in_doubt) as u64 {
            complain(format!(
                "a refresh token was shown {} times in {rejected} + {in_doubt} attempts",
                again + 1
            ));
        }
        if rejected > REJECTIONS {
            complain(format!("the provider was asked to confirm its no {rejected} times"));
        }
    }

    /// How often a link's refresh token was shown after it was spent, without those careful retries that overtook
    /// the request of a process that was killed.
    fn shown_again(&self, generation: i64, link: &Link, evidence: &Evidence) -> u64 {
        let of_link = |entry: &&RenewalRecord| entry.generation == generation && evidence.died_with(entry);
        link.presented_spent.saturating_sub(self.journal.iter().filter(of_link).count() as u64)
    }

    fn generation(&self) -> i64 {
        self.held.connection.credential.generation
    }

    /// Each entry has an outcome; each generation but the last was renewed, once.
    fn judge_journal(&self, complain: &mut impl FnMut(String)) {
        let open = self.journal.iter().filter(|entry| entry.outcome.is_none()).count();
        if open > 0 {
            complain(format!("{open} entries of the journal have no outcome"));
        }
        let mut tried = HashSet::new();
        let mut renewed = HashSet::new();
        for entry in &self.journal {
            tried.insert(entry.generation);
            if entry.outcome == Some(RenewalOutcome::Renewed) && !renewed.insert(entry.generation) {
                complain(format!("generation {} was renewed twice", entry.generation));
            }
        }
        if let Some(missing) =
            (1..self.held.connection.credential.generation).find(|nth| !tried.contains(nth))
        {
            complain(format!("generation {missing} was renewed without an intent"));
        }
    }

    /// Which link of the chain is held.
    fn position(&self) -> Option<usize> {
        let Renewal::Refresh(token) = &self.held.credential.renewal else { return None };
        self.chain.iter().position(|link| link.pair.refresh == token.expose())
    }

    /// The journal, newest first, without anything secret.
    fn told(&self, evidence: &Evidence) -> String {
        let facts = &self.held.connection.credential;
        let head = format!(
            "connection {}: generation {}, {} links at the provider, stopped {:?}, failure {:?}",
            self.held.connection.id,
            facts.generation,
            self.chain.len(),
            facts.stopped,
            facts.failure
        );
        let lines = self.journal.iter().take(12).map(|entry| {
            let RenewalRecord { id, generation, cause, started_at, finished_at, outcome, detail, .. } = entry;
            let by = evidence.told(&id.to_string());
            format!(
                "  {id} g{generation} {cause} {started_at} to {finished_at:?}: {outcome:?} {detail:?} by {by}"
            )
        });
        std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n    ")
    }
}

/// The generation that comes with a link of the chain.
fn generation_with(nth: usize) -> i64 {
    i64::try_from(nth).expect("a chain is short") + 1
}
