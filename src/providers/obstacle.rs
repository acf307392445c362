//! Why no GitLab was found at a base URL: the first step that failed, without any raw text of the other side.

use crate::{
    domain::BaseUrl,
    outbound::{Issuer, OutboundError, Refused, TlsReason},
};

/// The first step towards an instance that failed. `message` is a sentence for the person who typed the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The address may not be reached from here. `is_private`: an operator can allow it.
    Address {
        is_private: bool,
        message: String,
    },
    Dns {
        message: String,
    },
    Connect {
        message: String,
    },
    /// The certificate is not of a CA that is trusted here. `None`: it could not be read.
    UnknownIssuer(Option<Issuer>),
    Tls {
        message: String,
    },
    /// It sends requests on. `elsewhere` is the other host, `None` if it is the same one; `moved` is a base URL
    /// with which the same question would have been asked there.
    SentOn {
        elsewhere: Option<String>,
        moved: Option<BaseUrl>,
    },
    /// No answer, or half of one.
    Http {
        message: String,
    },
    /// It is not up to answering (5xx), or asks for a pause (429).
    Busy {
        status: u16,
    },
    /// Something else answers.
    NotGitLab {
        status: u16,
    },
}

impl Obstacle {
    /// The step, in the words of the API: `address`, `dns`, `connect`, `tls`, `http` or `not_gitlab`.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Address { .. } => "address",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::UnknownIssuer(_) | Self::Tls { .. } => "tls",
            Self::Http { .. } | Self::Busy { .. } => "http",
            Self::SentOn { .. } | Self::NotGitLab { .. } => "not_gitlab",
        }
    }

    /// Whether another path at the same host may be right.
    pub fn is_about_the_path(&self) -> bool {
        matches!(self, Self::NotGitLab { .. } | Self::SentOn { elsewhere: None, .. })
    }
}

impl From<OutboundError> for Obstacle {
    fn from(error: OutboundError) -> Self {
        let message = error.to_string();
        match error {
            OutboundError::Forbidden(Refused::Private) => Self::Address { is_private: true, message },
            OutboundError::Forbidden(_) | OutboundError::WrongPeer => {
                Self::Address { is_private: false, message }
            }
            OutboundError::Dns { .. } => Self::Dns { message },
            OutboundError::Connect { .. } => Self::Connect { message },
            OutboundError::Tls { reason: TlsReason::UnknownIssuer, .. } => Self::UnknownIssuer(None),
            OutboundError::Tls { .. } => Self::Tls { message },
            _ => Self::Http { message },
        }
    }
}
