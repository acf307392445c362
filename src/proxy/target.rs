//! Where a request goes: the connection's base URL and, byte for byte, the path that the caller wrote.
//!
//! The rule it guards: nothing a caller sends can lead elsewhere. What a URL parser would resolve or repair is refused.

use super::ProxyError;
use crate::domain::BaseUrl;
use url::{Url, form_urlencoded};

/// Parameters by which GitLab takes a credential from a query. A URL is logged on its way, so none belongs there.
const CREDENTIALS: [&str; 3] = ["private_token", "access_token", "job_token"];

/// A place below some base URL that leads nowhere else.
pub(super) struct Target<'a> {
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a raw path, without a leading slash and still percent-encoded, and a query.
    pub(super) fn checked(path: &'a str, query: Option<&'a str>) -> Result<Self, ProxyError> {
        let target = Self { path, query };
        let anywhere = BaseUrl::parse_configured("https://gitlab.example").expect("a good address");
        let is_kept = target.below(&anywhere).path().strip_prefix('/') == Some(path);
        if !is_kept || path.split('/').any(climbs) {
            return Err(ProxyError::Path);
        }
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        if pairs.into_iter().any(|(name, _)| is_credential(&name)) {
            return Err(ProxyError::CredentialInQuery);
        }
        Ok(target)
    }

    pub(super) fn below(&self, base_url: &BaseUrl) -> Url {
        let mut url = base_url.join("");
        let path = format!("{}/{}", url.path().trim_end_matches('/'), self.path);
        url.set_path(&path);
        url.set_query(self.query);
        url
    }
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a segment means "here" or "up", also where a slash in it is encoded.
fn climbs(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    plain == "." || plain.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str, rest: &str, query: Option<&str>) -> Result<String, ProxyError> {
        let base_url = BaseUrl::parse_configured(base).unwrap();
        Target::checked(rest, query).map(|target| target.below(&base_url).into())
    }

    #[test]
    fn a_path_is_kept_byte_for_byte() {
        let base = "https://gitlab.example.com/gitlab";
        for rest in [
            "api/v4/projects/acme%2Fweb/repository/files/src%2fmain.rs/raw",
            "api/v4/projects/1//issues",
            "acme/web.git/info/refs",
            "api/v4/a%20b%2520c",
            "",
            "//evil.example.com/",
            "@evil.example.com/",
            "https://evil.example.com/",
            ".hidden/a..b",
        ] {
            assert_eq!(at(base, rest, None).unwrap(), format!("{base}/{rest}"));
        }
        let query = "scope=all&q=a%20b+c&labels[]=x&url=https://evil.example.com/?x";
        assert_eq!(at(base, "api", Some(query)).unwrap(), format!("{base}/api?{query}"));
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        for rest in [
            "..",
            "../x",
            "api/../../x",
            "api/%2e%2e/x",
            "api/%2E./x",
            "api/.%2e/x",
            "api/./x",
            "api/%2e/x",
            "api/..%2fx",
            "api/%2e%2e%2Fx",
            "api\\..\\x",
            "api/..%5cx",
            "a b",
            "a\tb",
            "a<b",
        ] {
            assert!(matches!(at("https://gitlab.example.com", rest, None), Err(ProxyError::Path)), "{rest}");
        }
    }

    #[test]
    fn a_credential_in_the_query_is_refused() {
        for query in
            ["private_token=x", "a=b&access_token=x", "PRIVATE_TOKEN=x", "private%5Ftoken=x", "job_token"]
        {
            let refused = at("https://gitlab.example.com", "api/v4/user", Some(query));
            assert!(matches!(refused, Err(ProxyError::CredentialInQuery)), "{query}");
        }
    }
}
