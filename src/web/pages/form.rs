//! What a browser's form sends, also where one name comes several times, as checkboxes do.

use super::problem::Failure;
use crate::domain::Secret;
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
};

const LARGEST: usize = 64 * 1024;

/// The fields of a form, in order. It may hold a password or a token, so it has no `Debug`.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first field of that name, trimmed; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.trim())
    }

    /// The same, `None` where it is empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A secret, with the spaces around it that come from pasting taken off.
    pub(super) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name))
    }

    /// A password, as it was typed.
    pub(super) fn password(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All fields, as they came.
    pub(super) fn fields(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn holds_null(&self) -> bool {
        self.0.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'))
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_form = kind.split(';').next().is_some_and(|k| k.trim() == "application/x-www-form-urlencoded");
        if !is_form {
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not a form"));
        }
        let form = Self::parse(&read(request.into_body()).await?);
        if form.holds_null() { Err(null_character(StatusCode::UNPROCESSABLE_ENTITY)) } else { Ok(form) }
    }
}

/// All that is sent.
pub(super) async fn read(body: Body) -> Result<Bytes, Failure> {
    let too_large = |_| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large");
    to_bytes(body, LARGEST).await.map_err(too_large)
}

/// No text of ours holds a null character, and PostgreSQL takes none.
pub(super) fn null_character(status: StatusCode) -> Failure {
    Failure::new(status, "This cannot be read").text(
        "Something in it is not text: it holds a null character. Nothing was done. Go back, type it again \
         instead of pasting it, and send it once more.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_come_several_times() {
        let form = Form::parse(b"name=+a+&use_cases=x&use_cases=y&empty=&password=+p+");
        assert_eq!(form.text("name"), "a");
        assert_eq!(form.all("use_cases"), ["x", "y"]);
        assert_eq!(form.filled("empty"), None);
        assert_eq!(form.password("password"), " p ");
        assert_eq!(form.text("missing"), "");
    }
}
