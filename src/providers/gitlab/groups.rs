//! The groups in which a token has a role, and which one (GitLab docs, "Groups API", "Members API").

use super::{
    call::Call,
    projects::{followed, next_cursor, per_page, role_in},
};
use crate::{
    domain::{AccessLevel, Account, Resource, ResourceKind},
    providers::{InspectError, Listing, Place, PlacePage},
};
use futures_util::future::join_all;
use serde::Deserialize;

/// How many roles are asked for at once: the list of groups does not tell them.
const AT_ONCE: usize = 4;

#[derive(Deserialize)]
struct GroupRow {
    id: i64,
    #[serde(default)]
    full_path: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    web_url: String,
}

impl GroupRow {
    fn into_place(self, access_level: Option<AccessLevel>) -> Place {
        Place { id: self.id, path: self.full_path, name: self.name, web_url: self.web_url, access_level }
    }
}

/// One page of groups. Without a least level GitLab lists groups too that are only seen and not reached.
pub(super) async fn list(
    call: &Call<'_>,
    account: Option<&Account>,
    listing: Listing<'_>,
) -> Result<PlacePage, InspectError> {
    let per_page = per_page(listing.limit);
    let mut query = vec![("min_access_level", "10"), ("per_page", per_page.as_str())];
    if !listing.search.is_empty() {
        query.push(("search", listing.search));
    }
    let from = followed(listing.cursor.unwrap_or_default());
    query.extend(from.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let answer = call.ask_list("api/v4/groups", &query).await?;
    let rows: Vec<GroupRow> = call.read(&answer)?;
    let next = next_cursor(&answer).filter(|_| !rows.is_empty());
    let roles = roles(call, account, &rows).await;
    let places = rows.into_iter().zip(roles).map(|(row, role)| row.into_place(role)).collect();
    Ok(PlacePage { places, next })
}

/// The role in each group; `None` where GitLab does not tell. A list without roles is better than no list.
async fn roles(call: &Call<'_>, account: Option<&Account>, rows: &[GroupRow]) -> Vec<Option<AccessLevel>> {
    let Some(account) = account else { return vec![None; rows.len()] };
    let mut roles = Vec::new();
    for some in rows.chunks(AT_ONCE) {
        let asked = some.iter().map(|row| role(call, row.id, account.id));
        roles.extend(join_all(asked).await);
    }
    roles
}

async fn role(call: &Call<'_>, group: i64, user: i64) -> Option<AccessLevel> {
    let resource = Resource { kind: ResourceKind::Group, id: group };
    role_in(call, &resource, user).await.ok().flatten()
}
