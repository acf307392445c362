//! The projects that a token reaches, and whether it has a role anywhere (GitLab docs, "Projects API",
//! "Members API", "REST API: Pagination").

use super::call::Call;
use crate::{
    domain::{AccessLevel, Account, Resource, ResourceKind},
    outbound::Answer,
    providers::{InspectError, Project, ProjectPage},
};
use http::header::LINK;
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

/// GitLab gives a hundred rows a page at most.
const MOST_PER_PAGE: usize = 100;

/// The only parts of a `Link` that are followed. The host in it may be another one than ours.
const CURSOR_KEYS: [&str; 4] = ["page", "id_after", "id_before", "cursor"];

#[derive(Deserialize)]
struct ProjectRow {
    id: i64,
    #[serde(default)]
    path_with_namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    web_url: String,
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Permissions {
    project_access: Option<Access>,
    group_access: Option<Access>,
}

#[derive(Deserialize)]
struct Access {
    access_level: u8,
}

impl ProjectRow {
    fn into_project(self) -> Project {
        let held = self.permissions.into_iter().flat_map(|p| [p.project_access, p.group_access]).flatten();
        Project {
            id: self.id,
            path: self.path_with_namespace,
            name: self.name,
            web_url: self.web_url,
            access_level: held.map(|a| AccessLevel(a.access_level)).max(),
        }
    }
}

/// Follows `Link: rel="next"` until `limit` projects are there or no more are.
pub(super) async fn list(
    call: &Call<'_>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<ProjectPage, InspectError> {
    let per_page = limit.div_ceil(limit.div_ceil(MOST_PER_PAGE)).max(1).to_string();
    let mut next = cursor.map(str::to_owned);
    let mut projects = Vec::new();
    loop {
        let mut query = vec![
            ("membership", "true"),
            ("order_by", "id"),
            ("sort", "asc"),
            ("pagination", "keyset"),
            ("per_page", per_page.as_str()),
        ];
        let from = next.unwrap_or_default();
        let from = followed(&from);
        query.extend(from.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let answer = call.ask_list("api/v4/projects", &query).await?;
        let rows: Vec<ProjectRow> = call.read(&answer)?;
        let got = rows.len();
        projects.extend(rows.into_iter().map(ProjectRow::into_project));
        next = next_cursor(&answer).filter(|_| got > 0);
        if next.is_none() || projects.len() + got > limit {
            return Ok(ProjectPage { projects, next });
        }
    }
}

/// What leads to the next page, without the host: GitLab builds that from its own external URL.
fn next_cursor(answer: &Answer) -> Option<String> {
    let links = answer.headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok());
    let next = links.flat_map(|v| v.split(',')).find(|l| l.contains("rel=\"next\""))?;
    let url = Url::parse(next.trim().strip_prefix('<')?.split_once('>')?.0).ok()?;
    let query = followed(url.query()?);
    (!query.is_empty()).then(|| form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish())
}

fn followed(query: &str) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    pairs.filter(|(key, _)| CURSOR_KEYS.contains(&key.as_str())).collect()
}

/// Whether the token has this role: a bot in its own resource, anybody else in any project or group.
pub(super) async fn reaches(
    call: &Call<'_>,
    account: Option<&Account>,
    level: AccessLevel,
) -> Result<Option<bool>, InspectError> {
    if let Some(Account { id, resource: Some(resource), .. }) = account
        && let Some(held) = role_in(call, resource, *id).await?
    {
        return Ok(Some(held >= level));
    }
    let least = level.0.to_string();
    let projects =
        [("membership", "true"), ("min_access_level", &least), ("per_page", "1"), ("simple", "true")];
    match any(call, "api/v4/projects", &projects).await? {
        Some(false) => any(call, "api/v4/groups", &[("min_access_level", &least), ("per_page", "1")]).await,
        answer => Ok(answer),
    }
}

async fn any(call: &Call<'_>, path: &str, query: &[(&str, &str)]) -> Result<Option<bool>, InspectError> {
    match call.ask_list(path, query).await {
        Ok(answer) => Ok(Some(!call.read::<Vec<Value>>(&answer)?.is_empty())),
        Err(InspectError::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn role_in(
    call: &Call<'_>,
    resource: &Resource,
    user: i64,
) -> Result<Option<AccessLevel>, InspectError> {
    let kind = match resource.kind {
        ResourceKind::Project => "projects",
        ResourceKind::Group => "groups",
    };
    match call.get::<Access>(&format!("api/v4/{kind}/{}/members/all/{user}", resource.id), &[]).await {
        Ok(member) => Ok(Some(AccessLevel(member.access_level))),
        Err(InspectError::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}
