//! Who calls, and may they: find the token, is it dead, is the user let in, does the scope reach.

use time::Duration;

use super::unauthorized;
use crate::call::Call;
use crate::endpoint::Endpoint;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::{UserId, World};

/// The authenticated user and the credential that was used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) by: Credential,
}

/// A place in one of the two token tables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credential {
    OAuth(usize),
    Pat(usize),
}

const REVOKED: &str = "Token was revoked. You have to re-authorize from the user.";
const EXPIRED: &str = "Token is expired. You can either do re-authorization or token refresh.";

pub(crate) fn authenticate(world: &mut World, endpoint: Endpoint, call: &Call) -> Result<Caller, Reply> {
    let token = call.access_token().ok_or_else(unauthorized)?;
    let caller = find(world, token).ok_or_else(unauthorized)?;
    check_alive(world, endpoint, caller)?;
    check_user(world, caller)?;
    check_scope(world, endpoint, caller)?;
    touch(world, caller);
    Ok(caller)
}

/// The OAuth table first, then the other.
fn find(world: &World, token: &str) -> Option<Caller> {
    if let Some(at) = world.row_of_access(token) {
        return Some(Caller { user: world.rows[at].user, by: Credential::OAuth(at) });
    }
    let at = *world.by_pat.get(token)?;
    Some(Caller { user: world.pats[at].user, by: Credential::Pat(at) })
}

/// Expiry is looked at first. A revoked token that asks to be rotated takes its whole family down.
fn check_alive(world: &mut World, endpoint: Endpoint, caller: Caller) -> Result<(), Reply> {
    let now = world.now();
    let (expired, revoked) = match caller.by {
        Credential::OAuth(at) => (world.rows[at].expired(now), world.rows[at].end.is_some()),
        Credential::Pat(at) => (world.pats[at].expired(now), world.pats[at].revoked),
    };
    if expired {
        return Err(invalid_token(EXPIRED));
    }
    if !revoked {
        return Ok(());
    }
    if let (Credential::Pat(at), true) = (caller.by, endpoint.is_rotation()) {
        world.revoke_family(world.pats[at].family);
    }
    Err(invalid_token(REVOKED))
}

fn check_user(world: &World, caller: Caller) -> Result<(), Reply> {
    let user = world.users.get(&caller.user).ok_or_else(unauthorized)?;
    match user.state.refusal(&user.username, world.links()) {
        Some(reason) => Err(Reply::message(403, &format!("403 Forbidden - {reason}"))),
        None => Ok(()),
    }
}

fn check_scope(world: &World, endpoint: Endpoint, caller: Caller) -> Result<(), Reply> {
    let held = match caller.by {
        Credential::OAuth(at) => &world.rows[at].scopes,
        Credential::Pat(at) => {
            let pat = &world.pats[at];
            if let Some(allowed) = &pat.allowed {
                let reached = allowed.contains(&endpoint) || allowed.contains(&Endpoint::Any);
                return if reached { Ok(()) } else { Err(insufficient_grant(endpoint)) };
            }
            &pat.scopes
        }
    };
    match endpoint.scopes() {
        Some(wanted) if !wanted.iter().any(|scope| held.iter().any(|have| have == scope)) => {
            Err(insufficient_scope(wanted))
        }
        _ => Ok(()),
    }
}

/// `last_used_at` moves at most every ten minutes.
fn touch(world: &mut World, caller: Caller) {
    let now = world.now();
    if let Credential::Pat(at) = caller.by {
        let last = &mut world.pats[at].last_used_at;
        if last.is_none_or(|last| now - last >= Duration::minutes(10)) {
            *last = Some(now);
        }
    }
}

fn invalid_token(text: &str) -> Reply {
    let body = Object::new().with("error", "invalid_token").with("error_description", text);
    Reply::json(401, &body).header(
        "WWW-Authenticate",
        format!(
            "Bearer realm=\"Protected by OAuth 2.0\", error=\"invalid_token\", error_description=\"{text}\""
        ),
    )
}

fn insufficient_scope(wanted: &[&str]) -> Reply {
    let body = Object::new()
        .with("error", "insufficient_scope")
        .with(
            "error_description",
            "The request requires higher privileges than provided by the access token.",
        )
        .with("scope", wanted.join(" "));
    Reply::json(403, &body)
}

fn insufficient_grant(endpoint: Endpoint) -> Reply {
    let (boundary, permission) = endpoint.permission();
    let text = format!(
        "Access denied: This operation requires a fine-grained personal access token \
         with the following {boundary} permissions: [{permission}]."
    );
    Reply::json(
        403,
        &Object::new().with("error", "insufficient_granular_scope").with("error_description", text),
    )
}
