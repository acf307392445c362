//! `POST /oauth/revoke` (RFC 7009): either token ends the row, but an expired access token ends nothing.

use super::client::Credentials;
use crate::call::Call;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::{RowEnd, World};

pub(crate) fn answer(world: &mut World, call: &Call) -> Reply {
    let client = Credentials::of(world, call).ok().flatten();
    let Some(client) = client.and_then(|client| client.verify(world).ok().cloned()) else {
        return forbidden();
    };
    let Some(at) = find(world, call) else { return done() };
    if world.rows[at].client_id != client.client_id {
        return forbidden();
    }
    if world.rows[at].end.is_none() {
        world.rows[at].end = Some(RowEnd::Revoked);
        world.counts.revocations += 1;
    }
    done()
}

/// With the hint `refresh_token` only refresh tokens are looked at, otherwise access tokens first.
fn find(world: &World, call: &Call) -> Option<usize> {
    let token = call.param("token")?;
    if call.param("token_type_hint") != Some("refresh_token")
        && let Some(at) = world.row_of_access(token)
    {
        return Some(at).filter(|at| !world.rows[*at].expired(world.now()));
    }
    world.row_of_refresh(token)
}

fn done() -> Reply {
    Reply::new(200, "application/json; charset=utf-8", "{}")
}

fn forbidden() -> Reply {
    let body = Object::new()
        .with("error", "unauthorized_client")
        .with("error_description", "You are not authorized to revoke this token");
    Reply::new(403, "application/json; charset=utf-8", body.text())
}
