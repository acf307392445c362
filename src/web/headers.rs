//! Security headers, on every answer: pages, API, assets, errors.
//!
//! Nothing may be framed, nothing of another origin is loaded, no address leaks in a Referer. What an
//! answer decided itself (a policy of its own, caching of an asset) is kept.

use super::state::AppState;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use std::{collections::BTreeSet, sync::Arc};
use tower::util::MapResponseLayer;
use url::Url;

/// On every answer, whatever it says itself.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

const TWO_YEARS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Puts the headers on every answer. To be mounted outermost, also around what catches panics.
pub fn layer<B>(
    state: &AppState,
) -> MapResponseLayer<impl Fn(Response<B>) -> Response<B> + Clone + Send + Sync + 'static + use<B>> {
    let policy = Arc::new(content_security_policy(state));
    let is_https = state.is_https;
    MapResponseLayer::new(move |mut response: Response<B>| {
        set(response.headers_mut(), &policy, is_https);
        response
    })
}

fn set(headers: &mut HeaderMap, policy: &HeaderValue, is_https: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_https {
        headers.insert(STRICT_TRANSPORT_SECURITY, TWO_YEARS);
    }
}

/// Chromium applies `form-action` to redirects after a POST as well: the integrations' origins are where an
/// authorization goes, those of the return URLs where a connect session does, and the issuer's where people sign in.
fn content_security_policy(state: &AppState) -> HeaderValue {
    let authorizations = state.instances.integrations().map(|i| i.base_url.origin());
    let returns = state.connect.return_urls.iter().filter_map(|url| Url::parse(url).ok());
    let returns = returns.map(|url| url.origin().ascii_serialization());
    let issuer = state.sso.iter().map(|sso| sso.issuer.origin());
    policy(authorizations.chain(returns).chain(issuer).collect::<BTreeSet<_>>())
}

fn policy(origins: impl IntoIterator<Item = String>) -> HeaderValue {
    let forms = ["'self'".to_owned()].into_iter().chain(origins).collect::<Vec<_>>().join(" ");
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&text).expect("origins are plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_of_itself_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("immutable"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("ALLOWALL"));
        set(&mut headers, &policy(["https://gitlab.com".to_owned()]), true);
        assert_eq!(headers[CACHE_CONTROL], "immutable");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert!(
            headers[CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("form-action 'self' https://gitlab.com;")
        );
        assert!(headers.contains_key(STRICT_TRANSPORT_SECURITY));
    }
}
