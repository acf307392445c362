//! `mooring token`: a valid access token from a Mooring server, on standard output.

use super::{
    Failure,
    client::{Ask, Client, usual_connection},
    print, say,
};
use crate::config::ClientConfig;
use clap::Args;

/// What is asked of the server.
#[derive(Args)]
pub(super) struct TokenArguments {
    /// A connection's id or name; `MOORING_CONNECTION` if not given
    connection: Option<String>,
    /// For how long the token must be good, in seconds or as in `10m`; the server's minute if not given
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_ttl: Option<u64>,
    /// The generation that was refused: gives a newer one, and checks and renews if there is none
    #[arg(long, value_name = "GENERATION")]
    newer_than: Option<i64>,
    /// Prints the server's whole answer: the token with its end, generation, scopes and addresses
    #[arg(long)]
    json: bool,
}

pub(super) async fn print_token(asked: TokenArguments) -> Result<(), Failure> {
    let config = ClientConfig::from_env()?;
    let connection = match asked.connection {
        Some(connection) => connection,
        None => usual_connection(&config)?,
    };
    let ask = Ask { min_ttl: asked.min_ttl, newer_than: asked.newer_than };
    let handed_out = Client::new(&config)?.hand_out(&connection, ask).await?;
    for warning in &handed_out.read.warnings {
        say(&format!("warning: {}", warning.message));
    }
    print(if asked.json { &handed_out.whole } else { &handed_out.read.access_token });
    Ok(())
}

fn seconds(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .or_else(|| Some(humantime::parse_duration(text).ok()?.as_secs()))
        .ok_or_else(|| "give a number of seconds, or a time such as 10m".to_owned())
}
