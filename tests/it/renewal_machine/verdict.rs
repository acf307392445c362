//! What must be true after every step, and what at the end.

use super::{
    rig::{Landed, Rig},
    steps::Verdict,
};
use mooring::{
    domain::{Reason, Renewal},
    renewal::RenewalError,
    store::{Held, RenewalRecord},
};
use proptest::{prop_assert, prop_assert_eq};
use std::collections::BTreeSet;
use time::Duration;

/// So many rejections in a row stop a connection where an answer was lost before; else it takes six.
const FEWEST_NOES: usize = 4;
/// Rounds after the end of all trouble, so far apart that every pause is over. They outlast a token.
const ROUNDS: usize = 12;
const APART_SECONDS: u64 = 961;

impl Rig {
    /// What a caller got works, or could not have been known not to.
    pub(super) fn judge_landed(&self, landed: &Landed) -> Verdict {
        prop_assert!(!matches!(landed.renewed, Err(RenewalError::BrokeOff)), "a renewal panicked");
        let excused = landed.is_excused || self.known.lost || self.known.doubted;
        prop_assert!(excused || !landed.is_dead, "a dead token was handed out");
        Ok(())
    }

    /// What holds after every step.
    pub(super) async fn judge(&mut self) -> Verdict {
        for of in 0..self.subjects.len() {
            let held = self.held(of).await;
            self.judge_credential(of, &held)?;
        }
        let torn = "select count(*) from renewals where (outcome is null) <> (finished_at is null)";
        prop_assert_eq!(
            self.behind.number(torn).await,
            0,
            "an entry is finished with an outcome or not at all"
        );
        self.judge_requests().await
    }

    fn judge_credential(&mut self, of: usize, held: &Held) -> Verdict {
        let live = self.is_alive(held);
        let excused = self.known.false_noes >= FEWEST_NOES;
        let facts = &held.connection.credential;
        prop_assert!(
            facts.stopped.is_none() || !live || excused,
            "stopped with a grant that works: {facts:?}"
        );
        let subject = &mut self.subjects[of];
        let token = held.credential.access_token.expose();
        prop_assert!(facts.generation >= subject.generation, "the generation never goes back");
        let moved = facts.generation > subject.generation;
        prop_assert_eq!(token != subject.access_token, moved, "a new credential has a new generation");
        prop_assert_eq!(
            facts.scopes.to_vec(),
            subject.scopes.to_vec(),
            "a person's grant is never overwritten"
        );
        subject.to_be_replayed = subject.to_be_replayed.filter(|_| !moved);
        subject.generation = facts.generation;
        token.clone_into(&mut subject.access_token);
        Ok(())
    }

    /// Nothing is sent without an entry in the journal, and for one entry two requests at most. Both are counted
    /// since nothing was under way: what is may send what was entered long before.
    async fn judge_requests(&mut self) -> Verdict {
        let counts = self.sim().counts();
        let entries = self.behind.number("select count(*) from renewals").await + self.known.entries_gone;
        let (sent, begun) = (counts.token_requests - self.known.token_requests, entries - self.known.entries);
        prop_assert!(
            i64::try_from(sent).expect("few") <= 2 * begun,
            "{sent} requests for {begun} entries of the journal"
        );
        if self.aloft.is_none() && self.waiting.is_empty() {
            (self.known.entries, self.known.token_requests) = (entries, counts.token_requests);
        }
        if !self.known.lost && !self.known.doubted {
            prop_assert_eq!(counts.refresh_tokens_presented_twice, 0, "a spent token was sent again");
        }
        Ok(())
    }

    /// Lets all trouble end, and everything settle.
    pub(super) async fn settle(&mut self) -> Verdict {
        self.sim().clear_faults();
        self.arrive().await?;
        for _ in 0..ROUNDS {
            self.pass(APART_SECONDS).await;
            for at in 0..self.replicas.len() {
                self.recover(at).await;
                self.round(at).await;
            }
            self.let_waiting_end().await?;
            self.disconnect.try_once().await.expect("the store answers");
            self.judge().await?;
        }
        Ok(())
    }

    /// What holds at the end.
    pub(super) async fn judge_end(&mut self) -> Verdict {
        prop_assert!(self.waiting.is_empty(), "nobody waits any more");
        let open = "select count(*) from renewals where outcome is null";
        prop_assert_eq!(self.behind.number(open).await, 0, "an entry of the journal is open");
        prop_assert_eq!(
            self.behind.number("select count(*) from revocations").await,
            0,
            "a revocation is owed"
        );
        for replica in &self.replicas {
            prop_assert_eq!(replica.renewals.spooled(), Some(0), "{:?} is not empty", replica.spool);
        }
        let mut held_here = BTreeSet::new();
        let mut all_well = true;
        for of in 0..self.subjects.len() {
            let held = self.held(of).await;
            all_well &= held.connection.credential.stopped.is_none();
            let journal = self.store.list_renewals(held.connection.id, None, 20).await.expect("it answers");
            self.judge_end_of(&held, &journal)?;
            held_here.insert(refresh_token(&held));
        }
        let open_breakers = self.store.open_breakers().await.expect("the store answers");
        prop_assert!(!all_well || open_breakers.is_empty(), "{open_breakers:?}");
        let live = self.sim().live_refresh_tokens();
        let nobodys = live.iter().filter(|token| !held_here.contains(*token)).count();
        prop_assert!(nobodys == 0 || self.known.lost, "{nobodys} grants live on that nobody holds");
        Ok(())
    }

    fn judge_end_of(&self, held: &Held, journal: &[RenewalRecord]) -> Verdict {
        let connection = &held.connection;
        let standing = connection.standing(self.ground.clock.now(), Duration::ZERO);
        if self.is_alive(held) {
            let well = connection.credential.failure.is_none() && connection.credential.stopped.is_none();
            prop_assert!(
                well || self.known.false_noes >= FEWEST_NOES,
                "it works and does not say so: {standing:?}"
            );
            return Ok(());
        }
        prop_assert!(self.known.lost, "a connection was lost: {standing:?}, {journal:#?}");
        prop_assert_eq!(standing.reason, Some(Reason::RenewalAnswerLost), "a lost answer is named");
        Ok(())
    }

    fn is_alive(&self, held: &Held) -> bool {
        self.sim().live_refresh_tokens().contains(&refresh_token(held))
    }
}

fn refresh_token(held: &Held) -> String {
    match &held.credential.renewal {
        Renewal::Refresh(token) => token.expose().to_owned(),
        Renewal::SelfRotate | Renewal::Manual => unreachable!("all came by OAuth"),
    }
}
