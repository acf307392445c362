//! What kind of place an IP address is: the table behind the outbound guard.
//!
//! The rule it guards: an address is public only if no special-purpose registry says otherwise, and an IPv6
//! address only if it is also global unicast. Addresses that carry an IPv4 address inside are judged by the
//! IPv4 address (mapped) or not at all (translated, NAT64, 6to4, Teredo), because where those lead depends on
//! the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The kinds of address that the guard tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    Public,
    /// Private, unique-local and carrier-grade NAT: what an operator can allow.
    Private,
    Loopback,
    LinkLocal,
    /// A cloud's instance metadata, wherever it lies.
    Metadata,
    Multicast,
    Unspecified,
    /// Documentation, benchmarks, tunnels, translation and everything not assigned.
    Reserved,
}

use AddressClass::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Unspecified};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The first match counts, so single addresses stand before the ranges around them.
const V4: &[(Ipv4Net, AddressClass)] = &[
    (v4(169, 254, 169, 254, 32), Metadata), // most clouds
    (v4(169, 254, 170, 2, 32), Metadata),   // task credentials
    (v4(100, 100, 100, 200, 32), Metadata), // inside carrier-grade NAT
    (v4(192, 0, 0, 192, 32), Metadata),     // inside protocol assignments
    (v4(168, 63, 129, 16, 32), Metadata), // a public-looking address that only a virtual machine's host answers
    (v4(0, 0, 0, 0, 8), Unspecified),
    (v4(10, 0, 0, 0, 8), Private),
    (v4(100, 64, 0, 0, 10), Private),
    (v4(127, 0, 0, 0, 8), Loopback),
    (v4(169, 254, 0, 0, 16), LinkLocal),
    (v4(172, 16, 0, 0, 12), Private),
    (v4(192, 0, 0, 0, 24), Reserved),
    (v4(192, 0, 2, 0, 24), Reserved),
    (v4(192, 88, 99, 0, 24), Reserved),
    (v4(192, 168, 0, 0, 16), Private),
    (v4(198, 18, 0, 0, 15), Reserved),
    (v4(198, 51, 100, 0, 24), Reserved),
    (v4(203, 0, 113, 0, 24), Reserved),
    (v4(224, 0, 0, 0, 4), Multicast),
    (v4(240, 0, 0, 0, 4), Reserved), // 255.255.255.255 too
];

const V6: &[(Ipv6Net, AddressClass)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), Loopback),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128), Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128), Metadata),
    (v6(0x2001, 0, 0, 23), Reserved), // protocol assignments, Teredo among them
    (v6(0x2001, 0xdb8, 0, 32), Reserved),
    (v6(0x2002, 0, 0, 16), Reserved), // 6to4
    (v6(0x3fff, 0, 0, 20), Reserved),
    (v6(0xfc00, 0, 0, 7), Private),
    (v6(0xfe80, 0, 0, 10), LinkLocal),
    (v6(0xff00, 0, 0, 8), Multicast),
    // Only global unicast can be public. Whatever no line names is reserved: v4-compatible ::/96, translated
    // ::ffff:0:0:0/96, NAT64 64:ff9b::/96 and 64:ff9b:1::/48, discard-only 100::/64, segment routing
    // 5f00::/16 and site-local fec0::/10.
    (v6(0x2000, 0, 0, 3), Public),
];

/// Says what kind of place `address` is.
pub fn classify(address: IpAddr) -> AddressClass {
    match address.to_canonical() {
        IpAddr::V4(address) => find(V4, |net| net.contains(&address)).unwrap_or(Public),
        IpAddr::V6(address) => find(V6, |net| net.contains(&address)).unwrap_or(Reserved),
    }
}

fn find<Net>(table: &[(Net, AddressClass)], holds: impl Fn(&Net) -> bool) -> Option<AddressClass> {
    table.iter().find(|(net, _)| holds(net)).map(|(_, class)| *class)
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Public => "a public address",
            Private => "a private address",
            Loopback => "a loopback address",
            LinkLocal => "a link-local address",
            Metadata => "a cloud metadata address",
            Multicast => "a multicast address",
            Unspecified => "the unspecified address",
            Reserved => "a reserved address",
        })
    }
}
