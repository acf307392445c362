//! The text of a base URL, judged before any parser may repair it.
//!
//! Each check refuses one way in which two readers could understand one text differently.

use super::{BaseUrlError, Host, Ipv4Addr, Ipv6Addr, is_dot_segment};

/// Longer than any real base URL, short enough for a column and an error page.
const LONGEST: usize = 1024;

/// Host, port and path as they were written.
pub(super) struct Parts<'a> {
    pub(super) https: bool,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes the text apart by hand. Spaces around it are dropped, because people paste.
    pub(super) fn split(raw: &'a str) -> Result<Self, BaseUrlError> {
        let raw = raw.trim();
        refuse_unreadable(raw)?;
        let (https, rest) = split_scheme(raw)?;
        if rest.contains('#') {
            return Err(BaseUrlError::Fragment);
        }
        if rest.contains('?') {
            return Err(BaseUrlError::Query);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(BaseUrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self { https, host, port, path })
    }

    /// The host as it will be requested: an IP address, or a name in lower case.
    pub(super) fn host(&self) -> Result<Host, BaseUrlError> {
        if let Some(address) = self.host.strip_prefix('[') {
            let address = address.trim_end_matches(']').parse::<Ipv6Addr>();
            return address.map(Host::Ipv6).map_err(|_| BaseUrlError::HostIpv6);
        }
        refuse_odd_name(self.host)?;
        if looks_numeric(self.host) {
            // The standard library reads exactly four decimal numbers and refuses leading zeros (octal
            // elsewhere).
            let address = self.host.parse::<Ipv4Addr>();
            return address.map(Host::Ipv4).map_err(|_| BaseUrlError::HostNumeric);
        }
        Ok(Host::Domain(self.host.to_ascii_lowercase()))
    }

    /// The port, if one was written.
    pub(super) fn port(&self) -> Result<Option<u16>, BaseUrlError> {
        let Some(port) = self.port else { return Ok(None) };
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BaseUrlError::Port);
        }
        match port.parse() {
            Ok(0) | Err(_) => Err(BaseUrlError::Port),
            Ok(port) => Ok(Some(port)),
        }
    }

    /// The subpath without a trailing slash, and without the `/api/v4` that people copy from the
    /// documentation.
    pub(super) fn path(&self) -> Result<&'a str, BaseUrlError> {
        let path = self.path.trim_end_matches('/');
        let path = path.strip_suffix("/api/v4").unwrap_or(path).trim_end_matches('/');
        if path.split('/').any(is_dot_segment) {
            return Err(BaseUrlError::PathDots);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        if path.contains("//") || !path.bytes().all(plain) {
            return Err(BaseUrlError::PathInvalid);
        }
        Ok(path)
    }

    /// Whether a label is in punycode, behind which a look-alike can hide.
    pub(super) fn is_punycode(&self) -> bool {
        self.host
            .split('.')
            .any(|label| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")))
    }
}

fn refuse_unreadable(raw: &str) -> Result<(), BaseUrlError> {
    if raw.is_empty() {
        return Err(BaseUrlError::Empty);
    }
    if raw.len() > LONGEST {
        return Err(BaseUrlError::TooLong);
    }
    if raw.contains(char::is_whitespace) {
        return Err(BaseUrlError::Whitespace);
    }
    if raw.contains(char::is_control) {
        return Err(BaseUrlError::ControlCharacter);
    }
    if raw.contains('\\') {
        return Err(BaseUrlError::Backslash);
    }
    Ok(())
}

/// The scheme comes first, before the host: other schemes have other rules for what a host is.
fn split_scheme(raw: &str) -> Result<(bool, &str), BaseUrlError> {
    let (scheme, rest) = raw.split_once("://").ok_or(BaseUrlError::NotHttps)?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok((true, rest)),
        "http" => Ok((false, rest)),
        _ => Err(BaseUrlError::NotHttps),
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), BaseUrlError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(BaseUrlError::HostIpv6)? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(BaseUrlError::HostIpv6),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn refuse_odd_name(host: &str) -> Result<(), BaseUrlError> {
    if host.is_empty() {
        return Err(BaseUrlError::HostMissing);
    }
    if !host.is_ascii() {
        return Err(BaseUrlError::HostNotAscii);
    }
    if host.contains('%') {
        return Err(BaseUrlError::HostPercent);
    }
    if host.contains('*') {
        return Err(BaseUrlError::HostWildcard);
    }
    if host.split('.').rev().skip(1).any(str::is_empty) {
        return Err(BaseUrlError::HostEmptyLabel);
    }
    if host.ends_with('.') {
        return Err(BaseUrlError::HostTrailingDot);
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if host.len() > 253 || host.split('.').any(|label| label.len() > 63) || !host.bytes().all(known) {
        return Err(BaseUrlError::HostInvalid);
    }
    Ok(())
}

/// Whether a URL parser would try to read the host as an IPv4 address: its last label is a number, decimal or
/// hex.
fn looks_numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host).to_ascii_lowercase();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || last.bytes().all(|b| b.is_ascii_digit())
}
