//! What the API shows of a thing: the contract's JSON. No secret has a field here.

use crate::{
    domain::{
        Account, Action, Connection, Failure, Method, Reason, RenewalKind, Status, TokenKind, UseCaseCheck,
    },
    store::{ApiKey, LoggedEvent, RenewalCause, RenewalOutcome, RenewalRecord},
    web::state::AppState,
};
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A connection. It never holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
pub(super) struct ConnectionView {
    id: String,
    name: String,
    description: Option<String>,
    tenant: Option<String>,
    tags: BTreeMap<String, String>,
    /// Null for an instance that a user typed.
    integration: Option<String>,
    provider: String,
    base_url: String,
    method: Method,
    token_kind: TokenKind,
    account: Option<Account>,
    scopes: Vec<String>,
    use_cases: Vec<String>,
    status: Status,
    reason: Option<Reason>,
    action: Option<Action>,
    renewal: RenewalKind,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    renew_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_renewed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_checked_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    failure: Option<Failure>,
    generation: i64,
    /// What the last check found, use case by use case.
    checks: Vec<UseCaseCheck>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl ConnectionView {
    pub(super) fn of(connection: Connection, state: &AppState) -> Self {
        let standing = state.standing(&connection);
        let failure = connection.failure().cloned();
        let facts = connection.credential;
        Self {
            id: connection.id.to_string(),
            name: connection.name,
            description: connection.description,
            tenant: connection.tenant,
            tags: connection.tags,
            integration: connection.integration,
            provider: connection.provider,
            base_url: connection.base_url.to_string(),
            method: connection.method,
            token_kind: connection.token_kind,
            account: connection.account,
            scopes: facts.scopes.to_vec(),
            use_cases: connection.use_cases,
            status: standing.status,
            reason: standing.reason,
            action: standing.action,
            renewal: facts.renewal,
            expires_at: facts.expires_at,
            renew_at: facts.next_renewal(),
            last_renewed_at: facts.last_renewed_at,
            last_checked_at: connection.last_checked_at,
            last_used_at: connection.last_used_at,
            failure,
            generation: facts.generation,
            checks: connection.checks,
            created_at: connection.created_at,
            updated_at: connection.updated_at,
        }
    }
}

/// One attempt to renew.
#[derive(Serialize, ToSchema)]
#[schema(as = Renewal)]
pub(super) struct RenewalView {
    id: String,
    /// The generation that was to be replaced.
    generation: i64,
    renewal: RenewalKind,
    cause: RenewalCause,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    /// Null while it is under way.
    outcome: Option<RenewalOutcome>,
    detail: Option<String>,
}

impl From<RenewalRecord> for RenewalView {
    fn from(record: RenewalRecord) -> Self {
        Self {
            id: record.id.to_string(),
            generation: record.generation,
            renewal: record.renewal,
            cause: record.cause,
            started_at: record.started_at,
            finished_at: record.finished_at,
            outcome: record.outcome,
            detail: record.detail,
        }
    }
}

/// An API key, without the key itself.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct ApiKeyView {
    id: String,
    name: String,
    tenant: Option<String>,
    scopes: Vec<String>,
    /// The requests that it may send through the proxy. Empty: all.
    allow: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    /// The key, once: in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            tenant: key.tenant,
            scopes: key.permissions.iter().map(ToString::to_string).collect(),
            allow: key.allow.iter().map(ToString::to_string).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            key: None,
        }
    }
}

/// One entry of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::web) struct EventView {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    kind: String,
    subject: Option<String>,
    tenant: Option<String>,
    actor: String,
    detail: Option<String>,
}

impl From<LoggedEvent> for EventView {
    fn from(LoggedEvent { event, .. }: LoggedEvent) -> Self {
        Self {
            id: event.id.to_string(),
            at: event.at,
            kind: event.kind.to_string(),
            subject: event.subject,
            tenant: event.tenant,
            actor: event.actor,
            detail: event.detail,
        }
    }
}
