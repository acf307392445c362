//! Which headers go on, in both directions.
//!
//! The rule it guards: the caller's credentials never travel upstream, the provider's never travel back, and nothing
//! that a provider says is a rule for the origin that Mooring's own pages have.

use super::rewrite::Rewrite;
use crate::domain::Secret;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LINK, LOCATION,
    },
};

/// About one connection and not about the message (RFC 9110 section 7.6.1), and their like.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The caller's credentials, where it comes from and which trace it is part of, and what would make another method of the one that was judged.
const NOT_UP: [&str; 20] = [
    "authorization",
    "baggage",
    "cookie",
    "deploy-token",
    "expect",
    "forwarded",
    "host",
    "job-token",
    "origin",
    "private-token",
    "referer",
    "traceparent",
    "tracestate",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-gitlab-static-object-token",
    "x-real-ip",
    "x-request-id",
];

/// Credentials, rules for the provider's own origin, and what is ours to say.
const NOT_BACK: [&str; 17] = [
    "alt-svc",
    "authentication-info",
    "clear-site-data",
    "content-security-policy-report-only",
    "nel",
    "permissions-policy",
    "proxy-authentication-info",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",
    "x-mooring-error",
    "x-request-id",
];

/// Kinds of content that a browser may run. They are offered for saving.
const RUNNABLE: [&str; 6] =
    ["text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "application/pdf"];

/// A request's headers as they go on, without a credential yet.
pub(super) fn upstream(mut headers: HeaderMap) -> HeaderMap {
    drop_hop_by_hop(&mut headers);
    drop_where(&mut headers, |name| NOT_UP.contains(&name) || name.starts_with("x-forwarded-"));
    headers
}

/// An answer's headers as they go back.
pub(super) fn downstream(
    mut headers: HeaderMap,
    (token, sent): (&Secret, &HeaderValue),
    rewrite: &Rewrite<'_>,
) -> HeaderMap {
    drop_hop_by_hop(&mut headers);
    drop_where(&mut headers, |name| NOT_BACK.contains(&name) || name.starts_with("access-control-"));
    // Whatever echoes the token does not go back.
    let echoing: Vec<_> = headers
        .iter()
        .filter(|(_, value)| token.is_in(value.as_bytes()) || holds(value, sent))
        .map(|(name, _)| name.clone())
        .collect();
    for name in echoing {
        headers.remove(name);
    }
    change(&mut headers, &LOCATION, |address| rewrite.redirect(address));
    change(&mut headers, &CACHE_CONTROL, not_shared);
    change(&mut headers, &LINK, |links| Some(rewrite.links(links)));
    sandbox(&mut headers);
    headers
}

/// Whether what was sent as a credential stands in there, without the name of its scheme.
fn holds(value: &HeaderValue, sent: &HeaderValue) -> bool {
    let sent = sent.as_bytes();
    let from = sent.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    let (sent, value) = (&sent[from..], value.as_bytes());
    !sent.is_empty() && value.windows(sent.len()).any(|part| part == sent)
}

/// A browser that opens such an answer must not run it as if it were ours.
fn sandbox(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("text/html");
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if RUNNABLE.contains(&essence.as_str()) {
        headers.entry(CONTENT_DISPOSITION).or_insert(HeaderValue::from_static("attachment"));
    }
}

/// A cache in between cannot know whose key made the answer.
fn not_shared(rules: &str) -> Option<String> {
    let is_shared =
        rules.split(',').any(|rule| rule.trim() == "public" || rule.trim().starts_with("s-maxage"));
    is_shared.then(|| "private".to_owned())
}

fn change(headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&str) -> Option<String>) {
    let values: Vec<_> = headers.get_all(name).iter().cloned().collect();
    headers.remove(name);
    for value in values {
        let changed =
            value.to_str().ok().and_then(&change).and_then(|text| HeaderValue::from_str(&text).ok());
        headers.append(name, changed.unwrap_or(value));
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    drop_where(headers, |name| HOP_BY_HOP.contains(&name) || named.iter().any(|n| n == name));
}

fn drop_where(headers: &mut HeaderMap, is_dropped: impl Fn(&str) -> bool) {
    let dropped: Vec<_> = headers.keys().filter(|name| is_dropped(name.as_str())).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BaseUrl;
    use url::Url;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn back(lines: &[(&str, &str)]) -> HeaderMap {
        let base_url = BaseUrl::parse_configured("https://gitlab.example.com/gitlab").unwrap();
        let asked = Url::parse("https://gitlab.example.com/gitlab/api/v4/projects?page=1").unwrap();
        let rewrite = Rewrite {
            base_url: &base_url,
            asked: &asked,
            proxy_url: "https://mooring.example.com/proxy/acme",
        };
        let sent = HeaderValue::from_static("Basic b2F1dGgyOmdscGF0LXNlY3JldA==");
        downstream(headers(lines), (&Secret::new("glpat-secret"), &sent), &rewrite)
    }

    #[test]
    fn what_belongs_to_the_caller_or_to_one_connection_stays_here() {
        let kept = upstream(headers(&[
            ("accept", "application/json"),
            ("authorization", "Bearer moor_x"),
            ("private-token", "moor_x"),
            ("cookie", "session=1"),
            ("connection", "keep-alive, X-Only-Here"),
            ("x-only-here", "1"),
            ("x-forwarded-host", "evil.example.com"),
            ("host", "mooring.example.com"),
            ("x-http-method-override", "DELETE"),
            ("content-length", "3"),
            ("git-protocol", "version=2"),
        ]));
        let names: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept", "content-length", "git-protocol"]);
    }

    #[test]
    fn credentials_and_rules_of_the_provider_do_not_come_back() {
        let kept = back(&[
            ("set-cookie", "_gitlab_session=1"),
            ("www-authenticate", "Basic realm=\"GitLab\""),
            ("access-control-allow-origin", "*"),
            ("x-echo", "Bearer glpat-secret"),
            ("x-other-echo", "Basic b2F1dGgyOmdscGF0LXNlY3JldA=="),
            ("cache-control", "public, max-age=60"),
            ("content-type", "application/json"),
            ("ratelimit-remaining", "1999"),
            ("x-next-page", ""),
        ]);
        for gone in
            ["set-cookie", "www-authenticate", "access-control-allow-origin", "x-echo", "x-other-echo"]
        {
            assert!(!kept.contains_key(gone), "{gone}");
        }
        assert_eq!(kept["ratelimit-remaining"], "1999");
        assert_eq!(kept[CACHE_CONTROL], "private");
        assert!(kept.contains_key("x-next-page") && !kept.contains_key(CONTENT_DISPOSITION));
    }

    #[test]
    fn addresses_are_rewritten() {
        let kept = back(&[
            ("link", "</gitlab/api/v4/projects?page=2>; rel=\"next\""),
            ("location", "/gitlab/users/sign_in"),
        ]);
        let here = "https://mooring.example.com/proxy/acme";
        assert_eq!(kept[LINK], format!("<{here}/api/v4/projects?page=2>; rel=\"next\""));
        assert_eq!(kept[LOCATION], format!("{here}/users/sign_in"));
    }

    #[test]
    fn what_a_browser_could_run_is_sandboxed_and_saved() {
        for kind in ["text/html; charset=utf-8", "IMAGE/SVG+XML", "application/xhtml+xml"] {
            let kept = back(&[("content-type", kind), ("content-security-policy", "script-src *")]);
            assert_eq!(kept[CONTENT_DISPOSITION], "attachment", "{kind}");
            assert_eq!(kept[CONTENT_SECURITY_POLICY], "sandbox; default-src 'none'");
        }
        let named =
            back(&[("content-type", "text/html"), ("content-disposition", "attachment; filename=a.html")]);
        assert_eq!(named[CONTENT_DISPOSITION], "attachment; filename=a.html");
    }
}
