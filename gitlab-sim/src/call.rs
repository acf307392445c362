//! One request as the simulator sees it: path below the base, decoded segments, parameters from everywhere.

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::form_urlencoded;

/// A request. GitLab takes parameters from the query and from form or JSON bodies alike, and so does this.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query as sent, with the base path.
    pub(crate) target: String,
    /// Path below the base, still encoded.
    pub(crate) path: String,
    /// Decoded segments of `path`.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    body_params: Vec<(String, String)>,
}

impl Call {
    /// `None` when the path is not below `base`.
    pub(crate) fn new(base: &str, parts: Parts, body: Bytes) -> Option<Self> {
        let path = parts.uri.path().strip_prefix(base)?.to_owned();
        let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let query = pairs(parts.uri.query().unwrap_or_default().as_bytes());
        let body_params = body_params(&parts.headers, &body);
        let segments = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
        Some(Self { method, target, path, segments, query, headers: parts.headers, body, body_params })
    }

    /// A parameter of the body or else of the query; blank counts as missing.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.sent(name).filter(|value| !value.trim().is_empty())
    }

    /// Like [`Call::param`], but a blank value is still a value.
    pub(crate) fn sent(&self, name: &str) -> Option<&str> {
        lookup(&self.body_params, name).or_else(|| lookup(&self.query, name))
    }

    /// A parameter that is read as a yes.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.param(name).map(|value| matches!(value, "true" | "1" | "t" | "yes" | "on"))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.param(name).and_then(|value| value.parse().ok())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn segment(&self, at: usize) -> &str {
        self.segments.get(at).map_or("", String::as_str)
    }

    /// Everything that was sent, the body after the query.
    pub(crate) fn all_params(&self) -> Vec<(String, String)> {
        self.query.iter().chain(&self.body_params).cloned().collect()
    }

    /// The credential of an API request, from any of the places that GitLab looks at.
    pub(crate) fn access_token(&self) -> Option<&str> {
        self.bearer()
            .or_else(|| self.header("private-token"))
            .or_else(|| self.param("private_token"))
            .or_else(|| self.param("access_token"))
            .map(str::trim)
            .filter(|token| !token.is_empty())
    }

    /// The token of an `Authorization: Bearer` header.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// Name and password of an `Authorization: Basic` header, split at the first colon, nothing decoded.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (name, password) = text.split_once(':')?;
        Some((name.to_owned(), password.to_owned()))
    }
}

fn body_params(headers: &HeaderMap, body: &[u8]) -> Vec<(String, String)> {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return pairs(body);
    }
    let Ok(Value::Object(map)) = serde_json::from_slice(body) else { return Vec::new() };
    map.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, plain(value))).collect()
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn lookup<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Percent-decoding of one path segment.
fn decode(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = segment.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
