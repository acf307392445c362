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

/// How the next credential is obtained. The only place where the methods differ.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// RFC 6749 section 6: spend this refresh token at the token endpoint.
    Refresh(Secret),
    /// GitLab's `self/rotate`: the access token replaces itself.
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
}
