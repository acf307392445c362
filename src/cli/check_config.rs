//! `mooring check-config`: the configuration was read by now; this tries what it names.

use super::{Failure, print};
use crate::{app, config::Config};

pub(super) fn check(config: &Config) -> Result<(), Failure> {
    app::check(config).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    print("The configuration is good.");
    Ok(())
}
