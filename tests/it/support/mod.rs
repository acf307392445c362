//! What the integration tests stand on: the app, databases, a browser and an HTTP client that end with the
//! test process.
#![allow(dead_code, reason = "a box of tools: a test takes what it needs")]

pub(crate) mod app;
pub(crate) mod axe;
pub(crate) mod balancer;
pub(crate) mod browser;
pub(crate) mod collector;
pub(crate) mod database;
pub(crate) mod described;
pub(crate) mod flow;
pub(crate) mod front;
pub(crate) mod git;
pub(crate) mod lfs;
pub(crate) mod log;
pub(crate) mod oidc;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod request;
pub(crate) mod slow;
pub(crate) mod smtp;
pub(crate) mod tls;
mod watchdog;
