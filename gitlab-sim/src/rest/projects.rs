//! `/projects` and `/projects/:id`: what the caller sees, filtered, ordered and paged.

use serde_json::{Value, json};

use super::{Caller, Outcome, ok, paging};
use crate::call::Call;
use crate::clock;
use crate::object::Object;
use crate::reply::Reply;
use crate::world::{Member, Project, UserId, World};

/// The project in the path; what the caller cannot see does not exist.
pub(crate) fn find<'a>(world: &'a World, call: &Call, caller: Caller) -> Result<&'a Project, Reply> {
    let project = world.find_project(call.segment(3));
    project
        .filter(|project| world.sees_project(project, caller.user))
        .ok_or_else(|| Reply::message(404, "404 Project Not Found"))
}

pub(crate) fn show(world: &World, call: &Call, caller: Caller) -> Outcome {
    Ok(ok(&entity(world, find(world, call, caller)?, caller.user, false)))
}

pub(crate) fn list(world: &World, call: &Call, caller: Caller) -> Outcome {
    let rows = world.projects.values().filter(|project| world.sees_project(project, caller.user));
    page(world, call, caller, rows.collect())
}

/// Filters, orders and pages projects as the query asks.
pub(crate) fn page(world: &World, call: &Call, caller: Caller, rows: Vec<&Project>) -> Outcome {
    let mut rows: Vec<&Project> =
        rows.into_iter().filter(|project| wanted(world, call, caller.user, project)).collect();
    let ascending = call.param("sort") == Some("asc");
    order(&mut rows, call.param("order_by").unwrap_or("created_at"));
    if !ascending {
        rows.reverse();
    }
    let simple = call.flag("simple") == Some(true);
    let show = |project: &&Project| entity(world, project, caller.user, simple);
    if call.param("pagination") != Some("keyset") {
        return Ok(paging::page(call, world.links(), &rows, show));
    }
    if call.param("order_by") != Some("id") {
        let text = "Keyset pagination is not yet available for this type of request";
        return Err(Reply::json(405, &Object::new().with("error", text)));
    }
    let cursor = if ascending { "id_after" } else { "id_before" };
    Ok(paging::keyset(call, world.links(), &rows, (cursor, |project: &&Project| project.id), show))
}

fn order(rows: &mut [&Project], by: &str) {
    match by {
        "name" | "path" => rows.sort_by(|one, other| one.path.cmp(&other.path)),
        "id" => rows.sort_by_key(|project| project.id),
        _ => rows.sort_by_key(|project| (project.created_at, project.id)),
    }
}

fn wanted(world: &World, call: &Call, user: UserId, project: &Project) -> bool {
    let level = world.project_member(project, user).map(|member| member.level);
    let at_least = |least: i64| level.is_some_and(|level| level >= least);
    let search = call.param("search").map(str::to_lowercase);
    let place = match call.flag("search_namespaces") {
        Some(true) => &project.full_path,
        _ => &project.path,
    };
    (call.flag("membership") != Some(true) || level.is_some())
        && call.number("min_access_level").is_none_or(at_least)
        && (call.flag("owned") != Some(true) || at_least(50))
        && call.flag("archived").is_none_or(|archived| project.archived == archived)
        && call.param("visibility").is_none_or(|visibility| visibility == visibility_of(project))
        && call.number("id_after").is_none_or(|id| project.id > id)
        && call.number("id_before").is_none_or(|id| project.id < id)
        && search.is_none_or(|search| place.to_lowercase().contains(&search))
}

fn visibility_of(project: &Project) -> &'static str {
    if project.public { "public" } else { "private" }
}

/// A project as JSON; `simple` leaves out what GitLab leaves out, `permissions` among it.
fn entity(world: &World, project: &Project, user: UserId, simple: bool) -> Object {
    let links = world.links();
    let (path, created_at) = (project.full_path.as_str(), clock::stamp(project.created_at));
    let (ssh_host, web_url) = (world.host(), format!("{links}/{path}"));
    let brief = Object::new()
        .with("id", project.id)
        .with("description", Value::Null)
        .with("name", project.path.as_str())
        .with("name_with_namespace", path.replace('/', " / "))
        .with("path", project.path.as_str())
        .with("path_with_namespace", path)
        .with("created_at", created_at.as_str())
        .with("default_branch", "main")
        .with("tag_list", json!([]))
        .with("topics", json!([]))
        .with("ssh_url_to_repo", format!("git@{ssh_host}:{path}.git"))
        .with("http_url_to_repo", format!("{web_url}.git"))
        .with("web_url", web_url)
        .with("readme_url", Value::Null)
        .with("forks_count", 0)
        .with("avatar_url", Value::Null)
        .with("star_count", 0)
        .with("last_activity_at", created_at);
    if simple {
        return brief.nest("namespace", namespace(world, project));
    }
    let access = |member: Option<Member>| {
        member.map(|member| Object::new().with("access_level", member.level).with("notification_level", 3))
    };
    let permissions = Object::new()
        .nest("project_access", access(world.direct_member(project.id, user)))
        .nest("group_access", access(world.group_member(project.group, user)));
    brief
        .with("visibility", visibility_of(project))
        .nest("namespace", namespace(world, project))
        .nest("_links", Object::new().with("self", format!("{links}/api/v4/projects/{}", project.id)))
        .nulls(&["marked_for_deletion_at", "marked_for_deletion_on"])
        .with("packages_enabled", true)
        .with("empty_repo", false)
        .with("archived", project.archived)
        .with("issues_enabled", true)
        .with("merge_requests_enabled", true)
        .with("creator_id", 1)
        .nest("permissions", permissions)
}

fn namespace(world: &World, project: &Project) -> Option<Object> {
    let group = world.groups.get(&project.group)?;
    let object = Object::new()
        .with("id", group.id)
        .with("name", group.path.as_str())
        .with("path", group.path.as_str())
        .with("kind", "group")
        .with("full_path", group.full_path.as_str())
        .with("parent_id", group.parent)
        .with("avatar_url", Value::Null)
        .with("web_url", format!("{}/groups/{}", world.links(), group.full_path));
    Some(object)
}
