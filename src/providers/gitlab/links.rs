//! Pages of GitLab that a person needs.

use crate::domain::{BaseUrl, Scopes, TokenKind};

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
