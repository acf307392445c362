//! What is said of each event, for the owner of a connection who has never seen Mooring: what happened, what
//! it means, and what to press.

use super::{Notice, NoticeConnection, moments};
use crate::domain::{Action, EventKind, Reason};

/// One event in words. Every text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wording {
    /// Begins in lower case, or with a name: it follows "Mooring: ".
    pub(super) title: String,
    pub(super) happened: String,
    pub(super) means: String,
    pub(super) press: Option<String>,
    /// Whether a person must do something before it works.
    pub(super) needs_you: bool,
}

/// The kind of a test mail. No event of the log has it.
pub(super) const TEST: &str = "mail.test";

const NO_TOKEN: &str = "Programs that use this connection get no token until there is a new one.";
const STILL_WORKS: &str = "The token is handed out while it lasts.";

impl Wording {
    pub(super) fn of(notice: &Notice) -> Self {
        match (notice.kind.parse(), &notice.data.connection) {
            (Ok(kind), Some(connection)) => Self::of_connection(kind, connection, notice),
            (Ok(EventKind::RevocationFailed), None) => Self::not_revoked("a disconnected connection"),
            _ if notice.kind == TEST => Self::test(),
            _ => Self::of_something_else(notice),
        }
    }

    fn test() -> Self {
        Self {
            title: "this is a test".into(),
            happened: "Somebody asked for a test mail on the settings pages. Nothing else happened.".into(),
            means: "Mail from Mooring arrives here.".into(),
            press: None,
            needs_you: false,
        }
    }

    fn of_connection(kind: EventKind, connection: &NoticeConnection, notice: &Notice) -> Self {
        let name = one_line(&connection.name);
        match kind {
            EventKind::RevocationFailed => Self::not_revoked(&name),
            EventKind::Expiring => Self::expiring(&name, connection, notice),
            EventKind::Expired => Self::needing(&name, Reason::TokenExpired, connection),
            _ => {
                let reason = connection.reason.as_deref().and_then(|reason| reason.parse().ok());
                reason.map_or_else(|| Self::unclear(&name), |reason| Self::needing(&name, reason, connection))
            }
        }
    }

    fn needing(name: &str, reason: Reason, connection: &NoticeConnection) -> Self {
        let host = host(connection);
        let (short, happened, means) = of_reason(reason, &host);
        let press = press(reason, connection.action.as_deref().and_then(|action| action.parse().ok()), &host);
        Self {
            title: format!("{name} needs you: {short}"),
            happened,
            means,
            press: Some(press),
            needs_you: true,
        }
    }

    fn expiring(name: &str, connection: &NoticeConnection, notice: &Notice) -> Self {
        let mut wording = Self::needing(name, Reason::TokenExpiring, connection);
        if let Some(end) = connection.expires_at {
            let left = moments::length(end - notice.timestamp);
            wording.title = format!("{name} needs you: its token ends in {left}");
            wording.happened = format!("The token ends in {left} and has not been renewed.");
        }
        wording
    }

    fn unclear(name: &str) -> Self {
        Self {
            title: format!("{name} needs you"),
            happened: "The connection stopped working.".into(),
            means: NO_TOKEN.into(),
            press: Some("Open its page: it tells what is wrong and what to press.".into()),
            needs_you: true,
        }
    }

    fn not_revoked(name: &str) -> Self {
        Self {
            title: format!("a token of {name} could not be revoked"),
            happened: "Mooring has forgotten a token, but could not make the provider revoke it.".into(),
            means: "Whoever holds a copy of that token may still be able to use it.".into(),
            press: Some(
                "Revoke it at the provider, among the account's access tokens or applications.".into(),
            ),
            needs_you: true,
        }
    }

    /// An event about no connection, or about one that is gone. Its detail is a sentence of ours.
    fn of_something_else(notice: &Notice) -> Self {
        let what = notice.data.subject.as_deref().map(one_line).unwrap_or_default();
        let (title, happened, means, needs_you) = match notice.kind.parse() {
            Ok(EventKind::IntegrationFailing) => (
                format!("the integration {what} is failing"),
                "Renewals of its connections fail one after another.",
                "None of its tokens can be renewed now; those that live are handed out. Whoever runs this server \
                 must look at it.",
                true,
            ),
            Ok(EventKind::IntegrationRecovered) => (
                format!("the integration {what} works again"),
                "A renewal succeeded.",
                "Its connections are renewed again. You need not do anything.",
                false,
            ),
            Ok(EventKind::WebhookEndpointDisabled) => (
                "a webhook endpoint was switched off".to_owned(),
                "An endpoint did not take what was sent to it for too long.",
                "It hears of nothing until somebody adds it again.",
                true,
            ),
            _ => (
                "a connection that is gone by now needed you".to_owned(),
                "Something happened to a connection that was disconnected since.",
                "You need not do anything.",
                false,
            ),
        };
        let detail = notice.data.detail.as_deref().map(one_line).filter(|_| needs_you);
        let happened = detail.map_or_else(|| happened.to_owned(), |detail| format!("{happened} {detail}"));
        Self { title, happened, means: means.to_owned(), press: None, needs_you }
    }
}

/// The sentences for each reason: in a few words, what happened, and what it means.
fn of_reason(reason: Reason, host: &str) -> (&'static str, String, String) {
    let refused = || format!("Programs that rely on it will be refused by {host}.");
    let (short, happened, means) = match reason {
        Reason::TokenExpiring => (
            "its token ends soon",
            "The token ends soon and has not been renewed.".to_owned(),
            "Until then everything works. After that, programs that use this connection get no token."
                .to_owned(),
        ),
        Reason::TokenExpired => {
            ("its token has expired", "The token has expired.".to_owned(), NO_TOKEN.to_owned())
        }
        Reason::TokenRevoked => (
            "the token was revoked",
            format!(
                "{host} does not accept the token any more: somebody revoked it, or rotated it elsewhere."
            ),
            NO_TOKEN.to_owned(),
        ),
        Reason::GrantRevoked => (
            "access was withdrawn",
            format!(
                "{host} refuses to renew the token: somebody withdrew the access, or changed the account."
            ),
            NO_TOKEN.to_owned(),
        ),
        Reason::RenewalAnswerLost => (
            "the answer to a renewal was lost",
            format!(
                "{host} renewed the token, but its answer was lost on the way, and the token before it is spent. \
                 Nobody did anything wrong."
            ),
            NO_TOKEN.to_owned(),
        ),
        Reason::InsufficientScope => (
            "a scope is missing",
            "The token works, but may do too little for what this connection is used for.".to_owned(),
            refused(),
        ),
        Reason::InsufficientRole => (
            "the account’s role is too low",
            "The token works, but its account has too low a role for what this connection is used for."
                .to_owned(),
            refused(),
        ),
        Reason::AccountBlocked => (
            "the account is blocked",
            format!(
                "{host} does not let the account in: it is blocked, or has to accept or confirm something first."
            ),
            NO_TOKEN.to_owned(),
        ),
        Reason::ProviderUnreachable => (
            "its provider cannot be reached",
            format!("{host} cannot be reached. This is about the network or that server."),
            STILL_WORKS.to_owned(),
        ),
        Reason::ProviderError => (
            "its provider answers with errors",
            format!("{host} answers with errors. This is about that server."),
            STILL_WORKS.to_owned(),
        ),
        Reason::RateLimited => (
            "its provider asks for fewer requests",
            format!("{host} limits how often it is asked, and that limit is reached."),
            STILL_WORKS.to_owned(),
        ),
        Reason::IntegrationMisconfigured => (
            "this server’s application is refused",
            format!("{host} does not accept this server’s own application id and secret."),
            "No connection of this integration can be renewed; it is not your account’s fault.".to_owned(),
        ),
        Reason::Exported => (
            "its token was renewed by another installation",
            "The connection moved to another installation, and that one has renewed its token.".to_owned(),
            "Programs that still ask here get no token. Let them ask the other installation.".to_owned(),
        ),
    };
    (short, happened, means)
}

fn press(reason: Reason, action: Option<Action>, host: &str) -> String {
    match (action, reason) {
        (Some(Action::Rotate), _)
        | (None, Reason::TokenExpiring | Reason::TokenExpired | Reason::TokenRevoked) => {
            format!("Make a new token at {host}, press “Rotate token” and paste it.")
        }
        (Some(Action::Reauthorize), _) => {
            format!("Press “Reauthorize” and give access at {host} once more.")
        }
        (None, Reason::AccountBlocked) => {
            format!("Sign in at {host} as this account, or ask its administrator. Then press “Check now”.")
        }
        (None, Reason::InsufficientRole) => {
            format!(
                "Ask an owner of the project or group at {host} to raise the role, then press “Check now”."
            )
        }
        (None, Reason::IntegrationMisconfigured) => {
            "Whoever runs this server sets the application’s id and secret again.".to_owned()
        }
        (None, _) => "Open its page: it tells how it goes on. Mooring tries again by itself.".to_owned(),
    }
}

fn host(connection: &NoticeConnection) -> String {
    let url = one_line(&connection.base_url);
    url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned()
}

/// Text of others on one line and not too long: no control characters, none that turn the direction of text.
pub(super) fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let is_plain =
        |c: &char| !c.is_control() && !matches!(*c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let spaced: String = text.chars().map(|c| if is_plain(&c) { c } else { ' ' }).collect();
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= LONGEST {
        return words;
    }
    words.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_words_of_its_own() {
        let told: BTreeSet<_> = Reason::ALL.iter().map(|reason| of_reason(*reason, "host").0).collect();
        assert_eq!(told.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let (_, happened, means) = of_reason(*reason, "gitlab.example");
            let press = [None, Some(Action::Rotate), Some(Action::Reauthorize)]
                .map(|action| press(*reason, action, "gitlab.example"));
            for sentence in press.iter().chain([&happened, &means]) {
                assert!(sentence.ends_with('.') && !sentence.contains(reason.as_str()), "{sentence}");
            }
        }
    }

    #[test]
    fn text_of_others_is_one_line_of_bounded_length() {
        assert_eq!(one_line(" a\r\nb\tc\u{0}\u{202E}d\u{2029} "), "a b c d");
        assert_eq!(one_line(&"x".repeat(301)).chars().count(), 300);
    }
}
