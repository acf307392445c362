//! A caller asks for a token: may it, does the token last, and if not, is there a newer one.
//!
//! The path of a still-valid token does no write and, when warm, no query: connections are remembered
//! until the change feed says that they changed, and hand-outs are counted in memory.

mod days;
mod memory;
mod usage;

pub use days::UsageDays;
pub use memory::Memory;
pub use usage::Usage;

use crate::{
    domain::{Caller, Clock, ConnectionId, Reason, RenewalKind, Standing, Status, credential::lasts},
    renewal::{Need, RenewalError, Renewals},
    store::{Held, RenewalCause, Store, StoreError},
};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// Hands out tokens.
#[derive(Clone)]
pub struct Handout {
    pub store: Store,
    pub renewals: Renewals,
    pub clock: Clock,
    pub memory: Memory,
    pub usage: Usage,
    /// When warnings start before the end of what nobody renews.
    pub warn_before: Duration,
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// A connection's id or name.
    pub reference: &'a str,
    /// Which tenant's, for a key that sees several.
    pub tenant: Option<&'a str>,
    pub min_ttl: Duration,
    pub newer_than: Option<i64>,
}

/// A token that may be used now.
pub struct HandedOut {
    pub held: Arc<Held>,
    pub warnings: Vec<Warning>,
}

/// Something that a caller should know about a token that works.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Warning {
    pub code: &'static str,
    pub message: String,
}

#[derive(Debug, thiserror::Error)]
pub enum HandoutError {
    #[error("There is no such connection.")]
    NotFound,
    #[error("Several tenants have a connection of that name. Say which one with ?tenant=.")]
    AmbiguousName,
    #[error("This connection needs a person.")]
    ActionRequired { id: ConnectionId, standing: Standing },
    #[error("{message}")]
    Unavailable { message: String, retry_at: Option<OffsetDateTime> },
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for HandoutError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Handout {
    /// Hands out a token that is good for a while, and counts it.
    pub async fn hand_out(&self, caller: &Caller, ask: Ask<'_>) -> Result<HandedOut, HandoutError> {
        let held = self.find(caller, &ask).await?;
        let handed_out = match self.need(&held, &ask) {
            None => HandedOut { held, warnings: Vec::new() },
            Some((need, cause)) => self.renewed(held, need, cause).await?,
        };
        let now = self.clock.now();
        self.usage.count(handed_out.held.connection.id, &caller.api_key_id, now);
        Ok(self.with_warnings(handed_out, &ask))
    }

    /// The connection that a caller may know of, from memory if it is there.
    async fn find(&self, caller: &Caller, ask: &Ask<'_>) -> Result<Arc<Held>, HandoutError> {
        let tenant = caller.tenant.as_deref().or(ask.tenant);
        if let Some(held) = self.memory.held(ask.reference, tenant) {
            return Ok(held);
        }
        let seen = self.memory.generation();
        if let Some(held) = self.renewals.uncommitted(ask.reference, tenant) {
            return Ok(held);
        }
        let id = find_id(&self.store, ask.reference, tenant).await?;
        let held = Arc::new(self.store.open_credential(id).await?.ok_or(HandoutError::NotFound)?);
        if tenant.is_some_and(|t| held.connection.tenant.as_deref().unwrap_or_default() != t) {
            return Err(HandoutError::NotFound);
        }
        self.memory.keep(ask.reference, tenant, &held, seen);
        Ok(held)
    }

    /// What must happen before the held token may go out. `None`: nothing.
    fn need(&self, held: &Held, ask: &Ask<'_>) -> Option<(Need, RenewalCause)> {
        let facts = &held.connection.credential;
        if let Some(refused) = ask.newer_than.filter(|refused| facts.generation <= *refused) {
            return Some((Need::NewerThan(refused), RenewalCause::Refused));
        }
        if facts.stopped.is_some() {
            return Some((Need::Lasts(Duration::ZERO), RenewalCause::HandOut));
        }
        let margin = attainable(held, ask.min_ttl);
        let lasting = lasts(facts.expires_at, self.clock.now(), margin);
        (!lasting).then_some((Need::Lasts(margin), RenewalCause::HandOut))
    }

    async fn renewed(
        &self,
        old: Arc<Held>,
        need: Need,
        cause: RenewalCause,
    ) -> Result<HandedOut, HandoutError> {
        let id = old.connection.id;
        if old.connection.credential.stopped.is_some() && cause != RenewalCause::Refused {
            return Err(self.action_required(&old));
        }
        let error = match self.renewals.renew(id, need, cause).await {
            Ok(held) => return Ok(HandedOut { held, warnings: Vec::new() }),
            Err(error) => error,
        };
        let current = self.store.open_credential(id).await?.ok_or(HandoutError::NotFound)?;
        let facts = &current.connection.credential;
        let works = facts.stopped.is_none() && lasts(facts.expires_at, self.clock.now(), Duration::ZERO);
        if works && cause != RenewalCause::Refused {
            return Ok(HandedOut { held: Arc::new(current), warnings: vec![warning_of(&error)] });
        }
        match error {
            RenewalError::Gone => Err(HandoutError::NotFound),
            RenewalError::Stopped(_) | RenewalError::NeedsPerson => Err(self.action_required(&current)),
            RenewalError::Store(error) => Err(HandoutError::Store(error)),
            RenewalError::Failed { message, next_attempt_at, .. } => {
                Err(HandoutError::Unavailable { message, retry_at: next_attempt_at })
            }
            RenewalError::Busy | RenewalError::BrokeOff => Err(HandoutError::Unavailable {
                message: "The token is being renewed.".into(),
                retry_at: None,
            }),
        }
    }

    fn action_required(&self, held: &Held) -> HandoutError {
        let standing = held.connection.standing(self.clock.now(), self.warn_before);
        HandoutError::ActionRequired { id: held.connection.id, standing }
    }

    fn with_warnings(&self, mut handed_out: HandedOut, ask: &Ask<'_>) -> HandedOut {
        let connection = &handed_out.held.connection;
        let standing = connection.standing(self.clock.now(), self.warn_before);
        if handed_out.warnings.is_empty() && standing.status != Status::Active {
            handed_out.warnings.extend(standing.reason.map(warn));
        }
        if !lasts(connection.credential.expires_at, self.clock.now(), ask.min_ttl) {
            let message =
                "This token has less left than min_ttl asks for, and a newer one would not have more.";
            handed_out.warnings.push(Warning { code: "min_ttl_not_met", message: message.into() });
        }
        handed_out
    }
}

/// Finds a connection by id or by name. `tenant` narrows it where it is given; the empty one means none.
pub async fn find_id(
    store: &Store,
    reference: &str,
    tenant: Option<&str>,
) -> Result<ConnectionId, HandoutError> {
    if let Ok(id) = reference.parse() {
        return Ok(id);
    }
    match store.connections_named(reference, tenant).await?.as_slice() {
        [] => Err(HandoutError::NotFound),
        [one] => Ok(one.id),
        _ => Err(HandoutError::AmbiguousName),
    }
}

/// A margin that a fresh token of this connection can meet. Asking for nearly its whole life, or more, must
/// not renew it at every request: each renewal kills the token that others hold.
fn attainable(held: &Held, wanted: Duration) -> Duration {
    let facts = &held.connection.credential;
    if facts.renewal == RenewalKind::SelfRotate {
        // Others hold this token and would lose it; it is rotated when its time has come, not on a caller's wish.
        return Duration::ZERO;
    }
    match facts.expires_at.map(|end| end - facts.obtained_at) {
        Some(life) if facts.renewal.renews_itself() && wanted > life - Duration::MINUTE.min(life / 10) => {
            life / 2
        }
        _ => wanted,
    }
}

fn warning_of(error: &RenewalError) -> Warning {
    match error {
        RenewalError::NeedsPerson => warn(Reason::TokenExpiring),
        RenewalError::Stopped(reason) => warn(*reason),
        RenewalError::Failed { reason, message, .. } => {
            Warning { code: reason.as_str(), message: message.clone() }
        }
        _ => Warning { code: "renewal_pending", message: "A newer token is on its way.".into() },
    }
}

fn warn(reason: Reason) -> Warning {
    let message = match reason {
        Reason::TokenExpiring => "This token ends soon, and only a person can renew it.",
        Reason::InsufficientScope => "This token no longer has a scope that a use case needs.",
        Reason::InsufficientRole => "The account no longer has a role that a use case needs.",
        Reason::Exported => "This connection was exported. Ask the installation that imported it.",
        Reason::AccountBlocked => "The account must act at the provider.",
        _ => "Renewals or checks are failing. This token still works.",
    };
    Warning { code: reason.as_str(), message: message.into() }
}
