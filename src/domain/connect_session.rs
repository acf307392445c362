//! A connect session: another product lets one of its users connect an account, and gets the connection only when it
//! says that it was that user.

use super::{ConnectSessionId, ConnectionId, Method, words::words};
use time::{Duration, OffsetDateTime};

words! {
    /// How far a connect session has come.
    pub enum ConnectSessionState {
        /// The link may be used.
        Open = "open",
        /// The person has connected; the product must complete it.
        AwaitingCompletion = "awaiting_completion",
        Completed = "completed",
        Failed = "failed",
        /// The link was not used in time.
        Expired = "expired",
    }
}

/// What a product asked for on behalf of one of its users. Nothing that a browser sends changes any of it.
#[derive(Clone, Debug)]
pub struct ConnectSession {
    pub id: ConnectSessionId,
    /// The API key that began it.
    pub api_key_id: String,
    pub tenant: String,
    /// Whom the product means, in its own words.
    pub end_user: String,
    /// `None`: the person chooses.
    pub integration: Option<String>,
    pub methods: Vec<Method>,
    pub use_cases: Vec<String>,
    pub return_url: String,
    /// Before its end the connection that is to be reconnected, after it the one that was made.
    pub connection: Option<ConnectionId>,
    /// As it is stored: [`ConnectSession::state_at`] knows of the time, too.
    pub state: ConnectSessionState,
    /// Why it failed, as a stable code.
    pub error: Option<String>,
    /// When what the person brought is thrown away.
    pub waiting_until: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl ConnectSession {
    /// How long a link may be used.
    pub const LIFE: Duration = Duration::minutes(30);
    /// How long what the person brought waits, sealed. GitLab's codes live ten minutes.
    pub const WAITS: Duration = Duration::minutes(5);

    pub fn state_at(&self, now: OffsetDateTime) -> ConnectSessionState {
        match self.state {
            ConnectSessionState::Open if now >= self.expires_at => ConnectSessionState::Expired,
            ConnectSessionState::AwaitingCompletion if self.waiting_until.is_none_or(|end| now >= end) => {
                ConnectSessionState::Expired
            }
            state => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectSessionState as S, *};
    use time::macros::datetime;

    #[test]
    fn a_link_and_what_was_brought_end_by_themselves() {
        let now = datetime!(2027-01-01 12:00 UTC);
        let session = |state, waiting_until| ConnectSession {
            id: ConnectSessionId::fresh(),
            api_key_id: "k".into(),
            tenant: "acme".into(),
            end_user: "ada".into(),
            integration: None,
            methods: vec![Method::OAuth],
            use_cases: vec![],
            return_url: "https://app.example.com/back".into(),
            connection: None,
            state,
            error: None,
            waiting_until,
            created_at: now,
            expires_at: now + ConnectSession::LIFE,
        };
        let open = session(S::Open, None);
        assert_eq!(open.state_at(now), S::Open);
        assert_eq!(open.state_at(now + ConnectSession::LIFE), S::Expired);
        let waiting = session(S::AwaitingCompletion, Some(now + ConnectSession::WAITS));
        assert_eq!(waiting.state_at(now), S::AwaitingCompletion);
        assert_eq!(waiting.state_at(now + ConnectSession::WAITS), S::Expired);
        assert_eq!(session(S::Completed, None).state_at(now + Duration::days(9)), S::Completed);
    }
}
