//! A GitLab that behaves: OAuth with consent, PKCE and hard rotation, the token and project endpoints of the
//! REST API with GitLab's own bodies and headers, and controls over time, tokens and faults. Everything is in
//! memory and on a port of its own. It is not a list of canned replies: it keeps state and follows the rules.
//!
//! ```no_run
//! # async fn story() {
//! use gitlab_sim::{Endpoint, Fault, Options, Sim};
//!
//! let sim = Sim::start(Options { base_path: "/gitlab".into(), ..Options::default() }).await;
//! let alice = sim.add_user("alice");
//! let project = sim.add_project("acme/web");
//! sim.add_member_project(project, alice, 30);
//! let app = sim.add_application("https://broker.example.com/callback", &["api", "read_user"]);
//!
//! // Consent without a browser: the answer is where the browser would be sent.
//! let url = format!("{}/oauth/authorize?client_id={}&…", sim.url(), app.client_id);
//! let location = sim.approve(&url);
//!
//! // The next refresh is committed, but its answer never arrives.
//! sim.fault(Endpoint::Token, Fault::DropAfterCommit);
//! // A request can be held, before or after its commit, instead of sleeping.
//! let gate = sim.hold(Endpoint::User);
//! gate.reached().await;
//! gate.release();
//! assert_eq!(sim.counts().refreshes_granted, 0);
//! # }
//! ```
//!
//! Other processes use the controls under `{base}/_sim/`: `GET counts`, `seen/{endpoint}`,
//! `live-refresh-tokens`; `POST mint`, `expire`, `revoke`, `is-live`, `revoke-authorization`, `advance`,
//! `token-life`, `faults`, `users/state`, `sign-in-as`, `approve`, `deny`, `users`, `projects`,
//! `groups`, `members`, `applications`; `DELETE faults`.

mod call;
mod clock;
mod control;
mod counts;
mod endpoint;
mod fault;
mod headers;
mod oauth;
mod object;
mod options;
mod random;
mod reply;
mod rest;
mod serve;
mod sim;
mod tasks;
mod template;
mod world;

pub use counts::{Counts, Seen};
pub use endpoint::Endpoint;
pub use fault::{Fault, Gate};
pub use options::{Options, Version};
pub use sim::Sim;
pub use template::{Ending, Template};
pub use world::{App, Link, MintedToken, OAuthPair, ServiceOwner, UserId, UserState};
