//! What the operator allows beside public addresses: `MOORING_OUTBOUND_ALLOW`.
//!
//! The rule it guards: an entry opens private addresses only. Loopback opens only by an entry that names
//! loopback itself (tests, development), and metadata, link-local, multicast and reserved addresses by none.
//! Plain http is for webhooks alone, and never for a public host that no entry names.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

use super::address::{AddressClass, classify};

/// The addresses and hosts that users' base URLs may reach although they are private. The default allows
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub allow: Vec<AllowEntry>,
    /// Whether what an entry names may be reached over plain http too.
    pub http: bool,
    /// Whether this machine may be reached without an entry, over plain http too: for a first try.
    pub loopback: bool,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowEntry {
    /// Private addresses inside this range, by whatever name they are reached.
    Net(IpNet),
    /// This exact host name, in lower case, whichever private address it has.
    Host(String),
}

/// An entry that cannot be used, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("`{0}` is neither a host name, nor an IP address, nor a CIDR such as 10.0.0.0/8")]
    Unreadable(String),
    #[error("`{0}` can never be allowed: it is {1}")]
    Never(String, AddressClass),
}

impl Policy {
    /// Reads hosts, addresses and CIDRs separated by commas. Empty entries are skipped.
    pub fn parse(list: &str) -> Result<Self, PolicyError> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self { allow: entries.map(AllowEntry::parse).collect::<Result<_, _>>()?, ..Self::default() })
    }

    /// Whether any request may go over plain http.
    pub(super) fn knows_http(&self) -> bool {
        self.http || self.loopback
    }

    /// Whether a request to this host may go over plain http.
    pub(super) fn permits_http(&self, host: &Host<&str>) -> bool {
        let (named, loopback) = match host {
            Host::Domain(name) => (self.lists(name), is_local_name(name)),
            Host::Ipv4(address) => self.of_literal(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.of_literal(IpAddr::V6(*address)),
        };
        (self.http && named) || (self.loopback && loopback)
    }

    fn of_literal(&self, address: IpAddr) -> (bool, bool) {
        let address = address.to_canonical();
        (self.nets().any(|net| net.contains(&address)), classify(address) == AddressClass::Loopback)
    }

    /// Whether `address`, reached by the host `name`, may be connected to; if not, what it is.
    pub(super) fn permits(&self, name: &str, address: IpAddr) -> Result<(), AddressClass> {
        let address = address.to_canonical();
        let class = classify(address);
        let allowed = match class {
            AddressClass::Public => true,
            AddressClass::Private => self.lists(name) || self.nets().any(|net| net.contains(&address)),
            AddressClass::Loopback => {
                (self.loopback && is_this_machine(name))
                    || (is_local_name(name) && self.lists(name))
                    || self.nets().any(|net| is_loopback(net) && net.contains(&address))
            }
            _ => false,
        };
        if allowed { Ok(()) } else { Err(class) }
    }

    /// Whether a name that means this machine may be looked up at all.
    pub(super) fn permits_local(&self, name: &str) -> bool {
        self.loopback || self.lists(name) || self.nets().any(is_loopback)
    }

    fn lists(&self, name: &str) -> bool {
        self.allow.iter().any(|entry| matches!(entry, AllowEntry::Host(host) if host == name))
    }

    fn nets(&self) -> impl Iterator<Item = &IpNet> {
        self.allow.iter().filter_map(|entry| match entry {
            AllowEntry::Net(net) => Some(net),
            AllowEntry::Host(_) => None,
        })
    }
}

impl AllowEntry {
    fn parse(entry: &str) -> Result<Self, PolicyError> {
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Self::net(entry, IpNet::from(address.to_canonical()));
        }
        if let Ok(net) = entry.parse::<IpNet>() {
            return Self::net(entry, net.trunc());
        }
        let name = entry.to_ascii_lowercase();
        if !is_host_name(&name) {
            return Err(PolicyError::Unreadable(entry.to_owned()));
        }
        if is_metadata_name(&name) {
            return Err(PolicyError::Never(entry.to_owned(), AddressClass::Metadata));
        }
        Ok(Self::Host(name))
    }

    /// Refuses what would have no effect, so that nobody waits for it to work.
    fn net(entry: &str, net: IpNet) -> Result<Self, PolicyError> {
        let first = classify(net.network());
        let usable =
            |class| matches!(class, AddressClass::Public | AddressClass::Private | AddressClass::Loopback);
        if !usable(first) && first == classify(net.broadcast()) {
            return Err(PolicyError::Never(entry.to_owned(), first));
        }
        Ok(Self::Net(net))
    }
}

fn is_loopback(net: &IpNet) -> bool {
    classify(net.network()) == AddressClass::Loopback && classify(net.broadcast()) == AddressClass::Loopback
}

/// A name, and not an address or a CIDR with a slip in it: those end in a number.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    name.split('.').all(label) && !numeric
}

/// Names that mean this machine on every machine, whatever a name server says.
pub(super) fn is_local_name(name: &str) -> bool {
    matches!(name, "localhost" | "localhost.localdomain" | "ip6-localhost" | "ip6-loopback")
        || name.ends_with(".localhost")
}

/// Whether a host was written so that it can mean nothing but this machine: a local name, or an address (which
/// is judged by itself, also where the guard leaves it out).
fn is_this_machine(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.is_empty() || is_local_name(name) || bare.parse::<IpAddr>().is_ok()
}

/// Names under which clouds serve a machine's own credentials.
pub(super) fn is_metadata_name(name: &str) -> bool {
    const NAMES: [&str; 5] = [
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "instance-data",
        "instance-data.ec2.internal",
    ];
    NAMES.contains(&name)
}
