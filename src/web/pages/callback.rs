//! Where GitLab sends the browser back (RFC 6749 section 4.1.2). The address holds a code, so it is left at
//! once for a clean one, and nothing of it is shown.

use super::{browser, hex, problem::Failure};
use crate::{
    connect::{Callback, Outcome},
    domain::Actor,
    vault::digest,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

const LONGEST_PARAMETER: usize = 4_096;

pub(super) async fn finish(
    State(state): State<AppState>,
    who: Option<SignedIn>,
    session: Session,
    Path(integration): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Some(parameters) = read(query.as_deref().unwrap_or_default()) else { return Err(malformed()) };
    let hash = digest(&parameters.state);
    let callback = Callback {
        integration: integration.clone(),
        state: parameters.state,
        code: parameters.code,
        error: parameters.error,
        iss: parameters.iss,
        session: who.as_ref().map(|w| w.session_digest.clone()),
        binder: browser::secret(&headers, state.is_https),
    };
    let is_operator = who.is_some();
    let actor = who.map_or(Actor::Mooring, |w| w.actor());
    match state.connect.finish(callback, actor).await? {
        Outcome::Connected(id) => {
            session::give_notice(&session, "Connected. From now on this renews itself.").await?;
            Ok(Redirect::to(&format!("/connections/{id}")).into_response())
        }
        Outcome::Deferred(id) => Ok(Redirect::to(state.connect.way_back(id).await?.as_str()).into_response()),
        Outcome::Failed { code, message } => {
            Ok(failed(&state, is_operator, (&code, message), &integration, &hash))
        }
    }
}

/// What is about this browser is told here; the rest has a page with a clean address. Whoever came by a connect
/// session's link has no account here and is not sent to our pages.
fn failed(
    state: &AppState,
    is_operator: bool,
    (code, message): (&str, String),
    integration: &str,
    hash: &[u8],
) -> Response {
    let (status, title) = match code {
        "wrong_browser" => (StatusCode::FORBIDDEN, "This was begun somewhere else"),
        "wrong_integration" => (StatusCode::BAD_REQUEST, "The answer came to the wrong place"),
        "wrong_issuer" => (StatusCode::BAD_REQUEST, "The answer came from another server"),
        "authorization_unknown" => (StatusCode::BAD_REQUEST, "This sign-in is not known here"),
        _ => return Redirect::to(&format!("/oauth/{integration}/outcome/{}", hex(hash))).into_response(),
    };
    let hint = if code == "wrong_browser" {
        format!(
            " Begin again where you began, and stay in one browser. Mooring itself is at {}.",
            state.site_url
        )
    } else {
        String::new()
    };
    let failure = Failure::new(status, title).text(message + &hint);
    if is_operator { failure.link("/connections/new", "Start again") } else { failure }.into_response()
}

fn malformed() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "This answer cannot be read")
        .text("The address that brought you here is not one that GitLab makes. Nothing was changed.")
        .link("/connections/new", "Start again")
}

/// What an authorization server answers with. It holds a code.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct Parameters {
    pub(super) state: String,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) iss: Option<String>,
}

/// The parameters, each at most once (RFC 6749 section 3.1), short and printable. `None`: refuse it.
pub(super) fn read(query: &str) -> Option<Parameters> {
    let mut seen: Vec<String> = Vec::new();
    let mut found = Parameters::default();
    let mut state = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if seen.iter().any(|n| *n == name) || seen.len() >= 20 || !is_plain(&name) || !is_plain(&value) {
            return None;
        }
        let filled = Some(value.into_owned()).filter(|v| !v.is_empty());
        match &*name {
            "state" => state = filled,
            "code" => found.code = filled,
            "error" => found.error = filled,
            "iss" => found.iss = filled,
            _ => {}
        }
        seen.push(name.into_owned());
    }
    found.state = state?;
    (found.code.is_some() != found.error.is_some()).then_some(found)
}

/// The parser puts U+FFFD where bytes were not UTF-8.
fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST_PARAMETER && text.chars().all(|c| !c.is_control() && c != '\u{FFFD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_answer_is_read() {
        let found = read("code=abc&state=s%2B1&iss=https%3A%2F%2Fgitlab.com").unwrap();
        assert_eq!((found.code.as_deref(), found.state.as_str()), (Some("abc"), "s+1"));
        let denied = read("error=access_denied&error_description=No%20way&state=s").unwrap();
        assert_eq!(denied.error.as_deref(), Some("access_denied"));
    }

    #[test]
    fn anything_odd_is_refused_whole() {
        let long = format!("code={}&state=s", "a".repeat(4_097));
        for bad in [
            "",
            "code=a",
            "state=s",
            "state=&code=a",
            "code=a&code=b&state=s",
            "code=a&state=s&state=s",
            "code=a%00&state=s",
            "code=a%0d%0aX&state=s",
            "code=%ff&state=s",
            "code=a&state=s&error=x",
            "code=a&state=s&error=x&error=y",
            "code=a&state=s&x=%C3%28",
            &long,
        ] {
            assert_eq!(read(bad), None, "{bad:.60}");
        }
    }
}
