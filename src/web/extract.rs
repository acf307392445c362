//! Reads requests strictly, and says which field was wrong.

use super::error::Problem;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
};
use serde::de::DeserializeOwned;

/// A JSON body. Unknown fields are refused by the types themselves.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(is_json);
        if !json {
            let detail = "Send JSON with Content-Type: application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let body = Bytes::from_request(request, state).await.map_err(|e| unreadable(e.status()))?;
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| wrong(&e))?;
        reader.end().map_err(|_| not_json("There is something after the JSON value."))?;
        Ok(Self(value))
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json"))
}

fn unreadable(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(status, "body_too_large", "A request body is 256 KiB at most.");
    }
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "The request body could not be read.")
}

fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    if inner.is_data() {
        let path = error.path().to_string();
        return Problem::field(if path == "." { String::new() } else { path }, without_position(&inner.to_string()));
    }
    not_json("The request body is not valid JSON.")
}

fn not_json(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
}

/// serde's message may repeat a value, and a value may be a token: only what it wants is told.
fn without_position(message: &str) -> String {
    let told = message.split(" at line ").next().unwrap_or_default();
    match told.split_once(", expected ") {
        Some((got, wanted)) if got.starts_with("invalid") => format!("This is not valid here; expected {wanted}."),
        _ => format!("{told}."),
    }
}

/// The query of a request.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(e) => {
                let detail = without_position(&e.body_text());
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", detail))
            }
        }
    }
}

/// One segment of the path, decoded.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        segment.map(|axum::extract::Path(text)| Self(text)).map_err(|_| Problem::not_found())
    }
}
