//! The way out, against real sockets on loopback and lookups that answer from a list.

mod addresses;
mod environment;
mod guarding;
mod limits;
mod server;
mod steps;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Method, Request};
use url::Url;

use super::{CaBundle, Lookup, Options, Outbound, Policy};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn get(text: &str) -> Request {
    Request::new(Method::GET, url(text))
}

fn policy(list: &str) -> Policy {
    Policy::parse(list).unwrap()
}

/// A client for plain HTTP on loopback.
fn trusted() -> Outbound {
    Outbound::trusted(&CaBundle::default()).unwrap()
}

fn impatient(lookup: impl Lookup + 'static) -> Options {
    let short = Duration::from_millis(150);
    Options { connect: short, total: short * 2, lookup: Arc::new(lookup) }
}

/// Answers with the given sets of addresses, one for each question, and then from the start again.
#[derive(Clone)]
struct Script {
    answers: Arc<Vec<Vec<IpAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|set| set.iter().map(|text| ip(text)).collect()).collect();
        Self { answers: Arc::new(answers), asked: Arc::default() }
    }

    fn always(addresses: &[&str]) -> Self {
        Self::new(&[addresses])
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn options(&self) -> Options {
        Options { lookup: Arc::new(self.clone()), ..Options::default() }
    }
}

impl Lookup for Script {
    fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[turn % self.answers.len()].clone();
        Box::pin(async move { Ok(answer) })
    }
}

/// A name server that never answers.
struct Silence;

impl Lookup for Silence {
    fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

/// A port on loopback that nothing listens on.
fn closed_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
