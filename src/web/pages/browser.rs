//! The browser's own cookie, which binds an authorization to the browser that began it (RFC 9700
//! section 4.7): an address that was sent to somebody else is worth nothing there.

use crate::{domain::Secret, vault::Ticket};
use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use url::Url;

/// As long as a connect session's link works; an authorization takes less.
const MAX_AGE: u32 = 1_800;

/// A browser, by the secret in its cookie. All its tabs share one.
pub(super) struct Browser {
    pub(super) secret: Secret,
    is_https: bool,
}

/// This browser's secret, or a new one.
pub(super) fn known_or_new(headers: &HeaderMap, is_https: bool) -> Browser {
    let known = secret(headers, is_https).map(Secret::new);
    Browser { secret: known.unwrap_or_else(|| Ticket::fresh().secret), is_https }
}

/// The secret that this browser brings, if it looks like one of ours.
pub(super) fn secret(headers: &HeaderMap, is_https: bool) -> Option<String> {
    let wanted = name(is_https);
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.find(|(name, _)| *name == wanted)?.1;
    let is_ours =
        found.len() == 43 && found.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    is_ours.then(|| found.to_owned())
}

impl Browser {
    /// Sends the browser to the provider, with its cookie for half an hour more.
    pub(super) fn sent_to(&self, url: &Url) -> Response {
        self.remembered(Redirect::to(url.as_str()).into_response())
    }

    /// An answer with the browser's cookie for half an hour more.
    pub(super) fn remembered(&self, mut response: Response) -> Response {
        let secure = if self.is_https { "; Secure" } else { "" };
        let (name, value) = (name(self.is_https), self.secret.expose());
        let cookie = format!("{name}={value}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}");
        let cookie = HeaderValue::from_str(&cookie).expect("base64url is plain ASCII");
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    }
}

/// The prefix makes browsers refuse one that another host of the domain planted.
fn name(is_https: bool) -> &'static str {
    if is_https { "__Host-mooring-browser" } else { "mooring-browser" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_keeps_its_secret_over_several_authorizations() {
        let first = known_or_new(&HeaderMap::new(), true);
        let sent = first.sent_to(&"https://gitlab.com/".parse().unwrap());
        let cookie = sent.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.ends_with("Path=/; Max-Age=1800; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let mut headers = HeaderMap::new();
        let back = format!("other=1; {}", cookie.split(';').next().unwrap());
        headers.insert(header::COOKIE, back.parse().unwrap());
        assert_eq!(known_or_new(&headers, true).secret.expose(), first.secret.expose());
        assert!(secret(&headers, false).is_none());
    }

    #[test]
    fn what_is_not_ours_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "mooring-browser=short".parse().unwrap());
        assert!(secret(&headers, false).is_none());
    }
}
