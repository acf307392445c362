//! Mooring: a self-hosted OAuth 2.0 connection broker.
pub mod api_key;
pub mod app;
pub mod cli;
pub mod config;
pub mod connect;
pub mod disconnect;
pub mod domain;
pub mod feed;
pub mod handout;
pub mod health;
pub mod outbound;
pub mod providers;
pub mod renewal;
pub mod store;
pub mod telemetry;
pub mod vault;
pub mod web;
