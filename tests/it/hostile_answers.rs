//! What a token endpoint can answer to a refresh. Where GitLab did refresh, the tokens are in the answer
//! somewhere, and none that arrived is lost; where it did not, nothing is lost either, whatever came instead.

mod given;
mod refused;

use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use gitlab_sim::{Counts, Endpoint, Fault};
use serde_json::{Value, json};

/// Fails one kind with a sentence, and lets the others go on.
macro_rules! ensure {
    ($holds:expr, $($told:tt)+) => {
        if !$holds {
            return Err(format!($($told)+));
        }
    };
}
use ensure;

/// An app whose connections meet one kind of answer each.
struct Bench {
    app: TestApp,
    program: Http,
}

/// One connection, before its refresh is answered badly.
struct Subject<'a> {
    bench: &'a Bench,
    name: String,
    before: Counts,
}

impl Bench {
    async fn start(on: On) -> Self {
        let app = TestApp::start(on).await;
        app.sign_in().await;
        let program = app.program(&["admin"]).await;
        Self { app, program }
    }

    async fn connect(&self, nth: usize) -> Subject<'_> {
        let name = format!("kind-{nth}");
        let back = self.app.consent(&[("name", &name), ("integration", "gitlab")]).await;
        let reply = self.app.http.get(&back).await.expect(303);
        assert!(reply.location().starts_with("/connections/"), "{}", reply.location());
        Subject { bench: self, name, before: self.app.sim().counts() }
    }

    fn fault(&self, fault: Fault) {
        self.app.sim().fault(Endpoint::Token, fault);
    }
}

impl Subject<'_> {
    fn path(&self, of: &str) -> String {
        format!("/api/v1/connections/{}{of}", self.name)
    }

    async fn renew(&self) -> u16 {
        self.bench.program.post_json(&self.path("/renew"), json!({})).await.status
    }

    async fn look(&self, of: &str) -> Value {
        self.bench.program.get(&self.path(of)).await.expect(200).json()
    }

    async fn generation(&self) -> i64 {
        self.look("").await["generation"].as_i64().unwrap_or_default()
    }

    /// Whether the token that is handed out is one that GitLab takes.
    async fn hands_out_a_live_token(&self) -> bool {
        let reply = self.bench.program.get(&self.path("/token")).await;
        reply.status == 200 && self.bench.app.sim().is_live(reply.json()["access_token"].as_str().unwrap())
    }

    /// Refreshes granted, and refresh tokens presented twice, since the connection was made.
    fn refreshes(&self) -> (u64, u64) {
        let now = self.bench.app.sim().counts();
        (
            now.refreshes_granted - self.before.refreshes_granted,
            now.refresh_tokens_presented_twice - self.before.refresh_tokens_presented_twice,
        )
    }
}

/// Every kind, or every so many; those that fail are named together.
fn report(kinds: usize, failed: &[String]) {
    assert!(failed.is_empty(), "{} of {kinds} kinds:\n{}", failed.len(), failed.join("\n"));
}

/// SQLite sees all kinds, PostgreSQL some of each sort: what differs lies in the store alone.
fn every(on: On) -> usize {
    if on == On::Sqlite { 1 } else { 9 }
}

on_both!(no_token_of_an_answer_that_was_given_is_lost, async |on: On| {
    let bench = Bench::start(on).await;
    let kinds = given::kinds();
    let mut failed = vec![];
    for (nth, kind) in kinds.iter().enumerate().step_by(every(on)) {
        let subject = bench.connect(nth).await;
        bench.fault(Fault::Template(kind.template.clone()));
        if let Err(told) = kind.check(&subject).await {
            failed.push(format!("{}: {told}", kind.name));
        }
        bench.app.sim().clear_faults();
    }
    report(kinds.len(), &failed);
});

on_both!(no_answer_without_tokens_costs_a_connection, async |on: On| {
    let bench = Bench::start(on).await;
    let kinds = refused::kinds();
    let mut failed = vec![];
    for (nth, kind) in kinds.iter().enumerate().step_by(every(on)) {
        let subject = bench.connect(nth).await;
        if let Err(told) = kind.check(&subject).await {
            failed.push(format!("{}: {told}", kind.name));
        }
        bench.app.sim().clear_faults();
    }
    report(kinds.len(), &failed);
});

#[test]
fn there_are_many_kinds_and_each_has_its_name() {
    let mut names: Vec<_> = given::kinds().into_iter().map(|kind| kind.name).collect();
    names.extend(refused::kinds().into_iter().map(|kind| kind.name));
    let all = names.len();
    names.sort();
    names.dedup();
    assert!(all >= 150 && names.len() == all, "{all} kinds, {} names", names.len());
}
