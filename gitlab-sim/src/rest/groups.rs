//! `/groups`, `/groups/:id` and `/groups/:id/projects`.

use serde_json::Value;

use super::{Caller, Outcome, ok, paging, projects};
use crate::call::Call;
use crate::clock;
use crate::object::Object;
use crate::options::Version;
use crate::reply::Reply;
use crate::world::{Group, World};

/// The group in the path; what the caller cannot see does not exist.
pub(crate) fn find<'a>(world: &'a World, call: &Call, caller: Caller) -> Result<&'a Group, Reply> {
    let group = world.find_group(call.segment(3));
    group
        .filter(|group| world.sees_group(group.id, caller.user))
        .ok_or_else(|| Reply::message(404, "404 Group Not Found"))
}

pub(crate) fn show(world: &World, call: &Call, caller: Caller) -> Outcome {
    Ok(ok(&entity(world, find(world, call, caller)?)))
}

/// The groups of the caller, by name.
pub(crate) fn list(world: &World, call: &Call, caller: Caller) -> Reply {
    let search = call.param("search").map(str::to_lowercase);
    let wanted = |group: &&Group| {
        let level = world.group_member(group.id, caller.user).map(|member| member.level);
        let at_least = |least: i64| level.is_some_and(|level| level >= least);
        world.sees_group(group.id, caller.user)
            && call.number("min_access_level").is_none_or(at_least)
            && (call.flag("owned") != Some(true) || at_least(50))
            && (call.flag("top_level_only") != Some(true) || group.parent.is_none())
            && search.as_ref().is_none_or(|search| group.full_path.to_lowercase().contains(search))
    };
    let mut rows: Vec<&Group> = world.groups.values().filter(wanted).collect();
    rows.sort_by(|one, other| one.path.cmp(&other.path));
    if call.param("sort") == Some("desc") {
        rows.reverse();
    }
    paging::page(call, world.links(), &rows, |group| entity(world, group))
}

/// The group's projects, with those of its subgroups when asked for.
pub(crate) fn projects(world: &World, call: &Call, caller: Caller) -> Outcome {
    let group = find(world, call, caller)?.id;
    let deep = call.flag("include_subgroups") == Some(true);
    let rows = world.projects.values().filter(|project| {
        let inside = if deep { world.is_within(project.group, group) } else { project.group == group };
        inside && world.sees_project(project, caller.user)
    });
    projects::page(world, call, caller, rows.collect())
}

fn entity(world: &World, group: &Group) -> Object {
    let recent = world.options.version >= Version::V18_11;
    Object::new()
        .with("id", group.id)
        .with("web_url", format!("{}/groups/{}", world.links(), group.full_path))
        .with("name", group.path.as_str())
        .with("path", group.path.as_str())
        .with("description", "")
        .with("visibility", "private")
        .with("share_with_group_lock", false)
        .with("require_two_factor_authentication", false)
        .with("two_factor_grace_period", 48)
        .with("project_creation_level", "developer")
        .with("subgroup_creation_level", "maintainer")
        .with("emails_enabled", true)
        .with("lfs_enabled", true)
        .with_if(recent, "archived", false)
        .with("default_branch", Value::Null)
        .with("avatar_url", Value::Null)
        .with("request_access_enabled", true)
        .with("full_name", group.full_path.replace('/', " / "))
        .with("full_path", group.full_path.as_str())
        .with("created_at", clock::stamp(group.created_at))
        .with("parent_id", group.parent)
        .with("organization_id", 1)
        .with("shared_runners_setting", "enabled")
        .with_if(recent, "marked_for_deletion_on", Value::Null)
}
