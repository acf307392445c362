//! How programs use one connection: commands to copy, with this installation's addresses and never a token.

use super::{
    Frame, connection,
    head::{Head, Tab},
    ok,
    problem::Failure,
};
use crate::{
    domain::Connection,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use url::Url;

#[derive(Template)]
#[template(path = "use.html")]
struct UsePage {
    frame: Frame,
    head: Head,
    snippets: Vec<Snippet>,
    /// Neither pulls nor pushes: GitLab asks for a scope that this token does not have.
    lacks_git: bool,
    host: String,
}

/// One way to use it.
struct Snippet {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    text: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let api = state.provider.api();
    let scopes = &c.credential.scopes;
    let for_git = ["api", "read_repository", "write_repository"];
    Ok(ok(UsePage {
        frame: Frame::of(Some(&who), "connections"),
        head: Head::of(&state, &c, Tab::Use),
        snippets: snippets(&Ways {
            token_url: token_url(&state.site_url, &c),
            base_url: c.base_url.as_str(),
            api_url: &api.api_url(&c.base_url),
            git_username: api.git_username(),
        }),
        lacks_git: !scopes.is_granular() && !for_git.iter().any(|scope| scopes.holds(scope)),
        host: c.base_url.host().to_owned(),
    }))
}

/// The addresses that programs need.
struct Ways<'a> {
    token_url: String,
    base_url: &'a str,
    api_url: &'a str,
    git_username: &'a str,
}

/// Where the token is asked for, by name: so it stays good when a program moves to another installation. A key
/// without a tenant must say whose connection it means.
fn token_url(site_url: &str, c: &Connection) -> String {
    let mut url = Url::parse(site_url).expect("the site URL is a URL");
    url.path_segments_mut().expect("http has segments").extend([
        "api",
        "v1",
        "connections",
        &c.name,
        "token",
    ]);
    if let Some(tenant) = &c.tenant {
        url.query_pairs_mut().append_pair("tenant", tenant);
    }
    // It stands between quotes of a shell.
    String::from(url).replace('\'', "%27")
}

fn snippets(ways: &Ways<'_>) -> Vec<Snippet> {
    let Ways { token_url, base_url, api_url, git_username } = ways;
    let ask = "curl --fail --silent --show-error --header \"Authorization: Bearer $MOORING_API_KEY\"";
    let export = format!("export GITLAB_TOKEN=$({ask} \\\n  '{token_url}' | jq --raw-output .access_token)");
    vec![
        Snippet {
            id: "snippet-token",
            title: "The token",
            about: "Answers JSON with access_token, expires_at and api_url. Ask each time you need one: it always lasts.",
            text: format!("{ask} \\\n  '{token_url}'"),
        },
        Snippet {
            id: "snippet-curl",
            title: "GitLab’s API",
            about: "The first twenty projects that it reaches. Needs jq.",
            text: format!(
                "{export}\ncurl --fail --silent --show-error --header \"Authorization: Bearer $GITLAB_TOKEN\" \\\n  '{api_url}/projects?membership=true'"
            ),
        },
        Snippet {
            id: "snippet-git",
            title: "Git",
            about: "The token reaches git from the environment, so it stands neither in the repository’s configuration nor in the list of processes. Needs jq.",
            text: format!(
                "{export}\ngit -c credential.helper= \\\n  -c credential.helper='!f() {{ echo \"username={git_username}\"; echo \"password=$GITLAB_TOKEN\"; }}; f' \\\n  clone {base_url}/GROUP/PROJECT.git"
            ),
        },
        Snippet {
            id: "snippet-python",
            title: "Python",
            about: "With python-gitlab, which brings requests along.",
            text: format!(
                "import os\nimport gitlab\nimport requests\n\nanswer = requests.get(\n    \"{token_url}\",\n    headers={{\"Authorization\": \"Bearer \" + os.environ[\"MOORING_API_KEY\"]}},\n    timeout=60,\n)\nanswer.raise_for_status()\n\ngl = gitlab.Gitlab(\"{base_url}\", oauth_token=answer.json()[\"access_token\"])\nfor project in gl.projects.list(membership=True, iterator=True):\n    print(project.path_with_namespace)"
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::connection::sample;
    use time::macros::datetime;

    #[test]
    fn a_name_cannot_break_out_of_its_quotes() {
        let mut c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        c.name = "it's \"a\" $(b) `c`".into();
        c.tenant = Some("a'b&c".into());
        let url = token_url("https://m.example.com/sub", &c);
        assert!(
            url.starts_with(
                "https://m.example.com/sub/api/v1/connections/it%27s%20%22a%22%20$(b)%20%60c%60/token"
            ),
            "{url}"
        );
        assert!(url.ends_with("?tenant=a%27b%26c"), "{url}");
        assert!(!url.contains(['\'', '"', ' ', '\\', '`']));
    }

    #[test]
    fn every_snippet_names_this_installation_and_this_gitlab() {
        let c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        let ways = Ways {
            token_url: token_url("https://m.example.com", &c),
            base_url: c.base_url.as_str(),
            api_url: "https://gitlab.com/api/v4",
            git_username: "oauth2",
        };
        let snippets = snippets(&ways);
        for one in &snippets {
            assert!(
                one.text.contains("https://m.example.com/api/v1/connections/acme-review/token"),
                "{}",
                one.id
            );
            assert!(one.text.contains("MOORING_API_KEY"), "{}", one.id);
        }
        assert!(snippets[1..].iter().all(|one| one.text.contains("https://gitlab.com")));
    }
}
