//! The OAuth half: authorize with its consent page, the token endpoint, revocation and introspection.

pub(crate) mod authorize;
mod client;
mod discovery;
mod info;
mod page;
mod revoke;
mod token;

use crate::call::Call;
use crate::endpoint::Endpoint;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::World;

/// Answers an OAuth request; `None` when the endpoint belongs to the REST half.
pub(crate) fn answer(world: &mut World, endpoint: Endpoint, call: &Call) -> Option<Reply> {
    let reply = match endpoint {
        Endpoint::Authorize => authorize::show(world, call),
        Endpoint::Consent => authorize::decide(world, call),
        Endpoint::Token => token::answer(world, call),
        Endpoint::Revoke => revoke::answer(world, call),
        Endpoint::Introspect => info::introspect(world, call),
        Endpoint::TokenInfo => info::token_info(world, call),
        Endpoint::Discovery => discovery::document(world),
        _ => return None,
    };
    Some(reply)
}

/// The page at the root.
pub(crate) fn welcome(world: &World) -> Reply {
    Reply::html(200, page::welcome(world))
}

/// An error of the token endpoint, in the words of RFC 6749 section 5.2.
#[derive(Debug)]
pub(crate) enum TokenError {
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    UnsupportedGrantType,
    /// The name of the parameter that is missing, or none for a malformed request.
    InvalidRequest(Option<&'static str>),
}

impl TokenError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidRequest(_) => "invalid_request",
        }
    }

    fn description(&self) -> String {
        let text = match self {
            Self::InvalidClient => {
                "Client authentication failed due to unknown client, no client authentication included, \
                 or unsupported authentication method."
            }
            Self::InvalidGrant => {
                "The provided authorization grant is invalid, expired, revoked, does not match the redirection \
                 URI used in the authorization request, or was issued to another client."
            }
            Self::InvalidScope => "The requested scope is invalid, unknown, or malformed.",
            Self::UnsupportedGrantType => {
                "The authorization grant type is not supported by the authorization server."
            }
            Self::InvalidRequest(Some(name)) => return format!("Missing required parameter: {name}."),
            Self::InvalidRequest(None) => {
                "The request is missing a required parameter, includes an unsupported parameter value, \
                 or is otherwise malformed."
            }
        };
        text.to_owned()
    }

    /// The answer; `state` is echoed when it was sent.
    pub(crate) fn reply(&self, call: &Call) -> Reply {
        let (code, description) = (self.code(), self.description());
        let status = if matches!(self, Self::InvalidClient) { 401 } else { 400 };
        let mut body = Object::new().with("error", code).with("error_description", description.as_str());
        if let Some(state) = call.param("state") {
            body = body.with("state", state);
        }
        let challenge =
            format!("Bearer realm=\"Doorkeeper\", error=\"{code}\", error_description=\"{description}\"");
        no_store(Reply::new(status, "application/json; charset=utf-8", body.text()))
            .header("WWW-Authenticate", challenge)
    }
}

/// Marks an answer that holds tokens.
fn no_store(reply: Reply) -> Reply {
    reply.header("Cache-Control", "no-store").header("Pragma", "no-cache")
}
