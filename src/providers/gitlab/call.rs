//! One call of GitLab's REST API, and what its refusals mean (GitLab docs, "REST API troubleshooting").

use crate::{
    domain::Secret,
    outbound::{ANSWER_LIMIT, Answer, LIST_LIMIT, OutboundError},
    providers::{InspectError, Instance},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) struct Call<'a> {
    pub(super) instance: &'a Instance,
    pub(super) token: &'a Secret,
}

impl Call<'_> {
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, OutboundError> {
        self.instance.send(self.request(method, path, query), ANSWER_LIMIT).await
    }

    /// Sends a JSON body, once.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, OutboundError> {
        let mut request = self.request(Method::POST, path, &[]);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_string().into());
        self.instance.send(request, ANSWER_LIMIT).await
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> reqwest::Request {
        let mut url = self.instance.base_url.join(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = reqwest::Request::new(method, url);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose()))
            .expect("a token is visible ASCII: `presentable` looked at it");
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request
    }

    /// Asks, and reads the answer if it is a success.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, InspectError> {
        let answer = self.ask(path, query).await?;
        self.read(&answer)
    }

    /// Asks, and tells a refusal's meaning.
    pub(super) async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, InspectError> {
        self.granted(self.send(Method::GET, path, query).await)
    }

    /// As [`Call::ask`], for lists, which are larger.
    pub(super) async fn ask_list(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, InspectError> {
        let request = self.request(Method::GET, path, query);
        self.granted(self.instance.send(request, LIST_LIMIT).await)
    }

    fn granted(&self, answer: Result<Answer, OutboundError>) -> Result<Answer, InspectError> {
        let answer = answer.map_err(|e| self.unreachable(&e))?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, InspectError> {
        serde_json::from_slice(&answer.body)
            .map_err(|_| self.not_gitlab("answered something else than GitLab's JSON"))
    }

    pub(super) fn host(&self) -> &str {
        self.instance.base_url.host()
    }

    pub(super) fn not_gitlab(&self, what: &str) -> InspectError {
        let message = format!(
            "{} {what}. Check the base URL, a subpath such as /gitlab included, and whether a sign-in page \
             or proxy stands in front of it.",
            self.host()
        );
        InspectError::NotGitLab { message }
    }

    pub(super) fn unreachable(&self, error: &OutboundError) -> InspectError {
        match error.step() {
            "address" => InspectError::Forbidden { message: error.to_string() },
            step => InspectError::Unreachable {
                step,
                message: format!("{} could not be reached: {error} (step: {step}).", self.host()),
            },
        }
    }

    /// What a status that is no success means. Only a JSON body is GitLab's own word.
    pub(super) fn refusal(&self, answer: &Answer) -> InspectError {
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let told = body.as_ref().map(words).unwrap_or_default();
        match (answer.status, body.is_some()) {
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                InspectError::RateLimited { retry_after: answer.retry_after() }
            }
            (StatusCode::UNAUTHORIZED, true) => self.unauthorized(&told),
            (StatusCode::FORBIDDEN, true) if told.starts_with("403 Forbidden - ") => self.blocked(&told),
            (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, true) => InspectError::Denied,
            (status, _) if status.is_redirection() => {
                self.not_gitlab("sends requests on to another address (it answered with a redirect)")
            }
            (status, _) if status.is_server_error() => InspectError::Unreachable {
                step: "http",
                message: format!(
                    "{} answered {}. It may be starting or under maintenance.",
                    self.host(),
                    status.as_u16()
                ),
            },
            (status, _) => self.not_gitlab(&format!("answered {} where GitLab would not", status.as_u16())),
        }
    }

    /// GitLab says why in a sentence that may change; only "expired" and "revoked" are looked for.
    fn unauthorized(&self, told: &str) -> InspectError {
        let told = told.to_ascii_lowercase();
        if told.contains("revoked") {
            InspectError::TokenRevoked
        } else if told.contains("expired") {
            InspectError::TokenExpired
        } else {
            let message = format!(
                "{} does not accept this access token (401). It may be mistyped, deleted, or made on another instance.",
                self.host()
            );
            InspectError::TokenInvalid { message }
        }
    }

    /// The account's states of GitLab's `UserAccessDeniedReason`, in our own words.
    fn blocked(&self, told: &str) -> InspectError {
        let told = told.to_ascii_lowercase();
        let host = self.host();
        let message = if told.contains("terms") {
            format!("The account must accept the terms of service of {host} in a browser first.")
        } else if told.contains("deactivated") {
            format!("The account is deactivated. Signing in to {host} in a browser brings it back.")
        } else if told.contains("not confirmed") {
            format!("The account's e-mail address is not confirmed at {host}.")
        } else if told.contains("password expired") {
            format!("The account's password at {host} has expired. Change it there in a browser.")
        } else if told.contains("blocked") {
            format!("The account is blocked at {host}. An administrator there can lift that.")
        } else {
            format!("{host} refuses this account access to its API.")
        };
        InspectError::AccountBlocked { message }
    }
}

/// The sentence in an error body, whichever of GitLab's forms it has.
fn words(body: &Value) -> String {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let nested = || body.get("message").and_then(|m| m.get("error")).and_then(Value::as_str);
    text("error_description")
        .or_else(|| text("message"))
        .or_else(nested)
        .or_else(|| text("error"))
        .unwrap_or_default()
        .to_owned()
}
