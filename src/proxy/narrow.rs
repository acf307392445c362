//! An API key that is narrowed sends only what its patterns allow.
//!
//! The rule it guards: a request is judged by what the provider will make of it. GitLab's framework makes another method of
//! a POST whose form has a `_method` (`Rack::MethodOverride`), so a form must show that it has none.

use super::{Ask, ProxyError, body::Outgoing};
use crate::domain::{Caller, RequestPattern};
use http::{HeaderMap, Method, header::CONTENT_TYPE};
use percent_encoding::percent_decode;

/// What a POST may become by a `_method` in its form.
const OVERRIDDEN: [Method; 3] = [Method::PUT, Method::PATCH, Method::DELETE];
/// Bodies that Rack does not read as a form, with their parameters left out.
const NO_FORMS: [&str; 5] = [
    "application/json",
    "application/octet-stream",
    "application/vnd.git-lfs+json",
    "application/x-git-receive-pack-request",
    "application/x-git-upload-pack-request",
];

/// Refuses what the key is not for.
pub(super) fn refuse(caller: &Caller, ask: &Ask<'_>) -> Result<(), ProxyError> {
    if is_allowed(caller, &ask.method, ask.path) {
        return Ok(());
    }
    Err(not_allowed(caller))
}

/// Refuses a form that could make another request of an allowed one.
pub(super) fn refuse_disguised(
    caller: &Caller,
    (method, path): (&Method, &str),
    headers: &HeaderMap,
    body: &Outgoing,
) -> Result<(), ProxyError> {
    let is_free = caller.allow.is_empty() || OVERRIDDEN.iter().all(|other| is_allowed(caller, other, path));
    if is_free || *method != Method::POST || !may_override(headers, body) {
        return Ok(());
    }
    Err(ProxyError::Disguised)
}

fn is_allowed(caller: &Caller, method: &Method, path: &str) -> bool {
    caller.allow.is_empty() || caller.allow.iter().any(|pattern| pattern.allows(method.as_str(), path))
}

fn not_allowed(caller: &Caller) -> ProxyError {
    let patterns: Vec<_> = caller.allow.iter().map(RequestPattern::to_string).collect();
    ProxyError::NotAllowed(patterns.join(", "))
}

/// Whether a `_method` could stand in the body. A form in parts can write it in too many ways to look for it.
fn may_override(headers: &HeaderMap, body: &Outgoing) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Of two kinds nobody knows which one counts.
    let kind = if kinds.next().is_none() { kind } else { "" };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match body {
        Outgoing::None => false,
        _ if NO_FORMS.contains(&essence.as_str()) => false,
        Outgoing::Kept(bytes) if essence == "application/x-www-form-urlencoded" => {
            let plain: Vec<u8> = percent_decode(bytes).collect();
            plain.windows(7).any(|window| window == b"_method")
        }
        Outgoing::Kept(bytes) => !bytes.is_empty(),
        Outgoing::Streamed(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn refused(allow: &[&str], kind: Option<&str>, body: &'static str) -> bool {
        let caller = Caller {
            api_key_id: "k".into(),
            tenant: None,
            permissions: vec![],
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        let body = Outgoing::Kept(Bytes::from_static(body.as_bytes()));
        refuse_disguised(&caller, (&Method::POST, "api/v4/projects/1"), &headers, &body).is_err()
    }

    #[test]
    fn a_form_that_names_another_method_is_refused() {
        let narrow = ["POST /api/v4/projects/**"];
        let form = Some("application/x-www-form-urlencoded");
        for (kind, body) in [
            (form, "_method=DELETE"),
            (form, "a=b&%5Fmethod=put"),
            (Some("Application/X-WWW-Form-Urlencoded; charset=utf-8"), "a=b;_m%65thod=PUT"),
            (None, "_method=DELETE"),
            (Some("multipart/form-data; boundary=x"), "--x"),
            (Some("multipart/related; boundary=x"), "--x"),
            (Some("text/plain"), "x"),
            (Some("application/json, multipart/form-data"), "{}"),
        ] {
            assert!(refused(&narrow, kind, body), "{kind:?} {body}");
            assert!(!refused(&[], kind, body), "a key that is not narrowed sends what it likes");
            assert!(!refused(&["* /api/v4/projects/**"], kind, body), "nothing is gained by it");
        }
        for (kind, body) in [
            (form, "title=x&method=y"),
            (Some("application/json; charset=utf-8"), "{\"_method\": \"DELETE\"}"),
            (None, ""),
        ] {
            assert!(!refused(&narrow, kind, body), "{kind:?} {body}");
        }
    }
}
