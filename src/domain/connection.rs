//! The one record that a person makes by connecting, whichever way they came. It never holds a secret.

use super::{Account, BaseUrl, ConnectionId, RenewalKind, Scopes, TokenKind, UseCaseCheck, words::words};
use std::collections::BTreeMap;
use time::OffsetDateTime;

words! {
    /// The way in.
    pub enum Method {
        OAuth = "oauth",
        AccessToken = "access_token",
    }
}

words! {
    /// How a connection stands.
    pub enum Status {
        /// Works.
        Active = "active",
        /// Works, ends soon, and nothing will renew it.
        Expiring = "expiring",
        /// Works now, but something is failing.
        Degraded = "degraded",
        /// Cannot work before a person acts.
        ActionRequired = "action_required",
    }
}

words! {
    /// Why a status is not `active`.
    pub enum Reason {
        TokenExpiring = "token_expiring",
        TokenExpired = "token_expired",
        TokenRevoked = "token_revoked",
        GrantRevoked = "grant_revoked",
        RenewalAnswerLost = "renewal_answer_lost",
        InsufficientScope = "insufficient_scope",
        InsufficientRole = "insufficient_role",
        AccountBlocked = "account_blocked",
        ProviderUnreachable = "provider_unreachable",
        ProviderError = "provider_error",
        RateLimited = "rate_limited",
        IntegrationMisconfigured = "integration_misconfigured",
        /// Sealed for another installation, which renews it from then on.
        Exported = "exported",
    }
}

words! {
    /// What a person must do.
    pub enum Action {
        /// Paste a new token.
        Rotate = "rotate",
        /// Consent at the provider again.
        Reauthorize = "reauthorize",
    }
}

/// Renewals or checks that are failing now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Failure {
    pub code: Reason,
    /// A plain sentence for people.
    pub message: String,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    pub attempts: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_attempt_at: Option<OffsetDateTime>,
}

#[derive(Clone, Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub name: String,
    pub description: Option<String>,
    pub tenant: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// `None`: an instance that a user typed, not one that the operator configured.
    pub integration: Option<String>,
    pub provider: String,
    /// Never changes under a stored credential.
    pub base_url: BaseUrl,
    pub method: Method,
    pub token_kind: TokenKind,
    /// `None`: the token may not ask whose it is (a fine-grained token without that right).
    pub account: Option<Account>,
    pub use_cases: Vec<String>,
    pub checks: Vec<UseCaseCheck>,
    pub credential: CredentialFacts,
    pub last_checked_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
    /// What renewals of its whole circuit meet; `None`: nothing wrong.
    pub breaker: Option<Breaker>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Faults in a row of one circuit: of what connections of one method at one instance have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// The last fault, with how many there were.
    pub failure: Failure,
    /// Nobody is asked but by one probe at a time, from `failure.next_attempt_at` on.
    pub is_open: bool,
}

/// What may be told of a credential.
#[derive(Clone, Debug)]
pub struct CredentialFacts {
    pub generation: i64,
    pub scopes: Scopes,
    pub renewal: RenewalKind,
    pub obtained_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub renew_at: Option<OffsetDateTime>,
    pub last_renewed_at: Option<OffsetDateTime>,
    /// The provider said no and meant it: nothing but a person's act brings it back.
    pub stopped: Option<Reason>,
    pub failure: Option<Failure>,
    /// How often the provider rejected this credential since it last took it.
    pub rejections: i64,
    /// When it was sealed for another installation. Two that renew one credential would kill it: this one does not.
    pub exported_at: Option<OffsetDateTime>,
}

impl CredentialFacts {
    /// Whether the next one comes without a person, and by this installation.
    pub fn renews_here(&self) -> bool {
        self.renewal.renews_itself() && self.exported_at.is_none()
    }

    /// When it is renewed here next, as far as that is planned.
    pub fn next_renewal(&self) -> Option<OffsetDateTime> {
        self.renew_at.filter(|_| self.renews_here() && self.stopped.is_none())
    }
}

impl Connection {
    /// Names what this connection shares with others when renewals fail: the method, because only one of them
    /// needs our OAuth application, and the instance.
    pub fn circuit(&self) -> String {
        let instance = self.integration.as_deref().unwrap_or(self.base_url.as_str());
        format!("{} {instance}", self.method)
    }

    /// What is failing now: its own renewals or checks, or those of its whole circuit.
    pub fn failure(&self) -> Option<&Failure> {
        self.credential.failure.as_ref().or_else(|| self.open_circuit())
    }

    /// What an open breaker of its circuit says, for a connection that is renewed.
    pub fn open_circuit(&self) -> Option<&Failure> {
        let breaker = self.breaker.as_ref().filter(|_| self.credential.renewal.renews_itself())?;
        breaker.is_open.then_some(&breaker.failure)
    }
}
