//! `/projects/:id/members/all/:user_id` and the same for groups: the role, inherited ones included.

use serde_json::Value;

use super::{Caller, Outcome, groups, ok, projects, user};
use crate::call::Call;
use crate::clock;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::{Member, World};

pub(crate) fn of_project(world: &World, call: &Call, caller: Caller) -> Outcome {
    let project = projects::find(world, call, caller)?;
    member(world, call, |user| world.project_member(project, user))
}

pub(crate) fn of_group(world: &World, call: &Call, caller: Caller) -> Outcome {
    let group = groups::find(world, call, caller)?.id;
    member(world, call, |user| world.group_member(group, user))
}

fn member(world: &World, call: &Call, membership: impl Fn(i64) -> Option<Member>) -> Outcome {
    let user = call.segment(6).parse().ok().and_then(|id: i64| world.users.get(&id));
    let found = user.and_then(|user| Some((user, membership(user.id)?)));
    let (user, member) = found.ok_or_else(|| Reply::message(404, "404 Not found"))?;
    let body = Object::new()
        .with("id", user.id)
        .with("username", user.username.as_str())
        .with("public_email", Value::Null);
    let body = user::head(body, user, world.links())
        .with("access_level", member.level)
        .with("created_at", clock::stamp(member.since))
        .with("expires_at", member.expires_at.map(|date| date.to_string()))
        .with("membership_state", "active");
    Ok(ok(&body))
}
