//! What the proxy must know of GitLab: how a token travels, and which requests would kill it.

use crate::domain::Secret;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;

/// The API takes Bearer for every kind of token; git over HTTP takes a token only as a Basic password (GitLab docs,
/// "Clone using a token").
pub(super) fn authorization(path: &str, user: &str, token: &Secret) -> HeaderValue {
    let text = if is_git(path) {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", token.expose())))
    } else {
        format!("Bearer {}", token.expose())
    };
    let mut value =
        HeaderValue::from_str(&text).expect("a token is visible ASCII: `presentable` looked at it");
    value.set_sensitive(true);
    value
}

/// Git's own paths lie below the repository's name (gitprotocol-http, "URL format").
fn is_git(path: &str) -> bool {
    path.contains(".git/") && !path.starts_with("api/")
}

/// Whatever changes a token that is named by its number or as "self": the number may be the own one, whichever kind of
/// token it is, and a rotation answers with the new one (GitLab docs, "Personal access tokens API"). And the OAuth
/// endpoints, which belong to the connection. A form's `_method` is no way around: only reading is free.
///
/// What stands in a body is not looked into, so not in GraphQL either.
pub(super) fn endangers_own_token(method: &Method, path: &str) -> bool {
    let plain = path.to_ascii_lowercase().replace("%2f", "/");
    let segments: Vec<_> = plain.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let first = segments.first().map(String::as_str);
    // Elsewhere lie repositories, whose names may be anything.
    let is_command = first == Some("api") || segments.iter().any(|segment| segment == "-");
    let names_one =
        segments.windows(2).any(|pair| matches!(&*pair[0], "personal_access_tokens" | "access_tokens"));
    let reads = matches!(*method, Method::GET | Method::HEAD);
    first == Some("oauth") || (is_command && names_one && !reads)
}

/// A segment with its percent-encoded letters in the open, and without a format: GitLab takes `self.json` for `self`.
fn decoded(segment: &str) -> String {
    let plain = percent_decode_str(segment).decode_utf8_lossy().to_lowercase();
    plain.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_gets_basic_and_the_api_bearer() {
        let kind = |path| authorization(path, "oauth2", &Secret::new("glpat-x")).to_str().unwrap().to_owned();
        assert_eq!(kind("acme/web.git/info/refs"), "Basic b2F1dGgyOmdscGF0LXg=");
        assert_eq!(kind("acme/web.git/info/lfs/objects/batch"), "Basic b2F1dGgyOmdscGF0LXg=");
        assert_eq!(kind("api/v4/user"), "Bearer glpat-x");
        assert_eq!(kind("api/v4/projects/acme%2Fweb.git/issues"), "Bearer glpat-x");
    }

    #[test]
    fn what_would_kill_the_own_token_is_known_in_every_spelling() {
        for path in [
            "api/v4/personal_access_tokens/self/rotate",
            "api/v4/personal_access_tokens/self",
            "api/v4//Personal_Access_Tokens/self/rotate",
            "api/v4/personal_access_tokens/sel%66/rotate",
            "api/v4/personal_access_tokens/self.json",
            "api/v4/personal_access_tokens/7/rotate.json",
            "api/v4/personal_access_tokens/7/rotate%2ejson",
            "api/v4/projects/12/access_tokens/self/rotate",
            "api/v4/personal_access_tokens/7/rotate",
            "api/v4/personal_access_tokens/7",
            "acme/web/-/settings/access_tokens/7/revoke",
            "api/v4/groups/acme%2Fsub/access_tokens/self/rotate",
        ] {
            assert!(endangers_own_token(&Method::POST, path), "{path}");
            assert!(endangers_own_token(&Method::DELETE, path), "{path}");
            assert!(!endangers_own_token(&Method::GET, path), "{path}");
        }
        assert!(endangers_own_token(&Method::GET, "oauth/token/info"));
        assert!(endangers_own_token(&Method::DELETE, "api/v4/projects/1/access_tokens/7"));
        for path in ["api/v4/projects/1/access_tokens", "api/v4/user", "self/access_tokens.git/info/refs"] {
            assert!(!endangers_own_token(&Method::POST, path), "{path}");
        }
    }
}
