//! The command line: one binary, and every command's exit code means the same.
//!
//! 0 done, 1 failed, 2 bad configuration or usage.

mod api_key;
mod serve;
mod token;
mod user;

use crate::{
    app::{self, KEEP_A_COPY},
    config::{Config, Problems},
    store::{Store, StoreError},
    vault::generate_key,
    web,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A self-hosted OAuth 2.0 connection broker.
#[derive(Parser)]
#[command(name = "mooring", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Migrates the database, serves HTTP and runs the background work (the default)
    Serve,
    /// Makes, lists and revokes API keys
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyCommand),
    /// Adds people who sign in to the pages
    #[command(subcommand)]
    User(user::UserCommand),
    /// Encryption keys
    #[command(subcommand)]
    EncryptionKey(EncryptionKeyCommand),
    /// Reads the whole configuration and prints every problem
    CheckConfig,
    /// Prints the `OpenAPI` 3.1 document
    Openapi,
    /// Prints a valid access token from a Mooring server (`MOORING_URL`, `MOORING_API_KEY`)
    Token {
        /// A connection's id or name; `MOORING_CONNECTION` if not given
        connection: Option<String>,
    },
}

#[derive(Subcommand)]
enum EncryptionKeyCommand {
    /// Prints a new encryption key
    Generate,
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Serve);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        say("the runtime could not be started");
        return ExitCode::from(1);
    };
    match runtime.block_on(dispatch(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(problems)) => {
            say(&problems.to_string());
            ExitCode::from(2)
        }
        Err(Failure::Usage(message)) => {
            say(&message);
            ExitCode::from(2)
        }
        Err(Failure::Other(error)) => {
            say(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve => serve::serve(&tried_configuration()?).await,
        Command::ApiKey(command) => api_key::run(command, &Config::from_env()?).await,
        Command::User(command) => user::run(command, &Config::from_env()?).await,
        Command::EncryptionKey(EncryptionKeyCommand::Generate) => {
            print(&generate_key());
            Ok(())
        }
        Command::CheckConfig => {
            tried_configuration()?;
            print("The configuration is good.");
            Ok(())
        }
        Command::Openapi => {
            print(&web::document().to_pretty_json().map_err(anyhow::Error::from)?);
            Ok(())
        }
        Command::Token { connection } => token::print_token(connection).await,
    }
}

/// Why a command did not do its work.
enum Failure {
    Configuration(Problems),
    Usage(String),
    Other(anyhow::Error),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

/// The configuration with everything that it names tried, or every problem of both.
fn tried_configuration() -> Result<Config, Failure> {
    let (config, problems) = Config::draft_from_env();
    let lines = problems.iter().map(ToString::to_string);
    let lines: Vec<_> = lines.chain(app::check(&config)).collect();
    if lines.is_empty() { Ok(config) } else { Err(Failure::Usage(lines.join("\n"))) }
}

/// Opens the database. A key that is generated for it is told here, where nobody reads a log.
async fn open(config: &Config) -> Result<Store, Failure> {
    if let Some(file) = app::generate_missing_key(config)? {
        say(&format!("{}: {KEEP_A_COPY}.", file.display()));
    }
    Ok(app::open_store(config).await?)
}

#[expect(clippy::print_stdout, reason = "this is what the command was asked for")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is for the person at the command line")]
fn say(text: &str) {
    eprintln!("{text}");
}
