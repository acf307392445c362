//! The sealed secret part of a connection, however it was obtained.

use super::{Scopes, Secret, words::words};
use time::{Duration, OffsetDateTime};

/// What Mooring holds for one connection. Each new one raises the connection's generation.
#[derive(Clone, Debug)]
pub struct Credential {
    pub access_token: Secret,
    /// When it came; with `expires_at` this tells how long such tokens live.
    pub obtained_at: OffsetDateTime,
    /// `None`: it does not expire.
    pub expires_at: Option<OffsetDateTime>,
    pub scopes: Scopes,
    pub renewal: Renewal,
}

impl Credential {
    /// Whether both are renewed with the same refresh token.
    pub fn has_same_refresh_token(&self, other: &Self) -> bool {
        matches!((&self.renewal, &other.renewal), (Renewal::Refresh(own), Renewal::Refresh(of)) if own.is_same(of))
    }
}

/// How the next credential is obtained. The only place where the methods differ.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// RFC 6749 section 6: spend this refresh token at the token endpoint.
    Refresh(Secret),
    /// GitLab's `self/rotate`: the access token replaces itself. A person's choice, never a default.
    SelfRotate,
    /// Nobody but a person can replace it.
    Manual,
}

words! {
    /// The name of a [`Renewal`], without its secret.
    pub enum RenewalKind {
        Refresh = "refresh",
        SelfRotate = "self_rotate",
        Manual = "manual",
    }
}

impl Renewal {
    pub fn kind(&self) -> RenewalKind {
        match self {
            Self::Refresh(_) => RenewalKind::Refresh,
            Self::SelfRotate => RenewalKind::SelfRotate,
            Self::Manual => RenewalKind::Manual,
        }
    }
}

impl RenewalKind {
    /// Whether the next credential comes without a person.
    pub fn renews_itself(self) -> bool {
        self != Self::Manual
    }

    /// Whether the next credential can still come when the access token has ended. A token that rotates
    /// itself must be alive for it.
    pub fn outlives_its_token(self) -> bool {
        self == Self::Refresh
    }
}

/// When credentials that renew themselves are renewed.
#[derive(Clone, Copy, Debug)]
pub struct Tending {
    /// Renew when less than this is left.
    pub before: Duration,
}

impl Tending {
    /// When to renew this credential: some time before its end, but never in the first half of its life, and
    /// up to a fifth of that time later, so that those made together are not renewed together. `chance` is in
    /// [0, 1). `None`: nothing renews it.
    pub fn renew_at(self, credential: &Credential, chance: f64) -> Option<OffsetDateTime> {
        let end = credential.expires_at?;
        let life = end - credential.obtained_at;
        let before = match credential.renewal.kind() {
            RenewalKind::Refresh => self.before,
            RenewalKind::SelfRotate => ahead_of_rotation(life),
            RenewalKind::Manual => return None,
        };
        Some(end - before.min(life / 2) * (1.0 - 0.2 * chance))
    }
}

/// How long before its end a token rotates itself: long enough for a person to mend what stands in the way.
fn ahead_of_rotation(life: Duration) -> Duration {
    let fifth: Duration = life / 5;
    if life > Duration::weeks(2) { fifth.max(Duration::WEEK) } else { fifth }
}

/// Whether a token that ends at `expires_at` is still good `margin` after `now`.
pub fn lasts(expires_at: Option<OffsetDateTime>, now: OffsetDateTime, margin: Duration) -> bool {
    expires_at.is_none_or(|end| end - now > margin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_token_ends_exactly_at_its_end() {
        let end = Some(datetime!(2027-01-31 0:00 UTC));
        assert!(lasts(end, datetime!(2027-01-30 23:59:59 UTC), Duration::ZERO));
        assert!(!lasts(end, datetime!(2027-01-31 0:00 UTC), Duration::ZERO));
        assert!(!lasts(end, datetime!(2027-01-30 23:59:30 UTC), Duration::seconds(60)));
        assert!(lasts(None, datetime!(2099-01-01 0:00 UTC), Duration::days(9)));
    }

    const START: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);
    const TENDING: Tending = Tending { before: Duration::minutes(10) };

    fn refreshable(life: Duration) -> Credential {
        Credential {
            access_token: Secret::new("a"),
            obtained_at: START,
            expires_at: Some(START + life),
            scopes: Scopes::default(),
            renewal: Renewal::Refresh(Secret::new("r")),
        }
    }

    #[test]
    fn a_two_hour_token_is_renewed_in_its_last_ten_minutes() {
        let token = refreshable(Duration::hours(2));
        let ten_left = START + Duration::minutes(110);
        assert_eq!(TENDING.renew_at(&token, 0.0), Some(ten_left));
        let late = TENDING.renew_at(&token, 0.999).unwrap();
        assert!(late > ten_left && late < ten_left + Duration::minutes(3));
    }

    #[test]
    fn a_short_token_lives_half_its_life() {
        let token = refreshable(Duration::seconds(30));
        assert_eq!(TENDING.renew_at(&token, 0.0), Some(START + Duration::seconds(15)));
    }

    #[test]
    fn a_token_that_rotates_itself_leaves_time_to_mend_things() {
        let left_when_due = |days, chance| {
            let life = Duration::days(days);
            let token = Credential { renewal: Renewal::SelfRotate, ..refreshable(life) };
            START + life - TENDING.renew_at(&token, chance).unwrap()
        };
        assert_eq!(left_when_due(365, 0.0), Duration::days(73));
        assert_eq!(left_when_due(30, 0.0), Duration::days(7));
        assert_eq!(left_when_due(15, 0.0), Duration::days(7));
        assert_eq!(left_when_due(14, 0.0), Duration::days(14) / 5);
        assert_eq!(left_when_due(7, 0.0), Duration::days(7) / 5);
        let late = left_when_due(365, 0.999);
        assert!(late > Duration::days(58) && late < Duration::days(73), "{late}");
        let endless = Credential { expires_at: None, ..refreshable(Duration::DAY) };
        let endless = Credential { renewal: Renewal::SelfRotate, ..endless };
        assert_eq!(TENDING.renew_at(&endless, 0.0), None, "a token without an end needs no rotation");
    }

    #[test]
    fn what_a_person_renews_is_never_due() {
        let pasted = Credential { renewal: Renewal::Manual, ..refreshable(Duration::hours(2)) };
        assert_eq!(TENDING.renew_at(&pasted, 0.0), None);
    }
}
