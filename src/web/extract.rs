//! Reads requests strictly, and says which field was wrong.

use super::{auth::Key, error::Problem, state::AppState};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Unexpected, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// The largest body that is taken, in bytes.
pub(super) const LARGEST_BODY: usize = 256 * 1024;

/// A JSON body that comes with an API key. Unknown fields are refused by the types themselves.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let json = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(is_json);
        if !json {
            let detail = "Send JSON with Content-Type: application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let (mut parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(request, state).await.map_err(|e| unreadable(e.status()))?;
        // A key that was revoked while somebody sent slowly does nothing any more.
        Key::from_request_parts(&mut parts, state).await?;
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| wrong(&e, &body))?;
        reader.end().map_err(|_| not_json("There is something after the JSON value."))?;
        Ok(Self(value))
    }
}

/// A body that may be left out: then nothing says that it is JSON either.
impl<T: DeserializeOwned> OptionalFromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Option<Self>, Problem> {
        if !request.headers().contains_key(CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<AppState>>::from_request(request, state).await.map(Some)
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json"))
}

/// A body that could not be read, or was too large.
pub(super) fn unreadable(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            status,
            "body_too_large",
            "A request body is 256 KiB at most, and 32 MiB for an import.",
        );
    }
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "The request body could not be read.")
}

fn wrong(error: &serde_path_to_error::Error<serde_json::Error>, body: &[u8]) -> Problem {
    let inner = error.inner();
    if !inner.is_data() && serde_json::from_slice::<serde_json::Value>(body).is_err() {
        return not_json("The request body is not valid JSON.");
    }
    let message = inner.to_string();
    let field = field_in(&message).or_else(|| tellable(&error.path().to_string())).unwrap_or_default();
    Problem::field(field, what_is_wanted(&message))
}

fn not_json(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
}

/// serde's message may repeat what was sent, and that may be a token: only what it wants is told.
fn what_is_wanted(message: &str) -> String {
    let told = message.split(" at line ").next().unwrap_or_default();
    if let Some((got, wanted)) = told.split_once(", expected ") {
        let what = if got.starts_with("unknown field") {
            "There is no such field"
        } else {
            "This is not valid here"
        };
        return format!("{what}; expected {wanted}.");
    }
    let ours = ["missing field `", "duplicate field `"].iter().any(|start| told.starts_with(start));
    if ours { format!("{told}.") } else { "This is not valid here.".to_owned() }
}

/// The name of a field that is not known, or missing, or there twice, where it can be nothing else than a name.
fn field_in(message: &str) -> Option<String> {
    let (_, rest) = message
        .split_once(" field `")
        .filter(|(what, _)| ["unknown", "missing", "duplicate"].contains(what))?;
    let name = rest.split('`').next()?;
    is_plain(name).then(|| name.to_owned())
}

/// A path such as `use_cases[1]`, as far as it is made of names of ours.
fn tellable(path: &str) -> Option<String> {
    let plain = |path: &&str| {
        path.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.[]".contains(&b))
    };
    let told = Some(path).filter(plain).or_else(|| path.split('.').next().filter(plain))?;
    (told != ".").then(|| told.to_owned())
}

fn is_plain(name: &str) -> bool {
    name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// An object in which no key stands twice. JSON lets it, and one of the two would be lost without a word.
#[derive(Default)]
pub struct Distinct(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctVisitor)
    }
}

struct DistinctVisitor;

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Distinct;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts in which no key stands twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
        let mut found = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            if found.insert(key, value).is_some() {
                return Err(A::Error::invalid_value(Unexpected::Map, &self));
            }
        }
        Ok(Distinct(found))
    }
}

/// The query of a request.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // No text of ours holds a null character, and PostgreSQL refuses to compare with one.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Problem::parameter("", "The query must not hold a null character."));
        }
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|e| wrong_parameter(&e.body_text()))
    }
}

/// Of `Failed to deserialize query string: limit: invalid digit`, which parameter it is and what it wants.
fn wrong_parameter(message: &str) -> Problem {
    let told = message.split_once(": ").map_or(message, |(_, told)| told);
    match told.split_once(": ").filter(|(name, _)| is_plain(name)) {
        Some((name, told)) => Problem::parameter(name, what_is_wanted(told)),
        None => Problem::parameter(field_in(told).unwrap_or_default(), what_is_wanted(told)),
    }
}

/// One segment of the path, decoded.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        match segment {
            Ok(axum::extract::Path(text)) if !text.contains('\0') => Ok(Self(text)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// Two segments of the path, decoded.
pub struct TwoSegments(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for TwoSegments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        match segments {
            Ok(axum::extract::Path((one, two))) if !one.contains('\0') && !two.contains('\0') => {
                Ok(Self(one, two))
            }
            _ => Err(Problem::not_found()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_sent_is_repeated() {
        let told = |message| (field_in(message).unwrap_or_default(), what_is_wanted(message));
        let cases = [
            "unknown variant `glpat-1`, expected one of `oauth`, `personal` at line 1 column 2",
            "invalid type: string \"glpat-1\", expected a map at line 1 column 2",
            "unknown field `glpat-1`, expected `name` at line 1 column 2",
            "glpat-1 is odd",
        ];
        for message in cases {
            assert!(!format!("{:?}", told(message)).contains("glpat"), "{message}");
        }
        assert_eq!(told("unknown field `token_url`, expected `name`").0, "token_url");
        assert_eq!(told("missing field `name` at line 1 column 2").1, "missing field `name`.");
    }
}
