//! Whether a GitLab answers at a base URL, asked without a token: `GET /version` is refused with GitLab's own
//! words to whoever has none (GitLab docs, "Version API").

use crate::{
    domain::BaseUrl,
    outbound::{ANSWER_LIMIT, Answer, OutboundError},
    providers::{Instance, Obstacle},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{ACCEPT, LOCATION},
};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

const QUESTION: &str = "api/v4/version";
/// A person waits for this.
const PATIENCE: Duration = Duration::from_secs(12);

pub(super) async fn recognise(instance: &Instance) -> Result<(), Obstacle> {
    let url = instance.base_url.join(QUESTION);
    let mut request = reqwest::Request::new(Method::GET, url.clone());
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = tokio::time::timeout(PATIENCE, instance.send(request, ANSWER_LIMIT)).await;
    match answer.unwrap_or(Err(OutboundError::Timeout)) {
        Ok(answer) => judge(&url, &answer),
        Err(error) => Err(match Obstacle::from(error) {
            Obstacle::UnknownIssuer(_) => {
                Obstacle::UnknownIssuer(instance.http.certificate_issuer(&url).await)
            }
            other => other,
        }),
    }
}

fn judge(asked: &Url, answer: &Answer) -> Result<(), Obstacle> {
    let status = answer.status.as_u16();
    match answer.status {
        _ if is_gitlabs_word(answer) => Ok(()),
        s if s.is_redirection() => Err(sent_on(asked, answer)),
        s if s.is_server_error() || s == StatusCode::TOO_MANY_REQUESTS => Err(Obstacle::Busy { status }),
        _ => Err(Obstacle::NotGitLab { status }),
    }
}

/// Who has no token is told so in these words, in every version; who needs none is told the version.
fn is_gitlabs_word(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Word {
        message: Option<String>,
        version: Option<String>,
        revision: Option<String>,
    }
    let Ok(word) = serde_json::from_slice::<Word>(&answer.body) else { return false };
    match answer.status {
        StatusCode::UNAUTHORIZED => word.message.as_deref() == Some("401 Unauthorized"),
        StatusCode::OK => word.version.is_some() && word.revision.is_some(),
        _ => false,
    }
}

/// Only the host of where it leads is told, and a base URL if the very question was sent on.
fn sent_on(asked: &Url, answer: &Answer) -> Obstacle {
    let location = answer.headers.get(LOCATION).and_then(|v| v.to_str().ok());
    let Some(to) = location.and_then(|l| asked.join(l).ok()) else {
        return Obstacle::NotGitLab { status: answer.status.as_u16() };
    };
    let elsewhere = to.host_str().filter(|host| Some(*host) != asked.host_str()).map(str::to_owned);
    let path = to.path().strip_suffix(QUESTION).map(|path| path.trim_end_matches('/'));
    let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
    let moved = path
        .zip(to.host_str())
        .and_then(|(path, host)| BaseUrl::parse_typed(&format!("{}://{host}{port}{path}", to.scheme())).ok());
    Obstacle::SentOn { elsewhere, moved: moved.filter(|url| url.join(QUESTION) != *asked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, location: Option<&str>, body: &str) -> Result<(), Obstacle> {
        let mut headers = http::HeaderMap::new();
        if let Some(location) = location {
            headers.insert(LOCATION, location.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, body: body.as_bytes().to_vec().into() };
        judge(&Url::parse("https://gitlab.example.com/api/v4/version").unwrap(), &answer)
    }

    #[test]
    fn gitlab_is_known_by_its_refusal() {
        assert_eq!(judged(401, None, r#"{"message":"401 Unauthorized"}"#), Ok(()));
        assert_eq!(judged(200, None, r#"{"version":"19.1.1-ee","revision":"a88e17d191e"}"#), Ok(()));
        for (status, body) in
            [(200, "<html>"), (200, "{}"), (401, r#"{"message":"no"}"#), (404, "{}"), (403, "<html>")]
        {
            assert_eq!(judged(status, None, body), Err(Obstacle::NotGitLab { status }), "{body}");
        }
        assert_eq!(judged(502, None, "<h1>"), Err(Obstacle::Busy { status: 502 }));
        assert_eq!(judged(429, None, "Retry later"), Err(Obstacle::Busy { status: 429 }));
    }

    #[test]
    fn of_a_redirect_the_host_alone_is_told() {
        let to = |location: &str| match judged(302, Some(location), "") {
            Err(Obstacle::SentOn { elsewhere, moved }) => (elsewhere, moved.map(|m| m.to_string())),
            other => panic!("{other:?}"),
        };
        assert_eq!(to("https://sso.example.com/login?secret=1"), (Some("sso.example.com".into()), None));
        assert_eq!(to("/users/sign_in"), (None, None));
        let new = "https://code.example.com:8443/gitlab";
        assert_eq!(to(&format!("{new}/api/v4/version")), (Some("code.example.com".into()), Some(new.into())));
        assert_eq!(to("/gitlab/api/v4/version").1.as_deref(), Some("https://gitlab.example.com/gitlab"));
        assert_eq!(to("http://gitlab.example.com/api/v4/version").1, None, "never back to http");
        assert_eq!(to("/api/v4/version"), (None, None), "in a circle");
        assert_eq!(judged(302, None, ""), Err(Obstacle::NotGitLab { status: 302 }));
    }
}
