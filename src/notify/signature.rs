//! Signs as Standard Webhooks says (standardwebhooks.com): a receiver checks with any library for it.

use crate::domain::Secret;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";

/// A new signing secret: 256 bits from the operating system's generator.
pub(super) fn fresh_secret() -> Secret {
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    Secret::new(format!("{PREFIX}{}", BASE64_STANDARD.encode(key.as_slice())))
}

/// The `webhook-signature` of a message: one signature for each secret. A secret that is none of ours gives
/// none.
pub(super) fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let message = format!("{id}.{timestamp}.{body}");
    let signatures = secrets.iter().filter_map(|secret| signature(secret, message.as_bytes()));
    signatures.collect::<Vec<_>>().join(" ")
}

fn signature(secret: &Secret, message: &[u8]) -> Option<String> {
    let key = Zeroizing::new(BASE64_STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok()?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length will do");
    mac.update(message);
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed =
            sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_and_the_published_verifier_agrees() {
        let secrets = [fresh_secret(), fresh_secret()];
        let signed = sign(&secrets, "id", 7, "{}");
        let expected = secrets.map(|secret| {
            standardwebhooks::Webhook::new(secret.expose()).unwrap().sign("id", 7, b"{}").unwrap()
        });
        assert_eq!(signed, expected.join(" "));
    }
}
