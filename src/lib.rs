//! Mooring: a self-hosted OAuth 2.0 connection broker.
pub mod domain;
pub mod store;
pub mod vault;
