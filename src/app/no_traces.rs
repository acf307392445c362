//! A build without the feature `otlp` has no traces; the configuration refused to ask for them.

use crate::{config::Config, telemetry::Traces};

#[expect(clippy::unnecessary_wraps, reason = "with traces, this can fail")]
pub fn traces(_config: &Config) -> anyhow::Result<Traces> {
    Ok(Traces)
}
