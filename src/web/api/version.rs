//! Versions of a connection (RFC 9110 sections 8.8.3 and 13.1): what was read is not overwritten unseen.
//!
//! A tag has two halves. The second changes with everything that an answer shows; the first with what an edit changes, and
//! it alone is compared where somebody edits: a renewal, a check or a use in between refuses no edit.

use super::view::ConnectionView;
use crate::{
    domain::Connection,
    web::{
        change::{mark, short},
        error::Problem,
        state::AppState,
    },
};
use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use std::convert::Infallible;

/// A connection as an answer shows it, with its tag.
pub(super) struct Shown {
    body: String,
    tag: String,
}

impl Shown {
    pub(super) fn of(connection: Connection, state: &AppState) -> Self {
        let edited = edited(&connection);
        let view = ConnectionView::of(connection, state);
        let body = serde_json::to_string(&view).expect("a view has string keys");
        Self { tag: format!("\"{edited}.{}\"", short(&body)), body }
    }

    /// The same, or that nothing is new to who has it already.
    pub(super) fn unless_known(self, asked: &Preconditions) -> Response {
        if !asked.has(&self.tag) {
            return self.into_response();
        }
        (StatusCode::NOT_MODIFIED, [(ETAG, header(&self.tag))]).into_response()
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, json), (ETAG, header(&self.tag))], self.body).into_response()
    }
}

fn header(tag: &str) -> HeaderValue {
    HeaderValue::from_str(tag).expect("a tag is made of letters, digits, - and _")
}

/// The half of a tag that edits are compared by.
fn edited(connection: &Connection) -> String {
    short(&format!("{} {}", mark(connection), connection.credential.renewal))
}

/// `If-Match` and `If-None-Match` of a request.
pub(super) struct Preconditions {
    only_if: Option<Vec<String>>,
    unless: Option<Vec<String>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { only_if: tags(&parts.headers, &IF_MATCH), unless: tags(&parts.headers, &IF_NONE_MATCH) })
    }
}

/// What stands in all lines of a header. What is no text is a tag of nothing.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    let tags: Vec<_> = lines.flat_map(|line| line.split(',')).map(|tag| tag.trim().to_owned()).collect();
    (!tags.is_empty()).then_some(tags)
}

impl Preconditions {
    /// Whether the caller may change what stands there now. Weak tags never allow that (RFC 9110 section 13.1.1).
    pub(super) fn allow(&self, now: Option<&Connection>) -> Result<(), Problem> {
        let is_meant = |tags: &Vec<String>| {
            let Some(now) = now else { return false };
            let start = format!("\"{}.", edited(now));
            tags.iter().any(|tag| tag == "*" || (tag.starts_with(&start) && tag.ends_with('"')))
        };
        let is_refused = |tags: &Vec<String>| tags.iter().any(|tag| tag == "*") && now.is_some();
        if self.only_if.as_ref().is_some_and(|tags| !is_meant(tags)) {
            let detail = if now.is_some() {
                "The connection was changed since you read it, and nothing is done. Read it again, and send your change with the new ETag."
            } else {
                "There is no such connection that could match, and nothing is done. Leave If-Match out to make it."
            };
            return Err(failed(detail));
        }
        if self.unless.as_ref().is_some_and(is_refused) {
            return Err(failed("There is a connection of this name already, and nothing is done."));
        }
        Ok(())
    }

    /// Whether the caller has what would be answered, by weak comparison.
    fn has(&self, tag: &str) -> bool {
        let tags = self.unless.iter().flatten();
        tags.map(|known| known.strip_prefix("W/").unwrap_or(known)).any(|known| known == "*" || known == tag)
    }
}

fn failed(detail: &str) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
}
