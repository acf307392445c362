//! `GET /user`: the view of oneself, with the keys and the order of the version that is played.

use serde_json::{Value, json};

use super::{Caller, ok};
use crate::clock;
use crate::object::Object;
use crate::options::Version;
use crate::random;
use crate::reply::Reply;
use crate::world::{User, World};

pub(crate) fn current(world: &World, caller: Caller) -> Reply {
    let user = &world.users[&caller.user];
    let old = world.options.version < Version::V18_11;
    let human = !user.bot;
    let today = world.now().date().to_string();
    let mut body = Object::new().with("id", user.id).with("username", user.username.as_str());
    if !old {
        body = body.with("public_email", Value::Null);
    }
    body = head(body, user, world.links());
    body = body.with("created_at", clock::stamp(user.created_at)).each(&["bio", "location"], &json!(""));
    if old {
        body = body.with("public_email", Value::Null).with("skype", "");
    }
    body = body
        .each(&["linkedin", "twitter", "discord", "website_url"], &json!(""))
        .with_if(!old, "github", "")
        .with("job_title", "")
        .with("pronouns", Value::Null)
        .with("organization", "")
        .with("bot", user.bot)
        .nulls(&["work_information", "local_time", "last_sign_in_at"])
        .with("confirmed_at", clock::stamp(user.created_at))
        .with("last_activity_on", if user.external { Value::Null } else { json!(today) })
        .with("email", user.email.as_str())
        .with("theme_id", 3)
        .with("color_scheme_id", 1)
        .with("projects_limit", if human { 100_000 } else { 0 })
        .with("current_sign_in_at", Value::Null)
        .with("identities", json!([]))
        .with("can_create_group", human)
        .with("can_create_project", human)
        .with("two_factor_enabled", false)
        .with("external", user.external)
        .with("private_profile", false)
        .with("commit_email", user.email.as_str())
        .with_if(!old, "preferred_language", "en")
        .nulls(&["shared_runners_minutes_limit", "extra_shared_runners_minutes_limit"])
        .with("scim_identities", json!([]));
    ok(&body)
}

/// The keys that a user and a member have in common, from `name` to `web_url`.
pub(crate) fn head(object: Object, user: &User, links: &str) -> Object {
    let picture = random::hex(&user.id.to_be_bytes()[4..]);
    object
        .with("name", user.name.as_str())
        .with("state", user.state.word())
        .with("locked", false)
        .with("avatar_url", format!("https://www.gravatar.com/avatar/{picture}?s=80&d=identicon"))
        .with("web_url", format!("{links}/{}", user.username))
}
