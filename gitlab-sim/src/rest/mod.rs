//! The REST half, below `/api/v4`: authentication first, then one function for each endpoint.

mod access;
mod groups;
mod hooks;
mod instance;
mod members;
mod paging;
mod projects;
mod tokens;
mod user;

use crate::call::Call;
use crate::endpoint::Endpoint;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::World;

pub(crate) use access::Caller;

/// What a handler gives: an answer, or an error that is one too.
pub(crate) type Outcome = Result<Reply, Reply>;

pub(crate) fn answer(world: &mut World, endpoint: Endpoint, call: &Call) -> Reply {
    let outcome = match endpoint {
        Endpoint::WrongMethod => return Reply::message(405, "405 Method Not Allowed"),
        Endpoint::Unknown => return unknown_route(),
        known if !known.is_in(world.options.version) => return unknown_route(),
        _ => {
            access::authenticate(world, endpoint, call).and_then(|caller| run(world, endpoint, call, caller))
        }
    };
    outcome.unwrap_or_else(|refused| refused)
}

fn run(world: &mut World, endpoint: Endpoint, call: &Call, caller: Caller) -> Outcome {
    match endpoint {
        Endpoint::User => Ok(user::current(world, caller)),
        Endpoint::Version | Endpoint::Metadata => Ok(instance::version(world)),
        Endpoint::TokenSelf => tokens::show(world, caller),
        Endpoint::RevokeSelf => tokens::revoke(world, caller),
        Endpoint::RotateSelf => tokens::rotate(world, call, caller),
        Endpoint::RotateProjectToken => tokens::rotate_project(world, call, caller),
        Endpoint::RotateGroupToken => tokens::rotate_group(world, call, caller),
        Endpoint::Associations => tokens::associations(world, call, caller),
        Endpoint::Projects => projects::list(world, call, caller),
        Endpoint::Project => projects::show(world, call, caller),
        Endpoint::Groups => Ok(groups::list(world, call, caller)),
        Endpoint::Group => groups::show(world, call, caller),
        Endpoint::GroupProjects => groups::projects(world, call, caller),
        Endpoint::ProjectMember => members::of_project(world, call, caller),
        Endpoint::GroupMember => members::of_group(world, call, caller),
        Endpoint::HookList => hooks::list(world, call, caller),
        Endpoint::HookCreate => hooks::create(world, call, caller),
        Endpoint::Hook => hooks::show(world, call, caller),
        Endpoint::HookDelete => hooks::delete(world, call, caller),
        _ => Err(Reply::message(404, "404 Not found")),
    }
}

fn unknown_route() -> Reply {
    Reply::json(404, &Object::new().with("error", "404 Not Found"))
}

/// An answer with one object, or a list of them.
pub(crate) fn created(object: &Object) -> Reply {
    Reply::json(201, object)
}

pub(crate) fn ok(object: &Object) -> Reply {
    Reply::json(200, object)
}

pub(crate) fn bad_request(reason: &str) -> Reply {
    Reply::message(400, &format!("400 Bad request - {reason}"))
}

pub(crate) fn unauthorized() -> Reply {
    Reply::message(401, "401 Unauthorized")
}

pub(crate) fn forbidden() -> Reply {
    Reply::message(403, "403 Forbidden")
}

pub(crate) fn method_not_allowed() -> Reply {
    Reply::message(405, "405 Method Not Allowed")
}
