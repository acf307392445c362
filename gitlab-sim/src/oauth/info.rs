//! `GET /oauth/token/info` and `POST /oauth/introspect`: what an OAuth token is worth.

use super::TokenError;
use super::client::Credentials;
use crate::call::Call;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::{OauthRow, World};

/// Needs a live OAuth token and no scope; personal tokens are unknown here.
pub(crate) fn token_info(world: &World, call: &Call) -> Reply {
    let Some(row) = call.access_token().and_then(|token| live(world, token)) else { return invalid_token() };
    let left = row.seconds_left(world.now());
    let body = Object::new()
        .with("resource_owner_id", row.user)
        .with("scope", row.scopes.clone())
        .with("expires_in", left)
        .nest("application", Object::new().with("uid", row.client_id.as_str()))
        .with("created_at", row.created_at.unix_timestamp())
        .with("scopes", row.scopes.clone())
        .with("expires_in_seconds", left);
    Reply::new(200, "application/json; charset=utf-8", body.text())
}

/// RFC 7662, with client credentials or a bearer token.
pub(crate) fn introspect(world: &World, call: &Call) -> Reply {
    let bearer = call.bearer().map(|token| live(world, token).is_some());
    let allowed = match (Credentials::of(world, call), bearer) {
        (Ok(Some(credentials)), _) => credentials.verify(world).map(|_| ()),
        (Ok(None), Some(true)) => Ok(()),
        (Ok(None), Some(false)) => Err(TokenError::InvalidClient),
        (Ok(None), None) => Err(TokenError::InvalidRequest(None)),
        (Err(error), _) => Err(error),
    };
    if let Err(error) = allowed {
        return error.reply(call);
    }
    let body = match call.param("token").and_then(|token| live(world, token)) {
        None => Object::new().with("active", false),
        Some(row) => Object::new()
            .with("active", true)
            .with("scope", row.scopes.join(" "))
            .with("client_id", row.client_id.as_str())
            .with("token_type", "Bearer")
            .with("exp", (row.created_at + row.life).unix_timestamp())
            .with("iat", row.created_at.unix_timestamp()),
    };
    Reply::new(200, "application/json; charset=utf-8", body.text())
}

fn live<'a>(world: &'a World, access_token: &str) -> Option<&'a OauthRow> {
    let row = &world.rows[world.row_of_access(access_token)?];
    (row.end.is_none() && !row.expired(world.now())).then_some(row)
}

fn invalid_token() -> Reply {
    let text = "The access token is invalid";
    let body = Object::new()
        .with("error", "invalid_token")
        .with("error_description", text)
        .with("state", "unauthorized");
    Reply::new(401, "application/json; charset=utf-8", body.text()).header(
        "WWW-Authenticate",
        format!("Bearer realm=\"Doorkeeper\", error=\"invalid_token\", error_description=\"{text}\""),
    )
}
