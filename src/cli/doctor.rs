//! `mooring doctor`: looks at everything that Mooring stands on, beside a running server and without changing
//! anything. No secret is part of what it says.

mod ground;
mod inside;
mod outside;
mod report;

use self::report::Report;
use super::{Failure, print, print_json, tried_configuration};
use crate::{domain::Clock, store::AsOf};
use clap::Args;
use time::Duration;

#[derive(Args)]
pub(super) struct DoctorArguments {
    /// Prints the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(asked: &DoctorArguments) -> Result<(), Failure> {
    let config = tried_configuration()?;
    let mut report = Report::default();
    report.ok("configuration", "reads well, and what it names is there.");
    let now = Clock::default().now();
    let warn_before = config.warn_before.first().copied().unwrap_or_default();
    let as_of = AsOf { now, warn_before: Duration::try_from(warn_before).unwrap_or_default() };
    ground::data_directory(&config, &mut report);
    let store = ground::database(&config, &mut report).await;
    outside::integrations(&config, store.as_ref(), now, &mut report).await?;
    outside::mail(&config, &mut report).await;
    outside::single_sign_on(&config, &mut report).await;
    if let Some(store) = &store {
        inside::look(&config, store, as_of, &mut report).await?;
        store.close().await;
    }
    if asked.json {
        print_json(&report)?;
    } else {
        report.lines().for_each(|line| print(&line));
    }
    if report.has_problem() { Err(Failure::Told(1)) } else { Ok(()) }
}
