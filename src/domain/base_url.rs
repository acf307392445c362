//! `BaseUrl`: where an installation of a provider answers, parsed once and canonical from then on.
//!
//! The rule it guards: what is written differently from what it means is refused, never repaired. URL parsers
//! remove tabs, turn `\` into `/` and read `0x7f.1` as an address, each in its own way, so the text is judged
//! *before* it is parsed, and every request is built from the canonical form. Whether an address may be
//! reached is not asked here; that is the question of the outbound guard.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

mod raw;
#[cfg(test)]
mod tests;

/// The base URL of an installation: scheme, host, port and an optional subpath, without a trailing slash.
///
/// Two base URLs are equal exactly when they lead to the same place: `https://GitLab.com:443/` is
/// `https://gitlab.com`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    url: Url,
}

/// Why a text is not a base URL. Each sentence is for the person who typed it and never repeats what they
/// typed, because that may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BaseUrlError {
    #[error("Enter the base URL, for example https://gitlab.example.com.")]
    Empty,
    #[error("The base URL is too long. Enter only the address of the installation.")]
    TooLong,
    #[error("Remove the spaces, tabs and line breaks inside the base URL.")]
    Whitespace,
    #[error("The base URL holds an invisible character. Type it instead of pasting it.")]
    ControlCharacter,
    #[error("Replace the backslashes in the base URL with slashes.")]
    Backslash,
    #[error(
        "Start the base URL with https:// and the host name. An operator can configure an installation without TLS."
    )]
    NotHttps,
    #[error("Start the base URL with https:// or http:// and the host name.")]
    NotHttp,
    #[error("Remove everything up to the @ from the base URL. Tokens and passwords have their own fields.")]
    UserInfo,
    #[error("Remove the question mark and everything after it from the base URL.")]
    Query,
    #[error("Remove the # and everything after it from the base URL.")]
    Fragment,
    #[error("The base URL has no host name. Enter it like https://gitlab.example.com.")]
    HostMissing,
    #[error("The host name holds a percent sign. Write the host name plainly.")]
    HostPercent,
    #[error("The host name holds a *. Enter the name of one host.")]
    HostWildcard,
    #[error(
        "The host name holds letters outside a-z, and some look like others. Check it, and ask an operator to configure this installation by its ASCII name."
    )]
    HostNotAscii,
    #[error(
        "The host name is in punycode (xn--), which can look like another name once displayed. Ask an operator to configure this installation."
    )]
    HostPunycode,
    #[error("The host name has two dots in a row or starts with a dot. Correct it.")]
    HostEmptyLabel,
    #[error("Remove the dot at the end of the host name.")]
    HostTrailingDot,
    #[error(
        "The host looks like a number. Enter a host name, or an IPv4 address as four decimal numbers such as 192.0.2.10."
    )]
    HostNumeric,
    #[error(
        "The IPv6 address is not valid. Enter it in brackets and without a zone, such as https://[2001:db8::10]."
    )]
    HostIpv6,
    #[error("The host name is not valid. Use letters, digits, hyphens and dots.")]
    HostInvalid,
    #[error("The port is not valid. Enter a number from 1 to 65535, or leave it out.")]
    Port,
    #[error(
        "Use port 443 or a port from 1024 up. An operator can configure an installation on another port."
    )]
    PortPrivileged,
    #[error("Remove . and .. from the path of the base URL.")]
    PathDots,
    #[error(
        "The path of the base URL may hold letters, digits, - . _ ~ + and single slashes. Enter only the path under which the installation answers."
    )]
    PathInvalid,
}

impl BaseUrl {
    /// Parses what a user typed: `https` only, a host name in plain ASCII, and no port below 1024 but 443.
    pub fn parse_typed(raw: &str) -> Result<Self, BaseUrlError> {
        let parts = raw::Parts::split(raw)?;
        if !parts.https {
            return Err(BaseUrlError::NotHttps);
        }
        let base = Self::canonical(&parts)?;
        if parts.is_punycode() {
            return Err(BaseUrlError::HostPunycode);
        }
        if base.port_or_default() < 1024 && base.port_or_default() != 443 {
            return Err(BaseUrlError::PortPrivileged);
        }
        Ok(base)
    }

    /// Parses what the operator configured: `http`, any port and punycode are the operator's decision.
    pub fn parse_configured(raw: &str) -> Result<Self, BaseUrlError> {
        let parts = raw::Parts::split(raw).map_err(|error| match error {
            BaseUrlError::NotHttps => BaseUrlError::NotHttp,
            other => other,
        })?;
        Self::canonical(&parts)
    }

    fn canonical(parts: &raw::Parts<'_>) -> Result<Self, BaseUrlError> {
        let host = parts.host()?;
        let port = parts.port()?;
        let path = parts.path()?;
        let scheme = if parts.https { "https" } else { "http" };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{scheme}://{host}{port}{path}");
        let url = Url::parse(&text).map_err(|_| BaseUrlError::HostInvalid)?;
        // The parser must have read the same host that was judged above.
        if url.host().map(|seen| seen.to_owned()) != Some(host) {
            return Err(BaseUrlError::HostInvalid);
        }
        Ok(Self { url })
    }

    /// Whether requests go over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether the host is this machine by its writing: `localhost`, 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
            None => false,
        }
    }

    /// The host as it stands in the URL: lower case, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().expect("a base URL is built with a host")
    }

    /// The port that requests go to.
    pub fn port_or_default(&self) -> u16 {
        self.url.port_or_known_default().expect("http and https have a default port")
    }

    /// Scheme, host and port, such as `https://gitlab.example.com:8443`, without the subpath.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The canonical text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The URL of one of our own fixed paths, such as `api/v4/user`, below the base URL and its subpath.
    ///
    /// `path` is a path only: a query is added with [`Url::query_pairs_mut`]. Whatever `path` holds, the
    /// result stays below the base URL; `%2F` is kept as it is.
    pub fn join(&self, path: &str) -> Url {
        // The parser drops control characters and reads `\` as `/`, so both are handled before dots are
        // looked for.
        let visible: String = path.chars().filter(|c| !c.is_control()).collect();
        let segments = visible.split(['/', '\\']).filter(|s| !s.is_empty() && !is_dot_segment(s));
        let mut below = self.url.path().trim_end_matches('/').to_owned();
        for segment in segments {
            below.push('/');
            below.push_str(segment);
        }
        let mut url = self.url.clone();
        url.set_path(&below);
        url
    }
}

/// `.` and `..` in every spelling that the URL parser knows.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.as_str())
    }
}
