//! A look at a base URL before a token goes there: does a GitLab answer, and if not, which step failed and which
//! base URL at the same host would be right.

use super::{Connect, ConnectError, adopt::known_integration};
use crate::{
    domain::BaseUrl,
    providers::{Instance, Obstacle},
};

/// What was found at a base URL.
#[derive(Debug)]
pub struct Preflight {
    pub base_url: BaseUrl,
    /// The integration that the operator configured at this base URL.
    pub integration: Option<String>,
    /// `None`: the provider answers there.
    pub obstacle: Option<Obstacle>,
    /// Another base URL, where it does answer or says that it has moved to.
    pub instead: Option<BaseUrl>,
}

impl Connect {
    /// Looks at what a person typed. At most three questions, all behind the guard of every typed base URL, and
    /// none of them with a token.
    pub async fn preflight(&self, text: &str) -> Result<Preflight, ConnectError> {
        let (instance, integration) = self.looked_at(text)?;
        let obstacle = self.provider.api().recognise(&instance).await.err();
        let base_url = instance.base_url;
        let instead = match &obstacle {
            Some(Obstacle::SentOn { moved: Some(moved), .. }) => Some(moved.clone()),
            Some(found) if found.is_about_the_path() => self.at_another_path(&base_url).await,
            _ => None,
        };
        Ok(Preflight { base_url, integration, obstacle, instead })
    }

    fn looked_at(&self, text: &str) -> Result<(Instance, Option<String>), ConnectError> {
        if let Some(id) = known_integration(&self.instances, text) {
            return Ok((self.instances.configured(&id)?, Some(id)));
        }
        Ok((self.instances.typed(BaseUrl::parse_typed(text)?)?, None))
    }

    async fn at_another_path(&self, base_url: &BaseUrl) -> Option<BaseUrl> {
        for path in other_paths(base_url) {
            let (instance, _) = self.looked_at(&format!("{}{path}", base_url.origin())).ok()?;
            if self.provider.api().recognise(&instance).await.is_ok() {
                return Some(instance.base_url);
            }
        }
        None
    }
}

/// Where else it may be: below its usual subpath, or above what was pasted too much, such as a project's path.
fn other_paths(base_url: &BaseUrl) -> Vec<String> {
    let path = base_url.as_str().strip_prefix(&base_url.origin()).unwrap_or_default();
    match path.trim_start_matches('/').split_once('/') {
        _ if path.is_empty() => vec!["/gitlab".to_owned()],
        Some((first, _)) => vec![format!("/{first}"), String::new()],
        None => vec![String::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_path_is_looked_for_in_few_places() {
        let of = |url: &str| other_paths(&BaseUrl::parse_typed(url).unwrap());
        assert_eq!(of("https://gitlab.example.com"), ["/gitlab"]);
        assert_eq!(of("https://gitlab.example.com:8443/gitlab"), [""]);
        assert_eq!(of("https://gitlab.com/acme/web/tree"), ["/acme", ""]);
    }
}
