//! Each way to fail before a whole answer is there, and what it says about having been sent.

use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::{Method, Request};

use super::server::{answering, hang, hanging_after, raw, read_head};
use super::{Script, closed_port, get, impatient, trusted, url};
use crate::outbound::{
    CaBundle, ConnectReason, DnsReason, Lookup, Options, Outbound, OutboundError, Sent, SystemLookup,
};

struct NoSuchName;

impl Lookup for NoSuchName {
    fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Err(io::Error::other("failed to lookup address information")) })
    }
}

fn told(error: &OutboundError) -> (&'static str, Sent) {
    (error.step(), error.was_sent())
}

#[tokio::test]
async fn a_closed_port_is_a_refused_connection() {
    let error = trusted().send(get(&format!("http://{}/", closed_port()))).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connect { reason: ConnectReason::Refused, .. }), "{error:?}");
    assert_eq!(told(&error), ("connect", Sent::No));
}

#[tokio::test]
async fn a_closed_port_is_no_tls_fault_with_https() {
    let error = trusted().send(get(&format!("https://{}/", closed_port()))).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connect { reason: ConnectReason::Refused, .. }), "{error:?}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_fault() {
    for outbound in [
        Outbound::trusted_with(&CaBundle::default(), impatient(NoSuchName)).unwrap(),
        Outbound::trusted_with(&CaBundle::default(), Script::always(&[]).options()).unwrap(),
    ] {
        let error = outbound.send(get("https://nonexistent.invalid/")).await.unwrap_err();
        assert!(matches!(error, OutboundError::Dns { reason: DnsReason::NotFound, .. }), "{error:?}");
        assert_eq!(told(&error), ("dns", Sent::No));
    }
}

#[tokio::test]
async fn the_system_knows_this_machine() {
    let found = SystemLookup.lookup("localhost".to_owned()).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_closes_may_have_read() {
    let server = raw(|stream| drop(stream.shutdown(Shutdown::Both)));
    let error = trusted().send(get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::Http { .. }), "{error:?}");
    assert_eq!(told(&error), ("http", Sent::Maybe));
}

#[tokio::test]
async fn a_server_that_reads_and_closes_may_have_acted_and_is_not_asked_twice() {
    let server = raw(|mut stream| drop(read_head(&mut stream)));
    let request = Request::new(Method::POST, url(&server.url("/oauth/token")));
    let error = trusted().send(request).await.unwrap_err();
    assert_eq!(told(&error), ("http", Sent::Maybe), "{error:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_times_out() {
    let server = raw(|stream| hang(&stream));
    let outbound = Outbound::trusted_with(&CaBundle::default(), impatient(SystemLookup)).unwrap();
    let error = outbound.send(get(&server.url("/"))).await.unwrap_err();
    assert_eq!(error, OutboundError::Timeout);
    assert_eq!(told(&error), ("http", Sent::Maybe));
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_was_sent_nothing() {
    let server = raw(|stream| hang(&stream));
    let outbound = Outbound::trusted_with(&CaBundle::default(), impatient(SystemLookup)).unwrap();
    let error = outbound.send(get(&format!("https://{}/", server.address))).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connect { reason: ConnectReason::TimedOut, .. }), "{error:?}");
    assert_eq!(told(&error), ("connect", Sent::No));
}

#[tokio::test]
async fn an_answer_that_stops_is_told_from_no_answer() {
    let outbound = Outbound::trusted_with(&CaBundle::default(), impatient(SystemLookup)).unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    for server in [hanging_after(head), answering(head)] {
        let error = outbound.send(get(&server.url("/"))).await.unwrap_err();
        assert!(matches!(error, OutboundError::Interrupted { status, .. } if status == 200), "{error:?}");
        assert_eq!(error.arrived().unwrap().1, b"half");
        assert_eq!(told(&error), ("http", Sent::Maybe));
    }
}

#[tokio::test]
async fn what_is_not_http_is_an_http_fault() {
    for answer in ["SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 200\u{0} OK\r\n\r\n", ""] {
        let error = trusted().send(get(&answering(answer).url("/"))).await.unwrap_err();
        assert_eq!(told(&error), ("http", Sent::Maybe), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn no_error_shows_a_url() {
    let close = raw(drop);
    let cut = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
    let closed = closed_port();
    let urls = [
        close.url("/canary?canary=canary"),
        cut.url("/canary?canary=canary"),
        format!("http://{closed}/canary?canary=canary"),
        format!("https://{}/canary", close.address),
        "https://nonexistent.invalid/canary".to_owned(),
        "https://canary:canary@127.0.0.1/".to_owned(),
        "ftp://127.0.0.1/canary".to_owned(),
    ];
    for url in urls {
        let options = Options { lookup: Arc::new(NoSuchName), ..Options::default() };
        let outbound = Outbound::trusted_with(&CaBundle::default(), options).unwrap();
        let error = outbound.send(get(&url)).await.unwrap_err();
        let text = format!("{error} {error:?} {}", error.detail());
        assert!(!text.contains("canary") && !text.contains("127.0.0.1"), "{url}: {text}");
    }
}
