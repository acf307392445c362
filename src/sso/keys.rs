//! The issuer's public keys (RFC 7517), and which of them signed.

use super::refusal::Trouble;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// An issuer has a handful.
const MOST: usize = 50;

/// The keys that this version understands.
#[derive(Debug)]
pub(super) struct Keys(Vec<Jwk>);

#[derive(Deserialize)]
struct Raw {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a set of keys. What is no key that we know of is passed over (RFC 7517 section 5).
    pub(super) fn read(body: &[u8]) -> Result<Self, Trouble> {
        let raw: Raw = serde_json::from_slice(body)
            .map_err(|_| Trouble::untrusted("The issuer's keys could not be read."))?;
        if raw.keys.len() > MOST {
            return Err(Trouble::untrusted(format!("The issuer has more than {MOST} keys.")));
        }
        let known = raw.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(known.filter(has_two_halves).collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The one key that may have signed so. Without a key id there must be no choice.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let named = |key: &&Jwk| id.is_none_or(|id| key.common.key_id.as_deref() == Some(id));
        let mut fit = self.0.iter().filter(named).filter(|key| fits(key, algorithm));
        let (first, second) = (fit.next()?, fit.next());
        if second.is_some() { None } else { DecodingKey::from_jwk(first).ok() }
    }
}

/// Whether a key is one of a pair, of a kind that we know.
fn has_two_halves(key: &Jwk) -> bool {
    use AlgorithmParameters::{EllipticCurve, OctetKeyPair, RSA};
    matches!(key.algorithm, RSA(_) | EllipticCurve(_) | OctetKeyPair(_))
}

/// Whether a key is one for signatures of this algorithm, by its kind, its curve, and what it says of itself.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let kind = match (&key.algorithm, algorithm.family()) {
        (AlgorithmParameters::RSA(_), AlgorithmFamily::Rsa) => true,
        (AlgorithmParameters::EllipticCurve(ec), AlgorithmFamily::Ec) => match algorithm {
            Algorithm::ES256 => ec.curve == EllipticCurve::P256,
            _ => ec.curve == EllipticCurve::P384,
        },
        (AlgorithmParameters::OctetKeyPair(okp), AlgorithmFamily::Ed) => okp.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let same = key.common.key_algorithm.is_none_or(|alg| alg.to_string() == format!("{algorithm:?}"));
    kind && signs && same
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rsa(changes: Value) -> Value {
        let mut key = json!({"kty": "RSA", "kid": "a", "n": "sXch".repeat(86), "e": "AQAB"});
        if let Value::Object(changes) = changes {
            key.as_object_mut().unwrap().extend(changes);
        }
        key
    }

    fn keys(all: &[Value]) -> Keys {
        Keys::read(json!({ "keys": all }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_key_is_chosen_by_id_kind_and_use() {
        let found = |all: &[Value], id, algorithm| keys(all).find(id, algorithm).is_some();
        let ec = json!({"kty": "EC", "kid": "e", "crv": "P-256", "x": "AAAA", "y": "AAAA"});
        let all = [rsa(json!({})), rsa(json!({"kid": "b", "alg": "PS256", "use": "sig"})), ec];
        assert!(found(&all, Some("a"), Algorithm::RS256));
        assert!(found(&all, Some("b"), Algorithm::PS256));
        assert!(!found(&all, Some("b"), Algorithm::RS256), "it says what it is for");
        assert!(!found(&all, Some("a"), Algorithm::ES256) && !found(&all, Some("e"), Algorithm::ES384));
        assert!(!found(&all, Some("c"), Algorithm::RS256) && !found(&all, Some(""), Algorithm::RS256));
        assert!(found(&all[..1], None, Algorithm::RS256), "there is no choice");
        assert!(!found(&[rsa(json!({})), rsa(json!({"kid": "b"}))], None, Algorithm::RS256));
        assert!(!found(&[rsa(json!({})), rsa(json!({}))], Some("a"), Algorithm::RS256), "which of the two?");
        assert!(!found(&[rsa(json!({"use": "enc"}))], Some("a"), Algorithm::RS256));
        let shared = json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0"});
        assert!(!found(&[shared], Some("a"), Algorithm::HS256), "a shared secret is no key of theirs");
    }

    #[test]
    fn unknown_keys_are_passed_over_and_many_are_refused() {
        let odd = [json!({"kty": "later"}), json!(7), rsa(json!({}))];
        assert_eq!(keys(&odd).len(), 1);
        let many = json!({ "keys": vec![rsa(json!({})); MOST + 1] });
        assert!(Keys::read(many.to_string().as_bytes()).is_err());
        assert!(Keys::read(b"{}").is_err() && Keys::read(b"<html>").is_err());
    }
}
