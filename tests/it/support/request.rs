//! A small HTTP client that behaves like a program with a cookie jar: it follows no redirect unless told to, and it
//! uses no proxy. Every call waits 30 seconds at most.
#![expect(
    clippy::disallowed_methods,
    reason = "a client of Mooring, not a part of it: no guard, and cookies expire"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::described;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(30);
const MOST_REDIRECTS: usize = 10;

/// A client of one server; a clone shares the cookies.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    base: Url,
    key: Option<String>,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Http {
    /// A client without cookies and without an API key; paths are appended to the base URL.
    pub(crate) fn new(base: &str) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(PATIENCE);
        // Without roots of trust, because the servers of the tests speak plain HTTP and loading them takes time.
        let client = client.tls_certs_only([]).build().expect("a plain client can be built");
        let base = Url::parse(base).expect("the base URL is a URL");
        Self { client, base, key: None, cookies: Arc::default() }
    }

    /// The same client, with this API key as its bearer token.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same client, with the API key that another client has.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self { key: other.key.clone(), ..self.clone() }
    }

    /// The API key that this client sends.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The values of all cookies that this client holds.
    pub(crate) fn secrets_in_cookies(&self) -> Vec<String> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Another client of the same server, without cookies and without an API key.
    pub(crate) fn stranger(&self) -> Self {
        Self { key: None, cookies: Arc::default(), ..self.clone() }
    }

    /// Sends a GET.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path).send().await
    }

    /// Sends a POST with a form.
    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.request(Method::POST, path).form(fields).send().await
    }

    /// Sends a POST with JSON.
    pub(crate) async fn post_json(&self, path: &str, body: Value) -> Reply {
        self.request(Method::POST, path).json(&body).send().await
    }

    /// Sends a PATCH with JSON.
    pub(crate) async fn patch_json(&self, path: &str, body: Value) -> Reply {
        self.request(Method::PATCH, path).json(&body).send().await
    }

    /// Sends a PUT with JSON.
    pub(crate) async fn put_json(&self, path: &str, body: Value) -> Reply {
        self.request(Method::PUT, path).json(&body).send().await
    }

    /// Sends a DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.request(Method::DELETE, path).send().await
    }

    /// Begins a request to which headers and a body can be added.
    pub(crate) fn request(&self, method: Method, path: &str) -> Call {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        self.begin(method, Url::parse(&url).unwrap_or_else(|error| panic!("{url} is no URL: {error}")))
    }

    /// Follows redirects by GET, as a browser does after a form, to the first answer that is none or that leads to
    /// another origin.
    pub(crate) async fn follow(&self, reply: Reply) -> Reply {
        let mut reply = reply;
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = reply.next().filter(|next| next.origin() == self.base.origin()) else {
                return reply;
            };
            reply = self.begin(Method::GET, next).send().await;
        }
        panic!("more than {MOST_REDIRECTS} redirects, the last one to {}", reply.location())
    }

    /// The value of a cookie in the jar.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar(|jar| jar.get(name).cloned())
    }

    /// Puts a cookie in the jar.
    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        self.jar(|jar| jar.insert(name.to_owned(), value.to_owned()));
    }

    fn begin(&self, method: Method, url: Url) -> Call {
        let mut request = self.client.request(method.clone(), url.clone());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(cookies) = self.cookie_header() {
            request = request.header(header::COOKIE, cookies);
        }
        Call { http: self.clone(), method, url, request }
    }

    fn cookie_header(&self) -> Option<String> {
        let pairs: Vec<_> =
            self.jar(|jar| jar.iter().map(|(name, value)| format!("{name}={value}")).collect());
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("a cookie is text");
            let (name, value) = name_and_value(line);
            if is_over(line) {
                self.jar(|jar| jar.remove(name));
            } else {
                self.set_cookie(name, value);
            }
        }
    }

    fn jar<T>(&self, use_it: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        use_it(&mut self.cookies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that is not sent yet.
#[must_use = "a request does nothing until it is sent"]
pub(crate) struct Call {
    http: Http,
    method: Method,
    url: Url,
    request: RequestBuilder,
}

impl Call {
    /// Adds a header beside those that are there, or in place of the client's bearer token or cookies.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        let value = HeaderValue::try_from(value).expect("a header's value");
        self.with(|request| match name {
            header::AUTHORIZATION | header::COOKIE => request.headers(HeaderMap::from_iter([(name, value)])),
            _ => request.header(name, value),
        })
    }

    /// Sends these fields as a form.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        self.with(|request| request.form(fields))
    }

    /// Sends this JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.with(|request| request.json(body))
    }

    /// Sends this body as it is; its type is for [`Call::header`] to say.
    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Sends the request, reads the whole answer and keeps its cookies.
    pub(crate) async fn send(self) -> Reply {
        let Self { http, method, url, request } = self;
        let response = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        http.keep_cookies(&headers);
        let text = response.text().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
        let code = headers.get("x-mooring-error").and_then(|code| code.to_str().ok()).unwrap_or_default();
        described::check(&method, url.path(), status, code);
        Reply { status, headers, text, method, url }
    }

    /// Sends the request and gives the beginning of the answer, whose body is still to come.
    pub(crate) async fn begin(self) -> reqwest::Response {
        let Self { method, url, request, .. } = self;
        request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"))
    }

    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: change(self.request), ..self }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    method: Method,
    url: Url,
}

impl Reply {
    /// Panics with the request and the body unless the answer has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {} answers:\n{}", self.method, self.url, self.text);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let Self { method, url, status, text, .. } = self;
        serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("{method} {url} answers {status} without JSON ({error}):\n{text}"))
    }

    /// The first header with this name, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("the header is text"))
    }

    /// Where a redirect leads, as the server wrote it.
    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        let location = self.header("location");
        assert!(
            !location.is_empty(),
            "{} {} answers {} and leads nowhere",
            self.method,
            self.url,
            self.status
        );
        location
    }

    fn next(&self) -> Option<Url> {
        let redirects = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        redirects.then(|| self.url.join(self.location()).expect("a redirect leads to a URL"))
    }
}

fn name_and_value(set_cookie: &str) -> (&str, &str) {
    let pair = set_cookie.split(';').next().unwrap_or_default();
    let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
    (name.trim(), value.trim())
}

/// Whether a server takes a cookie back; `Max-Age` counts more than `Expires` (RFC 6265 section 5.3).
fn is_over(set_cookie: &str) -> bool {
    let attribute = |wanted: &str| {
        let pairs = set_cookie.split(';').skip(1).filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
            .last()
    };
    if let Some(age) = attribute("max-age") {
        return age.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
    }
    let end = attribute("expires").and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    end.is_some_and(|end| end <= OffsetDateTime::now_utc())
}
