//! `mooring reseal`: seals everything under the active key while servers run, and says whether an older key is
//! still needed. It may be stopped and run again at any time.

use super::{Failure, open, print, print_json, say};
use crate::{
    config::Config,
    domain::{Actor, Clock, Event, EventId, EventKind},
    renewal::Spool,
    store::{Resealed, SealedColumn, Store},
    vault::KeyId,
};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// How often it looks again for what was sealed under an older key in between.
const ROUNDS: usize = 3;

#[derive(Args)]
pub(super) struct ResealArguments {
    /// Only counts
    #[arg(long)]
    dry_run: bool,
    /// Prints what was done and what is left as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(asked: &ResealArguments, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let mut report = Report::new(&store, asked.dry_run);
    if !asked.dry_run {
        let end = reseal(&store, &mut report).await;
        // Also of a run that failed: what it did before is done.
        if let Some(event) = report.event() {
            store.append_event(&event).await?;
        }
        end?;
    }
    report.left = left(&store).await?;
    report.spooled = Spool::new(config.data_dir.join("spool")).count()?;
    store.close().await;
    if asked.json {
        print_json(&report.json())?;
    } else {
        report.tell();
    }
    if asked.dry_run || report.left.is_empty() { Ok(()) } else { Err(Failure::Told(1)) }
}

/// Until a round finds nothing that it could do, or all are over.
async fn reseal(store: &Store, report: &mut Report) -> Result<(), Failure> {
    for _ in 0..ROUNDS {
        let (mut found, mut unopened) = (0, 0);
        for column in SealedColumn::ALL {
            let done = store.reseal(column, u64::MAX).await?;
            report.add(column, done);
            found += done.resealed + done.superseded;
            unopened += done.unopened;
        }
        report.unopened = unopened;
        if found == 0 {
            break;
        }
    }
    Ok(())
}

/// What is not under the active key.
async fn left(store: &Store) -> Result<Vec<Left>, Failure> {
    let (active, retired) = store.key_ids();
    let values = store.sealed_values().await?.into_iter().filter(|(_, key, _)| *key != active);
    Ok(values
        .map(|(column, key, count)| Left { what: what(column), key, count, is_here: retired.contains(&key) })
        .collect())
}

/// Values under one key that is not the active one.
struct Left {
    what: &'static str,
    key: KeyId,
    count: i64,
    /// Whether the key is among the retired ones.
    is_here: bool,
}

struct Report {
    dry_run: bool,
    active: KeyId,
    retired: Vec<KeyId>,
    resealed: BTreeMap<&'static str, u64>,
    superseded: u64,
    /// In the last round.
    unopened: u64,
    left: Vec<Left>,
    spooled: usize,
}

impl Report {
    fn new(store: &Store, dry_run: bool) -> Self {
        let (active, retired) = store.key_ids();
        let (resealed, left) = (BTreeMap::new(), vec![]);
        Self { dry_run, active, retired, resealed, superseded: 0, unopened: 0, left, spooled: 0 }
    }

    fn add(&mut self, column: SealedColumn, done: Resealed) {
        if done.resealed > 0 {
            *self.resealed.entry(what(column)).or_default() += done.resealed;
        }
        self.superseded += done.superseded;
    }

    /// What the audit log is told. `None`: nothing was changed.
    fn event(&self) -> Option<Event> {
        let count: u64 = self.resealed.values().sum();
        let values = if count == 1 { "value" } else { "values" };
        (count > 0).then(|| Event {
            id: EventId::fresh(),
            at: Clock::default().now(),
            kind: EventKind::Resealed,
            subject: Some(self.active.to_string()),
            tenant: None,
            actor: Actor::CommandLine.to_string(),
            detail: Some(format!("{count} {values} under key {}.", self.active)),
        })
    }

    fn tell(&self) {
        let told: Vec<_> = self.resealed.iter().map(|(what, count)| format!("{count} {what}")).collect();
        match (self.dry_run, told.is_empty()) {
            (true, _) => {}
            (false, true) => print(&format!(
                "There was nothing to reseal: key {} seals everything that it can.",
                self.active
            )),
            (false, false) => print(&format!("Sealed under key {}: {}.", self.active, told.join(", "))),
        }
        if self.superseded > 0 {
            print(&format!(
                "{} values were replaced by a server in between; theirs are kept.",
                self.superseded
            ));
        }
        for Left { what, key, count, is_here } in &self.left {
            let state = if *is_here { "retired" } else { "missing" };
            print(&format!("Under the {state} key {key}: {count} {what}."));
        }
        self.conclude();
    }

    fn conclude(&self) {
        if self.left.iter().any(|left| !left.is_here) {
            say(
                "What is sealed under a missing key cannot be opened: add the key to MOORING_ENCRYPTION_KEYS_RETIRED.",
            );
        }
        if self.spooled > 0 {
            say(&format!(
                "{} answers wait in this machine's spool, perhaps under an older key. Keep the retired keys until they are in the database.",
                self.spooled
            ));
        }
        if self.unopened > 0 {
            say(&format!(
                "{} values do not open: their key is missing, or they are damaged. They are left as they are.",
                self.unopened
            ));
        }
        if self.left.iter().any(|left| left.is_here) {
            say(if self.dry_run {
                "The retired keys are still needed: run `mooring reseal`."
            } else {
                "Retired keys are still needed. If a server seals under one, make the new key its active one first; then run this again."
            });
        } else if self.left.is_empty() && self.spooled == 0 && !self.retired.is_empty() {
            print("No retired key is needed here any more: empty MOORING_ENCRYPTION_KEYS_RETIRED.");
        }
    }

    fn json(&self) -> impl Serialize + use<> {
        let left = self.left.iter().map(|left| {
            let state = if left.is_here { "retired" } else { "missing" };
            json!({ "what": left.what, "key": left.key.to_string(), "state": state, "count": left.count })
        });
        json!({
            "dry_run": self.dry_run,
            "active_key": self.active.to_string(),
            "retired_keys": self.retired.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "resealed": self.resealed,
            "superseded": self.superseded,
            "unopened": self.unopened,
            "left": left.collect::<Vec<_>>(),
            "spooled": self.spooled,
            "retired_keys_needed": !self.left.is_empty() || self.spooled > 0,
        })
    }
}

/// What a column's values are, for people.
fn what(column: SealedColumn) -> &'static str {
    match column {
        SealedColumn::AccessTokens => "access tokens",
        SealedColumn::RefreshTokens => "refresh tokens",
        SealedColumn::Answers => "answers in the journal",
        SealedColumn::Revocations => "tokens to revoke",
        SealedColumn::CodeVerifiers => "authorizations under way",
        SealedColumn::WebhookSecrets => "webhook secrets",
        SealedColumn::EarlierWebhookSecrets => "earlier webhook secrets",
        SealedColumn::Brought => "credentials in connect sessions",
        SealedColumn::SignIns => "sign-ins under way",
        SealedColumn::IdempotentCalls => "answers of the API",
    }
}
