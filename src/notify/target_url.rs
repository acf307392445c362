//! May notices be sent to this URL? Asked when somebody types it; the way out asks again before each call.
//!
//! The rule it guards: what is written differently from what it means is refused before a parser repairs it.

use crate::outbound::{Outbound, Refused};
use url::Url;

/// Longer than any real webhook URL, in bytes.
const LONGEST: usize = 1024;

/// Why a URL is not taken. No sentence repeats the URL, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    #[error("Give the URL that takes the notices, such as https://example.com/hooks.")]
    Unreadable,
    #[error("The URL is too long: 1024 characters at most.")]
    TooLong,
    #[error(
        "The URL holds a space, a control character, a backslash or a letter outside ASCII. Write it plainly."
    )]
    Odd,
    #[error("Remove the user name and password: everything up to the @. The signature proves who sends.")]
    UserInfo,
    #[error("Remove the # and everything after it.")]
    Fragment,
    #[error(
        "Start the URL with https://. Plain http is for this machine while Mooring itself runs on loopback, \
         and for hosts that an operator names in MOORING_OUTBOUND_ALLOW."
    )]
    PlainHttp,
    #[error(
        "The URL leads to {0}. Give a public address; an operator can allow a private one with MOORING_OUTBOUND_ALLOW."
    )]
    Forbidden(&'static str),
}

impl WebhookUrlError {
    /// Whether it is a URL that could be allowed, and is not.
    pub fn is_forbidden(self) -> bool {
        matches!(self, Self::PlainHttp | Self::Forbidden(_))
    }
}

/// The URL as it will be called, if that may be.
pub(super) fn checked(raw: &str, http: &Outbound) -> Result<Url, WebhookUrlError> {
    let raw = raw.trim();
    if raw.len() > LONGEST {
        return Err(WebhookUrlError::TooLong);
    }
    if !raw.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err(WebhookUrlError::Odd);
    }
    let lower = raw.to_ascii_lowercase();
    let rest = ["https://", "http://"].iter().find_map(|scheme| lower.strip_prefix(scheme));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', ':', '@'])) {
        return Err(WebhookUrlError::Unreadable);
    }
    let url = Url::parse(raw).map_err(|_| WebhookUrlError::Unreadable)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WebhookUrlError::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(WebhookUrlError::Fragment);
    }
    http.check_literal(&url).map_err(refusal)?;
    Ok(url)
}

fn refusal(refused: Refused) -> WebhookUrlError {
    match refused {
        Refused::Scheme => WebhookUrlError::PlainHttp,
        Refused::UserInfo => WebhookUrlError::UserInfo,
        Refused::NoHost => WebhookUrlError::Unreadable,
        Refused::LocalName => WebhookUrlError::Forbidden("this machine itself"),
        Refused::MetadataName => WebhookUrlError::Forbidden("a cloud's metadata service"),
        Refused::Private => WebhookUrlError::Forbidden("a private address"),
        Refused::Address(_) => WebhookUrlError::Forbidden("an address that is not public"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::{CaBundle, Policy};

    fn judged(policy: Policy, url: &str) -> Result<(), WebhookUrlError> {
        let http = Outbound::guarded(policy, &CaBundle::default()).unwrap();
        checked(url, &http).map(drop)
    }

    #[test]
    fn what_is_no_plain_url_is_invalid() {
        use WebhookUrlError::{Fragment, Odd, TooLong, Unreadable, UserInfo};
        for (url, expected) in [
            ("", Unreadable),
            ("example.com/hooks", Unreadable),
            ("ftp://example.com", Unreadable),
            ("https:example.com", Unreadable),
            ("https:///example.com", Unreadable),
            ("https://exa mple.com", Odd),
            ("https://example.com\\@evil.example", Odd),
            ("https://ex\u{430}mple.com", Odd),
            ("https://user:pw@example.com/", UserInfo),
            ("https://token@example.com/", UserInfo),
            ("https://example.com/#x", Fragment),
            (&format!("https://example.com/{}", "x".repeat(1_024)), TooLong),
        ] {
            let found = judged(Policy::default(), url).unwrap_err();
            assert_eq!(found, expected, "{url}");
            assert!(!found.is_forbidden(), "{url}");
        }
    }

    #[test]
    fn what_is_not_public_https_is_forbidden() {
        for url in [
            "http://example.com/hooks",
            "http://127.0.0.1:9000",
            "https://localhost/",
            "https://10.0.0.7/",
            "https://169.254.169.254/latest",
            "https://0x7f.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://metadata.google.internal/",
        ] {
            assert!(judged(Policy::default(), url).unwrap_err().is_forbidden(), "{url}");
        }
        assert_eq!(judged(Policy::default(), "https://example.com/hooks?key=1"), Ok(()));
    }

    #[test]
    fn http_is_for_named_hosts_and_this_machine() {
        let named = Policy { http: true, ..Policy::parse("hooks.corp").unwrap() };
        assert_eq!(judged(named.clone(), "http://hooks.corp/in"), Ok(()));
        assert_eq!(judged(named, "http://other.corp/in"), Err(WebhookUrlError::PlainHttp));
        let here = Policy { loopback: true, ..Policy::default() };
        assert_eq!(judged(here.clone(), "http://localhost:9000/in"), Ok(()));
        assert_eq!(judged(here, "http://10.0.0.7:9000/in"), Err(WebhookUrlError::PlainHttp));
    }
}
