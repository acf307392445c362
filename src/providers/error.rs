//! How calls to a provider fail, in words of the domain. No raw text of a provider is in any of them.

use crate::domain::{Credential, Reason, TokenKind};
use std::time::Duration;

/// The kinds of failure of a renewal. What each leads to is the renewal engine's business.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenewError {
    /// The provider said no: `invalid_grant` (RFC 6749 section 5.2). To be confirmed, it may be wrong.
    #[error("The provider no longer accepts the refresh token.")]
    Rejected,
    /// No credential came of it: try again later.
    #[error("{message}")]
    Unavailable { trouble: Trouble, message: String, retry_after: Option<Duration> },
    /// Our registration at the integration is at fault, not this connection.
    #[error("{message}")]
    Misconfigured { message: String },
    /// The request was sent and its outcome is unknown: the old token may be spent. `partial` is what is known
    /// of the next credential, if its answer came in part: with an access token, but only the old refresh
    /// token; or with a new refresh token, and an access token that has ended. One more attempt is made with
    /// the refresh token that is in there.
    #[error("{message}")]
    Uncertain { message: String, partial: Option<Box<Credential>> },
    /// The provider clearly will not do this, and the old token lives on. A person must change something.
    #[error("{message}")]
    Refused { reason: Reason, message: String },
    #[error("Only a person can renew this credential.")]
    NeedsPerson,
}

/// Why a provider was no help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing was sent: no address, no connection, no TLS.
    NotSent,
    /// Something else than the token endpoint answered: a wall, a wrong path, a redirect.
    Instance,
    /// It asks for fewer requests, or for patience.
    RateLimited,
    /// It failed at it (5xx). It may have done what was asked before that.
    ServerError,
    /// The account must act at the provider first.
    Account,
}

impl Trouble {
    pub fn reason(self) -> Reason {
        match self {
            Self::NotSent => Reason::ProviderUnreachable,
            Self::Instance | Self::ServerError => Reason::ProviderError,
            Self::RateLimited => Reason::RateLimited,
            Self::Account => Reason::AccountBlocked,
        }
    }

    /// Whether the old token may be spent although no answer said so.
    pub fn leaves_doubt(self) -> bool {
        self == Self::ServerError
    }
}

/// How the exchange of an authorization code fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    #[error("This integration has no OAuth application. Connect with an access token, or configure one.")]
    NoApplication,
    /// `invalid_grant`: the code is spent, late, or was issued for something else.
    #[error("The provider did not accept the authorization code. Start again.")]
    Rejected,
    #[error("{message}")]
    Misconfigured { message: String },
    #[error("{message}")]
    Unavailable { message: String },
}

/// Why a provider would not tell what a token is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InspectError {
    #[error("{message}")]
    TokenInvalid { message: String },
    #[error("This access token has expired. Make a new one and paste that.")]
    TokenExpired,
    #[error("This access token was revoked. Make a new one and paste that.")]
    TokenRevoked,
    /// The account must act at the provider first; the token itself may be good.
    #[error("{message}")]
    AccountBlocked { message: String },
    #[error("This access token is of the kind {found}, not {believed}.")]
    WrongKind { believed: TokenKind, found: TokenKind },
    #[error("The address is not allowed: {message}")]
    Forbidden { message: String },
    /// `step` is one of `dns`, `connect`, `tls`, `http`.
    #[error("{message}")]
    Unreachable { step: &'static str, message: String },
    #[error("The provider asks for fewer requests just now. Try again in a while.")]
    RateLimited { retry_after: Option<Duration> },
    #[error("{message}")]
    NotGitLab { message: String },
    /// The token may not ask this.
    #[error("The access token may not ask this: it lacks the scope or the role.")]
    Denied,
}

/// Why a token may not rotate itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RotationRefusal {
    /// It lacks this scope, or a wider one.
    #[error(
        "To rotate itself, this access token needs the scope {scope}, or {wider}, which it does not have."
    )]
    InsufficientScope { scope: &'static str, wider: &'static str },
    /// Tokens of this kind, or instances of this version, cannot do it.
    #[error("{message}")]
    Unsupported { message: String },
    #[error(transparent)]
    Inspect(#[from] InspectError),
}

/// Why a token could not be revoked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevokeError {
    /// Worth another attempt.
    #[error("{message}")]
    Unavailable { message: String, retry_after: Option<Duration> },
    /// The provider will never do it for us.
    #[error("{message}")]
    Refused { message: String },
}
