//! One connection in the list: how it stands in two words, whose it is, and when it ends.

use super::asked::Asked;
use crate::{
    domain::{Account, Connection, Reason, Standing, Status},
    web::pages::{
        moment::Moment,
        words::{self, Badge},
    },
};
use askama::Template;
use time::OffsetDateTime;

#[derive(Template)]
#[template(path = "parts/row.html")]
pub(super) struct Row {
    id: String,
    name: String,
    tenant: Option<Tenant>,
    badge: Badge,
    reason: Option<&'static str>,
    account: String,
    kind: &'static str,
    place: String,
    renews_itself: bool,
    /// Revoked or withdrawn: the date of its end says nothing.
    is_dead: bool,
    expires: Option<Moment>,
    renew_at: Option<Moment>,
    last_used: Option<Moment>,
}

impl askama::filters::HtmlSafe for Row {}

struct Tenant {
    name: String,
    href: String,
}

impl Row {
    pub(super) fn of(c: &Connection, standing: Standing, now: OffsetDateTime) -> Self {
        let facts = &c.credential;
        Self {
            id: c.id.to_string(),
            name: c.name.clone(),
            tenant: c.tenant.as_deref().map(tenant),
            badge: Badge::of(standing.status),
            reason: standing.reason.map(reason),
            account: c.account.as_ref().map_or_else(|| "Unknown account".to_owned(), Account::label),
            kind: words::token_kind(c.token_kind),
            place: c.integration.clone().unwrap_or_else(|| c.base_url.host().to_owned()),
            renews_itself: facts.renews_here(),
            is_dead: facts.stopped.is_some()
                || facts.renewal.renews_itself() && standing.status == Status::ActionRequired,
            expires: facts.expires_at.map(|at| Moment::new(at, now)),
            renew_at: facts.next_renewal().map(|at| Moment::new(at, now)),
            last_used: c.last_used_at.map(|at| Moment::new(at, now)),
        }
    }
}

fn tenant(name: &str) -> Tenant {
    let all_of_it = Asked { tenant: name.to_owned(), ..Asked::default() };
    Tenant { name: name.to_owned(), href: all_of_it.address() }
}

/// A reason in two or three words.
pub(in crate::web::pages) fn reason(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::TokenExpiring => "Token ends soon",
        R::TokenExpired => "Token expired",
        R::TokenRevoked => "Token revoked",
        R::GrantRevoked => "Access withdrawn",
        R::RenewalAnswerLost => "Renewal answer lost",
        R::InsufficientScope => "Scope missing",
        R::InsufficientRole => "Role too low",
        R::AccountBlocked => "Account blocked",
        R::ProviderUnreachable => "GitLab unreachable",
        R::ProviderError => "GitLab answers with errors",
        R::RateLimited => "Rate limited",
        R::IntegrationMisconfigured => "Integration misconfigured",
        R::Exported => "Exported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::RenewalKind, web::pages::connection::sample};
    use time::{Duration, macros::datetime};

    const NOW: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);

    fn html(c: &Connection) -> String {
        Row::of(c, c.standing(NOW, Duration::days(30)), NOW).render().unwrap()
    }

    #[test]
    fn what_renewed_itself_and_is_over_does_not_work() {
        let mut c = sample::connection(NOW);
        c.credential.renewal = RenewalKind::SelfRotate;
        c.credential.expires_at = Some(NOW - Duration::HOUR);
        assert!(html(&c).contains("does not work"), "{}", html(&c));
    }

    #[test]
    fn a_row_shows_what_a_person_looks_for() {
        let mut c = sample::connection(NOW);
        c.tenant = Some("a&b".into());
        c.credential.stopped = Some(Reason::TokenRevoked);
        let html = html(&c);
        for words in
            ["Action required", "Token revoked", "acme-review", "/?tenant=a%26b", "does not work", "not yet"]
        {
            assert!(html.contains(words), "{words} is missing in {html}");
        }
    }

    #[test]
    fn an_end_is_told_where_it_matters() {
        let mut c = sample::connection(NOW);
        assert!(html(&c).contains("in 10 days") && html(&c).contains("11 Jan 2027"));
        c.credential.renewal = RenewalKind::SelfRotate;
        c.credential.renew_at = Some(NOW + Duration::days(3));
        assert!(html(&c).contains("renews itself") && html(&c).contains("in 3 days"));
        c.credential.expires_at = None;
        c.credential.renewal = RenewalKind::Manual;
        assert!(html(&c).contains("never"));
    }
}
