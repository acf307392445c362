//! Client authentication: parameters in the body, or HTTP Basic, never both on newer versions.

use super::TokenError;
use crate::call::Call;
use crate::options::Version;
use crate::world::{Application, World};

/// What a client sent about itself.
#[derive(Debug)]
pub(crate) struct Credentials {
    client_id: String,
    secret: Option<String>,
}

impl Credentials {
    /// Reads the credentials; `None` when the request names no client.
    pub(crate) fn of(world: &World, call: &Call) -> Result<Option<Self>, TokenError> {
        let body_id = call.param("client_id");
        let body_secret = call.param("client_secret");
        let Some((client_id, secret)) = call.basic() else {
            let secret = body_secret.map(str::to_owned);
            return Ok(body_id.map(|id| Self { client_id: id.to_owned(), secret }));
        };
        let other_client = body_id.is_some_and(|id| id != client_id);
        if world.options.version >= Version::V18_11 && (body_secret.is_some() || other_client) {
            return Err(TokenError::InvalidRequest(None));
        }
        Ok(Some(Self { client_id, secret: Some(secret).filter(|secret| !secret.is_empty()) }))
    }

    /// The application they belong to. A public application may leave the secret out, but not get it wrong.
    pub(crate) fn verify<'a>(&self, world: &'a World) -> Result<&'a Application, TokenError> {
        let application = world.applications.get(&self.client_id).ok_or(TokenError::InvalidClient)?;
        let fits = match &self.secret {
            Some(secret) => *secret == application.secret,
            None => !application.confidential,
        };
        if fits { Ok(application) } else { Err(TokenError::InvalidClient) }
    }
}
