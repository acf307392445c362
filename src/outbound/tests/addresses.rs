//! The address table, each range with its edges.

use super::{ip, policy};
use crate::outbound::AddressClass::{
    self, LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Unspecified,
};
use crate::outbound::{AllowEntry, Policy, PolicyError, classify};

fn all_are(class: AddressClass, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(classify(ip(address)), class, "{address}");
    }
}

#[test]
fn public_addresses_end_where_special_ranges_begin() {
    all_are(
        Public,
        &[
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
            "168.63.129.17",
            "::ffff:8.8.8.8",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "3fff:1000::",
            "2000::",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ],
    );
}

#[test]
fn private_ranges() {
    all_are(
        Private,
        &[
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "100.100.100.199",
            "100.100.100.201",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "::ffff:10.0.0.1",
            "fc00::",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fd00:ec2::253",
            "fd00:ec2::255",
        ],
    );
}

#[test]
fn this_machine_and_its_link() {
    all_are(Unspecified, &["0.0.0.0", "0.0.0.1", "0.255.255.255", "::", "::ffff:0.0.0.0"]);
    all_are(
        Loopback,
        &["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"],
    );
    all_are(
        LinkLocal,
        &["169.254.0.0", "169.254.255.255", "fe80::", "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    );
}

#[test]
fn metadata_wherever_it_lies() {
    all_are(
        Metadata,
        &[
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
        ],
    );
}

#[test]
fn multicast_ranges() {
    all_are(Multicast, &["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff::", "::ffff:224.0.0.1"]);
}

#[test]
fn reserved_ranges() {
    all_are(
        Reserved,
        &[
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.0",
            "192.0.2.255",
            "192.88.99.0",
            "192.88.99.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.0",
            "198.51.100.255",
            "203.0.113.0",
            "203.0.113.255",
            "240.0.0.0",
            "255.255.255.254",
            "255.255.255.255",
        ],
    );
    all_are(
        Reserved,
        &[
            "::2",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:7f00:1",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::a9fe:a9fe",
            "100::",
            "100::ffff:ffff:ffff:ffff",
            "2001::",
            "2001:0:a9fe:a9fe::",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2002::",
            "2002:7f00:1::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "4000::",
            "5f00::",
            "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "1fff::",
            "fe00::",
            "fec0::",
            "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fbff::",
        ],
    );
}

#[test]
fn a_policy_is_a_list_of_hosts_and_ranges() {
    let expected = vec![
        AllowEntry::Net("10.0.0.0/8".parse().unwrap()),
        AllowEntry::Net("192.168.1.7/32".parse().unwrap()),
        AllowEntry::Net("fd00::/8".parse().unwrap()),
        AllowEntry::Host("git.corp".to_owned()),
        AllowEntry::Net("::1/128".parse().unwrap()),
    ];
    assert_eq!(policy(" 10.1.2.3/8, 192.168.1.7,,fd00::/8 ,Git.Corp,[::1],").allow, expected);
    assert_eq!(policy(""), Policy::default());
}

#[test]
fn an_entry_that_cannot_be_read_is_named() {
    for entry in
        ["10.0.0.256", "10.0.0.0/33", "https://git.corp", "git.corp:443", "*.corp", "a..b", "10.0.0.0/8/8"]
    {
        let error = Policy::parse(&format!("10.0.0.0/8,{entry}")).unwrap_err();
        assert_eq!(error, PolicyError::Unreadable(entry.to_owned()));
    }
}

#[test]
fn an_entry_that_could_never_work_is_named() {
    for entry in [
        "169.254.169.254",
        "169.254.0.0/16",
        "fe80::/10",
        "224.0.0.0/4",
        "0.0.0.0",
        "198.18.0.0/15",
        "metadata.google.internal",
    ] {
        assert!(
            matches!(Policy::parse(entry), Err(PolicyError::Never(named, _)) if named == entry),
            "{entry}"
        );
    }
}

#[test]
fn a_range_opens_private_addresses_and_nothing_else() {
    for list in ["0.0.0.0/0,::/0", "10.0.0.0/8,100.64.0.0/10,fc00::/7,126.0.0.0/7"] {
        let policy = policy(list);
        for open in ["10.0.0.1", "::ffff:10.0.0.1", "100.64.0.1", "fc00::1", "8.8.8.8"] {
            assert_eq!(policy.permits("", ip(open)), Ok(()), "{open} with {list}");
        }
        for closed in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "169.254.1.1",
            "100.100.100.200",
            "fd00:ec2::254",
            "fe80::1",
            "224.0.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "64:ff9b::a00:1",
        ] {
            assert!(policy.permits("git.corp", ip(closed)).is_err(), "{closed} with {list}");
        }
    }
}

#[test]
fn a_range_opens_only_itself() {
    let policy = policy("10.1.0.0/16");
    assert_eq!(policy.permits("", ip("10.1.255.255")), Ok(()));
    assert_eq!(policy.permits("", ip("10.2.0.0")), Err(Private));
}

#[test]
fn a_host_entry_opens_private_addresses_of_that_name_only() {
    let policy = policy("git.corp");
    assert_eq!(policy.permits("git.corp", ip("10.0.0.1")), Ok(()));
    assert_eq!(policy.permits("www.git.corp", ip("10.0.0.1")), Err(Private));
    assert_eq!(policy.permits("", ip("10.0.0.1")), Err(Private));
    assert_eq!(policy.permits("git.corp", ip("127.0.0.1")), Err(Loopback));
    assert_eq!(policy.permits("git.corp", ip("169.254.169.254")), Err(Metadata));
}

#[test]
fn loopback_opens_only_by_its_own_name() {
    for list in ["127.0.0.1", "127.0.0.0/8", "localhost"] {
        assert_eq!(policy(list).permits("localhost", ip("127.0.0.1")), Ok(()), "{list}");
        assert_eq!(policy(list).permits("localhost", ip("169.254.169.254")), Err(Metadata), "{list}");
    }
    assert_eq!(policy("localhost").permits("rebind.example", ip("127.0.0.1")), Err(Loopback));
    assert_eq!(policy("127.0.0.1").permits("", ip("127.0.0.2")), Err(Loopback));
    assert_eq!(policy("127.0.0.1").permits("", ip("::1")), Err(Loopback));
}
