//! The words of the domain as people read them.

use crate::domain::{AccountKind, CredentialFacts, EventKind, Method, RenewalKind, Status, TokenKind};
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

pub(super) fn renewal(of: &CredentialFacts) -> &'static str {
    if of.exported_at.is_some() {
        return "By the installation that it was exported to";
    }
    match of.renewal {
        RenewalKind::Refresh => "By itself, with the refresh token",
        RenewalKind::SelfRotate => "By itself, by rotating the token at GitLab",
        RenewalKind::Manual => "By hand: a person pastes a new token",
    }
}

/// What happened, in the fewest words.
pub(super) fn event(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Connected => "Connected",
        EventKind::Renewed => "Renewed",
        EventKind::RenewalFailed => "Renewal failed",
        EventKind::Degraded => "Degraded",
        EventKind::Recovered => "Recovered",
        EventKind::Expiring => "About to expire",
        EventKind::Expired => "Expired",
        EventKind::ActionRequired => "Needs a person",
        EventKind::Checked => "Checked",
        EventKind::Updated => "Changed",
        EventKind::Rotated => "Token rotated",
        EventKind::Reauthorized => "Reauthorized",
        EventKind::Disconnected => "Disconnected",
        EventKind::Exported => "Exported",
        EventKind::TakenBack => "Taken back",
        EventKind::Imported => "Imported",
        EventKind::Revoked => "Revoked at GitLab",
        EventKind::RevocationFailed => "Could not be revoked at GitLab",
        EventKind::HandedOut => "Handed out",
        EventKind::IntegrationFailing => "Integration failing",
        EventKind::IntegrationRecovered => "Integration recovered",
        EventKind::AuthorizationFailed => "Authorization failed",
        EventKind::ApiKeyCreated => "API key made",
        EventKind::ApiKeyRevoked => "API key revoked",
        EventKind::WebhookEndpointAdded => "Webhook endpoint added",
        EventKind::WebhookEndpointRemoved => "Webhook endpoint removed",
        EventKind::WebhookEndpointDisabled => "Webhook endpoint disabled",
        EventKind::WebhookEndpointPaused => "Webhook endpoint paused",
        EventKind::WebhookEndpointResumed => "Webhook endpoint resumed",
        EventKind::WebhookSecretRotated => "Webhook secret rotated",
        EventKind::WebhookRedelivered => "Webhook sent again",
        EventKind::OperatorInvited => "Person invited",
        EventKind::InvitationWithdrawn => "Invitation withdrawn",
        EventKind::OperatorAdded => "Person added",
        EventKind::OperatorRoleChanged => "Role changed",
        EventKind::OperatorRemoved => "Person removed",
        EventKind::IdentityJoined => "Single sign-on joined",
        EventKind::IdentityParted => "Single sign-on parted",
        EventKind::LetInAgain => "Let in again",
        EventKind::PasswordReset => "Password changed",
        EventKind::SessionsEnded => "Sessions ended",
        EventKind::SignedIn => "Signed in",
        EventKind::SignInFailed => "Sign-in failed",
        EventKind::Resealed => "Sealed under the active key",
        EventKind::AuditExported => "Audit log exported",
    }
}

/// Who did it, as it stands in the log.
pub(super) fn actor(logged: &str) -> String {
    match logged.split_once(':') {
        Some(("operator", email)) => email.to_owned(),
        Some(("api_key", id)) => format!("API key {id}"),
        _ if logged == "mooring" => "Mooring itself".to_owned(),
        _ if logged == "command line" => "The command line".to_owned(),
        _ => logged.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Actor;

    #[test]
    fn whoever_acts_has_words() {
        let told = |of: Actor| actor(&of.to_string());
        assert_eq!(told(Actor::Operator("a:b@example.com".into())), "a:b@example.com");
        assert_eq!(told(Actor::ApiKey("k1".into())), "API key k1");
        assert_eq!(
            (told(Actor::Mooring), told(Actor::CommandLine)),
            ("Mooring itself".into(), "The command line".into())
        );
    }
}
