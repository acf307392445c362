//! `mooring serve`.

use super::{Failure, say};
use crate::{
    app::App,
    config::{Config, LogFormat},
    domain::Clock,
    telemetry,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    telemetry::start_logging(&config.log, matches!(config.log_format, LogFormat::Json))
        .map_err(Failure::Usage)?;
    // Before anybody can know that it runs: a stop that comes early is a stop as well.
    let stop = Stop::heard()?;
    let app = App::start(config, Clock::default()).await?;
    say(&format!("Mooring listens on http://{} and is reached at {}", app.address, config.site_url));
    if let Some(link) = &app.setup_link {
        say(&format!("Open this link once to make the first administrator: {link}"));
    }
    unless_complete(config);
    stop.asked().await;
    tracing::info!("stopping: no new work is taken, what is under way is finished");
    app.stop().await;
    Ok(())
}

/// Settings that are read and do nothing yet are said, not passed over.
fn unless_complete(config: &Config) {
    if config.oidc.is_some() {
        tracing::warn!("MOORING_OIDC_ISSUER is set, but single sign-on is not part of this version");
    }
}

/// The two signals that ask for a stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn heard() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
