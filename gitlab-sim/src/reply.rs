//! An answer before it becomes an HTTP response, so that faults can cut, replace or drop it.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::object::Object;
use crate::template::Ending;

/// Status, headers and text of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn json(status: u16, object: &Object) -> Self {
        Self::json_text(status, object.text())
    }

    pub(crate) fn json_text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, "application/json", text)
    }

    pub(crate) fn html(status: u16, page: impl Into<String>) -> Self {
        Self::new(status, "text/html; charset=utf-8", page)
    }

    /// A REST error: `{"message": …}`.
    pub(crate) fn message(status: u16, message: &str) -> Self {
        Self::json(status, &Object::new().with("message", message))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::html(302, "<html><body>You are being redirected.</body></html>").header("Location", location)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The whole answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let body = Body::from(self.body.clone());
        self.respond(body)
    }

    /// The head of the whole answer with half of its body: the peer sees the connection close too early.
    pub(crate) fn into_truncated(self) -> Response<Body> {
        let whole = self.body.len();
        let half = self.body.as_bytes()[..whole / 2].to_vec();
        let mut response = self.respond(Ending::Broken.send(half));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(whole));
        response
    }

    pub(crate) fn respond(self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
