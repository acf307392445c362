//! Why a connect is refused. Nothing is stored on any of them.

use crate::{
    domain::{BaseUrlError, quoted_id},
    providers::{ExchangeError, InspectError, RotationRefusal, UnknownInstance},
    store::StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `field` is the name in the request.
    #[error("{message}")]
    Field { field: &'static str, message: String },
    #[error("There is no use case {}. The known ones are listed at /api/v1/use-cases.", quoted_id(.0))]
    UnknownUseCase(String),
    #[error(transparent)]
    Instance(#[from] UnknownInstance),
    #[error("{0}")]
    BaseUrl(#[from] BaseUrlError),
    #[error("Another connection has the name {0:?}. Choose another name.")]
    NameTaken(String),
    #[error("The use case {use_case} needs the {} {} that this access token does not have. Make a token with {} too.",
            if missing.len() == 1 { "scope" } else { "scopes" }, missing.join(", "),
            if missing.len() == 1 { "it" } else { "them" })]
    InsufficientScope {
        use_case: String,
        missing: Vec<String>,
        /// What it has instead.
        held: Vec<String>,
        mend_at: String,
    },
    #[error(
        "The use case {use_case} needs the role {least_role} at least, and this access token has it nowhere. Raise the role of its account, or use another token."
    )]
    InsufficientRole { use_case: String, least_role: String, mend_at: String },
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// `None`: the provider does not say whose it is.
    #[error("{}", different_account(was.as_deref(), now.as_deref()))]
    DifferentAccount { was: Option<String>, now: Option<String> },
    #[error(
        "This connection was made at {0}, and a base URL never changes under a credential. Choose another name, or disconnect it first."
    )]
    Elsewhere(String),
    #[error("This connection was made by OAuth: reauthorize it instead of pasting a token.")]
    MadeByOAuth,
    #[error("This connection was made with an access token: rotate the token instead.")]
    MadeByAccessToken,
    #[error("{refusal} Make a token with it too, or choose that a person rotates it (manual).")]
    NoRotationScope { refusal: RotationRefusal, mend_at: String },
    #[error("{0}")]
    SelfRotationUnsupported(RotationRefusal),
    #[error(
        "There is no integration at {base_url} with the OAuth application {client_id}. Its refresh token works with no \
         other: configure that one here, or leave this connection where it is and connect again."
    )]
    NoSuchApplication { base_url: String, client_id: String },
    #[error(
        "It is here already, with an older credential or exported from here. Disconnect it here first, without revoking \
         its token, and import again."
    )]
    AlreadyHere,
    #[error("This is the token that was exported. Take the connection back, or paste one of its own.")]
    ExportedToken,
    #[error("The connection is gone.")]
    Gone,
    #[error("The connection was changed at the same moment. Look at it and try again.")]
    ChangedMeanwhile,
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ConnectError {
    /// The stable code of the contract.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "invalid_field",
            Self::UnknownUseCase(_) => "unknown_use_case",
            Self::Instance(UnknownInstance::Integration(_)) | Self::NoSuchApplication { .. } => {
                "unknown_integration"
            }
            Self::Instance(UnknownInstance::TypedForbidden) => "base_url_forbidden",
            Self::Instance(_) | Self::Exchange(ExchangeError::Misconfigured { .. }) => {
                "integration_misconfigured"
            }
            Self::BaseUrl(_) => "base_url_invalid",
            Self::NameTaken(_) => "name_taken",
            Self::InsufficientScope { .. } | Self::NoRotationScope { .. } => "insufficient_scope",
            Self::InsufficientRole { .. } => "insufficient_role",
            Self::Inspect(error) => inspect_code(error),
            Self::Exchange(ExchangeError::NoApplication) => "no_oauth_application",
            Self::Exchange(ExchangeError::Rejected) => "code_rejected",
            Self::Exchange(ExchangeError::Unavailable { .. }) => "provider_unavailable",
            Self::DifferentAccount { .. } => "different_account",
            Self::Elsewhere(_) => "different_instance",
            Self::MadeByOAuth => "made_by_oauth",
            Self::MadeByAccessToken => "made_by_access_token",
            Self::SelfRotationUnsupported(_) => "self_rotation_unsupported",
            Self::AlreadyHere => "already_here",
            Self::ExportedToken => "exported",
            Self::Gone => "not_found",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::Store(_) => "internal_error",
        }
    }

    pub(super) fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }
}

fn different_account(was: Option<&str>, now: Option<&str>) -> String {
    let unknown = "cannot be compared. Allow a different account if it is meant, or make a new connection.";
    match (was, now) {
        (Some(was), Some(now)) => format!(
            "This belongs to {now}, but the connection is of {was}. Use the same account, or make a new connection."
        ),
        (Some(was), None) => {
            format!(
                "The provider does not say whose this is, so it and {was}, whose connection this is, {unknown}"
            )
        }
        (None, Some(now)) => {
            format!(
                "This belongs to {now}. The provider does not say whose the one before was, so they {unknown}"
            )
        }
        (None, None) => format!(
            "The provider does not say whose this is, nor whose the one before was, so the accounts {unknown}"
        ),
    }
}

/// The code of a provider's refusal, shared with the check of a connection.
pub fn inspect_code(error: &InspectError) -> &'static str {
    match error {
        InspectError::TokenInvalid { .. } => "token_invalid",
        InspectError::TokenExpired => "token_expired",
        InspectError::TokenRevoked => "token_revoked",
        InspectError::AccountBlocked { .. } => "account_blocked",
        InspectError::WrongKind { .. } => "wrong_token_kind",
        InspectError::Forbidden { .. } => "base_url_forbidden",
        InspectError::Unreachable { .. } => "provider_unreachable",
        InspectError::RateLimited { .. } => "rate_limited",
        InspectError::NotGitLab { .. } => "not_gitlab",
        InspectError::Denied => "insufficient_scope",
    }
}
