//! The command line: one binary, and every command's exit code means the same.
//!
//! 0 done, 1 failed, 2 bad configuration or usage.

mod api_key;
mod client;
mod doctor;
mod git_credential;
mod manual;
mod reseal;
mod serve;
mod token;
mod transfer;
mod user;

use crate::{
    app::{self, KEEP_A_COPY},
    config::{Config, Problems},
    store::{Store, StoreError},
    vault::{Keyring, generate_key},
    web,
};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode};

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
    CheckConfig {
        /// Prints the problems as JSON
        #[arg(long)]
        json: bool,
    },
    /// Looks at everything that Mooring needs, beside a running server, and says what to do
    Doctor(doctor::DoctorArguments),
    /// Seals everything that is stored under the active encryption key, while servers run
    Reseal(reseal::ResealArguments),
    /// Prints this installation's recipient: whom another one exports to
    Recipient,
    /// Seals connections with their tokens for another installation, which renews them from then on
    Export(transfer::ExportArguments),
    /// Renews exported connections here again, where no other installation did
    TakeBack(transfer::TakeBackArguments),
    /// Takes in what another installation exported to this one, all of it or nothing
    Import(transfer::ImportArguments),
    /// Prints the `OpenAPI` 3.1 document
    Openapi,
    /// Prints a valid access token from a Mooring server (`MOORING_URL`, `MOORING_API_KEY`)
    Token(token::TokenArguments),
    /// A credential helper for git, which asks a Mooring server
    #[command(long_about = GIT_CREDENTIAL)]
    GitCredential {
        /// `get`, `store` or `erase`; git says it
        operation: String,
    },
    /// Prints what a shell completes, such as `mooring completions bash`
    Completions { shell: Shell },
    /// Prints the manual page, or writes a page for each command into a folder
    Man { folder: Option<PathBuf> },
}

const GIT_CREDENTIAL: &str = "A credential helper for git, which asks a Mooring server.

    export MOORING_URL=https://mooring.example.com MOORING_API_KEY=moor_...
    export MOORING_CONNECTION=acme-review
    git config --global credential.https://gitlab.com.helper ''
    git config --global --add credential.https://gitlab.com.helper '!mooring git-credential'

The empty line takes away other helpers, which would keep the token on the disk. The key needs the scope tokens:read.

MOORING_CONNECTION names one connection, or several with the place that each is for:

    MOORING_CONNECTION=gitlab.example.com/acme=acme-review,gitlab.com=other

The longest place that fits wins; a name without a place is for the rest. Paths are told by git only with
credential.useHttpPath. Wherever git goes, it gets a token only if the connection was made for that scheme, host,
port and path; else it gets nothing and asks its next helper. A token that is refused is checked and renewed.";

#[derive(Subcommand)]
enum EncryptionKeyCommand {
    /// Prints a new encryption key
    Generate {
        /// Prints the key with its id as JSON
        #[arg(long)]
        json: bool,
    },
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
        Err(Failure::Told(code)) => ExitCode::from(code),
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
        Command::EncryptionKey(EncryptionKeyCommand::Generate { json }) => generate(json),
        Command::CheckConfig { json } => check_config(json),
        Command::Openapi => {
            print(&format!("{:#}", web::document()));
            Ok(())
        }
        Command::Doctor(asked) => doctor::run(&asked).await,
        Command::Reseal(asked) => reseal::run(&asked, &Config::from_env()?).await,
        Command::Recipient => transfer::print_recipient(&Config::from_env()?),
        Command::Export(asked) => transfer::export(asked, &Config::from_env()?).await,
        Command::TakeBack(asked) => transfer::take_back(asked, &Config::from_env()?).await,
        Command::Import(asked) => transfer::import(asked, &Config::from_env()?).await,
        Command::Token(asked) => token::print_token(asked).await,
        Command::GitCredential { operation } => git_credential::run(&operation).await,
        Command::Completions { shell } => manual::print_completions(shell),
        Command::Man { folder } => manual::print_manual(folder.as_deref()),
    }
}

/// Why a command did not do its work.
enum Failure {
    Configuration(Problems),
    Usage(String),
    Other(anyhow::Error),
    /// Everything was said already; this is the exit code.
    Told(u8),
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

/// A new encryption key, which is kept nowhere.
fn generate(json: bool) -> Result<(), Failure> {
    let key = generate_key();
    if !json {
        print(&key);
        return Ok(());
    }
    let (id, _) = Keyring::new(&key, []).map_err(anyhow::Error::from)?.ids();
    print_json(&serde_json::json!({ "id": id.to_string(), "key": *key }))
}

/// The configuration with everything that it names tried, and every problem of both.
fn try_configuration() -> (Config, Vec<String>) {
    let (config, problems) = Config::draft_from_env();
    let lines = problems.iter().map(ToString::to_string);
    let lines = lines.chain(app::check(&config)).collect();
    (config, lines)
}

/// The same, where a problem is the end.
fn tried_configuration() -> Result<Config, Failure> {
    let (config, lines) = try_configuration();
    if lines.is_empty() { Ok(config) } else { Err(Failure::Usage(lines.join("\n"))) }
}

fn check_config(json: bool) -> Result<(), Failure> {
    if !json {
        tried_configuration()?;
        print("The configuration is good.");
        return Ok(());
    }
    let problems = try_configuration().1;
    print_json(&serde_json::json!({ "ok": problems.is_empty(), "problems": problems }))?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::Told(2)) }
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

/// One JSON document, for programs.
fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "this is for the person at the command line")]
fn say(text: &str) {
    eprintln!("{text}");
}
