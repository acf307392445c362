//! What happened, kept: the audit log, which is also the change feed between replicas.

use super::{ConnectionId, EventId, Standing, Status, words::words};
use time::OffsetDateTime;

words! {
    /// The kinds of event.
    pub enum EventKind {
        Connected = "connection.connected",
        Renewed = "connection.renewed",
        RenewalFailed = "connection.renewal_failed",
        Degraded = "connection.degraded",
        Recovered = "connection.recovered",
        Expiring = "connection.expiring",
        Expired = "connection.expired",
        ActionRequired = "connection.action_required",
        Checked = "connection.checked",
        Updated = "connection.updated",
        Rotated = "connection.rotated",
        Reauthorized = "connection.reauthorized",
        Disconnected = "connection.disconnected",
        Exported = "connection.exported",
        TakenBack = "connection.taken_back",
        Imported = "connection.imported",
        Revoked = "connection.revoked",
        RevocationFailed = "connection.revocation_failed",
        HandedOut = "connection.handed_out",
        IntegrationFailing = "integration.failing",
        IntegrationRecovered = "integration.recovered",
        AuthorizationFailed = "authorization.failed",
        ApiKeyCreated = "api_key.created",
        ApiKeyRevoked = "api_key.revoked",
        WebhookEndpointAdded = "webhook_endpoint.added",
        WebhookEndpointRemoved = "webhook_endpoint.removed",
        WebhookEndpointDisabled = "webhook_endpoint.disabled",
        WebhookEndpointPaused = "webhook_endpoint.paused",
        WebhookEndpointResumed = "webhook_endpoint.resumed",
        WebhookSecretRotated = "webhook_endpoint.secret_rotated",
        WebhookRedelivered = "webhook_endpoint.redelivered",
        OperatorInvited = "operator.invited",
        InvitationWithdrawn = "operator.invitation_withdrawn",
        OperatorAdded = "operator.added",
        OperatorRoleChanged = "operator.role_changed",
        OperatorRemoved = "operator.removed",
        IdentityJoined = "operator.single_sign_on_joined",
        IdentityParted = "operator.single_sign_on_parted",
        LetInAgain = "operator.let_in_again",
        PasswordReset = "operator.password_reset",
        SessionsEnded = "operator.sessions_ended",
        SignedIn = "operator.signed_in",
        SignInFailed = "operator.sign_in_failed",
        Resealed = "encryption_key.resealed",
        AuditExported = "audit.exported",
    }
}

impl EventKind {
    /// What a change of standing is called. `None`: nothing that a person would be told.
    pub fn of_turn(before: Standing, after: Standing) -> Option<Self> {
        let works = |s: Standing| matches!(s.status, Status::Active | Status::Expiring);
        match after.status {
            Status::ActionRequired if before.status != Status::ActionRequired => Some(Self::ActionRequired),
            Status::Degraded if works(before) => Some(Self::Degraded),
            Status::Active | Status::Expiring if !works(before) => Some(Self::Recovered),
            _ => None,
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: EventId,
    pub at: OffsetDateTime,
    pub kind: EventKind,
    /// The connection, API key, operator or encryption key (by its id) that it is about.
    pub subject: Option<String>,
    pub tenant: Option<String>,
    /// Who caused it: `operator:…`, `api_key:…`, `mooring` itself, or the command line.
    pub actor: String,
    /// A plain sentence without secrets.
    pub detail: Option<String>,
}

/// Who acts, for the log.
#[derive(Clone, Debug)]
pub enum Actor {
    Mooring,
    CommandLine,
    Operator(String),
    ApiKey(String),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mooring => f.write_str("mooring"),
            Self::CommandLine => f.write_str("command line"),
            Self::Operator(email) => write!(f, "operator:{email}"),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
        }
    }
}

/// What the change feed says: whose memory is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Connection(ConnectionId),
    ApiKey(String),
    /// What renewals of many connections meet.
    Circuit,
}
