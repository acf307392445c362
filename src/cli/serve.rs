//! `mooring serve`.

use super::{Failure, say};
use crate::{
    app::App,
    config::{Config, LogFormat},
    domain::Clock,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    telemetry::start_logging(&config.log, matches!(config.log_format, LogFormat::Json))
        .map_err(Failure::Usage)?;
    let app = App::start(config, Clock::default()).await?;
    say(&format!("Mooring listens on http://{} and is reached at {}", app.address, config.site_url));
    if let Some(link) = &app.setup_link {
        say(&format!("Open this link once to make the first administrator: {link}"));
    }
    unless_complete(config);
    asked_to_stop().await?;
    tracing::info!("stopping: no new work is taken, what is under way is finished");
    app.stop().await;
    Ok(())
}

/// Settings that are read and do nothing yet are said, not passed over.
fn unless_complete(config: &Config) {
    if config.mail.is_some() {
        tracing::warn!("MOORING_SMTP_URL is set, but notices by e-mail are not sent by this version");
    }
    if config.oidc.is_some() {
        tracing::warn!("MOORING_OIDC_ISSUER is set, but single sign-on is not part of this version");
    }
}

async fn asked_to_stop() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
