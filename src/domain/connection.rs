//! The one record that a person makes by connecting, whichever way they came. It never holds a secret.
//!
//! Its status is derived from stored facts and the clock by one pure function, never set by hand.

use super::{
    Account, BaseUrl, CheckOutcome, ConnectionId, RenewalKind, Scopes, TokenKind, UseCaseCheck, credential,
    words::words,
};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

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
}

/// A status with its reason and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    pub reason: Option<Reason>,
    pub action: Option<Action>,
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

    /// The remedy that fits the way in.
    pub fn remedy(&self) -> Action {
        match self.method {
            Method::OAuth => Action::Reauthorize,
            Method::AccessToken => Action::Rotate,
        }
    }

    /// How this connection stands at `now`, where warnings start `warn_before` the end.
    pub fn standing(&self, now: OffsetDateTime, warn_before: Duration) -> Standing {
        let facts = &self.credential;
        let stands = |status, reason, action| Standing { status, reason, action };
        if let Some(reason) = facts.stopped {
            return stands(Status::ActionRequired, Some(reason), Some(self.remedy()));
        }
        let needs_life = !facts.renewal.outlives_its_token();
        if needs_life && !credential::lasts(facts.expires_at, now, Duration::ZERO) {
            return stands(Status::ActionRequired, Some(Reason::TokenExpired), Some(self.remedy()));
        }
        if let Some(failure) = self.failure() {
            let by_hand = matches!(failure.code, Reason::RenewalAnswerLost | Reason::InsufficientScope);
            let action = by_hand.then(|| self.remedy());
            return stands(Status::Degraded, Some(failure.code), action);
        }
        if let Some(reason) = self.unmet() {
            let action = (reason == Reason::InsufficientScope).then(|| self.remedy());
            return stands(Status::Degraded, Some(reason), action);
        }
        let by_hand = !facts.renewal.renews_itself();
        if by_hand && !credential::lasts(facts.expires_at, now, warn_before) {
            return stands(Status::Expiring, Some(Reason::TokenExpiring), Some(Action::Rotate));
        }
        stands(Status::Active, None, None)
    }

    fn unmet(&self) -> Option<Reason> {
        let asked = || self.checks.iter().filter(|check| self.use_cases.contains(&check.use_case));
        let found = |outcome| asked().any(|check| check.outcome == outcome);
        if found(CheckOutcome::InsufficientScope) {
            return Some(Reason::InsufficientScope);
        }
        found(CheckOutcome::InsufficientRole).then_some(Reason::InsufficientRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);
    const WARN: Duration = Duration::days(30);

    fn connection(method: Method, renewal: RenewalKind, expires_in: Option<Duration>) -> Connection {
        Connection {
            id: ConnectionId::fresh(),
            name: "acme".into(),
            description: None,
            tenant: None,
            tags: BTreeMap::new(),
            integration: Some("gitlab".into()),
            provider: "gitlab".into(),
            base_url: BaseUrl::parse_typed("https://gitlab.com").unwrap(),
            method,
            token_kind: TokenKind::Personal,
            account: None,
            use_cases: vec![],
            checks: vec![],
            credential: CredentialFacts {
                generation: 1,
                scopes: Scopes::default(),
                renewal,
                obtained_at: NOW,
                expires_at: expires_in.map(|left| NOW + left),
                renew_at: None,
                last_renewed_at: None,
                stopped: None,
                failure: None,
                rejections: 0,
            },
            last_checked_at: None,
            last_used_at: None,
            breaker: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn pasted(expires_in: Option<Duration>) -> Connection {
        connection(Method::AccessToken, RenewalKind::Manual, expires_in)
    }

    fn standing(c: &Connection) -> (Status, Option<Reason>, Option<Action>) {
        let s = c.standing(NOW, WARN);
        (s.status, s.reason, s.action)
    }

    #[test]
    fn a_pasted_token_warns_and_then_asks_for_a_person() {
        assert_eq!(standing(&pasted(None)), (Status::Active, None, None));
        assert_eq!(standing(&pasted(Some(Duration::days(31)))), (Status::Active, None, None));
        assert_eq!(
            standing(&pasted(Some(Duration::days(30)))),
            (Status::Expiring, Some(Reason::TokenExpiring), Some(Action::Rotate))
        );
        assert_eq!(
            standing(&pasted(Some(Duration::ZERO))),
            (Status::ActionRequired, Some(Reason::TokenExpired), Some(Action::Rotate))
        );
    }

    #[test]
    fn an_expired_token_that_renews_itself_needs_nobody() {
        let c = connection(Method::OAuth, RenewalKind::Refresh, Some(-Duration::HOUR));
        assert_eq!(standing(&c), (Status::Active, None, None));
    }

    #[test]
    fn a_token_that_rotates_itself_warns_nobody_but_needs_a_person_once_it_is_dead() {
        let rotating = |left| connection(Method::AccessToken, RenewalKind::SelfRotate, Some(left));
        let mut c = rotating(Duration::HOUR);
        assert_eq!(standing(&c), (Status::Active, None, None));
        c.credential.failure = Some(Failure {
            code: Reason::RateLimited,
            message: "answered 429".into(),
            since: NOW,
            attempts: 1,
            next_attempt_at: None,
        });
        assert_eq!(standing(&c), (Status::Degraded, Some(Reason::RateLimited), None));
        assert_eq!(
            standing(&rotating(Duration::ZERO)),
            (Status::ActionRequired, Some(Reason::TokenExpired), Some(Action::Rotate))
        );
    }

    #[test]
    fn a_refused_grant_outweighs_everything() {
        let mut c = connection(Method::OAuth, RenewalKind::Refresh, Some(Duration::HOUR));
        c.credential.failure = Some(Failure {
            code: Reason::ProviderError,
            message: "answered 502".into(),
            since: NOW,
            attempts: 2,
            next_attempt_at: None,
        });
        assert_eq!(standing(&c), (Status::Degraded, Some(Reason::ProviderError), None));
        c.credential.stopped = Some(Reason::GrantRevoked);
        assert_eq!(
            standing(&c),
            (Status::ActionRequired, Some(Reason::GrantRevoked), Some(Action::Reauthorize))
        );
    }

    #[test]
    fn a_lost_scope_degrades_and_names_the_remedy() {
        let mut c = pasted(None);
        c.use_cases = vec!["code-review".into()];
        c.checks = vec![UseCaseCheck {
            use_case: "code-review".into(),
            outcome: CheckOutcome::InsufficientScope,
            missing_scopes: vec!["api".into()],
            least_role: "Maintainer".into(),
            too_low_in: vec![],
        }];
        assert_eq!(standing(&c), (Status::Degraded, Some(Reason::InsufficientScope), Some(Action::Rotate)));
    }
}
