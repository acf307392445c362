//! `mooring user`: people who sign in to the pages. The password comes from standard input, or is asked for.

use super::{Failure, open, print, print_json, say};
use crate::{
    config::Config,
    domain::{Actor, Clock, Role},
    operator::{bad_email, bad_password, new_operator},
    store::{Changed, Operator, Store},
    vault::hash_password,
};
use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use std::io::{self, BufRead, IsTerminal};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Adds a person
    #[command(alias = "create")]
    Add {
        email: String,
        /// `administrator`, or `viewer`: sees everything and changes nothing
        #[arg(long, default_value = "administrator")]
        role: Role,
        /// Prints who was added as JSON
        #[arg(long)]
        json: bool,
    },
    /// Gives a person a new password and ends their sessions
    ResetPassword {
        email: String,
        /// Prints who it was as JSON, without the password
        #[arg(long)]
        json: bool,
    },
    /// Lists the people, their roles and when they last signed in
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes a person an `administrator` or a `viewer`
    SetRole {
        email: String,
        role: Role,
        /// Prints who was changed as JSON
        #[arg(long)]
        json: bool,
    },
    /// Removes a person and ends their sessions
    Remove {
        email: String,
        /// Prints who was removed as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: UserCommand, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let now = Clock::default().now();
    match command {
        UserCommand::Add { email, role, json } => {
            let email = address(&email)?;
            let operator = new_operator(email, password()?, role).await;
            if !store.add_operator(&operator, now, &Actor::CommandLine).await? {
                let message =
                    format!("{} is there already. See `mooring user reset-password`.", operator.email);
                return Err(Failure::Usage(message));
            }
            done(&operator, json, "Added.")?;
        }
        UserCommand::ResetPassword { email, json } => {
            let operator = find(&store, &email).await?;
            let password_hash = hash_password(password()?).await;
            if !store.reset_password(&operator.email, &password_hash, now, &Actor::CommandLine).await? {
                return Err(nobody(&operator.email));
            }
            done(&operator, json, "The password is changed, and all sessions of this person are ended.")?;
        }
        UserCommand::List { json } => list(&store, json).await?,
        UserCommand::SetRole { email, role, json } => {
            let operator = find(&store, &email).await?;
            changed(store.change_role(operator.id, role, now, &Actor::CommandLine).await?)?;
            done(&Operator { role, ..operator }, json, "Changed.")?;
        }
        UserCommand::Remove { email, json } => {
            let operator = find(&store, &email).await?;
            changed(store.remove_operator(operator.id, now, &Actor::CommandLine).await?)?;
            done(&operator, json, "Removed. All sessions of this person are ended.")?;
        }
    }
    store.close().await;
    Ok(())
}

/// Says what was done, or of whom.
fn done(operator: &Operator, json: bool, sentence: &str) -> Result<(), Failure> {
    if json {
        let Operator { id, email, role, .. } = operator;
        return print_json(&json!({ "id": id.to_string(), "email": email, "role": role }));
    }
    say(sentence);
    Ok(())
}

async fn list(store: &Store, json: bool) -> Result<(), Failure> {
    let people = store.list_operators().await?;
    let instant = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    if json {
        let lines = people.iter().map(|person| {
            let (id, last) = (person.id.to_string(), instant(person.last_signed_in_at));
            json!({ "id": id, "email": person.email, "role": person.role, "last_signed_in_at": last })
        });
        return print_json(&lines.collect::<Vec<_>>());
    }
    for person in people {
        let last = instant(person.last_signed_in_at);
        print(&format!("{}\t{}\t{}", person.email, person.role, last.unwrap_or_else(|| "never".into())));
    }
    Ok(())
}

async fn find(store: &Store, email: &str) -> Result<Operator, Failure> {
    let email = address(email)?;
    store.operator_by_email(&email).await?.ok_or_else(|| nobody(&email))
}

fn nobody(email: &str) -> Failure {
    Failure::Usage(format!("Nobody has the address {email}. See `mooring user add`."))
}

fn changed(outcome: Changed) -> Result<(), Failure> {
    match outcome {
        Changed::Yes => Ok(()),
        Changed::Nothing => Err(Failure::Usage("There is nothing to change.".into())),
        Changed::LastAdministrator => Err(Failure::Usage(
            "This is the last administrator. Make somebody else one first, with `mooring user set-role`."
                .into(),
        )),
    }
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
