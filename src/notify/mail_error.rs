//! Why a mail was not sent, in words for whoever set up the mail server.
//!
//! The rule it guards: no error holds a password or a server's own words, which could repeat one.

use crate::outbound::{ConnectReason, TlsReason};
use lettre::transport::smtp;
use std::{error::Error, io};

/// Why no mail was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    #[error("The mail server's URL cannot be used: {0}.")]
    Url(&'static str),
    #[error("No mail can be sent with the address {0}.")]
    Address(String),
    #[error("The certificates that mail servers are checked with cannot be used.")]
    Certificates,
    #[error("The mail could not be written: {0}.")]
    Letter(String),
    #[error("The mail server {host} could not be found.")]
    NotFound { host: String },
    #[error("No connection to the mail server {host} could be made: {reason}.")]
    Connect { host: String, reason: ConnectReason },
    #[error("The TLS handshake with the mail server {host} failed: {reason}. Nothing was sent.")]
    Tls { host: String, reason: TlsReason },
    #[error("The mail server {host} offers no TLS (STARTTLS) here. Nothing was sent.")]
    NoTls { host: String },
    #[error("The mail server {host} did not let us sign in: its user or password is wrong (SMTP {code}).")]
    SignIn { host: String, code: String },
    #[error("The mail server {host} offers no way to sign in with a user and a password.")]
    NoSignIn { host: String },
    #[error(
        "The mail server {host} refused the mail (SMTP {code}): look at the addresses of sender and receivers."
    )]
    Refused { host: String, code: String },
    #[error("The mail server {host} takes no mail just now (SMTP {code}).")]
    Busy { host: String, code: String },
    #[error("The mail server {host} did not answer in time.")]
    TimedOut { host: String },
    #[error("The conversation with the mail server {host} broke off.")]
    Broken { host: String },
}

impl MailError {
    /// Whether the same mail can never be sent. What a person can mend at the mail server or in the settings, such
    /// as a password, a full mailbox or an address, is not of this kind: the mail waits for it.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Letter(_) | Self::Address(_))
    }

    /// Reads the mail library's error. `signing_in`: a user and a password were to be sent.
    pub(super) fn of(error: &smtp::Error, host: &str, signing_in: bool) -> Self {
        let host = host.to_owned();
        if let Some(code) = error.status() {
            let code = code.to_string();
            return match code.as_str() {
                "530" | "534" | "535" | "538" => Self::SignIn { host, code },
                _ if error.is_permanent() => Self::Refused { host, code },
                _ => Self::Busy { host, code },
            };
        }
        if error.is_timeout() {
            return Self::TimedOut { host };
        }
        match io_error(error) {
            Some(io) => Self::of_io(io, host),
            None if error.is_client() && error.to_string().contains("STARTTLS") => Self::NoTls { host },
            None if error.is_client() && signing_in => Self::NoSignIn { host },
            None => Self::Broken { host },
        }
    }

    fn of_io(error: &io::Error, host: String) -> Self {
        match (ConnectReason::of(error), TlsReason::of(error)) {
            (ConnectReason::Other, TlsReason::Other) if error.to_string().contains("lookup") => {
                Self::NotFound { host }
            }
            (ConnectReason::Other, TlsReason::Other | TlsReason::Closed) => Self::Broken { host },
            (ConnectReason::Other, reason) => Self::Tls { host, reason },
            (reason, _) => Self::Connect { host, reason },
        }
    }
}

fn io_error(error: &smtp::Error) -> Option<&io::Error> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |cause: &&(dyn Error + 'static)| (*cause).source())
        .find_map(|cause| cause.downcast_ref())
}
