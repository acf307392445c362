//! What is kept: connections by how they stand, those that need a person, and work that waits.

use super::report::Report;
use crate::{
    cli::Failure,
    config::Config,
    domain::{Action, Connection, Status},
    renewal::Spool,
    store::{AsOf, ConnectionFilter, Figures, Store},
};
use time::Duration;

/// So many connections are named; the page shows them all.
const NAMED: i64 = 20;
/// A renewal that is due for longer waits for somebody.
const LATE: Duration = Duration::minutes(5);

pub(super) async fn look(
    config: &Config,
    store: &Store,
    as_of: AsOf,
    report: &mut Report,
) -> Result<(), Failure> {
    connections(config, store, as_of, report).await?;
    breakers(store, report).await?;
    let figures = store.figures(as_of.now, as_of.warn_before).await?;
    renewals(&figures, as_of, report);
    spool(config, report);
    owed(&figures, report);
    Ok(())
}

async fn connections(
    config: &Config,
    store: &Store,
    as_of: AsOf,
    report: &mut Report,
) -> Result<(), Failure> {
    let counts = store.count_connections(&ConnectionFilter::default(), as_of).await?;
    let told: Vec<_> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let told = if told.is_empty() { "there are none yet".to_owned() } else { told.join(", ") };
    report.ok("connections", format!("{told}."));
    let site = config.site_url.as_str();
    for status in [Status::ActionRequired, Status::Degraded, Status::Expiring] {
        let filter = ConnectionFilter { status: Some(status), ..ConnectionFilter::default() };
        for connection in store.list_connections(&filter, as_of, None, NAMED).await? {
            name(&connection, site, as_of, report);
        }
        let more = counts.get(&status).copied().unwrap_or_default() - NAMED;
        if more > 0 {
            report.warning(
                "connection",
                format!("{more} more are {status}."),
                format!("See {site}/?status={status}."),
            );
        }
    }
    Ok(())
}

fn name(connection: &Connection, site: &str, as_of: AsOf, report: &mut Report) {
    let standing = connection.standing(as_of.now, as_of.warn_before);
    let tenant = connection.tenant.as_ref().map(|tenant| format!(" of {tenant:?}")).unwrap_or_default();
    let why = standing.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = format!("{:?}{tenant} is {}{why}.", connection.name, standing.status);
    let page = format!("{site}/connections/{}", connection.id);
    let action = match standing.action {
        _ if connection.credential.exported_at.is_some() => {
            format!("Disconnect it here once the other installation has it: {page}/disconnect")
        }
        Some(Action::Rotate) => format!("Paste a new token: {page}/rotate"),
        Some(Action::Reauthorize) => format!("Reauthorize: {page}"),
        None => format!("See {page}"),
    };
    match standing.status {
        Status::ActionRequired => report.problem("connection", message, action),
        _ => report.warning("connection", message, action),
    }
}

async fn breakers(store: &Store, report: &mut Report) -> Result<(), Failure> {
    for open in store.open_breakers().await? {
        let message =
            format!("{} fail for everybody since {} ({}).", open.circuit, open.opened_at, open.code);
        report.problem("renewals", message, "See Settings, Integrations.");
    }
    Ok(())
}

fn renewals(figures: &Figures, as_of: AsOf, report: &mut Report) {
    const CHECK: &str = "renewals";
    let renewals = &figures.renewals;
    let late = renewals.longest_due.filter(|since| as_of.now - *since > LATE);
    match late {
        Some(since) => {
            let minutes = (as_of.now - since).whole_minutes();
            let message = format!("{} are due, the longest for {minutes} minutes.", renewals.due);
            report.problem(
                CHECK,
                message,
                "Does a server run, and does it reach the provider? Its log says more.",
            );
        }
        None => report.ok(CHECK, format!("{} are due now, and none is late.", renewals.due)),
    }
    if renewals.in_doubt > 0 {
        let message = format!("{} were sent, or are under way, without a known outcome.", renewals.in_doubt);
        report.warning(CHECK, message, "The server finds out; look again in a minute.");
    }
    if figures.connections.unreadable > 0 {
        let message =
            format!("{} connections cannot be read by this version.", figures.connections.unreadable);
        report.problem(
            "connections",
            message,
            "Use the version that the servers run; the log names the rows.",
        );
    }
}

fn spool(config: &Config, report: &mut Report) {
    const CHECK: &str = "spool";
    match Spool::new(config.data_dir.join("spool")).count() {
        Ok(0) => report.ok(CHECK, "nothing waits for the database."),
        Ok(waiting) => {
            let action = "Keep this directory: a server that runs on it keeps them as soon as the database takes them.";
            report.warning(CHECK, format!("{waiting} answers of a provider wait for the database."), action);
        }
        Err(error) => report.problem(CHECK, format!("cannot be read: {error}."), "Look at MOORING_DATA_DIR."),
    }
}

fn owed(figures: &Figures, report: &mut Report) {
    if figures.revocations_owed > 0 {
        let message =
            format!("{} tokens have still to be revoked at their provider.", figures.revocations_owed);
        report.warning("revocations", message, "The server tries again by itself.");
    }
    for (channel, notices) in [("webhook", &figures.webhooks), ("mail", &figures.mail)] {
        if notices.dead > 0 {
            let message = format!("{} by {channel} were given up.", notices.dead);
            report.warning("notices", message, "See Settings, where they can be sent again.");
        }
    }
}
