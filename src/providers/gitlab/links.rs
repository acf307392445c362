//! Pages of GitLab that a person needs.

use crate::domain::{BaseUrl, ResourceKind, Scopes, TokenKind};

/// Where a token of this kind is made. Only the personal form takes name and scopes from its address
/// (GitLab docs, "Personal access tokens: prefill").
pub(super) fn token_form_url(base_url: &BaseUrl, kind: TokenKind, name: &str, scopes: &Scopes) -> String {
    let mut url = match kind {
        TokenKind::Personal => base_url.join("-/user_settings/personal_access_tokens"),
        TokenKind::Project => return base_url.join("dashboard/projects").into(),
        TokenKind::Group => return base_url.join("dashboard/groups").into(),
        TokenKind::OAuth => return base_url.join("-/user_settings/applications").into(),
    };
    let scopes = scopes.to_vec().join(",");
    url.query_pairs_mut().append_pair("name", name).append_pair("scopes", &scopes);
    url.into()
}

/// Where roles are given (GitLab docs, "Members of a project", "Members of a group").
pub(super) fn members_url(base_url: &BaseUrl, kind: ResourceKind, path: &str) -> String {
    let page = match kind {
        ResourceKind::Project => format!("{path}/-/project_members"),
        ResourceKind::Group => format!("groups/{path}/-/group_members"),
    };
    base_url.join(&page).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_lie_below_the_base_url() {
        let base_url = BaseUrl::parse_typed("https://git.example.com/sub").unwrap();
        let of = |kind| members_url(&base_url, kind, "acme/web");
        assert_eq!(of(ResourceKind::Project), "https://git.example.com/sub/acme/web/-/project_members");
        assert_eq!(of(ResourceKind::Group), "https://git.example.com/sub/groups/acme/web/-/group_members");
        let escaping = members_url(&base_url, ResourceKind::Project, "../../evil?x=1#y");
        assert!(escaping.starts_with("https://git.example.com/sub/evil%3F"), "{escaping}");
    }
}
