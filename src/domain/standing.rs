//! How a connection stands: derived from stored facts and the clock by one pure function, never set by hand.

use super::{Action, CheckOutcome, Connection, Method, Reason, Status, credential};
use time::{Duration, OffsetDateTime};

/// A status with its reason and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    pub reason: Option<Reason>,
    pub action: Option<Action>,
}

impl Connection {
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
        let works = credential::lasts(facts.expires_at, now, Duration::ZERO);
        if facts.exported_at.is_some() {
            let (status, action) =
                if works { (Status::Degraded, None) } else { (Status::ActionRequired, Some(self.remedy())) };
            return stands(status, Some(Reason::Exported), action);
        }
        let needs_life = !facts.renewal.outlives_its_token();
        if needs_life && !works {
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
    use crate::domain::{
        BaseUrl, ConnectionId, CredentialFacts, Failure, RenewalKind, Scopes, TokenKind, UseCaseCheck,
    };
    use std::collections::BTreeMap;
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
                exported_at: None,
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
    fn what_was_exported_works_to_its_end_and_is_renewed_elsewhere() {
        for (method, renewal, remedy) in [
            (Method::OAuth, RenewalKind::Refresh, Action::Reauthorize),
            (Method::AccessToken, RenewalKind::Manual, Action::Rotate),
        ] {
            let mut c = connection(method, renewal, Some(Duration::HOUR));
            c.credential.exported_at = Some(NOW);
            assert_eq!(standing(&c), (Status::Degraded, Some(Reason::Exported), None));
            c.credential.expires_at = Some(NOW);
            assert_eq!(standing(&c), (Status::ActionRequired, Some(Reason::Exported), Some(remedy)));
        }
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
