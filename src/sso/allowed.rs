//! Who may come in: e-mail addresses and whole domains, judged anew at each sign-in.

use super::{
    claims::Claims,
    refusal::{Refusal, Trouble},
};
use crate::operator::bad_email;

/// Addresses, and domains without what is under them, in lower case.
#[derive(Clone, Debug)]
pub struct Allowed(Vec<String>);

impl Allowed {
    pub fn new(entries: Vec<String>) -> Self {
        Self(entries)
    }

    /// As the operator of this server wrote them.
    pub fn entries(&self) -> &[String] {
        &self.0
    }

    /// The address with which they come in: verified, and one of ours.
    pub(super) fn admit(&self, claims: &Claims) -> Result<String, Trouble> {
        let email = claims
            .email()
            .ok_or_else(|| Trouble::new(Refusal::EmailUnverified, "The ID token has no usable e-mail."))?;
        if !claims.email_is_verified() {
            return Err(Trouble::new(
                Refusal::EmailUnverified,
                "The ID token does not say that the e-mail is verified.",
            ));
        }
        if !self.includes(&email) {
            return Err(Trouble::new(Refusal::NotAllowed, "MOORING_OIDC_ALLOWED does not name them."));
        }
        Ok(email)
    }

    fn includes(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain);
        self.0.iter().any(|entry| if entry.contains('@') { entry == email } else { Some(&**entry) == domain })
    }
}

/// An address in lower case. `None` where it is odd: not plain ASCII (some letters become others in lower case), or
/// with a second `@`.
pub(super) fn plain(email: &str) -> Option<String> {
    let email = email.to_ascii_lowercase();
    let is_plain = email.is_ascii() && email.matches('@').count() == 1 && bad_email(&email).is_none();
    is_plain.then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_domains_are_matched_whole() {
        let allowed = Allowed::new(vec!["ops@example.com".into(), "example.org".into()]);
        for good in ["ops@example.com", "OPS@Example.Com", "anyone@example.org", "a+b@EXAMPLE.ORG"] {
            assert!(allowed.includes(&plain(good).unwrap()), "{good}");
        }
        for bad in [
            "other@example.com",
            "ops@example.com.evil.org",
            "anyone@sub.example.org",
            "anyone@evilexample.org",
            "anyone@example.org.",
            "example.org@evil.com",
            "xops@example.com",
        ] {
            assert!(!allowed.includes(&plain(bad).unwrap()), "{bad}");
        }
    }

    #[test]
    fn odd_addresses_are_none() {
        let kelvin = "boo\u{212A}@example.org";
        for odd in
            [kelvin, "a@evil.com@example.org", "\"a@b\"@example.org", "a b@example.org", "", "@x", "a@"]
        {
            assert_eq!(plain(odd), None, "{odd}");
        }
    }
}
