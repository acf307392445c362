//! Where a guarded request may go: literal hosts, resolved names, rebinding.

use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;

use super::{Script, Silence, get, impatient, ip, policy, url};
use crate::outbound::guard::Guard;
use crate::outbound::resolver::GuardedResolver;
use crate::outbound::steps::DnsFault;
use crate::outbound::{AddressClass, CaBundle, Outbound, OutboundError, Policy, Refused, Sent};

/// The same table that the tests of `BaseUrl` read: rows marked `guard` are ours to refuse.
const TYPED_URLS: &str = include_str!("../../domain/base_url/typed_urls.txt");

fn strict(policy: Policy) -> Guard {
    Guard::Strict(Arc::new(policy))
}

fn resolver(guard: Guard, script: &Script) -> GuardedResolver {
    GuardedResolver::new(guard, Arc::new(script.clone()), Duration::from_secs(4))
}

async fn resolve(resolver: &GuardedResolver, name: &str) -> Result<Vec<String>, Refused> {
    match resolver.resolve(name.parse().unwrap()).await {
        Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
        Err(error) => Err(*error.downcast::<Refused>().unwrap()),
    }
}

#[test]
fn what_base_url_lets_through_is_refused_here() {
    let guard = strict(Policy::default());
    let mut refused = 0;
    for line in TYPED_URLS.lines().filter(|line| !line.starts_with('#')) {
        let (rest, outcome) = line.rsplit_once('|').unwrap();
        let (row, raw) = rest.split_once('|').unwrap();
        match outcome {
            "guard" => assert!(guard.check_literal(&url(raw)).is_err(), "row {row}: {raw}"),
            "ok" => assert_eq!(guard.check_literal(&url(raw)), Ok(()), "row {row}: {raw}"),
            _ => continue,
        }
        refused += usize::from(outcome == "guard");
    }
    assert!(refused > 35, "the table was read");
}

#[test]
fn a_refusal_says_which_rule_it_was() {
    let guard = strict(policy("git.corp"));
    for (raw, expected) in [
        ("http://gitlab.com", Refused::Scheme),
        ("gopher://127.0.0.1:6379/_", Refused::Scheme),
        ("https://user:pw@gitlab.com", Refused::UserInfo),
        ("https://LocalHost", Refused::LocalName),
        ("https://localhost.", Refused::LocalName),
        ("https://a.localhost", Refused::LocalName),
        ("https://metadata.google.internal.", Refused::MetadataName),
        ("https://10.0.0.1", Refused::Private),
        ("https://127.0.0.1", Refused::Address(AddressClass::Loopback)),
        ("https://0x7f.1", Refused::Address(AddressClass::Loopback)),
        ("https://[::ffff:a9fe:a9fe]", Refused::Address(AddressClass::Metadata)),
    ] {
        assert_eq!(guard.check_literal(&url(raw)), Err(expected), "{raw}");
    }
    assert_eq!(guard.check_literal(&url("https://git.corp")), Ok(()));
}

#[test]
fn what_the_operator_allows_is_open() {
    let guard = strict(policy("127.0.0.1,10.0.0.0/8"));
    for raw in ["https://127.0.0.1:8443", "https://localhost", "https://10.0.0.1"] {
        assert_eq!(guard.check_literal(&url(raw)), Ok(()), "{raw}");
    }
    assert_eq!(guard.check_literal(&url("http://127.0.0.1")), Err(Refused::Scheme));
    assert!(strict(policy("metadata.example")).check_literal(&url("https://169.254.169.254")).is_err());
}

#[test]
fn a_trusted_client_goes_anywhere_by_http() {
    for raw in ["http://127.0.0.1", "https://10.0.0.1", "http://localhost:8080/x"] {
        assert_eq!(Guard::Open.check_literal(&url(raw)), Ok(()), "{raw}");
    }
    assert_eq!(Guard::Open.check_literal(&url("file:///etc/passwd")), Err(Refused::Scheme));
    assert_eq!(Guard::Open.check_literal(&url("http://a:b@127.0.0.1")), Err(Refused::UserInfo));
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_forbidden() {
    for addresses in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "10.0.0.1"],
        &["10.0.0.1", "8.8.8.8"],
        &["8.8.8.8", "2606:4700::1111", "::ffff:10.0.0.1"],
        &["8.8.8.8", "64:ff9b::a00:1"],
        &["169.254.169.254"],
    ] {
        let resolver = resolver(strict(Policy::default()), &Script::always(addresses));
        assert!(resolve(&resolver, "mixed.example").await.is_err(), "{addresses:?}");
    }
}

#[tokio::test]
async fn a_name_with_public_addresses_keeps_all_of_them() {
    let resolver = resolver(strict(Policy::default()), &Script::always(&["8.8.8.8", "2606:4700::1111"]));
    let found = resolve(&resolver, "gitlab.example").await.unwrap();
    assert_eq!(found, ["8.8.8.8", "2606:4700::1111"]);
}

#[tokio::test]
async fn a_rebinding_name_is_judged_each_time() {
    let script = Script::new(&[&["8.8.8.8"], &["127.0.0.1"], &["8.8.8.8", "169.254.169.254"], &["10.0.0.1"]]);
    let resolver = resolver(strict(Policy::default()), &script);
    for turn in 0..1000 {
        let found = resolve(&resolver, "rebind.example").await;
        assert_eq!(found.is_ok(), turn % 4 == 0, "turn {turn}: {found:?}");
    }
}

#[tokio::test]
async fn an_allowed_host_may_be_private_and_another_may_not() {
    let resolver = resolver(strict(policy("git.corp")), &Script::always(&["10.0.0.1"]));
    assert!(resolve(&resolver, "Git.Corp").await.is_ok());
    assert_eq!(resolve(&resolver, "evil.example").await, Err(Refused::Private));
}

#[tokio::test(start_paused = true)]
async fn a_silent_name_server_is_given_up() {
    let resolver = GuardedResolver::new(Guard::Open, Arc::new(Silence), Duration::from_secs(4));
    let error = resolver.resolve("gitlab.example".parse().unwrap()).await.err().unwrap();
    assert!(matches!(error.downcast_ref(), Some(DnsFault::Silent)), "{error}");
}

#[tokio::test]
async fn a_refused_name_is_told_as_forbidden_and_nothing_is_sent() {
    let script = Script::always(&["8.8.8.8", "127.0.0.1"]);
    let outbound = Outbound::guarded_with(Policy::default(), &CaBundle::default(), script.options()).unwrap();
    let error = outbound.send(get("https://rebind.example/secret-path")).await.unwrap_err();
    assert_eq!(error, OutboundError::Forbidden(Refused::Address(AddressClass::Loopback)));
    assert_eq!((error.step(), error.was_sent()), ("address", Sent::No));
    assert_eq!(script.asked(), 1);
}

#[tokio::test]
async fn a_literal_address_is_refused_without_a_lookup() {
    let script = Script::always(&["8.8.8.8"]);
    let outbound = Outbound::guarded_with(Policy::default(), &CaBundle::default(), script.options()).unwrap();
    for raw in [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "http://gitlab.example/",
        "https://localhost/",
    ] {
        let error = outbound.send(get(raw)).await.unwrap_err();
        assert_eq!((error.step(), error.was_sent()), ("address", Sent::No), "{raw}");
        assert!(outbound.check_literal(&url(raw)).is_err(), "{raw}");
    }
    assert_eq!(script.asked(), 0);
}

#[test]
fn the_peer_is_judged_once_more() {
    let guard = strict(policy("git.corp"));
    let peer = |text: &str| Some(std::net::SocketAddr::new(ip(text), 443));
    assert!(guard.allows_peer("gitlab.example", peer("8.8.8.8")));
    assert!(guard.allows_peer("git.corp", peer("10.0.0.1")));
    assert!(!guard.allows_peer("gitlab.example", peer("10.0.0.1")));
    assert!(Guard::Open.allows_peer("gitlab.example", peer("10.0.0.1")));
    assert_eq!(OutboundError::WrongPeer.was_sent(), Sent::Maybe);
}

#[tokio::test]
async fn a_lookup_that_hangs_is_told_as_dns() {
    let outbound = Outbound::trusted_with(&CaBundle::default(), impatient(Silence)).unwrap();
    let error = outbound.send(get("http://gitlab.example/")).await.unwrap_err();
    assert_eq!((error.step(), error.was_sent()), ("dns", Sent::No), "{error:?}");
}

#[test]
fn plain_http_is_for_what_the_operator_names() {
    let guard = strict(Policy { http: true, ..policy("hooks.corp,10.0.0.0/8") });
    for raw in ["http://hooks.corp/in", "http://10.1.2.3:8080", "https://example.com"] {
        assert_eq!(guard.check_literal(&url(raw)), Ok(()), "{raw}");
    }
    for raw in ["http://example.com", "http://a.hooks.corp", "http://192.168.0.1", "http://localhost"] {
        assert_eq!(guard.check_literal(&url(raw)), Err(Refused::Scheme), "{raw}");
    }
    let without = strict(policy("hooks.corp,10.0.0.0/8"));
    assert_eq!(without.check_literal(&url("http://hooks.corp/in")), Err(Refused::Scheme));
}

#[tokio::test]
async fn this_machine_can_be_open_and_nothing_else_with_it() {
    let guard = strict(Policy { loopback: true, ..Policy::default() });
    for raw in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://127.0.0.1"] {
        assert_eq!(guard.check_literal(&url(raw)), Ok(()), "{raw}");
    }
    for raw in ["http://10.0.0.1", "http://example.com", "http://0.0.0.0", "http://169.254.169.254"] {
        assert_eq!(guard.check_literal(&url(raw)), Err(Refused::Scheme), "{raw}");
    }
    let script = Script::always(&["127.0.0.1"]);
    assert!(resolve(&resolver(guard.clone(), &script), "localhost").await.is_ok());
    let found = resolve(&resolver(guard, &script), "rebound.example.com").await;
    assert_eq!(found, Err(Refused::Address(AddressClass::Loopback)), "a foreign name may not lead here");
}
