//! `/personal_access_tokens/self` and its kin: what a token says about itself, rotation, revocation.

use serde_json::{Value, json};
use time::format_description::well_known::Iso8601;
use time::{Date, Duration};

use super::access::Credential;
use super::{Caller, Outcome, bad_request, method_not_allowed, ok, unauthorized};
use crate::call::Call;
use crate::clock;
use crate::object::Object;
use crate::options::Version;
use crate::reply::Reply;
use crate::world::{Kind, Pat, World};

pub(crate) fn show(world: &World, caller: Caller) -> Outcome {
    let pat = &world.pats[personal(caller)?];
    let ips = world.options.version >= Version::V18_11;
    Ok(ok(&entity(world, pat).with_if(ips, "last_used_ips", json!(["127.0.0.1"]))))
}

pub(crate) fn revoke(world: &mut World, caller: Caller) -> Outcome {
    let at = personal(caller)?;
    world.pats[at].revoked = true;
    world.counts.revocations += 1;
    Ok(Reply::empty(204))
}

pub(crate) fn rotate(world: &mut World, call: &Call, caller: Caller) -> Outcome {
    let Credential::Pat(at) = caller.by else { return Err(method_not_allowed()) };
    let (object, token) = rotated(world, call, at)?;
    Ok(ok(&object.with("token", token)))
}

/// Only for a bot token of that very project.
pub(crate) fn rotate_project(world: &mut World, call: &Call, caller: Caller) -> Outcome {
    let project = world.find_project(call.segment(3)).map(|project| project.id);
    let project = project.ok_or_else(|| Reply::message(404, "404 Project Not Found"))?;
    let level = world.direct_member(project, caller.user).map(|member| member.level);
    rotate_bot(world, call, caller, Kind::Project(project), level)
}

/// Only for a bot token of that very group.
pub(crate) fn rotate_group(world: &mut World, call: &Call, caller: Caller) -> Outcome {
    let group = world.find_group(call.segment(3)).map(|group| group.id);
    let group = group.ok_or_else(|| Reply::message(404, "404 Group Not Found"))?;
    let level = world.group_member(group, caller.user).map(|member| member.level);
    rotate_bot(world, call, caller, Kind::Group(group), level)
}

fn rotate_bot(world: &mut World, call: &Call, caller: Caller, wanted: Kind, level: Option<i64>) -> Outcome {
    let Credential::Pat(at) = caller.by else { return Err(method_not_allowed()) };
    let (resource_type, resource_id) = match world.pats[at].kind {
        Kind::Personal | Kind::Service => return Err(method_not_allowed()),
        kind if kind != wanted => return Err(unauthorized()),
        Kind::Project(id) => ("project", id),
        Kind::Group(id) => ("group", id),
    };
    let (object, token) = rotated(world, call, at)?;
    let object = object
        .with("access_level", level)
        .with("resource_type", resource_type)
        .with("resource_id", resource_id)
        .with("token", token);
    Ok(ok(&object))
}

/// The commit of a rotation: one week when no date is sent, unless the token has no expiry at all.
fn rotated(world: &mut World, call: &Call, at: usize) -> Result<(Object, String), Reply> {
    let today = world.now().date();
    let longest = Duration::days(world.options.longest_token_life.into());
    let week = world.pats[at].expires_at.map(|_| today + longest.min(Duration::WEEK));
    let expires_at = match call.param("expires_at") {
        None => week,
        Some(text) => Some(expiry(text, today, longest)?),
    };
    let token = world.rotate(at, expires_at).token.clone();
    let at = world.by_pat[&token];
    Ok((entity(world, &world.pats[at]), token))
}

fn expiry(text: &str, today: Date, longest: Duration) -> Result<Date, Reply> {
    let last = today + longest;
    let invalid = || Reply::json(400, &Object::new().with("error", "expires_at is invalid"));
    let date = Date::parse(text, &Iso8601::DATE).map_err(|_| invalid())?;
    if date <= today {
        return Err(bad_request("Expiration date must be in the future"));
    }
    if date > last {
        return Err(bad_request(&format!("Expiration date must be before {last}")));
    }
    Ok(date)
}

/// The groups and projects that the token reaches.
pub(crate) fn associations(world: &World, call: &Call, caller: Caller) -> Outcome {
    personal(caller)?;
    let least = call.number("min_access_level").unwrap_or(10);
    let groups = world.groups.values().filter_map(|group| {
        let level = world.group_member(group.id, caller.user)?.level;
        let object = Object::new()
            .with("id", group.id)
            .with("web_url", format!("{}/groups/{}", world.links(), group.full_path))
            .with("name", group.path.as_str())
            .with("parent_id", group.parent)
            .with("organization_id", 1)
            .with("access_levels", level)
            .with("visibility", "private");
        (level >= least).then_some(object)
    });
    let projects = world.projects.values().filter_map(|project| {
        let direct = world.direct_member(project.id, caller.user).map(|member| member.level);
        let group = world.group_member(project.group, caller.user).map(|member| member.level);
        let levels = Object::new().with("project_access_level", direct).with("group_access_level", group);
        let object = Object::new()
            .with("id", project.id)
            .with("name", project.path.as_str())
            .with("path_with_namespace", project.full_path.as_str())
            .with("web_url", format!("{}/{}", world.links(), project.full_path))
            .nest("access_levels", levels);
        (direct.max(group)? >= least).then_some(object)
    });
    Ok(ok(&Object::new().list("groups", groups.collect()).list("projects", projects.collect())))
}

fn personal(caller: Caller) -> Result<usize, Reply> {
    match caller.by {
        Credential::Pat(at) => Ok(at),
        Credential::OAuth(_) => {
            Err(bad_request("This endpoint requires token type to be a personal access token"))
        }
    }
}

/// The keys that every answer about a token has, up to `expires_at`.
fn entity(world: &World, pat: &Pat) -> Object {
    let granular = world.options.version >= Version::V18_11;
    Object::new()
        .with("id", pat.id)
        .with("name", pat.name.as_str())
        .with("revoked", pat.revoked)
        .with("created_at", clock::stamp(pat.created_at))
        .with("description", Value::Null)
        .with("scopes", pat.scopes.clone())
        .with("user_id", pat.user)
        .with("last_used_at", pat.last_used_at.map(clock::stamp))
        .with("active", pat.active(world.now()))
        .with_if(granular, "granular", pat.allowed.is_some())
        .with("expires_at", pat.expires_at.map(|date| date.to_string()))
}
