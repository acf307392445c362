//! May a request go there? Asked of the URL before it is sent, of each resolved address, and of the peer.
//!
//! The rule it guards: with `Guard::Strict`, every address that a request can reach has been judged by the
//! policy, and the doubtful is refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use url::{Host, Url};

use super::address::AddressClass;
use super::policy::{Policy, is_local_name, is_metadata_name};

/// Why a request may not go where its URL points. The sentences name a kind of address and never the address:
/// a user must not learn from them what a name inside the network resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("The base URL must start with https://.")]
    Scheme,
    #[error("The URL holds a user name or password. Remove everything up to the @.")]
    UserInfo,
    #[error("The URL has no host.")]
    NoHost,
    #[error("This host name means the server itself. Enter the name of the installation.")]
    LocalName,
    #[error("This host name belongs to a cloud's metadata service and is never reached.")]
    MetadataName,
    #[error("The host leads to a private address. An operator can allow it with MOORING_OUTBOUND_ALLOW.")]
    Private,
    #[error("The host leads to {0}, which is never reached. Enter the public address of the installation.")]
    Address(AddressClass),
}

impl From<AddressClass> for Refused {
    fn from(class: AddressClass) -> Self {
        if class == AddressClass::Private { Self::Private } else { Self::Address(class) }
    }
}

/// Which hosts a client may reach.
#[derive(Debug, Clone)]
pub(super) enum Guard {
    /// Any host: the operator chose it.
    Open,
    /// Public addresses over `https`, and what the policy adds.
    Strict(Arc<Policy>),
}

impl Guard {
    /// Judges all that can be judged without a lookup. The HTTP client does not ask the resolver about
    /// literal addresses, so this must run before every request.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), Refused> {
        if url.scheme() != "https" && !self.permits_http(url) {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        match url.host().ok_or(Refused::NoHost)? {
            Host::Ipv4(address) => self.check_address("", IpAddr::V4(address)),
            Host::Ipv6(address) => self.check_address("", IpAddr::V6(address)),
            Host::Domain(name) => self.check_name(name),
        }
    }

    fn permits_http(&self, url: &Url) -> bool {
        url.scheme() == "http"
            && match self {
                Self::Open => true,
                Self::Strict(policy) => url.host().is_some_and(|host| policy.permits_http(&host)),
            }
    }

    /// Whether this guard lets nothing through but https.
    pub(super) fn is_https_only(&self) -> bool {
        matches!(self, Self::Strict(policy) if !policy.knows_http())
    }

    fn check_name(&self, name: &str) -> Result<(), Refused> {
        let Self::Strict(policy) = self else { return Ok(()) };
        let name = plain(name);
        if is_metadata_name(&name) {
            return Err(Refused::MetadataName);
        }
        if is_local_name(&name) && !policy.permits_local(&name) {
            return Err(Refused::LocalName);
        }
        Ok(())
    }

    /// Judges one address that `host` resolved to.
    pub(super) fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        match self {
            Self::Open => Ok(()),
            Self::Strict(policy) => policy.permits(&plain(host), address).map_err(Refused::from),
        }
    }

    /// Asks once more, of the address that really answered. The connection is only ever made to judged
    /// addresses; this holds even if that should change underneath.
    pub(super) fn allows_peer(&self, host: &str, peer: Option<SocketAddr>) -> bool {
        peer.is_none_or(|peer| self.check_address(host, peer.ip()).is_ok())
    }
}

/// The name as the policy writes it.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
