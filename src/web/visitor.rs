//! Who knocks, as far as it shows: the address that the connection comes from, and what the browser says it is.

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header::USER_AGENT, request::Parts},
};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

/// In characters; browsers need less.
const LONGEST_AGENT: usize = 300;

/// One request's origin.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Where the connection comes from: a browser, or a reverse proxy before it.
    pub from: Option<IpAddr>,
    agent: String,
}

impl Visitor {
    /// What the browser calls itself, cut where it is too long.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The address, where it is certainly the visitor's own. A private one may be a reverse proxy's.
    pub fn certain_address(&self) -> Option<String> {
        self.from.map(|ip| ip.to_canonical()).filter(|ip| !may_be_a_proxy(*ip)).map(|ip| ip.to_string())
    }
}

/// Whether an address, in its canonical form, is one that reverse proxies have.
pub fn may_be_a_proxy(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(at)| at.ip());
        let agent = parts.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let agent =
            agent.map(|agent| agent.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect());
        Ok(Self { from, agent: agent.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_only_where_it_is_the_visitors_own() {
        let told = |ip: &str| Visitor { from: ip.parse().ok(), ..Visitor::default() }.certain_address();
        for proxy in ["127.0.0.1", "::ffff:10.1.2.3", "192.168.0.9", "fd00::1", "fe80::1", "::1"] {
            assert_eq!(told(proxy), None, "{proxy}");
        }
        assert_eq!(told("::ffff:198.51.100.7").as_deref(), Some("198.51.100.7"));
        assert_eq!(told("2001:db8::7").as_deref(), Some("2001:db8::7"));
    }
}
