//! What an ID token says, and whether it is meant for this sign-in (OpenID Connect Core section 3.1.3.7).
//! The signature is verified before.

use super::{allowed::plain, refusal::Trouble};
use crate::vault::digest;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};

/// How far the issuer's clock may be from ours.
const LEEWAY: Duration = Duration::minutes(1);
/// An ID token is used at once; an older one was not made for this.
const OLDEST: Duration = Duration::minutes(10);
/// OpenID Connect Core section 2.
const LONGEST_SUBJECT: usize = 255;

/// The claims of an ID token whose signature is good, and nothing more.
#[derive(Deserialize)]
pub(super) struct Payload {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nonce: Option<String>,
    email: Option<Value>,
    email_verified: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What it must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// The hash of the nonce.
    pub(super) nonce: &'a [u8],
    pub(super) now: OffsetDateTime,
}

/// Claims that were found to be for us.
pub(super) struct Claims(Payload);

/// It tells of a person; and its nonce is a secret.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}

impl Claims {
    pub(super) fn subject(&self) -> &str {
        &self.0.sub
    }

    /// In lower case; `None` where it is missing or odd.
    pub(super) fn email(&self) -> Option<String> {
        plain(self.0.email.as_ref()?.as_str()?)
    }

    /// Only the boolean: some issuers write `"true"` for what they never looked at.
    pub(super) fn email_is_verified(&self) -> bool {
        self.0.email_verified == Some(Value::Bool(true))
    }
}

impl Payload {
    /// Whether it is from this issuer, for us, for this sign-in, and of now.
    pub(super) fn judged(self, expected: &Expected<'_>) -> Result<Claims, Trouble> {
        let wrong = |what: &str| Err(Trouble::untrusted(format!("The ID token {what}.")));
        if self.iss != expected.issuer {
            return wrong("is of another issuer");
        }
        if !self.is_for(expected.client_id) {
            return wrong("is meant for somebody else");
        }
        let now = (expected.now - OffsetDateTime::UNIX_EPOCH).as_seconds_f64();
        if now >= self.exp + LEEWAY.as_seconds_f64() {
            return wrong("has ended");
        }
        if self.iat > now + LEEWAY.as_seconds_f64() {
            return wrong("is from the future: compare the clocks");
        }
        if now > self.iat + (OLDEST + LEEWAY).as_seconds_f64() {
            return wrong("is too old");
        }
        let nonce = digest(self.nonce.as_deref().unwrap_or_default());
        if !bool::from(nonce.ct_eq(expected.nonce)) {
            return wrong("is of another sign-in: its nonce is not ours");
        }
        let is_fit = |c: char| !c.is_control();
        if self.sub.is_empty() || self.sub.len() > LONGEST_SUBJECT || !self.sub.chars().all(is_fit) {
            return wrong("has no usable subject");
        }
        Ok(Claims(self))
    }

    /// Of several audiences, `azp` says which one asked.
    fn is_for(&self, client_id: &str) -> bool {
        let named = match &self.aud {
            Audience::One(one) => one == client_id,
            Audience::Several(all) => {
                all.iter().any(|one| one == client_id) && (all.len() == 1 || self.azp.is_some())
            }
        };
        named && self.azp.as_ref().is_none_or(|azp| azp == client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn judge(changes: Value) -> Result<Claims, Trouble> {
        let mut claims = json!({
            "iss": "https://id.example", "sub": "u1", "aud": "mooring", "exp": NOW + 120, "iat": NOW,
            "nonce": "n", "email": "Ada@Example.com", "email_verified": true,
        });
        if let Value::Object(changes) = changes {
            claims.as_object_mut().unwrap().extend(changes);
        }
        let payload: Payload =
            serde_json::from_value(claims).map_err(|_| Trouble::untrusted("unreadable"))?;
        let expected = Expected {
            issuer: "https://id.example",
            client_id: "mooring",
            nonce: &digest("n"),
            now: OffsetDateTime::from_unix_timestamp(NOW).unwrap(),
        };
        payload.judged(&expected)
    }

    #[test]
    fn what_is_meant_for_us_is_taken() {
        for good in [
            json!({}),
            json!({"aud": ["mooring"]}),
            json!({"aud": ["mooring", "other"], "azp": "mooring"}),
            json!({"azp": "mooring"}),
            json!({"exp": NOW - 59}),
            json!({"iat": NOW + 59}),
            json!({"iat": NOW - 659, "exp": 1_800_000_000.5}),
            json!({"sub": "x".repeat(255)}),
        ] {
            let claims = judge(good.clone()).unwrap_or_else(|e| panic!("{good}: {e}"));
            assert_eq!(claims.email().as_deref(), Some("ada@example.com"));
            assert!(claims.email_is_verified());
        }
    }

    #[test]
    fn anything_else_is_not() {
        for bad in [
            json!({"iss": "https://id.example/"}),
            json!({"iss": null}),
            json!({"aud": "other"}),
            json!({"aud": []}),
            json!({"aud": ["mooring", "other"]}),
            json!({"aud": ["mooring", "other"], "azp": "other"}),
            json!({"aud": ["other"], "azp": "mooring"}),
            json!({"azp": "other"}),
            json!({"exp": NOW - 60}),
            json!({"exp": null}),
            json!({"exp": "never"}),
            json!({"iat": NOW - 661}),
            json!({"iat": NOW + 61}),
            json!({"iat": null}),
            json!({"nonce": "other"}),
            json!({"nonce": ""}),
            json!({"nonce": null}),
            json!({"sub": ""}),
            json!({"sub": null}),
            json!({"sub": 7}),
            json!({"sub": "x".repeat(256)}),
            json!({"sub": "a\u{0}b"}),
        ] {
            assert!(judge(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_word_true_verifies_an_address() {
        for not in [json!("true"), json!(1), json!(false), json!(null), json!(["true"])] {
            assert!(!judge(json!({"email_verified": not})).unwrap().email_is_verified(), "{not}");
        }
        for none in [json!(null), json!(["ada@example.com"]), json!("ada"), json!(7)] {
            assert_eq!(judge(json!({"email": none})).unwrap().email(), None, "{none}");
        }
    }
}
