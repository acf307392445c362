//! The project or group that a bot's token belongs to, by its path, with the bot's role (GitLab docs,
//! "Projects API", "Groups API").

use super::{call::Call, projects::role_in};
use crate::{
    domain::{Resource, ResourceKind},
    providers::Home,
};
use serde::Deserialize;

/// The path that people know it by.
#[derive(Deserialize)]
struct Place {
    #[serde(alias = "path_with_namespace")]
    full_path: String,
}

/// `None`: the token may not ask, or nobody answers now. It is asked to say more to a person, and decides nothing.
pub(super) async fn home(call: &Call<'_>, resource: &Resource, user: i64) -> Option<Home> {
    let (path, settings) = match resource.kind {
        ResourceKind::Project => (format!("api/v4/projects/{}", resource.id), ""),
        // Without this the answer holds up to a hundred projects.
        ResourceKind::Group => (format!("api/v4/groups/{}", resource.id), "groups/"),
    };
    let place: Place = call.get(&path, &[("with_projects", "false")]).await.ok()?;
    let role = role_in(call, resource, user).await.ok().flatten();
    let tokens = format!("{settings}{}/-/settings/access_tokens", place.full_path);
    Some(Home { path: place.full_path, role, tokens_url: call.instance.base_url.join(&tokens).into() })
}
