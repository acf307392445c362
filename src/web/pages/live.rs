//! The part of a connection's page that changes by itself: status, credential, checks, history.

use super::{
    checks::{RoleFound, ScopeHeld, UseCaseView},
    hex,
    moment::Moment,
    problem::Failure,
    timeline::RenewalView,
    words::{self, Badge},
};
use crate::{
    domain::{Account, Action, Connection, Method, Status, TokenKind},
    store::RenewalRecord,
    web::state::AppState,
};
use askama::Template;
use time::OffsetDateTime;

/// The others are on the page of its history.
const RENEWALS_SHOWN: i64 = 5;

#[derive(Template)]
#[template(path = "parts/live.html")]
#[expect(clippy::struct_excessive_bools, reason = "each of them decides a sentence of the page")]
pub(super) struct Live {
    pub(super) badge: Badge,
    /// Changes exactly when something other than the time did.
    pub(super) version: String,
    pub(super) reason: &'static str,
    pub(super) works: bool,
    pub(super) is_oauth: bool,
    pub(super) host: String,
    /// The page at the provider where a token with the needed scopes is made.
    pub(super) mend_at: String,
    pub(super) failure: Option<FailureView>,
    pub(super) is_pasted_oauth: bool,
    pub(super) renewal: &'static str,
    pub(super) renews_itself: bool,
    pub(super) generation: i64,
    pub(super) scopes: Vec<String>,
    pub(super) expires: Option<Moment>,
    pub(super) renew_at: Option<Moment>,
    pub(super) last_renewed: Option<Moment>,
    pub(super) last_checked: Option<Moment>,
    pub(super) last_used: Option<Moment>,
    /// The connection's pages begin with this.
    pub(super) href: String,
    /// A project's or group's token: its role was chosen when it was made.
    pub(super) is_bot: bool,
    pub(super) use_cases: Vec<UseCaseView>,
    pub(super) renewals: Vec<RenewalView>,
    /// How many API keys got its token so far.
    pub(super) users: i64,
}

pub(super) struct FailureView {
    pub(super) message: String,
    pub(super) since: Moment,
    pub(super) attempts: i64,
    pub(super) next: Option<Moment>,
}

impl Live {
    pub(super) async fn of(state: &AppState, c: &Connection) -> Result<Self, Failure> {
        let renewals = state.store.list_renewals(c.id, None, RENEWALS_SHOWN).await?;
        let users = state.store.count_users(c.id).await?;
        let kind = if c.token_kind == TokenKind::OAuth { TokenKind::Personal } else { c.token_kind };
        let needed = state.use_cases.scopes_for(&c.use_cases, kind).union(&c.credential.scopes);
        let api = state.provider.api();
        let facts = Facts {
            standing: state.standing(c),
            mend_at: api.token_form_url(&c.base_url, kind, &c.name, &needed),
            users,
        };
        Ok(Self {
            use_cases: UseCaseView::all(c, &state.use_cases, api),
            ..Self::without_checks(c, facts, &renewals, state.clock.now())
        })
    }

    pub(super) fn without_checks(
        c: &Connection,
        facts: Facts,
        renewals: &[RenewalRecord],
        now: OffsetDateTime,
    ) -> Self {
        let moment = |at: OffsetDateTime| Moment::new(at, now);
        let k = &c.credential;
        let failure = c.failure().map(|f| FailureView {
            message: f.message.clone(),
            since: moment(f.since),
            attempts: f.attempts,
            next: f.next_attempt_at.map(moment),
        });
        Self {
            badge: Badge::of(facts.standing.status),
            version: version(c, &facts, renewals),
            reason: facts.standing.reason.map_or("", crate::domain::Reason::as_str),
            works: facts.standing.status != Status::ActionRequired,
            is_oauth: c.remedy() == Action::Reauthorize,
            host: c.base_url.host().to_owned(),
            mend_at: facts.mend_at,
            failure,
            is_pasted_oauth: c.method == Method::AccessToken && c.token_kind == TokenKind::OAuth,
            renewal: words::renewal(k),
            renews_itself: k.renews_here(),
            generation: k.generation,
            scopes: k.scopes.to_vec(),
            expires: k.expires_at.map(moment),
            renew_at: k.next_renewal().map(moment),
            last_renewed: k.last_renewed_at.map(moment),
            last_checked: c.last_checked_at.map(moment),
            last_used: c.last_used_at.map(moment),
            href: format!("/connections/{}", c.id),
            is_bot: c.account.as_ref().is_some_and(Account::is_bot),
            use_cases: vec![],
            renewals: renewals.iter().map(|r| RenewalView::of(r, now)).collect(),
            users: facts.users,
        }
    }
}

/// What is known of a connection besides itself.
pub(super) struct Facts {
    pub(super) standing: crate::domain::Standing,
    pub(super) mend_at: String,
    pub(super) users: i64,
}

/// A short mark of everything that a person would notice.
fn version(c: &Connection, facts: &Facts, renewals: &[RenewalRecord]) -> String {
    let last = renewals.first().map(|r| (r.id, r.outcome));
    let k = &c.credential;
    let times = (c.last_checked_at, c.last_used_at, c.updated_at, k.last_renewed_at, k.expires_at);
    let failure = c.failure().map(|f| (f.code, f.attempts, f.next_attempt_at));
    let Facts { standing, users, .. } = facts;
    let text = format!("{standing:?} {last:?} {times:?} {failure:?} {} {users} {:?}", k.generation, c.checks);
    hex(&crate::vault::digest(&text)[..8])
}
