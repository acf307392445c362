//! `mooring recipient`, `export`, `take-back` and `import`: connections from one installation to another, beside running servers.

use super::{Failure, open, print, print_json, say};
use crate::{
    app,
    config::Config,
    connect::{Connect, ImportError},
    domain::{Actor, Clock, Connection},
    handout::{HandoutError, find_id},
    store::Store,
    transfer::{Export, LeftOut, SealedExport},
    vault::Recipient,
};
use anyhow::Context;
use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::json;
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Args)]
pub(super) struct ExportArguments {
    /// What `mooring recipient` prints at the installation that is to import
    #[arg(long = "to", value_name = "RECIPIENT")]
    recipient: Recipient,
    /// Only connections of this tenant
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    tenant: Option<String>,
    /// Ids or names; all connections if none is given
    #[arg(value_name = "CONNECTION")]
    connections: Vec<String>,
}

#[derive(Args)]
pub(super) struct TakeBackArguments {
    /// Only connections of this tenant
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    tenant: Option<String>,
    /// All that are exported
    #[arg(long, conflicts_with = "connections")]
    all: bool,
    /// Ids or names
    #[arg(value_name = "CONNECTION", required_unless_present = "all")]
    connections: Vec<String>,
}

#[derive(Args)]
pub(super) struct ImportArguments {
    /// What `mooring export` printed; `-` reads standard input
    file: PathBuf,
    /// Only says what would be imported
    #[arg(long)]
    dry_run: bool,
    /// Prints what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// Prints whom another installation exports to, so that this one can import.
pub(super) fn print_recipient(config: &Config) -> Result<(), Failure> {
    let recipient = app::recipient(config).context(
        "The recipient comes out of the encryption key. Give MOORING_ENCRYPTION_KEY, or start the server once",
    )?;
    print(&recipient.to_string());
    Ok(())
}

/// Prints the sealed export on standard output, and says the rest on standard error.
pub(super) async fn export(asked: ExportArguments, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let transfer = app::transfer(config, &store, &Clock::default())?;
    let chosen = if asked.connections.is_empty() {
        transfer.all(asked.tenant.as_deref()).await?
    } else {
        named(&store, asked.tenant.as_deref(), &asked.connections).await?
    };
    let made = transfer.export(chosen, asked.recipient, &Actor::CommandLine).await?;
    store.close().await;
    let written = serde_json::to_writer_pretty(io::stdout(), &made.sealed).map_err(io::Error::from);
    written.and_then(|()| io::stdout().write_all(b"\n")).context(
        "The export could not be written. What it holds is not renewed here any more: export it again, or take it back",
    )?;
    tell(&made)
}

fn tell(made: &Export) -> Result<(), Failure> {
    say(&format!("Exported: {}. They are not renewed here any more.", count(made.exported.len())));
    if made.left_out.is_empty() {
        return Ok(());
    }
    for LeftOut { connection, why } in &made.left_out {
        say(&format!("Left out: {} ({}). {why}", connection.name, connection.id));
    }
    Err(Failure::Told(1))
}

async fn named(
    store: &Store,
    tenant: Option<&str>,
    references: &[String],
) -> Result<Vec<Connection>, Failure> {
    let mut found = Vec::with_capacity(references.len());
    for reference in references {
        let refuse = |what: &str| Failure::Usage(format!("{reference}: {what}"));
        let id = find_id(store, reference, tenant).await.map_err(|error| match error {
            HandoutError::AmbiguousName => {
                refuse("Several tenants have a connection of that name. Add --tenant.")
            }
            HandoutError::Store(error) => anyhow::Error::from(error).into(),
            error => refuse(&error.to_string()),
        })?;
        let there = store.connection(id).await?;
        let visible = there.filter(|c| tenant.is_none_or(|t| c.tenant.as_deref().unwrap_or_default() == t));
        found.push(visible.ok_or_else(|| refuse(&HandoutError::NotFound.to_string()))?);
    }
    Ok(found)
}

/// Renews exported connections here again, as far as the other installation did not renew them.
pub(super) async fn take_back(asked: TakeBackArguments, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let clock = Clock::default();
    let connect = app::connect(config, &store, &clock, TaskTracker::new())?;
    let renewals = app::renewals(config, &connect, CancellationToken::new());
    let mut chosen = if asked.all {
        app::transfer(config, &store, &clock)?.all(asked.tenant.as_deref()).await?
    } else {
        named(&store, asked.tenant.as_deref(), &asked.connections).await?
    };
    chosen.retain(|connection| !asked.all || connection.credential.exported_at.is_some());
    let mut failed = 0;
    for connection in &chosen {
        if let Err(error) = renewals.take_back(connection.id, &Actor::CommandLine).await {
            failed += 1;
            say(&format!("{} ({}): {error}", connection.name, connection.id));
        }
    }
    store.close().await;
    print(&format!("Taken back: {}.", count(chosen.len() - failed)));
    if failed == 0 { Ok(()) } else { Err(Failure::Told(1)) }
}

pub(super) async fn import(asked: ImportArguments, config: &Config) -> Result<(), Failure> {
    let export = read(&asked.file)?;
    let store = open(config).await?;
    let connect: Connect = app::connect(config, &store, &Clock::default(), TaskTracker::new())?;
    let made = connect.import(&export, asked.dry_run, &Actor::CommandLine).await;
    store.close().await;
    let made = made.map_err(refused)?;
    if asked.json {
        return print_json(&json!({
            "dry_run": asked.dry_run,
            "imported": made.imported.iter().map(line).collect::<Vec<_>>(),
            "present": made.present.iter().map(line).collect::<Vec<_>>(),
        }));
    }
    let done = if asked.dry_run { "Would be imported" } else { "Imported" };
    print(&format!("{done}: {}.", count(made.imported.len())));
    if !made.present.is_empty() {
        print(&format!("Here already, and left as they are: {}.", count(made.present.len())));
    }
    Ok(())
}

fn read(file: &Path) -> Result<SealedExport, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).map_err(|_| {
        Failure::Usage(format!(
            "{}: This is not what `mooring export` printed, or not all of it.",
            file.display()
        ))
    })
}

fn refused(error: ImportError) -> Failure {
    match error {
        ImportError::Refused(refused) => {
            say(&format!("{}", ImportError::Refused(refused.clone())));
            for one in refused {
                let of = one.tenant.map(|tenant| format!(" of {tenant}")).unwrap_or_default();
                say(&format!("{}{of} ({}): {} [{}]", one.name, one.id, one.message, one.code));
            }
            Failure::Told(1)
        }
        error => Failure::Other(error.into()),
    }
}

fn line(connection: &Connection) -> serde_json::Value {
    json!({"id": connection.id, "name": connection.name, "tenant": connection.tenant})
}

fn count(connections: usize) -> String {
    if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") }
}
