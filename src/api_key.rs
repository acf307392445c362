//! Makes API keys, for the command line, the API and the pages alike.

use crate::{
    domain::{Actor, Permission, Secret},
    store::{ApiKey, NewApiKey, Store, StoreError},
    vault::ApiKeySecret,
};
use time::OffsetDateTime;

/// What somebody wants a key to be.
pub struct KeyRequest {
    pub name: String,
    pub tenant: Option<String>,
    pub permissions: Vec<Permission>,
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
        expires_at,
    })
}

fn end(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let length = time::Duration::try_from(humantime::parse_duration(text.trim()).ok()?).ok()?;
    (length > time::Duration::ZERO && length <= time::Duration::days(3_660)).then(|| now + length)
}
