//! Makes API keys, for the command line, the API and the pages alike.

use crate::{
    domain::{Actor, PatternError, Permission, RequestPattern, Secret},
    store::{ApiKey, NewApiKey, Store, StoreError},
    vault::ApiKeySecret,
};
use std::sync::Arc;
use time::OffsetDateTime;

const MOST_PATTERNS: usize = 50;
/// In bytes.
const LONGEST_PATTERN: usize = 500;

/// What somebody wants a key to be.
pub struct KeyRequest {
    pub name: String,
    pub tenant: Option<String>,
    pub permissions: Vec<Permission>,
    /// Such as `GET /api/v4/projects/**`. Empty: every request.
    pub allow: Vec<String>,
    /// Such as `90d`.
    pub expires_in: Option<String>,
}

/// A key that was just made. The secret is shown once.
pub struct MadeKey {
    pub key: ApiKey,
    pub secret: Secret,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyRequestError {
    #[error("{message}")]
    Field { field: &'static str, message: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key.
pub async fn create_key(
    store: &Store,
    request: KeyRequest,
    now: OffsetDateTime,
    actor: &Actor,
) -> Result<MadeKey, KeyRequestError> {
    let new = checked(request, now)?;
    let secret = ApiKeySecret::fresh();
    let new = NewApiKey { id: secret.id, digest: secret.digest, ..new };
    store.add_api_key(&new, now, actor).await?;
    let key = ApiKey {
        id: new.id,
        name: new.name,
        tenant: new.tenant,
        permissions: new.permissions,
        allow: new.allow,
        digest: new.digest,
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    Ok(MadeKey { key, secret: secret.text })
}

fn checked(request: KeyRequest, now: OffsetDateTime) -> Result<NewApiKey, KeyRequestError> {
    let refuse = |field, message: &str| Err(KeyRequestError::Field { field, message: message.to_owned() });
    let name = request.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return refuse("name", "Give the key a name of 1 to 100 characters.");
    }
    if request
        .tenant
        .as_ref()
        .is_some_and(|t| t.is_empty() || t.len() > 200 || t.chars().any(char::is_control))
    {
        return refuse("tenant", "A tenant is 1 to 200 characters of text.");
    }
    let mut permissions = request.permissions;
    permissions.sort_unstable();
    permissions.dedup();
    if permissions.is_empty() {
        return refuse("scopes", "Give the key at least one scope.");
    }
    let allow = patterns(&request.allow, &permissions)?;
    let expires_at = match request.expires_in.as_deref().map(|text| end(text, now)) {
        None => None,
        Some(Some(end)) => Some(end),
        Some(None) => return refuse("expires_in", "Give a time such as 90d or 12h, ten years at most."),
    };
    Ok(NewApiKey {
        id: String::new(),
        digest: Vec::new(),
        name,
        tenant: request.tenant,
        permissions,
        allow,
        expires_at,
    })
}

/// The requests that a key is narrowed to. With an access token in hand anything could be sent, so such a key gets none.
fn patterns(texts: &[String], permissions: &[Permission]) -> Result<Arc<[RequestPattern]>, KeyRequestError> {
    let refuse = |message: String| KeyRequestError::Field { field: "allow", message };
    if texts.is_empty() {
        return Ok(Arc::default());
    }
    if texts.len() > MOST_PATTERNS || texts.iter().any(|text| text.len() > LONGEST_PATTERN) {
        return Err(refuse("There are 50 patterns at most, each of 500 characters at most.".into()));
    }
    let has = |wanted| permissions.contains(&wanted);
    if !has(Permission::Proxy) || has(Permission::TokensRead) || has(Permission::Admin) {
        let message = "Patterns are for a key with the scope proxy, and without tokens:read and admin: with a token in \
                       hand anything could be sent.";
        return Err(refuse(message.into()));
    }
    let parsed = |text: &String| text.parse().map_err(|error: PatternError| refuse(error.to_string()));
    texts.iter().map(parsed).collect()
}

fn end(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let length = time::Duration::try_from(humantime::parse_duration(text.trim()).ok()?).ok()?;
    (length > time::Duration::ZERO && length <= time::Duration::days(3_660)).then(|| now + length)
}
