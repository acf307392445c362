//! The nouns: types and rules that every other module shares.
//!
//! Pure: no async, no I/O, no database, no HTTP. What can be decided without asking anybody is decided here.

mod account;
mod base_url;
mod caller;
mod clock;
mod connect_session;
mod connection;
pub mod credential;
mod event;
mod id;
mod integration;
mod request_pattern;
mod role;
mod scope;
mod secret;
mod standing;
mod use_case;
pub(crate) mod words;

pub use account::{AccessLevel, Account, AccountKind, Resource, ResourceKind, TokenKind};
pub use base_url::{BaseUrl, BaseUrlError};
pub use caller::{Caller, Permission};
pub use clock::Clock;
pub use connect_session::{ConnectSession, ConnectSessionState};
pub use connection::{Action, Breaker, Connection, CredentialFacts, Failure, Method, Reason, Status};
pub use credential::{Credential, Renewal, RenewalKind, Tending};
pub use event::{Actor, Change, Event, EventKind};
pub use id::{
    ConnectSessionId, ConnectionId, DeliveryId, EventId, OperatorId, RenewalId, RevocationId,
    WebhookEndpointId, quoted_id,
};
pub use integration::{Integration, OAuthApplication};
pub use request_pattern::{PatternError, RequestPattern};
pub use role::Role;
pub use scope::Scopes;
pub use secret::Secret;
pub use standing::Standing;
pub use use_case::{CheckOutcome, Needs, UseCase, UseCaseCheck, UseCaseError, UseCases};
pub use words::UnknownWord;
pub(crate) use words::words;
