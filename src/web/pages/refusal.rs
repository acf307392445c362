//! Why a form was refused: a summary at its top, with the link that mends it, and words beside a field.

use super::problem::status_of;
use crate::{
    connect::ConnectError,
    domain::Secret,
    providers::{ExchangeError, InspectError, UnknownInstance},
};
use axum::http::StatusCode;

pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) text: String,
    /// Where it is mended, and what that is called.
    pub(super) link: Option<(String, &'static str)>,
    field: Option<&'static str>,
}

impl Refusal {
    pub(super) fn of(error: &ConnectError) -> Self {
        Self {
            status: status_of(error),
            title: title(error),
            text: text(error),
            link: link(error),
            field: field(error),
        }
    }

    /// A refusal of the page itself, about one of its fields.
    pub(super) fn about(field: &'static str, title: &'static str, text: &str) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, title, text: text.to_owned(), link: None, field: Some(field) }
    }

    /// Addresses are looked at for whoever is signed in, but not by the hundred.
    pub(super) fn too_many_looks(seconds: i64) -> Self {
        let text = format!("Look again in {seconds} seconds. Connecting works meanwhile.");
        let title = "Many addresses were looked at";
        Self { status: StatusCode::TOO_MANY_REQUESTS, title, text, link: None, field: Some("base_url") }
    }

    /// Says which token was refused, by its ending, and where a new one is made.
    #[must_use]
    pub(super) fn of_token(mut self, token: &Secret, form: String) -> Self {
        if let Some(ending) = token.ending() {
            self.text = format!("{} The one that you pasted ends in “{ending}”.", self.text);
        }
        self.link = Some(form).filter(|f| !f.is_empty()).map(|f| (f, "Make a new one at GitLab"));
        self
    }

    /// Says which connection has the name.
    #[must_use]
    pub(super) fn linked(self, href: String, label: &'static str) -> Self {
        Self { link: Some((href, label)), ..self }
    }

    /// It is about the base URL that was typed. Where more was found there, that is not said twice.
    #[must_use]
    pub(super) fn of_base_url(self, is_explained: bool) -> Self {
        let short = "What is in the way, and what to do, stands at the base URL. Paste the token again, too.";
        let text = if is_explained { short.to_owned() } else { self.text };
        Self { field: Some("base_url"), text, ..self }
    }

    /// What is wrong with this field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        (self.field == Some(name)).then_some(self.text.as_str())
    }

    pub(super) fn at(&self) -> Option<&'static str> {
        self.field
    }
}

/// The name of the field in the form that it is about.
fn field(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::Field { field, .. } => Some(field),
        ConnectError::UnknownUseCase(_) => Some("use_cases"),
        ConnectError::NameTaken(_) => Some("name"),
        ConnectError::BaseUrl(_)
        | ConnectError::Instance(UnknownInstance::TypedForbidden)
        | ConnectError::Inspect(InspectError::Forbidden { .. }) => Some("base_url"),
        ConnectError::Instance(_) | ConnectError::Exchange(ExchangeError::NoApplication) => {
            Some("integration")
        }
        ConnectError::InsufficientScope { .. }
        | ConnectError::InsufficientRole { .. }
        | ConnectError::NoRotationScope { .. }
        | ConnectError::SelfRotationUnsupported(_)
        | ConnectError::DifferentAccount { .. }
        | ConnectError::Inspect(
            InspectError::TokenInvalid { .. }
            | InspectError::TokenExpired
            | InspectError::TokenRevoked
            | InspectError::WrongKind { .. }
            | InspectError::Denied,
        ) => Some("token"),
        _ => None,
    }
}

fn link(error: &ConnectError) -> Option<(String, &'static str)> {
    match error {
        ConnectError::InsufficientScope { mend_at, .. } | ConnectError::NoRotationScope { mend_at, .. } => {
            Some((mend_at.clone(), "Create a token with these scopes at GitLab"))
        }
        ConnectError::InsufficientRole { mend_at, .. } => Some((mend_at.clone(), "Open GitLab")),
        _ => None,
    }
}

/// A person compares what is missing with what is there.
fn text(error: &ConnectError) -> String {
    match error {
        ConnectError::InsufficientScope { held, .. } if held.is_empty() => {
            format!("This access token has no scopes. {error}")
        }
        ConnectError::InsufficientScope { held, .. } => {
            format!("This access token has {}. {error}", held.join(", "))
        }
        error => error.to_string(),
    }
}

fn title(error: &ConnectError) -> &'static str {
    match error.code() {
        "name_taken" => "That name is taken",
        "insufficient_scope" => "The access token lacks a scope",
        "self_rotation_unsupported" => "This token cannot rotate itself",
        "insufficient_role" => "The role of this account is too low",
        "token_invalid" => "GitLab did not accept this access token",
        "token_expired" => "This access token has expired",
        "token_revoked" => "This access token was revoked",
        "account_blocked" => "GitLab does not let this account in",
        "base_url_invalid" => "The base URL is not right",
        "base_url_forbidden" => "This address is not allowed",
        "provider_unreachable" => "This GitLab could not be reached",
        "provider_unavailable" => "GitLab did not answer properly",
        "not_gitlab" => "There is no GitLab at this address",
        "rate_limited" => "GitLab asks for a pause",
        "no_oauth_application" => "This GitLab takes access tokens only",
        "integration_misconfigured" => "This integration is not set up right",
        "different_account" => "This belongs to another account",
        "changed_meanwhile" => "Somebody else changed this connection",
        "invalid_field" => "One field needs a change",
        _ => "This was not done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_about_the_token_and_says_where_to_mend_it() {
        let error = ConnectError::InsufficientScope {
            use_case: "remediation".into(),
            missing: vec!["write_repository".into()],
            held: vec!["api".into()],
            mend_at: "https://gitlab.com/form".into(),
        };
        let refusal = Refusal::of(&error);
        assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refusal.field("token").unwrap().contains("write_repository"));
        assert!(refusal.field("name").is_none());
        assert_eq!(refusal.link.unwrap().0, "https://gitlab.com/form");
    }
}
