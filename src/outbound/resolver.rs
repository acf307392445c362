//! Names become addresses here, and nowhere else on the way out.
//!
//! The rule it guards: if any address of a name is forbidden, the name is. The connection then uses exactly
//! the addresses returned, so there is no second lookup that could answer differently.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Guard, Refused};
use super::steps::DnsFault;

/// What the HTTP client is told: a [`DnsFault`] or a [`Refused`].
type Unresolved = Box<dyn std::error::Error + Send + Sync>;

/// Looks a host name up. The system does it in production; tests answer from a list.
pub trait Lookup: Send + Sync {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The lookup of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The resolver given to the HTTP client.
#[derive(Clone)]
pub(super) struct GuardedResolver {
    guard: Guard,
    lookup: Arc<dyn Lookup>,
    limit: Duration,
}

impl GuardedResolver {
    pub(super) fn new(guard: Guard, lookup: Arc<dyn Lookup>, limit: Duration) -> Self {
        Self { guard, lookup, limit }
    }

    /// The addresses of a name, every one of which has been judged.
    pub(super) async fn judged(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let addresses = self.addresses(name).await?;
        self.check_all(name, &addresses)?;
        Ok(addresses)
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsFault> {
        let found = tokio::time::timeout(self.limit, self.lookup.lookup(name.to_owned())).await;
        let addresses = found.map_err(|_| DnsFault::Silent)??;
        if addresses.is_empty() {
            return Err(DnsFault::NoAddress);
        }
        Ok(addresses)
    }

    fn check_all(&self, name: &str, addresses: &[IpAddr]) -> Result<(), Refused> {
        addresses.iter().try_for_each(|address| self.guard.check_address(name, *address))
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.judged(name.as_str()).await?;
            // With port 0 the client fills in the port of the URL.
            let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}
