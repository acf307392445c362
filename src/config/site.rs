//! The public URL. Every redirect URI is built from it alone, so it is one origin and nothing else.

use super::{reader::Reader, values::is_loopback};
use std::fmt;
use url::Url;

/// An origin: scheme, host and port, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUrl(Url);

impl SiteUrl {
    /// The origin as text, such as `https://mooring.example.com`: append a path that begins with a slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The same as a parsed URL; its path is `/`.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it names this machine only: `localhost`, a name under it, 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether cookies may be marked `Secure`.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for SiteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const NAME: &str = "MOORING_SITE_URL";

/// The URL, with each of its faults noted. One that can be parsed comes back even with a fault, so that what
/// follows from it (is a key required?) is judged by what the operator meant.
pub(super) fn read(reader: &mut Reader<'_>) -> SiteUrl {
    let site = SiteUrl(reader.with_default(NAME, parse));
    for fault in faults(&site) {
        reader.problem(NAME, fault);
    }
    site
}

fn parse(value: &str) -> Result<Url, String> {
    Url::parse(value)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| "wants a URL such as https://mooring.example.com".to_owned())
}

fn faults(site: &SiteUrl) -> Vec<String> {
    let url = site.url();
    let mut faults = vec![];
    if !site.is_https() && !site.is_loopback() {
        faults.push("wants https; http is for this machine only, such as http://localhost:8080".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        faults.push("wants no user or password in it".to_owned());
    }
    if url.path() != "/" {
        let instead = "give it a host name of its own";
        faults.push(format!("wants no path: Mooring serves the root of its origin, so {instead}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        faults.push("wants no ? or # part".to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_and_the_slash_at_its_end_dropped() {
        for (given, kept, loopback) in [
            ("http://localhost:8080", "http://localhost:8080", true),
            ("http://localhost:8080/", "http://localhost:8080", true),
            ("http://127.0.0.9:1", "http://127.0.0.9:1", true),
            ("http://[::1]:8080", "http://[::1]:8080", true),
            ("http://mooring.localhost", "http://mooring.localhost", true),
            ("https://Mooring.Example.com:443/", "https://mooring.example.com", false),
        ] {
            let site = SiteUrl(parse(given).unwrap());
            assert_eq!((site.as_str(), site.is_loopback()), (kept, loopback), "{given}");
            assert!(faults(&site).is_empty(), "{given}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (given, says) in [
            ("http://mooring.example.com", "wants https"),
            ("http://0.0.0.0:8080", "wants https"),
            ("http://localhost.example.com", "wants https"),
            ("https://example.com/mooring", "wants no path"),
            ("https://user:pass@example.com", "wants no user"),
            ("https://example.com?x=1", "wants no ?"),
            ("https://example.com/#top", "wants no ?"),
        ] {
            let faults = faults(&SiteUrl(parse(given).unwrap()));
            assert_eq!(faults.len(), 1, "{given}: {faults:?}");
            assert!(faults[0].starts_with(says), "{given}: {faults:?}");
        }
        for given in ["mooring.example.com", "ftp://example.com", "https://", "localhost:8080"] {
            assert!(parse(given).is_err(), "{given}");
        }
    }
}
