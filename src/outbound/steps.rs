//! Reads the HTTP client's error and finds the step that failed.
//!
//! The rule it guards: the client's errors are told apart here alone, by what is in their chain of causes,
//! and what fits no earlier step counts as `http`, where something may have been sent.

use std::error::Error;
use std::io;

use http::StatusCode;

use super::answer::Arrived;
use super::error::{ConnectReason, DnsReason, OutboundError, TlsReason};
use super::guard::Refused;

/// What the resolver reports through the HTTP client, beside [`Refused`].
#[derive(Debug, thiserror::Error)]
pub(super) enum DnsFault {
    #[error("lookup failed: {0}")]
    Failed(#[from] io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("the name server did not answer in time")]
    Silent,
}

impl OutboundError {
    /// Reads an error that came instead of the head of an answer.
    pub(super) fn before_headers(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refused) = find::<Refused>(&error) {
            return Self::Forbidden(*refused);
        }
        let detail = detail(&error);
        if error.is_builder() {
            return Self::Unsendable { detail };
        }
        if error.is_dns() {
            return Self::Dns { reason: DnsReason::of(&error), detail };
        }
        // Only the making of a connection counts as this, never its use.
        if error.is_connect() {
            return Self::while_connecting(&error, detail);
        }
        if error.is_timeout() { Self::Timeout } else { Self::Http { detail } }
    }

    /// Reads an error that came after the head of an answer.
    pub(super) fn after_headers(status: StatusCode, error: reqwest::Error, arrived: Arrived) -> Self {
        Self::Interrupted { status, detail: detail(&error.without_url()), arrived }
    }

    /// The answer began and did not end in time.
    pub(super) fn too_slow(status: StatusCode, arrived: Arrived) -> Self {
        Self::Interrupted { status, detail: "the answer did not end in time".to_owned(), arrived }
    }

    fn while_connecting(error: &reqwest::Error, detail: String) -> Self {
        // The connector names its own faults "tcp …"; a bare I/O error is the TLS layer above it.
        let io = find::<io::Error>(error);
        let tcp = chain(error).any(|cause| cause.to_string().starts_with("tcp "));
        match io {
            Some(io) if !tcp => Self::Tls { reason: TlsReason::of(io), detail },
            _ if error.is_timeout() => Self::Connect { reason: ConnectReason::TimedOut, detail },
            Some(io) => Self::Connect { reason: ConnectReason::of(io), detail },
            None => Self::Connect { reason: ConnectReason::Other, detail },
        }
    }
}

impl DnsReason {
    fn of(error: &reqwest::Error) -> Self {
        match find::<DnsFault>(error) {
            Some(DnsFault::Silent) => Self::TimedOut,
            _ => Self::NotFound,
        }
    }
}

impl ConnectReason {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::Unreachable,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Other,
        }
    }
}

impl TlsReason {
    /// The TLS library is not a dependency of ours, so its variants are known by their names; a test holds
    /// each.
    pub(crate) fn of(error: &io::Error) -> Self {
        const NAMES: &[(&str, TlsReason)] = &[
            ("InvalidCertificate(UnknownIssuer", TlsReason::UnknownIssuer),
            // A CA of the same name with another key: private CAs are made anew now and then.
            ("InvalidCertificate(BadSignature", TlsReason::UnknownIssuer),
            ("CaUsedAsEndEntity", TlsReason::CaCertificate),
            ("InvalidCertificate(Expired", TlsReason::Expired),
            ("InvalidCertificate(NotValidYet", TlsReason::NotYetValid),
            ("InvalidCertificate(NotValidForName", TlsReason::WrongHostName),
            ("InvalidCertificate(", TlsReason::BadCertificate),
            ("InvalidMessage(", TlsReason::NotTls),
            ("PeerIncompatible(", TlsReason::Incompatible),
            ("AlertReceived(ProtocolVersion", TlsReason::Incompatible),
            ("AlertReceived(HandshakeFailure", TlsReason::Incompatible),
            ("UnexpectedEof", TlsReason::Closed),
            ("ConnectionReset", TlsReason::Closed),
            ("BrokenPipe", TlsReason::Closed),
        ];
        let debug = format!("{error:?}");
        NAMES.iter().find(|(name, _)| debug.contains(name)).map_or(Self::Other, |(_, reason)| *reason)
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The whole chain of causes in one line.
pub(super) fn detail(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
