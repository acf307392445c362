//! Our own API keys: `moor_<id>_<secret>`, where the secret ends in a checksum.
//!
//! The prefix lets secret scanners find a leaked key, the checksum refuses a typing error before the
//! database is asked, and only a hash is kept.

use super::ticket::{Digest, digest};
use crate::domain::Secret;
use rand::RngExt as _;

const PREFIX: &str = "moor";
const ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that was just made. It is shown once.
pub struct ApiKeySecret {
    pub id: String,
    pub text: Secret,
    pub digest: Digest,
}

/// A presented key that is well formed: which row to look up, and what its hash must be.
pub struct ApiKeyParts {
    pub id: String,
    pub digest: Digest,
}

impl ApiKeySecret {
    pub fn fresh() -> Self {
        let id = random_base62(ID_CHARS);
        let body = format!("{PREFIX}_{id}_{}", random_base62(SECRET_CHARS));
        let text = format!("{body}{}", checksum(&body));
        Self { id, digest: digest(&text), text: Secret::new(text) }
    }
}

/// Takes a presented key apart. `None`: it cannot be one of ours.
pub fn parse_api_key(text: &str) -> Option<ApiKeyParts> {
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_CHARS)?)?;
    let mut parts = body.split('_');
    let (prefix, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let shaped =
        prefix == PREFIX && id.len() == ID_CHARS && secret.len() == SECRET_CHARS && parts.next().is_none();
    (shaped && checksum(body) == sum).then(|| ApiKeyParts { id: id.to_owned(), digest: digest(text) })
}

fn random_base62(chars: usize) -> String {
    let mut rng = rand::rng();
    (0..chars).map(|_| char::from(BASE62[rng.random_range(0..BASE62.len())])).collect()
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_parses_to_its_own_parts() {
        let key = ApiKeySecret::fresh();
        let parts = parse_api_key(key.text.expose()).unwrap();
        assert_eq!((parts.id, parts.digest), (key.id, key.digest));
    }

    #[test]
    fn a_typing_error_is_found_without_a_database() {
        let key = ApiKeySecret::fresh();
        let text = key.text.expose();
        for at in 0..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(parse_api_key(std::str::from_utf8(&wrong).unwrap()).is_none(), "at {at}");
        }
        for cut in 0..text.len() {
            assert!(parse_api_key(&text[..cut]).is_none());
        }
        assert!(parse_api_key("moor_ä_ö").is_none());
    }
}
