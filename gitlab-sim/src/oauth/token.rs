//! `POST /oauth/token`. The order of the checks is GitLab's, because clients tell failures apart by it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::client::Credentials;
use super::{TokenError, no_store};
use crate::call::Call;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::{Grant, OauthRow, RowEnd, World};

pub(crate) fn answer(world: &mut World, call: &Call) -> Reply {
    let outcome = match call.param("grant_type") {
        None => Err(TokenError::InvalidRequest(Some("grant_type"))),
        Some("authorization_code") => exchange(world, call),
        Some("refresh_token") => refresh(world, call),
        Some(_) => Err(TokenError::UnsupportedGrantType),
    };
    outcome.unwrap_or_else(|error| error.reply(call))
}

/// RFC 6749 section 4.1.3. A failed check leaves the code alive.
fn exchange(world: &mut World, call: &Call) -> Result<Reply, TokenError> {
    let code = call.param("code").ok_or(TokenError::InvalidRequest(Some("code")))?;
    let grant = world.grants.get(code).cloned();
    let verifier = call.param("code_verifier");
    if verifier.is_none() && grant.as_ref().is_some_and(|grant| grant.challenge.is_some()) {
        return Err(TokenError::InvalidRequest(Some("code_verifier")));
    }
    let redirect_uri = call.param("redirect_uri").ok_or(TokenError::InvalidRequest(Some("redirect_uri")))?;
    let credentials = Credentials::of(world, call)?.ok_or(TokenError::InvalidClient)?;
    let client_id = credentials.verify(world)?.client_id.clone();
    let grant = grant
        .filter(|grant| grant.client_id == client_id && !grant.spent && world.now() < grant.expires_at)
        .filter(|grant| grant.redirect_uri == redirect_uri && proves(grant, verifier))
        .ok_or(TokenError::InvalidGrant)?;
    if let Some(stored) = world.grants.get_mut(code) {
        stored.spent = true;
    }
    world.counts.codes_exchanged += 1;
    let life = world.token_life();
    Ok(pair(world.insert_row(&client_id, grant.user, grant.scopes, life)))
}

/// RFC 7636 section 4.6; a verifier without a challenge is wrong too.
fn proves(grant: &Grant, verifier: Option<&str>) -> bool {
    match (&grant.challenge, verifier) {
        (None, None) => true,
        (Some((challenge, true)), Some(verifier)) => {
            *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
        }
        (Some((challenge, false)), Some(verifier)) => challenge == verifier,
        _ => false,
    }
}

/// RFC 6749 section 6, counted.
fn refresh(world: &mut World, call: &Call) -> Result<Reply, TokenError> {
    match refreshable(world, call) {
        Ok((at, scopes)) => {
            world.counts.refreshes_granted += 1;
            Ok(pair(world.refresh_row(at, scopes)))
        }
        Err(error) => {
            world.counts.refreshes_denied += 1;
            Err(error)
        }
    }
}

/// The row to refresh and the scopes of its successor. The token is looked at before the client.
fn refreshable(world: &mut World, call: &Call) -> Result<(usize, Vec<String>), TokenError> {
    let token = call.param("refresh_token").ok_or(TokenError::InvalidRequest(Some("refresh_token")))?;
    let at = world.row_of_refresh(token).ok_or(TokenError::InvalidGrant)?;
    if let Some(end) = world.rows[at].end {
        let spent = u64::from(end == RowEnd::Refreshed);
        world.counts.refresh_tokens_presented_twice += spent;
        world.rows[at].presented_spent += spent;
        return Err(TokenError::InvalidGrant);
    }
    let credentials = Credentials::of(world, call)?.ok_or(TokenError::InvalidGrant)?;
    let row = &world.rows[at];
    if credentials.verify(world)?.client_id != row.client_id {
        return Err(TokenError::InvalidGrant);
    }
    let scopes = match call.param("scope") {
        Some(asked) => asked.split_whitespace().map(str::to_owned).collect(),
        None => row.scopes.clone(),
    };
    if scopes.iter().all(|scope| row.scopes.contains(scope)) {
        Ok((at, scopes))
    } else {
        Err(TokenError::InvalidScope)
    }
}

fn pair(row: &OauthRow) -> Reply {
    let body = Object::new()
        .with("access_token", row.access.as_str())
        .with("token_type", "Bearer")
        .with("expires_in", row.life.whole_seconds())
        .with("refresh_token", row.refresh.as_str())
        .with("scope", row.scopes.join(" "))
        .with("created_at", row.created_at.unix_timestamp());
    no_store(Reply::new(200, "application/json; charset=utf-8", body.text()))
}
