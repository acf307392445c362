//! Addresses in answers: what lies at the base URL is reached through this proxy.

use crate::domain::BaseUrl;
use url::Url;

/// Where answers come from and what their addresses become.
pub(super) struct Rewrite<'a> {
    pub(super) base_url: &'a BaseUrl,
    /// What was asked for, below the base URL.
    pub(super) asked: &'a Url,
    /// This proxy's address of the connection, without a trailing slash.
    pub(super) proxy_url: &'a str,
}

impl Rewrite<'_> {
    /// An address at the base URL, as this proxy's. `None`: it leads elsewhere, and stays.
    pub(super) fn address(&self, address: &str) -> Option<String> {
        self.here(address, true)
    }

    /// Where a redirect leads, if that is at the base URL.
    pub(super) fn redirect(&self, address: &str) -> Option<String> {
        self.here(address, false)
    }

    /// `loosely`: also what names the same thing at another host. Not for redirects, which would lead in a circle.
    fn here(&self, address: &str, loosely: bool) -> Option<String> {
        let url = self.asked.join(address).ok()?;
        let root = self.base_url.join("");
        let below = url.path().strip_prefix(root.path().trim_end_matches('/'))?;
        let is_ours = url.origin() == root.origin() || (loosely && self.is_the_same_thing(&url));
        (is_ours && below.starts_with('/')).then(|| {
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
            format!("{}{below}{query}{fragment}", self.proxy_url)
        })
    }

    /// GitLab writes its own external URL into its answers, which may differ from the base URL that leads there.
    /// Another page of the list that was asked for, or another file of the repository, is the same place.
    fn is_the_same_thing(&self, url: &Url) -> bool {
        let repository = |path: &str| path.find(".git/").map(|at| path[..at].to_owned());
        let asked = self.asked.path();
        url.path() == asked || repository(asked).is_some_and(|one| repository(url.path()) == Some(one))
    }

    /// The targets of a `Link` header (RFC 8288 section 3): what stands in angle brackets.
    pub(super) fn links(&self, links: &str) -> String {
        let mut rest = links;
        let mut rewritten = String::with_capacity(links.len());
        while let Some((before, opened)) = rest.split_once('<') {
            let Some((target, after)) = opened.split_once('>') else { break };
            rewritten.push_str(before);
            let target = self.address(target).unwrap_or_else(|| target.to_owned());
            rewritten = rewritten + "<" + &target + ">";
            rest = after;
        }
        rewritten + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(look: impl FnOnce(&Rewrite<'_>) -> T) -> T {
        let base_url = BaseUrl::parse_configured("https://gitlab.example.com/gitlab").unwrap();
        let asked = Url::parse("https://gitlab.example.com/gitlab/api/v4/projects?page=1").unwrap();
        let proxy_url = "https://mooring.example.com/proxy/acme";
        look(&Rewrite { base_url: &base_url, asked: &asked, proxy_url })
    }

    #[test]
    fn links_at_the_base_url_become_the_proxys() {
        let links = r#"<https://gitlab.example.com/gitlab/api/v4/projects?page=2&per_page=1>; rel="next", <https://elsewhere.example.com/x>; rel="help""#;
        assert_eq!(
            with(|rewrite| rewrite.links(links)),
            r#"<https://mooring.example.com/proxy/acme/api/v4/projects?page=2&per_page=1>; rel="next", <https://elsewhere.example.com/x>; rel="help""#
        );
        assert_eq!(with(|rewrite| rewrite.links("<broken")), "<broken");
    }

    #[test]
    fn the_next_page_of_the_same_list_is_rewritten_whatever_host_it_names() {
        let links = r#"<http://internal:8080/gitlab/api/v4/projects?page=2>; rel="next""#;
        let here = r#"<https://mooring.example.com/proxy/acme/api/v4/projects?page=2>; rel="next""#;
        assert_eq!(with(|rewrite| rewrite.links(links)), here);
    }

    #[test]
    fn a_redirect_is_rewritten_where_it_leads_to_the_base_url() {
        let here = "https://mooring.example.com/proxy/acme/users/sign_in#form";
        assert_eq!(with(|rewrite| rewrite.redirect("/gitlab/users/sign_in#form")).unwrap(), here);
        for elsewhere in [
            "https://storage.example.com/x?sig=1",
            "https://gitlab.example.com/other",
            "http://internal:8080/gitlab/api/v4/projects",
            "//evil.example.com/gitlab",
        ] {
            assert_eq!(with(|rewrite| rewrite.redirect(elsewhere)), None, "{elsewhere}");
        }
    }
}
