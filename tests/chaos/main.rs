//! The proof that a renewal loses nothing: real processes are killed, stopped, starved and lied to while they
//! renew, and afterwards every connection is held against what the simulated GitLab knows.
//!
//! `cargo test` runs a short round of every scenario; `make chaos` the long one. `CHAOS_SEED`, `CHAOS_KILLS` and
//! `CHAOS_RENEWALS` set what their names say, and `CHAOS_ONLY` names part of a scenario.
#![allow(
    clippy::disallowed_methods,
    reason = "a harness may spawn, send and look at the environment and the clock"
)]
#![allow(clippy::unwrap_used, reason = "a harness that cannot go on says so by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]

mod base;
mod cluster;
mod load;
mod oracle;
mod plan;
mod process;
mod scenarios;
mod table;
#[path = "../it/support/watchdog.rs"]
#[allow(dead_code, reason = "the other test target uses the rest of it")]
mod watchdog;
mod world;

use plan::Plan;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        println!("chaos: test");
        return ExitCode::SUCCESS;
    }
    // `cargo test some_name` gives every test target the name.
    let mut names = arguments.iter().filter(|a| !a.starts_with('-')).peekable();
    if names.peek().is_some() && !names.any(|name| "chaos".contains(name.as_str())) {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if scenarios::run(&Plan::from_env(), runtime.handle()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
