//! `mooring user`: people who sign in to the pages. The password comes from standard input, or is asked for.

use super::{Failure, open, say};
use crate::{
    config::Config,
    domain::{Actor, Clock},
    operator::{bad_email, bad_password, new_operator},
    vault::hash_password,
};
use anyhow::Context;
use clap::Subcommand;
use std::io::{self, BufRead, IsTerminal};

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Adds a person
    Add { email: String },
    /// Gives a person a new password and ends all sessions
    ResetPassword { email: String },
}

pub(super) async fn run(command: UserCommand, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let now = Clock::default().now();
    match command {
        UserCommand::Add { email } => {
            let email = address(&email)?;
            let operator = new_operator(email, password()?).await;
            if !store.add_operator(&operator, now, &Actor::CommandLine).await? {
                let message =
                    format!("{} is there already. See `mooring user reset-password`.", operator.email);
                return Err(Failure::Usage(message));
            }
            say("Added.");
        }
        UserCommand::ResetPassword { email } => {
            let email = address(&email)?;
            let password_hash = hash_password(password()?).await;
            if !store.reset_password(&email, &password_hash, now, &Actor::CommandLine).await? {
                return Err(Failure::Usage(format!(
                    "Nobody has the address {email}. See `mooring user add`."
                )));
            }
            say("The password is changed, and all sessions are ended.");
        }
    }
    store.close().await;
    Ok(())
}

fn address(text: &str) -> Result<String, Failure> {
    let email = text.trim().to_lowercase();
    match bad_email(&email) {
        None => Ok(email),
        Some(wrong) => Err(Failure::Usage(format!("{text:?} is not an e-mail address. {wrong}"))),
    }
}

fn password() -> Result<String, Failure> {
    let password = if io::stdin().is_terminal() {
        rpassword::prompt_password("Password: ").context("the password could not be read")?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    match bad_password(&password) {
        None => Ok(password),
        Some(wrong) => Err(Failure::Usage(wrong.to_owned())),
    }
}
