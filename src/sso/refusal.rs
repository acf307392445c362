//! Why a single sign-on comes to nothing.

use crate::{domain::words, store::StoreError};

words! {
    /// Stable codes, for people and tests. What a person reads of each is in `templates/parts/sso_refusal.html`.
    pub enum Refusal {
        NotAllowed = "sso_not_allowed",
        EmailUnverified = "sso_email_unverified",
        Expired = "sso_attempt_expired",
        WrongBrowser = "sso_wrong_browser",
        Denied = "sso_denied",
        Refused = "sso_refused",
        Misconfigured = "sso_misconfigured",
        Unreachable = "sso_unreachable",
        Untrusted = "sso_untrusted",
        EmailTaken = "sso_email_taken",
        IdentityTaken = "sso_identity_taken",
        KeptOut = "sso_removed",
        Busy = "sso_busy",
    }
}

/// A refusal with its cause in a sentence of ours, for the log, the audit log and the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Trouble {
    pub refusal: Refusal,
    pub cause: String,
}

impl Trouble {
    pub(super) fn new(refusal: Refusal, cause: impl Into<String>) -> Self {
        Self { refusal, cause: cause.into() }
    }

    pub(super) fn untrusted(cause: impl Into<String>) -> Self {
        Self::new(Refusal::Untrusted, cause)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SsoError {
    #[error(transparent)]
    Refused(#[from] Trouble),
    #[error(transparent)]
    Store(#[from] StoreError),
}
