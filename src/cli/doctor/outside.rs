//! What Mooring reaches: integrations step by step, with their version and clock, the mail server, and the issuer of
//! single sign-on.

use super::report::Report;
use crate::{
    app,
    cli::Failure,
    config::Config,
    domain::Clock,
    health::working_token,
    providers::{GitLab, Instance, Instances, Obstacle, Provider},
    store::Store,
};
use http::{Method, header::DATE};
use std::time::Instant;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc2822};

/// Clocks that differ by more than this make renewals early or late.
const APART: Duration = Duration::seconds(30);

pub(super) async fn integrations(
    config: &Config,
    store: Option<&Store>,
    now: OffsetDateTime,
    report: &mut Report,
) -> Result<(), Failure> {
    let (instances, provider) = (app::instances(config)?, Provider::new(GitLab));
    let ids: Vec<_> = instances.integrations().map(|integration| integration.id.clone()).collect();
    for id in ids {
        let Ok(instance) = instances.configured(&id) else { continue };
        let began = Instant::now();
        if let Err(obstacle) = provider.api().recognise(&instance).await {
            let (message, action) = told(&obstacle);
            let step = obstacle.step();
            report.problem(
                "integration",
                format!("{id} ({}) fails at the step {step}: {message}", instance.base_url),
                action,
            );
            continue;
        }
        let took = began.elapsed().as_millis();
        let version = version(&provider, (&instances, &instance), store, (&id, now)).await;
        let version = version.map_or_else(
            || "its version is told to a connection that works, of which there is none".to_owned(),
            |version| format!("GitLab {version}"),
        );
        let message = format!(
            "{id} ({}) is reached: DNS, TCP, TLS and HTTP work ({took} ms); {version}.",
            instance.base_url
        );
        if instance.base_url.is_https() || instance.base_url.is_loopback() {
            report.ok("integration", message);
        } else {
            report.warning("integration", message, "Tokens travel in the clear: give it an https base URL.");
        }
        clock(&id, &instance, report).await;
    }
    Ok(())
}

/// Told to whoever has a token: that of any connection there that works.
async fn version(
    provider: &Provider,
    (instances, instance): (&Instances, &Instance),
    store: Option<&Store>,
    (id, now): (&str, OffsetDateTime),
) -> Option<String> {
    let token = working_token(store?, instances, id, now).await.ok()??;
    provider.api().greet(instance, Some(&token)).await.ok()?
}

/// Tokens end at an instant of the provider's clock.
async fn clock(id: &str, instance: &Instance, report: &mut Report) {
    let Ok(request) = instance.http.request(Method::HEAD, instance.base_url.join("api/v4/version")).build()
    else {
        return;
    };
    let Ok(answer) = instance.http.send(request).await else { return };
    let date =
        answer.headers.get(DATE).and_then(|date| OffsetDateTime::parse(date.to_str().ok()?, &Rfc2822).ok());
    let Some(date) = date else { return };
    let apart = Clock::default().now() - date;
    let seconds = apart.whole_seconds();
    if apart.abs() > APART {
        let action =
            "Keep this machine's clock in step (NTP): tokens would be renewed too early or too late.";
        report.problem(
            "clock",
            format!("this machine and {id} are {} seconds apart.", seconds.abs()),
            action,
        );
    } else {
        report.ok("clock", format!("in step with {id} (within {} s).", seconds.abs() + 1));
    }
}

/// In words for whoever runs this machine.
fn told(obstacle: &Obstacle) -> (String, &'static str) {
    let firewall = "Look at the base URL, and at firewalls between here and there.";
    match obstacle {
        Obstacle::Address { message, .. } => (message.clone(), ""),
        Obstacle::Dns { message } => {
            (message.clone(), "Look for a typing error, and at the name server of this machine.")
        }
        Obstacle::Connect { message } => (message.clone(), firewall),
        Obstacle::UnknownIssuer(issuer) => {
            let by = issuer.as_ref().map(|issuer| format!(" ({:?})", issuer.name)).unwrap_or_default();
            let action = "If that is your own authority, name its PEM file in MOORING_CA_FILE or in the integration's CA_FILE.";
            (format!("the certificate's issuer{by} is not trusted here."), action)
        }
        Obstacle::Tls { message } => (message.clone(), "Whoever runs that GitLab can mend its certificate."),
        Obstacle::SentOn { elsewhere, .. } => {
            let to = elsewhere.as_deref().unwrap_or("another of its own pages");
            (format!("it sends requests on to {to}."), "Let /api/ and /oauth/ pass, or correct the base URL.")
        }
        Obstacle::Http { message } => (message.clone(), "It may be starting; try again in a minute."),
        Obstacle::Busy { status } => {
            (format!("it answers {status}."), "It may be starting or busy; try again in a minute.")
        }
        Obstacle::NotGitLab { status } => (
            format!("something answers {status} there, but it is not GitLab."),
            "Compare the base URL with what a browser shows.",
        ),
    }
}

/// Signs in to the mail server, and sends nothing.
pub(super) async fn mail(config: &Config, report: &mut Report) {
    const CHECK: &str = "mail";
    let mailer = match app::mailer(config, Clock::default()) {
        Ok(None) => return report.ok(CHECK, "is not set up: notices are not mailed."),
        Ok(Some(mailer)) => mailer,
        Err(error) => return report.problem(CHECK, format!("{error:#}"), ""),
    };
    match mailer.reach().await {
        Ok(()) => report.ok(CHECK, format!("the mail server {} is reached.", mailer.route().0)),
        Err(error) => report.problem(CHECK, error.to_string(), "See MOORING_SMTP_URL."),
    }
}

/// Asks the issuer for its description and its keys (`OpenID` Connect Discovery 1.0).
pub(super) async fn single_sign_on(config: &Config, report: &mut Report) {
    const CHECK: &str = "single sign-on";
    let issuer = match app::issuer(config, &Clock::default()) {
        Ok(None) => return report.ok(CHECK, "is not set up."),
        Ok(Some(issuer)) => issuer,
        Err(error) => return report.problem(CHECK, format!("{error:#}"), ""),
    };
    match issuer.look().await {
        Ok(found) => {
            report.ok(CHECK, format!("the issuer {} is reached; it has {} keys.", issuer.name(), found.keys));
        }
        Err(trouble) => report.problem(CHECK, trouble.cause, "See MOORING_OIDC_ISSUER."),
    }
}
