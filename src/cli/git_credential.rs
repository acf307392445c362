//! `mooring git-credential`: a credential helper (git documentation, "gitcredentials"). Git says where it goes, and
//! gets the user name and password for there, or nothing, and then asks the next helper.
//!
//! The rule it guards: a token goes to the scheme, host, port and path that its connection was made for. What git
//! says is compared with what the server says of the connection, not with what a setting claims.

mod choice;
mod request;

use self::{
    choice::Choice,
    request::{GitRequest, Malformed},
};
use super::{
    Failure,
    client::{Ask, Client, HandOut},
    print, say,
};
use crate::config::ClientConfig;
use std::{
    fmt::Write as _,
    io::{self, Read as _},
};
use zeroize::Zeroizing;

/// Git sends some lines. More than this is not git.
const MOST_INPUT: u64 = 1024 * 1024;

/// Answers git's request on standard input. Operations of later versions of git are ignored, as git asks for.
pub(super) async fn run(operation: &str) -> Result<(), Failure> {
    match operation {
        "get" => get(&GitRequest::read(&input()?)?).await,
        "erase" => erase(&GitRequest::read(&input()?)?).await,
        _ => input().map(drop),
    }
}

fn input() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    io::stdin().lock().take(MOST_INPUT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn get(request: &GitRequest) -> Result<(), Failure> {
    let Some(asked) = Asked::of(request)? else { return Ok(()) };
    let handed_out = asked.client.hand_out(&asked.connection, Ask::default()).await?.read;
    let is_for_there = request.is_below(&handed_out.base_url).and_then(|()| request.takes(&handed_out));
    if let Err(why) = is_for_there {
        said(&format!("The connection {:?} is of {}: {why}", asked.connection, handed_out.base_url));
        return Ok(());
    }
    for warning in &handed_out.warnings {
        said(&warning.message);
    }
    print(answer(&handed_out)?.trim_end());
    Ok(())
}

/// Git was refused with this password. If it is the token that is handed out now, the server checks and renews it.
async fn erase(request: &GitRequest) -> Result<(), Failure> {
    let Some(refused) = &request.password else { return Ok(()) };
    let Some(asked) = Asked::of(request)? else { return Ok(()) };
    let ask = Ask { min_ttl: Some(0), newer_than: None };
    let now = asked.client.hand_out(&asked.connection, ask).await?.read;
    if request.is_below(&now.base_url).is_err() || now.access_token != **refused {
        return Ok(());
    }
    let newer = Ask { newer_than: Some(now.generation), ..ask };
    asked.client.hand_out(&asked.connection, newer).await.map(drop)
}

/// The server, and the connection that is for where git goes.
struct Asked {
    client: Client,
    connection: String,
}

impl Asked {
    /// `None`: this is not ours to answer.
    fn of(request: &GitRequest) -> Result<Option<Self>, Failure> {
        if !request.is_http() {
            return Ok(None);
        }
        let config = ClientConfig::from_env()?;
        let Some(setting) = &config.connection else {
            let wants =
                "MOORING_CONNECTION: wants the id or name of a connection, or several as HOST/PATH=NAME";
            return Err(Failure::Usage(wants.into()));
        };
        let choice =
            Choice::parse(setting).map_err(|why| Failure::Usage(format!("MOORING_CONNECTION: {why}")))?;
        match choice.connection(request) {
            Ok(connection) => {
                let connection = connection.to_owned();
                Ok(Some(Self { client: Client::new(&config)?, connection }))
            }
            Err(why) => {
                said(why);
                Ok(None)
            }
        }
    }
}

fn answer(handed_out: &HandOut) -> Result<Zeroizing<String>, Malformed> {
    let (user, token) = (&handed_out.git_username, &handed_out.access_token);
    if [user, token].iter().any(|value| value.is_empty() || value.chars().any(char::is_control)) {
        return Err(Malformed("The server's answer cannot be given to git."));
    }
    let mut lines = Zeroizing::new(format!("username={user}\npassword={token}\n"));
    if let Some(end) = handed_out.expires_at {
        writeln!(lines, "password_expiry_utc={}", end.unix_timestamp()).expect("a text takes text");
    }
    Ok(lines)
}

/// Git shows this to the person.
fn said(text: &str) {
    say(&format!("mooring: {text}"));
}
