//! The session ended while somebody filled in a form: what they typed stays on this page until they signed in
//! again in another tab. Secrets are not written back; they are asked for again.

use super::{Frame, Page, form::Form};
use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// Fields whose names hold one of these are secrets.
const SECRETS: [&str; 3] = ["password", "token", "secret"];

#[derive(Template)]
#[template(path = "expired.html")]
struct ExpiredPage {
    frame: Frame,
    /// Where the form goes.
    address: String,
    fields: Vec<(String, String)>,
    /// Whether something was typed that is not written back.
    left_out: bool,
}

pub(super) fn page(address: String, form: &Form) -> Response {
    Page(StatusCode::FORBIDDEN, ExpiredPage::of(address, form)).into_response()
}

impl ExpiredPage {
    fn of(address: String, form: &Form) -> Self {
        let is_secret = |name: &str| SECRETS.iter().any(|secret| name.contains(secret));
        let left_out = form.fields().any(|(name, value)| is_secret(&name) && !value.is_empty());
        // Which way to connect went by the token that was there.
        let is_kept = |name: &str| !(is_secret(name) || (left_out && name == "way"));
        let fields = form.fields().filter(|(name, _)| is_kept(name)).collect();
        Self { frame: Frame::signed_out(), address, fields, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_back_and_a_secret_does_not() {
        let form = Form::parse(
            b"name=acme+%3Cb%3E&way=either&token=glpat-canary&use_cases=x&use_cases=y&current_password=p",
        );
        let html = ExpiredPage::of("/connections".into(), &form).render().unwrap();
        assert!(
            html.contains("value=\"acme &#60;b&#62;\"") && html.matches("name=\"use_cases\"").count() == 2
        );
        assert!(!html.contains("canary") && !html.contains("current_password"));
        assert!(!html.contains("either"), "who pasted a token does not start to sign in elsewhere");
    }
}
