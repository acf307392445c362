//! Random tokens of our own (`state`, browser binders, setup links): handed out once, kept as a hash.

use crate::domain::Secret;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a token with 256 bits of chance. No slow hash is needed: there is nothing to guess.
pub type Digest = Vec<u8>;

/// A fresh token and the digest to keep.
pub struct Ticket {
    pub secret: Secret,
    pub digest: Digest,
}

impl Ticket {
    /// 256 bits from the operating system's generator, in base64url.
    pub fn fresh() -> Self {
        let bytes: [u8; 32] = rand::random();
        let secret = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let digest = digest(secret.expose());
        Self { secret, digest }
    }
}

/// What is kept of a token, and looked for when one comes back.
pub fn digest(token: &str) -> Digest {
    digest_of(token.as_bytes())
}

/// The SHA-256 of anything.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_tickets_are_alike() {
        let all: HashSet<_> = (0..10_000).map(|_| Ticket::fresh().secret.expose().to_owned()).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|t| t.len() == 43));
    }
}
