//! What is a base URL and what is not, row by row and at random.

use proptest::prelude::*;
use url::Url;

use super::{BaseUrl, BaseUrlError};

/// The tricks and their outcomes; the tests of the outbound guard read the same table for their half.
const TYPED_URLS: &str = include_str!("typed_urls.txt");

fn typed(raw: &str) -> BaseUrl {
    BaseUrl::parse_typed(raw).unwrap()
}

fn configured(raw: &str) -> BaseUrl {
    BaseUrl::parse_configured(raw).unwrap()
}

/// Whether `url` has the same origin, lies at or below the subpath, and carries no user name or password.
fn is_below(base: &BaseUrl, url: &Url) -> bool {
    let path = base.url.path().trim_end_matches('/');
    base.url.origin() == url.origin()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn rows() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    TYPED_URLS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (row, rest) = line.split_once('|').unwrap();
        let (url, outcome) = rest.rsplit_once('|').unwrap();
        let url =
            url.replace("<TAB>", "\t").replace("<LF>", "\n").replace("<CR>", "\r").replace("<NUL>", "\0");
        (row, url, outcome)
    })
}

#[test]
fn every_known_trick_has_its_outcome() {
    for (row, url, outcome) in rows() {
        let seen = match BaseUrl::parse_typed(&url) {
            Err(error) => format!("{error:?}"),
            Ok(_) if matches!(outcome, "guard" | "ok") => outcome.to_owned(),
            Ok(base) => format!("accepted as {base}"),
        };
        assert_eq!(seen, outcome, "row {row}: {url:?}");
    }
}

#[test]
fn no_row_is_accepted_without_tls() {
    for (row, url, _) in rows() {
        let plain = url.replace("https:", "http:");
        assert!(BaseUrl::parse_typed(&plain).is_err(), "row {row}: {plain:?}");
    }
}

#[test]
fn an_error_never_repeats_what_was_typed() {
    for (row, url, _) in rows() {
        if let Err(error) = BaseUrl::parse_typed(&url) {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret") && !text.contains(&url), "row {row}");
            assert!(error.to_string().ends_with('.'), "row {row}: a full sentence");
        }
    }
}

#[test]
fn one_place_has_one_canonical_text() {
    for raw in [
        "https://gitlab.com",
        " https://gitlab.com/ ",
        "HTTPS://GitLab.COM:443",
        "https://gitlab.com//",
        "https://gitlab.com/api/v4",
        "https://gitlab.com/api/v4/\n",
    ] {
        assert_eq!(typed(raw).as_str(), "https://gitlab.com", "{raw:?}");
        assert_eq!(typed(raw), typed("https://gitlab.com"));
    }
    assert_eq!(typed("https://[2606:4700:0:0:0:0:0:1111]:0443").as_str(), "https://[2606:4700::1111]");
}

#[test]
fn a_subpath_is_kept_and_the_api_path_is_not() {
    assert_eq!(typed("https://host.example/GitLab/").as_str(), "https://host.example/GitLab");
    assert_eq!(typed("https://host.example/gitlab/api/v4").as_str(), "https://host.example/gitlab");
    assert_eq!(typed("https://host.example/my-api/v4").as_str(), "https://host.example/my-api/v4");
}

#[test]
fn an_operator_may_configure_what_a_user_may_not_type() {
    for raw in [
        "http://localhost:8080",
        "http://10.0.0.1:22",
        "https://xn--gtlab-n2e.com",
        "https://git.internal:81",
    ] {
        assert!(BaseUrl::parse_configured(raw).is_ok(), "{raw}");
        assert!(BaseUrl::parse_typed(raw).is_err(), "{raw}");
    }
}

#[test]
fn an_operator_is_held_to_the_same_spelling() {
    for (raw, expected) in [
        ("ftp://gitlab.com", BaseUrlError::NotHttp),
        ("gitlab.com", BaseUrlError::NotHttp),
        ("http://user:pw@gitlab.com", BaseUrlError::UserInfo),
        ("http://127.1", BaseUrlError::HostNumeric),
        ("http://gitlab.com/?a", BaseUrlError::Query),
        ("http://gitlab.com/a/../b", BaseUrlError::PathDots),
        ("https://xn--0.pt", BaseUrlError::HostInvalid),
    ] {
        assert_eq!(BaseUrl::parse_configured(raw), Err(expected), "{raw}");
    }
}

#[test]
fn the_other_odd_texts_are_refused() {
    let long = format!("https://gitlab.com/{}", "a".repeat(1024));
    let label = format!("https://{}.com", "a".repeat(64));
    for (raw, expected) in [
        ("", BaseUrlError::Empty),
        (" \n", BaseUrlError::Empty),
        (long.as_str(), BaseUrlError::TooLong),
        (label.as_str(), BaseUrlError::HostInvalid),
        ("gitlab.com", BaseUrlError::NotHttps),
        ("https://", BaseUrlError::HostMissing),
        ("https://:443", BaseUrlError::HostMissing),
        ("https://.", BaseUrlError::HostEmptyLabel),
        ("https://git lab.com", BaseUrlError::Whitespace),
        ("https://git!lab.com", BaseUrlError::HostInvalid),
        ("https://[::1", BaseUrlError::HostIpv6),
        ("https://[::1]]", BaseUrlError::HostIpv6),
        ("https://[]", BaseUrlError::HostIpv6),
        ("https://[127.0.0.1]", BaseUrlError::HostIpv6),
        ("https://0x", BaseUrlError::HostNumeric),
        ("https://gitlab.com:80", BaseUrlError::PortPrivileged),
    ] {
        assert_eq!(BaseUrl::parse_typed(raw), Err(expected), "{raw:?}");
    }
}

#[test]
fn the_parts_can_be_asked_for() {
    let base = configured("http://GitLab.internal:8080/sub");
    assert_eq!(base.host(), "gitlab.internal");
    assert_eq!(base.port_or_default(), 8080);
    assert_eq!(base.origin(), "http://gitlab.internal:8080");
    assert!(!base.is_https());
    assert_eq!(base.to_string(), "http://gitlab.internal:8080/sub");
    assert_eq!(format!("{base:?}"), "BaseUrl(http://gitlab.internal:8080/sub)");
    assert_eq!(typed("https://gitlab.com").port_or_default(), 443);
    assert!(typed("https://gitlab.com").is_https());
}

#[test]
fn loopback_is_told_from_the_writing() {
    for raw in ["http://localhost", "http://127.0.0.1:8080", "http://127.9.9.9", "http://[::1]:3000/x"] {
        assert!(configured(raw).is_loopback(), "{raw}");
    }
    for raw in ["http://gitlab.com", "http://128.0.0.1", "http://localhost.example.com", "http://[::2]"] {
        assert!(!configured(raw).is_loopback(), "{raw}");
    }
}

#[test]
fn join_keeps_the_subpath() {
    let base = typed("https://host.example/gitlab");
    assert_eq!(base.join("api/v4/user").as_str(), "https://host.example/gitlab/api/v4/user");
    assert_eq!(base.join("/oauth/token").as_str(), "https://host.example/gitlab/oauth/token");
    assert_eq!(base.join("").as_str(), "https://host.example/gitlab");
    assert_eq!(
        base.join("api/v4/projects/a%2Fb").as_str(),
        "https://host.example/gitlab/api/v4/projects/a%2Fb"
    );
    assert_eq!(typed("https://gitlab.com").join("api/v4/user").as_str(), "https://gitlab.com/api/v4/user");
}

#[test]
fn join_does_not_climb() {
    let base = typed("https://host.example/gitlab");
    for path in ["../admin", "%2e%2E/admin", ".\t./admin", "..\\admin", "//evil.example/admin", "/./admin"] {
        assert!(is_below(&base, &base.join(path)), "{path:?} led to {}", base.join(path));
    }
}

/// Texts that look enough like URLs to get past the first checks.
fn almost_a_url() -> impl Strategy<Value = String> {
    let scheme = prop_oneof!["https://", "http://", "HTTPS://", "https:", "https:///"];
    let host = "[a-zA-Z0-9._%*@\\[\\]:-]{0,20}";
    let address = "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}";
    let host = prop_oneof!["[a-z]{1,8}(\\.[a-z]{1,8}){0,3}", address, host];
    let port = prop_oneof!["", ":[0-9]{0,6}"];
    let path = "[/a-z.%2e+~?#\\\\]{0,16}";
    (scheme, host, port, path).prop_map(|(scheme, host, port, path)| format!("{scheme}{host}{port}{path}"))
}

fn anything() -> impl Strategy<Value = String> {
    prop_oneof![3 => almost_a_url(), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics_and_what_is_accepted_is_stable(raw in anything()) {
        if let Ok(base) = BaseUrl::parse_typed(&raw) {
            prop_assert_eq!(BaseUrl::parse_typed(base.as_str()), Ok(base.clone()));
            prop_assert_eq!(BaseUrl::parse_configured(&raw), Ok(base));
        }
        if let Ok(base) = BaseUrl::parse_configured(&raw) {
            prop_assert_eq!(BaseUrl::parse_configured(base.as_str()), Ok(base.clone()));
            prop_assert!(!base.as_str().ends_with('/'));
            prop_assert!(is_below(&base, &Url::parse(base.as_str()).unwrap()));
        }
    }

    #[test]
    fn join_stays_below(path in prop_oneof![any::<String>(), "[./\\\\%2eE\t\n?#@:a]{0,24}"]) {
        for base in ["https://host.example", "https://host.example/gitlab", "https://[2606:4700::1111]:8443/a/b"] {
            let base = typed(base);
            let joined = base.join(&path);
            prop_assert!(is_below(&base, &joined), "{joined}");
            prop_assert!(joined.query().is_none() && joined.fragment().is_none());
            prop_assert!(is_below(&base, &Url::parse(joined.as_str()).unwrap()));
        }
    }
}
