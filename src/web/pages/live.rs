//! The part of a connection's page that changes by itself: status, credential, checks, history.

use super::{
    checks::CheckView,
    hex,
    moment::Moment,
    problem::Failure,
    words::{self, Badge},
};
use crate::{
    domain::{Action, Connection, Method, Status, TokenKind},
    store::{RenewalCause, RenewalOutcome, RenewalRecord},
    web::state::AppState,
};
use askama::Template;
use time::{Duration, OffsetDateTime};

const RENEWALS_SHOWN: i64 = 20;

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
    pub(super) checks: Vec<CheckView>,
    pub(super) renewals: Vec<RenewalView>,
    pub(super) usage: Vec<(String, i64)>,
}

pub(super) struct FailureView {
    pub(super) message: String,
    pub(super) since: Moment,
    pub(super) attempts: i64,
    pub(super) next: Option<Moment>,
}

pub(super) struct RenewalView {
    pub(super) at: Moment,
    pub(super) cause: &'static str,
    pub(super) outcome: &'static str,
    pub(super) is_good: bool,
    pub(super) is_open: bool,
    pub(super) generation: Option<i64>,
    pub(super) detail: Option<String>,
}

impl Live {
    pub(super) async fn of(state: &AppState, c: &Connection) -> Result<Self, Failure> {
        let renewals = state.store.list_renewals(c.id, None, RENEWALS_SHOWN).await?;
        let mut usage = Vec::new();
        for (key, hand_outs) in state.store.usage_of(c.id).await? {
            let name = state.store.api_key(&key).await?.map_or(key, |k| k.name);
            usage.push((name, hand_outs));
        }
        Ok(Self::view(state, c, &renewals, usage))
    }

    fn view(state: &AppState, c: &Connection, renewals: &[RenewalRecord], usage: Vec<(String, i64)>) -> Self {
        let now = state.clock.now();
        let standing = state.standing(c);
        let kind = if c.token_kind == TokenKind::OAuth { TokenKind::Personal } else { c.token_kind };
        let needed = state.use_cases.scopes_for(&c.use_cases, kind);
        let facts = Facts {
            standing,
            mend_at: state.provider.api().token_form_url(&c.base_url, kind, &c.name, &needed),
        };
        Self {
            checks: CheckView::all(&c.use_cases, &c.checks, &state.use_cases),
            ..Self::without_checks(c, facts, renewals, usage, now)
        }
    }

    pub(super) fn without_checks(
        c: &Connection,
        facts: Facts,
        renewals: &[RenewalRecord],
        usage: Vec<(String, i64)>,
        now: OffsetDateTime,
    ) -> Self {
        let moment = |at: OffsetDateTime| Moment::new(at, now);
        let k = &c.credential;
        let failure = k.failure.as_ref().map(|f| FailureView {
            message: f.message.clone(),
            since: moment(f.since),
            attempts: f.attempts,
            next: f.next_attempt_at.map(moment),
        });
        Self {
            badge: Badge::of(facts.standing.status),
            version: version(c, facts.standing, renewals, &usage),
            reason: facts.standing.reason.map_or("", crate::domain::Reason::as_str),
            works: facts.standing.status != Status::ActionRequired,
            is_oauth: c.remedy() == Action::Reauthorize,
            host: c.base_url.host().to_owned(),
            mend_at: facts.mend_at,
            failure,
            is_pasted_oauth: c.method == Method::AccessToken && c.token_kind == TokenKind::OAuth,
            renewal: words::renewal(k.renewal),
            renews_itself: k.renewal.renews_itself(),
            generation: k.generation,
            scopes: k.scopes.to_vec(),
            expires: k.expires_at.map(moment),
            renew_at: k.renew_at.filter(|_| k.stopped.is_none()).map(moment),
            last_renewed: k.last_renewed_at.map(moment),
            last_checked: c.last_checked_at.map(moment),
            last_used: c.last_used_at.map(moment),
            checks: vec![],
            renewals: renewals.iter().map(|r| RenewalView::of(r, now)).collect(),
            usage,
        }
    }
}

/// What is known of a connection besides itself.
pub(super) struct Facts {
    pub(super) standing: crate::domain::Standing,
    pub(super) mend_at: String,
}

/// A short mark of everything that a person would notice.
fn version(
    c: &Connection,
    standing: crate::domain::Standing,
    renewals: &[RenewalRecord],
    usage: &[(String, i64)],
) -> String {
    let last = renewals.first().map(|r| (r.id, r.outcome));
    let k = &c.credential;
    let times = (c.last_checked_at, c.last_used_at, c.updated_at, k.last_renewed_at, k.expires_at);
    let failure = k.failure.as_ref().map(|f| (f.code, f.attempts, f.next_attempt_at));
    let text =
        format!("{standing:?} {last:?} {times:?} {failure:?} {} {usage:?} {:?}", k.generation, c.checks);
    hex(&crate::vault::digest(&text)[..8])
}

impl RenewalView {
    fn of(record: &RenewalRecord, now: OffsetDateTime) -> Self {
        let renewed = record.outcome == Some(RenewalOutcome::Renewed);
        Self {
            at: Moment::new(record.started_at, now),
            cause: cause(record.cause),
            outcome: outcome(record, now),
            is_good: renewed,
            is_open: record.outcome.is_none(),
            generation: renewed.then_some(record.generation + 1),
            detail: record.detail.clone(),
        }
    }
}

fn cause(cause: RenewalCause) -> &'static str {
    match cause {
        RenewalCause::Due => "Ahead of its end",
        RenewalCause::HandOut => "A caller needed a token that lasts",
        RenewalCause::Refused => "GitLab refused the token",
        RenewalCause::Requested => "Somebody asked for it",
    }
}

fn outcome(record: &RenewalRecord, now: OffsetDateTime) -> &'static str {
    match record.outcome {
        Some(RenewalOutcome::Renewed) => "Renewed",
        Some(RenewalOutcome::Rejected) => "GitLab said no",
        Some(RenewalOutcome::Refused) => "GitLab does not do this for this token",
        Some(RenewalOutcome::Unavailable) => "GitLab did not answer properly",
        Some(RenewalOutcome::Misconfigured) => "GitLab refused the OAuth application",
        Some(RenewalOutcome::Uncertain) => "Sent, and the answer was lost",
        Some(RenewalOutcome::Superseded) => "A newer credential came in between",
        None if now - record.started_at < Duration::minutes(5) => "Under way",
        None => "Never finished: the server stopped",
    }
}
