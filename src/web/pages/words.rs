//! The words of the domain as people read them.

use crate::domain::{AccountKind, Method, RenewalKind, Status, TokenKind};
use askama::Template;

/// A status with its text and a shape of its own, so that colour alone says nothing.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "parts/badge.html")]
pub(super) struct Badge {
    status: &'static str,
    text: &'static str,
}

impl askama::filters::HtmlSafe for Badge {}

impl Badge {
    pub(super) fn of(status: Status) -> Self {
        Self { status: status.as_str(), text: status_text(status) }
    }
}

pub(super) fn status_text(status: Status) -> &'static str {
    match status {
        Status::Active => "Active",
        Status::Expiring => "Expiring",
        Status::Degraded => "Degraded",
        Status::ActionRequired => "Action required",
    }
}

pub(super) fn token_kind(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::OAuth => "OAuth access token",
        TokenKind::Personal => "Personal access token",
        TokenKind::Project => "Project access token",
        TokenKind::Group => "Group access token",
    }
}

/// The same in the middle of a sentence: "a project access token".
pub(super) fn a_token_kind(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::OAuth => "an OAuth access token",
        TokenKind::Personal => "a personal access token",
        TokenKind::Project => "a project access token",
        TokenKind::Group => "a group access token",
    }
}

pub(super) fn account_kind(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "User",
        AccountKind::ServiceAccount => "Service account",
        AccountKind::ProjectBot => "Project bot",
        AccountKind::GroupBot => "Group bot",
    }
}

pub(super) fn method(method: Method) -> &'static str {
    match method {
        Method::OAuth => "OAuth",
        Method::AccessToken => "Access token",
    }
}

pub(super) fn renewal(kind: RenewalKind) -> &'static str {
    match kind {
        RenewalKind::Refresh => "By itself, with the refresh token",
        RenewalKind::SelfRotate => "By itself, by rotating the token at GitLab",
        RenewalKind::Manual => "By hand: a person pastes a new token",
    }
}
