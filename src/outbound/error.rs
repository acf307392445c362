//! A call without a usable answer: which step failed, and whether anything can have been sent.
//!
//! The rule it guards: `Sent::No` is said only when it is certain. A renewal that was certainly not sent can
//! be tried again; one that may have been sent must not be. No error holds a URL, because a URL can hold a
//! secret.

use http::StatusCode;

use super::answer::Arrived;
use super::guard::Refused;

/// Whether the provider can have seen the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    No,
    Maybe,
}

/// A call without a usable answer. The sentences are fit for users; [`OutboundError::detail`] is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    #[error(transparent)]
    Forbidden(#[from] Refused),
    #[error("The host name could not be resolved: {reason}.")]
    Dns { reason: DnsReason, detail: String },
    #[error("No connection could be made: {reason}.")]
    Connect { reason: ConnectReason, detail: String },
    #[error("The TLS handshake failed: {reason}.")]
    Tls { reason: TlsReason, detail: String },
    #[error("The request could not be built.")]
    Unsendable { detail: String },
    #[error("The host did not answer in time.")]
    Timeout,
    #[error("The connection broke before an answer came.")]
    Http { detail: String },
    #[error("The host answered {status}, but the answer broke off.")]
    Interrupted { status: StatusCode, detail: String, arrived: Arrived },
    #[error("The host answered {status} with more than {limit} bytes.")]
    TooLarge { status: StatusCode, limit: usize, arrived: Arrived },
    #[error("The answer came from an address that is not allowed.")]
    WrongPeer,
}

/// What kept a name from being resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DnsReason {
    #[error("no such name, or the name server refused")]
    NotFound,
    #[error("the name server did not answer in time")]
    TimedOut,
}

/// What kept a connection from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectReason {
    #[error("the host refuses connections on this port")]
    Refused,
    #[error("the host or its network cannot be reached")]
    Unreachable,
    #[error("the host did not respond in time")]
    TimedOut,
    #[error("the connection failed")]
    Other,
}

/// What was wrong with the TLS handshake, as far as the TLS library says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsReason {
    #[error("the certificate comes from an unknown issuer; its CA can be added with a CA file")]
    UnknownIssuer,
    #[error(
        "the host presents a CA certificate as its own; it needs a server certificate that this CA issued"
    )]
    CaCertificate,
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate is not valid yet")]
    NotYetValid,
    #[error("the certificate is for another host name")]
    WrongHostName,
    #[error("the certificate is not valid")]
    BadCertificate,
    #[error("the host has no TLS version or cipher in common with us")]
    Incompatible,
    #[error("the host does not speak TLS on this port")]
    NotTls,
    #[error("the host closed the connection")]
    Closed,
    #[error("the handshake was not completed")]
    Other,
}

impl OutboundError {
    /// Whether anything of the request can have reached the provider. `No` is certain.
    pub fn was_sent(&self) -> Sent {
        match self {
            Self::Forbidden(_)
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Unsendable { .. } => Sent::No,
            _ => Sent::Maybe,
        }
    }

    /// What had arrived of the answer, and its status, if it broke off or was too large.
    pub fn arrived(&self) -> Option<(StatusCode, &[u8])> {
        match self {
            Self::Interrupted { status, arrived, .. } | Self::TooLarge { status, arrived, .. } => {
                Some((*status, arrived.bytes()))
            }
            _ => None,
        }
    }

    /// Whether the host was reached and took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// The step that failed: `address`, `dns`, `connect`, `tls` or `http`.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Forbidden(_) | Self::WrongPeer => "address",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            _ => "http",
        }
    }

    /// The libraries' own words, for the log. It names hosts of certificates, but no URL and no part of the
    /// request.
    pub fn detail(&self) -> &str {
        match self {
            Self::Dns { detail, .. }
            | Self::Connect { detail, .. }
            | Self::Tls { detail, .. }
            | Self::Unsendable { detail }
            | Self::Http { detail }
            | Self::Interrupted { detail, .. } => detail,
            _ => "",
        }
    }
}
