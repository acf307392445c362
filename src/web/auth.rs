//! Which program asks: an API key as Bearer token (RFC 6750). The proxy takes it as GitLab's clients and git send
//! theirs too. Cookies are not looked at.

use super::{error::Problem, state::AppState};
use crate::{
    domain::{Caller, Permission},
    store::{ApiKey, StoreError},
    vault::{ApiKeyParts, parse_api_key},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The caller behind a valid API key. What it may do is asked with [`Key::may`].
pub struct Key(Caller);

impl Key {
    /// The API key's id.
    pub fn id(&self) -> &str {
        &self.0.api_key_id
    }

    /// The caller, if its key has this permission.
    pub fn may(self, permission: Permission) -> Result<Caller, Problem> {
        if self.0.may(permission) {
            return Ok(self.0);
        }
        let detail = format!("This API key lacks the scope {permission}. Use a key that has it.");
        Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_permission", detail))
    }

    /// The caller, if its key governs the whole installation.
    pub fn may_govern(self) -> Result<Caller, Problem> {
        let caller = self.may(Permission::Admin)?;
        if caller.tenant.is_none() {
            return Ok(caller);
        }
        let detail = "This API key is bound to a tenant. Only a key without a tenant may do this.";
        Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_permission", detail))
    }
}

/// A caller whose key governs the whole installation: judged before a large body is read.
pub struct Governor(pub Caller);

impl FromRequestParts<AppState> for Governor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Key::from_request_parts(parts, state).await?.may_govern().map(Self)
    }
}

impl FromRequestParts<AppState> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Self::proven(bearer(&parts.headers), state).await
    }
}

impl Key {
    /// The caller behind a key that came to the proxy: as `Bearer`, as `PRIVATE-TOKEN`, or as the password of
    /// `Basic` (RFC 7617), whatever the user name.
    pub async fn of_proxied(headers: &HeaderMap, state: &AppState) -> Result<Self, Problem> {
        let private = headers.get("private-token").and_then(|value| value.to_str().ok());
        let presented = bearer(headers).or(private).map(str::to_owned).or_else(|| password(headers));
        Self::proven(presented.as_deref(), state).await
    }

    async fn proven(presented: Option<&str>, state: &AppState) -> Result<Self, Problem> {
        let presented = presented.and_then(parse_api_key).ok_or_else(refused)?;
        let key = known_key(state, &presented.id).await?.ok_or_else(refused)?;
        if !proves(&key, &presented) || !key.is_valid(state.clock.now()) {
            return Err(refused());
        }
        Ok(Self(Caller {
            api_key_id: key.id.clone(),
            tenant: key.tenant.clone(),
            permissions: key.permissions.clone(),
            allow: Arc::clone(&key.allow),
        }))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

fn password(headers: &HeaderMap) -> Option<String> {
    let pair = BASE64_STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let (_user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn credentials<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| credentials.trim())
}

/// From memory, which a revocation empties at once.
async fn known_key(state: &AppState, id: &str) -> Result<Option<Arc<ApiKey>>, StoreError> {
    if let Some(key) = state.memory.key(id) {
        return Ok(Some(key));
    }
    let seen = state.memory.generation();
    let Some(key) = state.store.api_key(id).await?.map(Arc::new) else { return Ok(None) };
    state.memory.keep_key(&key, seen);
    Ok(Some(key))
}

fn proves(key: &ApiKey, presented: &ApiKeyParts) -> bool {
    key.digest.ct_eq(&presented.digest).into()
}

/// The same for a missing, mistyped, unknown, expired or revoked key.
fn refused() -> Problem {
    let detail =
        "Send a valid API key: Authorization: Bearer moor_…. One is made with `mooring api-key create`.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", detail)
}
