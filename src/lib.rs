//! Mooring: a self-hosted OAuth 2.0 connection broker.
//!
//! Nouns live in `domain`, verbs at the root, technology at the edge.
//!
//! | module | what it is for |
//! |---|---|
//! | [`domain`] | the nouns and their rules: no I/O |
//! | [`outbound`] | the one HTTP client, and where it may go |
//! | [`config`], [`telemetry`] | settings from the environment; logs, metrics and traces |
//! | [`vault`] | seals and opens, hashes, makes keys |
//! | [`store`], [`feed`] | rows in either database; what changed in them |
//! | [`providers`] | speaks to GitLab, and knows nothing of our rows |
//! | [`transfer`] | seals connections for another installation |
//! | [`connect`], [`disconnect`] | the two ways in, and the way out |
//! | [`renewal`] | gets the next credential, once, and loses none |
//! | [`health`] | checks a connection at the provider |
//! | [`reach`] | asks what a token reaches |
//! | [`handout`] | gives a caller a token that lasts |
//! | [`proxy`] | sends a caller's request on, with the credential attached |
//! | [`notify`] | tells people what happened and what will end |
//! | [`api_key`], [`operator`] | make programs' keys, and people |
//! | [`sso`] | lets people in whom an OpenID provider vouches for |
//! | [`web`] | the API and the pages |
//! | [`app`], [`cli`] | wire it all together; the commands |
//!
//! The arrows point one way, from the bottom of this table to its top. Who may name whom is the table in
//! `tests/arrows.rs`, which fails when the code says otherwise. How things flow is in `docs/ARCHITECTURE.md`.
//!
//! # How to add a provider
//!
//! 1. Write a module beside `providers/gitlab` with an implementation of [`providers::ProviderApi`]; the
//!    OAuth half in `providers/oauth.rs` is shared.
//! 2. [`providers::Provider`] holds one implementation today, made by `Provider::new(GitLab)` in
//!    `app/build.rs`: let `connect`, `renewal`, `health` and `disconnect` choose one by the name in
//!    `Integration::provider` and `Connection::provider`.
//! 3. `PROVIDER` in `connect/establish.rs` is the name that new connections get: make it a field of `Place`.
//! 4. Let `config/values.rs` take the new name in `MOORING_INTEGRATION_<ID>_PROVIDER`.

pub mod api_key;
pub mod app;
pub mod cli;
pub mod config;
pub mod connect;
pub mod disconnect;
pub mod domain;
mod failpoint;
pub mod feed;
pub mod handout;
pub mod health;
pub mod notify;
pub mod operator;
pub mod outbound;
pub mod providers;
pub mod proxy;
pub mod reach;
pub mod renewal;
pub mod sso;
pub mod store;
pub mod telemetry;
pub mod transfer;
pub mod vault;
pub mod web;
