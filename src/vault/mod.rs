//! Seals and opens what must not be read from the database, and makes the secrets that are our own.
//!
//! Knows no table: a caller says what a ciphertext is bound to, and gets a `Secret` back or an error.

mod api_key;
mod keyring;
mod password;
mod recipient;
mod ticket;

pub use api_key::{ApiKeyParts, ApiKeySecret, parse_api_key};
pub use keyring::{Binding, KeyId, Keyring, VaultError, generate_key};
pub use password::{Busy, hash_password, verify_password};
pub use recipient::{NotARecipient, Recipient, SealedTo, seal_to};
pub use ticket::{Digest, Ticket, digest, digest_of};
