//! `mooring serve`.

use super::{Failure, say};
use crate::{
    app::{self, App},
    config::{Config, LogFormat},
    domain::Clock,
    telemetry,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    let traces = app::traces(config)?;
    telemetry::start_logging(&config.log, matches!(config.log_format, LogFormat::Json), traces.layer())
        .map_err(Failure::Usage)?;
    // Before anybody can know that it runs: a stop that comes early is a stop as well.
    let mut stop = Stop::heard()?;
    let app = App::start(config, Clock::default()).await?;
    say(&format!("Mooring listens on http://{} and is reached at {}", app.address, config.site_url));
    if let Some(link) = &app.setup_link {
        say(&format!("Open this link once to make the first administrator: {link}"));
    }
    if matches!(stop.asked().await, Asked::ByTheSystem) {
        tracing::info!("not ready any more; requests are served a moment longer");
        app.drain(stop.interrupted()).await;
    }
    tracing::info!("stopping: no new work is taken, what is under way is finished");
    app.stop().await;
    traces.stop().await;
    Ok(())
}

/// Who asked for a stop. A person at the terminal does not wait for a balancer.
enum Asked {
    ByTheSystem,
    ByAPerson,
}

/// The two signals that ask for a stop. Heard once they are heard for good: a second one cuts nothing off.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn heard() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::ByTheSystem,
            _ = self.interrupt.recv() => Asked::ByAPerson,
        }
    }

    async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }
}
