//! `/projects/:id/hooks`: webhooks are kept and shown, never delivered. Needs Maintainer.

use serde_json::{Value, json};
use url::Url;

use super::{Caller, Outcome, created, forbidden, ok, paging, projects};
use crate::call::Call;
use crate::clock;
use crate::object::Object;
use crate::options::Version;
use crate::reply::Reply;
use crate::world::{Hook, World};

const MAINTAINER: i64 = 40;

/// The events that are off unless asked for, in the order of the answer.
const EVENTS: [&str; 13] = [
    "issues_events",
    "confidential_issues_events",
    "note_events",
    "confidential_note_events",
    "pipeline_events",
    "wiki_page_events",
    "deployment_events",
    "feature_flag_events",
    "job_events",
    "releases_events",
    "milestone_events",
    "emoji_events",
    "resource_access_token_events",
];

pub(crate) fn create(world: &mut World, call: &Call, caller: Caller) -> Outcome {
    let project = managed(world, call, caller)?;
    let missing = || Reply::json(400, &Object::new().with("error", "url is missing"));
    let url = call.sent("url").ok_or_else(missing)?;
    let valid = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !valid {
        return Err(Reply::json(422, &Object::new().with("error", "Invalid url given")));
    }
    let (id, created_at) = (world.next_id(), world.now());
    let hook = Hook { id, project, created_at, params: call.all_params() };
    let reply = created(&entity(world, &hook));
    world.hooks.insert(id, hook);
    Ok(reply)
}

pub(crate) fn list(world: &World, call: &Call, caller: Caller) -> Outcome {
    let project = managed(world, call, caller)?;
    let rows: Vec<&Hook> = world.hooks.values().filter(|hook| hook.project == project).collect();
    Ok(paging::page(call, world.links(), &rows, |hook| entity(world, hook)))
}

pub(crate) fn show(world: &World, call: &Call, caller: Caller) -> Outcome {
    Ok(ok(&entity(world, find(world, call, caller)?)))
}

pub(crate) fn delete(world: &mut World, call: &Call, caller: Caller) -> Outcome {
    let id = find(world, call, caller)?.id;
    world.hooks.remove(&id);
    Ok(Reply::empty(204))
}

fn find<'a>(world: &'a World, call: &Call, caller: Caller) -> Result<&'a Hook, Reply> {
    let project = managed(world, call, caller)?;
    let id = call.segment(5).parse().unwrap_or(0);
    let hook = world.hooks.get(&id).filter(|hook| hook.project == project);
    hook.ok_or_else(|| Reply::message(404, "404 Not found"))
}

/// The project in the path, when the caller maintains it.
fn managed(world: &World, call: &Call, caller: Caller) -> Result<i64, Reply> {
    let project = projects::find(world, call, caller)?;
    let level = world.project_member(project, caller.user).map_or(0, |member| member.level);
    if level >= MAINTAINER { Ok(project.id) } else { Err(forbidden()) }
}

fn entity(world: &World, hook: &Hook) -> Object {
    let sent = |name: &str| {
        hook.params.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let flag = |name: &str, default: bool| sent(name).map_or(default, |value| matches!(value, "true" | "1"));
    let present = |name: &str| sent(name).is_some_and(|value| !value.is_empty());
    let signing = world.options.version >= Version::V19_1;
    let body = Object::new()
        .with("id", hook.id)
        .with("url", sent("url"))
        .with("name", sent("name"))
        .with("description", sent("description").unwrap_or_default())
        .with("created_at", clock::stamp(hook.created_at))
        .with("push_events", flag("push_events", true))
        .with("tag_push_events", flag("tag_push_events", false))
        .with("merge_requests_events", flag("merge_requests_events", false))
        .with("repository_update_events", false)
        .with("enable_ssl_verification", flag("enable_ssl_verification", true))
        .with("alert_status", "executable")
        .with("disabled_until", Value::Null)
        .with("url_variables", json!([]))
        .with("push_events_branch_filter", sent("push_events_branch_filter").unwrap_or_default())
        .with("branch_filter_strategy", sent("branch_filter_strategy").unwrap_or("wildcard"))
        .with("custom_webhook_template", "")
        .with("custom_headers", json!([]))
        .with("token_present", present("token"))
        .with_if(signing, "signing_token_present", present("signing_token"))
        .with("project_id", hook.project);
    EVENTS.iter().fold(body, |body, event| body.with(event, flag(event, false)))
}
