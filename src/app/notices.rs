//! What tells people: notices on their way, warnings of what ends, the day's hand-outs, and the mail server.

use super::App;
use crate::{
    config::Config,
    domain::Clock,
    handout::UsageDays,
    notify::{Courier, Expiry, Kinds, Mailer, MailerOptions, Outbox, Postman},
    renewal::repeat,
};
use anyhow::Context;
use std::{fs, time::Duration};

const NOTICES_EVERY: Duration = Duration::from_secs(1);
const MAIL_EVERY: Duration = Duration::from_secs(5);
const EXPIRY_EVERY: Duration = Duration::from_secs(60);
const USAGE_DAYS_EVERY: Duration = Duration::from_secs(60);

impl App {
    /// The telling in the background, each in a task of its own.
    pub(super) fn tell(&self, config: &Config) -> anyhow::Result<()> {
        self.send_notices(self.state.mailer.clone());
        let (store, clock) = (self.state.store.clone(), self.state.clock.clone());
        let warn_before = config.warn_before.iter().map(|before| time::Duration::try_from(*before));
        let warn_before = warn_before.collect::<Result<_, _>>().context("MOORING_WARN_BEFORE")?;
        let expiry = Expiry { store: store.clone(), clock: clock.clone(), warn_before };
        let days = UsageDays { store, clock };
        let stop = || self.stop.clone();
        self.tracker.spawn(repeat("expiry warnings", EXPIRY_EVERY, stop(), async move || {
            expiry.try_once().await.map(drop)
        }));
        self.tracker.spawn(repeat("days of hand-outs", USAGE_DAYS_EVERY, stop(), async move || {
            days.try_once().await.map(drop)
        }));
        Ok(())
    }

    /// The two halves of the way of a notice: from the log to deliveries, and from there to whom it may concern.
    fn send_notices(&self, mailer: Option<Mailer>) {
        let state = &self.state;
        let (store, clock) = (state.store.clone(), state.clock.clone());
        let mut outbox = Outbox::new(store.clone(), clock.clone(), state.site_url.clone(), state.warn_before);
        outbox.mail = mailer.as_ref().map(|_| Kinds::by_mail());
        let http = state.webhook_endpoints.http.clone();
        let courier = Courier::new(store.clone(), http, clock.clone(), self.stop.clone());
        let stop = || self.stop.clone();
        self.tracker
            .spawn(repeat("notices", NOTICES_EVERY, stop(), async move || outbox.try_once().await.map(drop)));
        self.tracker.spawn(repeat("webhooks", NOTICES_EVERY, stop(), async move || {
            courier.try_once().await.map(drop)
        }));
        if let Some(mailer) = mailer {
            let postman = Postman { store, clock, mailer };
            self.tracker
                .spawn(repeat("mail", MAIL_EVERY, stop(), async move || postman.try_once().await.map(drop)));
        }
    }
}

/// The mailer that the settings describe, if they do.
pub fn mailer(config: &Config, clock: Clock) -> anyhow::Result<Option<Mailer>> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let read = |file: &std::path::PathBuf| {
        fs::read(file).with_context(|| format!("MOORING_CA_FILE: {}", file.display()))
    };
    let ca_pem = config.ca_file.as_ref().map(read).transpose()?;
    let options = MailerOptions {
        smtp_url: mail.smtp_url.expose(),
        from: &mail.from,
        to: &mail.to,
        ca_pem: ca_pem.as_deref(),
        site_url: config.site_url.as_str(),
    };
    Mailer::new(&options, clock).map(Some).context("MOORING_SMTP_URL")
}
