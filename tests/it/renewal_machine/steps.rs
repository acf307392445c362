//! What each operation does to the real thing.

use super::{
    op::{Op, Place, REPLICAS, Table, Then, Wrong},
    rig::{Aloft, Landed, Rig, Waiting, Work},
};
use gitlab_sim::{Endpoint, Fault};
use mooring::{
    domain::Actor,
    renewal::{Need, RenewalError},
    store::RenewalCause,
};
use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};
use std::time::Duration as StdDuration;
use time::Duration;
use tokio::{
    task::{JoinHandle, yield_now},
    time::timeout,
};

pub(super) type Verdict = Result<(), TestCaseError>;

/// As long as a lease.
const LEASE_SECONDS: u64 = 45;
/// A token that is younger than this is asked about several times before it is believed to be dead.
const YOUNG_SECONDS: u64 = 31;
const STUCK: StdDuration = StdDuration::from_secs(60);

impl Rig {
    pub(super) async fn step(&mut self, op: &Op) -> Verdict {
        match *op {
            Op::Ask { at, of } => {
                self.ask(at, of, Need::Lasts(Duration::ZERO), RenewalCause::HandOut).await?;
            }
            Op::AskEverywhere { of } => self.ask_everywhere(of).await?,
            Op::Refused { at, of } => {
                self.pass(YOUNG_SECONDS).await;
                self.ask(at, of, self.newer(of), RenewalCause::Refused).await?;
            }
            Op::Request { at, of } => self.ask(at, of, self.newer(of), RenewalCause::Requested).await?,
            Op::Round { at } => self.round(at).await,
            Op::Recover { at } => self.recover(at).await,
            Op::Pass(seconds) => self.pass(seconds).await,
            Op::Wrong(wrong, times) => self.go_wrong(wrong, times),
            Op::Hold { at, of, place } => self.hold(at, of, place).await?,
            Op::Arrive => self.arrive().await?,
            Op::Crash { at, arrives } => self.crash(at, arrives).await,
            Op::Unwritable { at, of, table, then } => self.unwritable(at, of, table, then).await?,
            Op::NoJournal { at, of } => self.no_journal(at, of).await?,
            Op::Reauthorize { of } => self.reauthorize(of).await,
            Op::Disconnect { of } => self.end(of).await,
            Op::Revoke => drop(self.disconnect.try_once().await.expect("the store answers")),
        }
        self.let_waiting_end().await
    }

    fn newer(&self, of: usize) -> Need {
        Need::NewerThan(self.subjects[of].generation)
    }

    fn begin(&self, at: usize, of: usize, need: Need, cause: RenewalCause) -> JoinHandle<Landed> {
        let (renewals, sim) = (self.replicas[at].renewals.clone(), self.sim().clone());
        let id = self.subjects[of].id;
        let aloft = self.aloft.as_ref().is_some_and(|aloft| aloft.id == id);
        let is_excused = aloft || self.subjects[of].to_be_replayed.is_some();
        self.replicas[at].begin(async move {
            let renewed = renewals.renew(id, need, cause).await;
            let is_dead =
                renewed.as_ref().is_ok_and(|held| !sim.is_live(held.credential.access_token.expose()));
            Landed { renewed, is_dead, is_excused }
        })
    }

    async fn ask(&mut self, at: usize, of: usize, need: Need, cause: RenewalCause) -> Verdict {
        let id = self.subjects[of].id;
        let busy = self.is_busy(at, id).await;
        let asked = self.begin(at, of, need, cause);
        if busy {
            self.waiting.push(Waiting { at, work: Work::Asked(id, asked) });
            return Ok(());
        }
        let landed = land(asked).await?;
        self.judge_landed(&landed)
    }

    async fn ask_everywhere(&mut self, of: usize) -> Verdict {
        let id = self.subjects[of].id;
        let mut asked = Vec::new();
        for at in 0..REPLICAS {
            let busy = self.is_busy(at, id).await;
            asked.push((at, busy));
        }
        let need = Need::Lasts(Duration::ZERO);
        let flights: Vec<_> =
            asked.iter().map(|(at, _)| self.begin(*at, of, need, RenewalCause::HandOut)).collect();
        for ((at, busy), flight) in asked.into_iter().zip(flights) {
            if busy {
                self.waiting.push(Waiting { at, work: Work::Asked(id, flight) });
            } else {
                let landed = land(flight).await?;
                self.judge_landed(&landed)?;
            }
        }
        Ok(())
    }

    pub(super) async fn round(&mut self, at: usize) {
        let worker = self.replicas[at].worker.clone();
        let begun = self.replicas[at].run(async move { worker.begin_round().await }).await;
        for (id, flight) in begun.expect("the store answers") {
            if self.aloft.as_ref().is_some_and(|aloft| aloft.at == at && aloft.id == id) {
                self.waiting.push(Waiting { at, work: Work::Round(flight) });
            } else {
                flight.await.expect("no round panics");
            }
        }
    }

    pub(super) async fn recover(&mut self, at: usize) {
        let renewals = self.replicas[at].renewals.clone();
        self.replicas[at].run(async move { renewals.recover().await }).await.expect("the store answers");
    }

    pub(super) async fn pass(&mut self, seconds: u64) {
        let by = StdDuration::from_secs(seconds);
        self.ground.clock.advance(by);
        self.ground.sim.advance(by);
        self.behind.age_leases(seconds).await;
        if let Some(aloft) = &mut self.aloft {
            aloft.seconds += seconds;
            self.known.doubted |= aloft.seconds >= LEASE_SECONDS;
        }
    }

    fn go_wrong(&mut self, wrong: Wrong, times: usize) {
        self.known.lost |= wrong.loses_the_answer();
        self.known.false_noes += if wrong == Wrong::FalseNo { times } else { 0 };
        for _ in 0..times {
            self.sim().fault(Endpoint::Token, fault(wrong));
        }
    }

    async fn hold(&mut self, at: usize, of: usize, place: Place) -> Verdict {
        let id = self.subjects[of].id;
        if self.aloft.is_some() || self.is_busy(at, id).await {
            return Ok(());
        }
        self.sim().clear_faults();
        let gate = match place {
            Place::Before => self.sim().hold(Endpoint::Token),
            Place::After => self.sim().hold_after(Endpoint::Token),
        };
        let mut flight = self.begin(at, of, self.newer(of), RenewalCause::Requested);
        tokio::select! {
            () = gate.reached() => {
                self.aloft = Some(Aloft { at, id, place, gate, flight, seconds: 0 });
                Ok(())
            }
            landed = &mut flight => {
                self.sim().clear_faults();
                let landed = landed.expect("no flight panics");
                self.judge_landed(&landed)
            }
        }
    }

    pub(super) async fn arrive(&mut self) -> Verdict {
        let Some(Aloft { gate, flight, .. }) = self.aloft.take() else { return Ok(()) };
        gate.release();
        let landed = land(flight).await?;
        self.judge_landed(&landed)
    }

    async fn crash(&mut self, at: usize, arrives: bool) {
        let own = self.aloft.take_if(|aloft| aloft.at == at);
        if !self.known.may_lose && own.as_ref().is_some_and(|aloft| aloft.place == Place::After) {
            self.aloft = own;
            return;
        }
        self.end_process(at).await;
        match own {
            Some(Aloft { place: Place::Before, gate, .. }) if !arrives => self.lost_on_the_wire.push(gate),
            Some(Aloft { gate, .. }) => {
                self.known.lost = true;
                gate.release();
                let shut = self.lost_on_the_wire.len() as u64;
                while self.sim().counts().token_requests_under_way > shut {
                    yield_now().await;
                }
            }
            None => {}
        }
    }

    async fn end_process(&mut self, at: usize) {
        self.replicas[at].kill().await;
        self.waiting.retain(|waiting| waiting.at != at);
        self.start_again(at).await;
    }

    async fn unwritable(&mut self, at: usize, of: usize, table: Table, then: Then) -> Verdict {
        if self.aloft.is_some() {
            return Ok(());
        }
        let spooled = self.replicas[at].renewals.spooled();
        let in_journal = self.behind.answers_waiting(self.subjects[of].id).await;
        self.hold(at, of, Place::After).await?;
        let Some(Aloft { id, gate, mut flight, .. }) = self.aloft.take() else { return Ok(()) };
        self.behind.refuse(table).await;
        gate.release();
        let kept = async {
            while match table {
                Table::Renewals => self.replicas[at].renewals.spooled() == spooled,
                Table::Credentials => self.behind.answers_waiting(id).await == in_journal,
            } {
                yield_now().await;
            }
        };
        let mut landed = None;
        tokio::select! {
            biased;
            kept = timeout(STUCK, kept) => prop_assert!(kept.is_ok(), "an answer is kept"),
            // GitLab said no and there is nothing to keep, or the token is handed out before the database has it.
            done = &mut flight => landed = Some(done.expect("no flight panics")),
        }
        if let Some(Err(error)) = landed.as_ref().map(|landed| &landed.renewed) {
            prop_assert!(self.known.lost || self.known.doubted, "nothing can be kept for good: {error:?}");
            self.behind.mend(table).await;
            return Ok(());
        }
        if then == Then::GoesOn {
            self.behind.mend(table).await;
            let landed = match landed {
                Some(landed) => landed,
                None => land(flight).await?,
            };
            let generation = self.subjects[of].generation;
            let committed = async {
                while self.held(of).await.connection.credential.generation == generation {
                    yield_now().await;
                }
            };
            prop_assert!(timeout(STUCK, committed).await.is_ok(), "the database has it in the end");
            return self.judge_landed(&landed);
        }
        self.end_process(at).await;
        self.behind.mend(table).await;
        self.subjects[of].to_be_replayed = Some(table);
        match then {
            Then::Restarts => self.recover(at).await,
            _ => self.known.doubted |= table == Table::Renewals,
        }
        Ok(())
    }

    async fn no_journal(&mut self, at: usize, of: usize) -> Verdict {
        if self.is_busy(at, self.subjects[of].id).await {
            return Ok(());
        }
        self.behind.refuse(Table::Renewals).await;
        let before = self.sim().counts().token_requests;
        let landed = land(self.begin(at, of, self.newer(of), RenewalCause::Requested)).await?;
        self.behind.mend(Table::Renewals).await;
        prop_assert_eq!(self.sim().counts().token_requests, before, "nothing is sent without a journal");
        // What was there already is read, and handed out before its replay can be noted.
        let was_there = self.subjects[of].to_be_replayed.is_some() && landed.renewed.is_ok();
        prop_assert!(
            was_there || matches!(landed.renewed, Err(RenewalError::Store(_))),
            "{:?}",
            landed.renewed.map(drop)
        );
        Ok(())
    }

    async fn end(&mut self, of: usize) {
        let id = self.subjects[of].id;
        let entries = format!("select count(*) from renewals where connection_id = '{id}'");
        self.known.entries_gone += self.behind.number(entries).await;
        // Who ends a connection does not read what waits in the spool of another process: that grant is lost.
        self.known.lost |= self.subjects[of].to_be_replayed == Some(Table::Renewals);
        let ended = self.disconnect.end(id, true, &Actor::Mooring).await;
        assert!(ended.expect("the store answers"), "it was there");
        self.connect(of).await;
    }

    /// Waits for all that nothing holds up any more.
    pub(super) async fn let_waiting_end(&mut self) -> Verdict {
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting.work {
                Work::Asked(id, asked) if !self.is_busy(waiting.at, id).await => {
                    let landed = land(asked).await?;
                    self.judge_landed(&landed)?;
                }
                Work::Round(flight) if self.aloft.is_none() => flight.await.expect("no round panics"),
                _ => self.waiting.push(waiting),
            }
        }
        Ok(())
    }
}

async fn land(flight: JoinHandle<Landed>) -> Result<Landed, TestCaseError> {
    match timeout(STUCK, flight).await {
        Ok(landed) => Ok(landed.expect("no flight panics")),
        Err(_) => Err(TestCaseError::fail("a renewal does not end")),
    }
}

fn fault(wrong: Wrong) -> Fault {
    let answer = |status, body: &str| Fault::Json { status, body: body.to_owned() };
    match wrong {
        Wrong::DropBefore => Fault::DropBefore,
        Wrong::BadGateway => Fault::bad_gateway(),
        Wrong::Patience => Fault::RateLimitedRack { retry_after: 120 },
        Wrong::FalseNo => answer(400, r#"{"error":"invalid_grant"}"#),
        Wrong::InvalidClient => answer(401, r#"{"error":"invalid_client"}"#),
        Wrong::Nonsense => answer(200, r#"{"nonsense":true}"#),
        Wrong::DropAfter => Fault::DropAfterCommit,
        Wrong::Truncate => Fault::Truncate,
        Wrong::BadGatewayAfter => Fault::JsonAfter { status: 502, body: "{}".to_owned() },
        Wrong::NonsenseAfter => Fault::JsonAfter { status: 200, body: r#"{"nonsense":true}"#.to_owned() },
    }
}
