//! The one integration binary: the real app over HTTP, on both databases, against a simulated GitLab.
#![allow(clippy::disallowed_methods, reason = "a test may spawn, send and look at the environment")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod access_token_story;
mod adopt;
mod api;
mod api_connections;
mod api_document;
mod api_keys;
mod api_lists;
mod api_problems;
mod canary;
mod check;
mod circuits;
mod cli;
mod database_crash;
mod expiry;
mod feed;
mod health_schedule;
mod hostile_answers;
mod instances;
mod mail;
mod metrics;
mod notices;
mod oauth_attacks;
mod oauth_callbacks;
mod oauth_story;
mod pages;
mod paused;
mod people;
mod pooler;
mod processes;
mod renewal;
mod renewal_doubts;
mod renewal_machine;
mod rolling_restart;
mod self_rotation;
mod self_rotation_calls;
mod self_rotation_doubts;
mod sessions;
mod settings_pages;
mod store_contract;
mod support;
mod viewers;
mod webhooks;
