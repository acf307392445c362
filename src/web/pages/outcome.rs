//! How an authorization failed: a page of its own, for the session that began it, with a way to go on.

use super::{Frame, Page, places::ApplicationView, problem::Failure, submitted::Submitted};
use crate::{
    connect::{Outcome, Purpose},
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

const UNFINISHED: &str =
    "This sign-in was used and did not finish. Look at your connections, or start again.";

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomePage {
    frame: Frame,
    title: &'static str,
    text: String,
    code: String,
    again: Again,
    /// Where it went through; `None` if it is no longer configured.
    application: Option<ApplicationView>,
}

/// The same authorization, once more.
struct Again {
    action: String,
    fields: Vec<(&'static str, String)>,
    /// Where else to go.
    back: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path((integration, hash)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let hash = unhex(&hash).ok_or_else(Failure::not_found)?;
    let own = state.store.authorization(&hash).await?.filter(|a| a.session == who.session_digest);
    let purpose = own.map(|a| serde_json::from_str(&a.purpose).ok()).ok_or_else(Failure::not_found)?;
    let (code, text) = match state.connect.outcome_for(&hash, &who.session_digest).await? {
        Some(Outcome::Connected(id)) => {
            return Ok(Redirect::to(&format!("/connections/{id}")).into_response());
        }
        Some(Outcome::Deferred(_)) => return Err(Failure::not_found()),
        Some(Outcome::Failed { code, message }) => (code, message),
        None => ("authorization_unfinished".to_owned(), UNFINISHED.to_owned()),
    };
    let (status, title) = told(&code);
    let frame = Frame::of(Some(&who), "connections");
    let application = state.instances.integration(&integration).map(|i| ApplicationView::of(&state, i));
    let again = again(integration, purpose);
    Ok(Page(status, OutcomePage { frame, title, text, code, again, application }).into_response())
}

fn again(integration: String, purpose: Option<Purpose>) -> Again {
    match purpose {
        Some(Purpose::Reauthorize(id)) => Again {
            action: format!("/connections/{id}/reauthorize"),
            fields: vec![],
            back: format!("/connections/{id}"),
        },
        Some(Purpose::Connect { name, use_cases }) => {
            let name = name.unwrap_or_default();
            let chosen = Submitted { integration, name, use_cases, ..Submitted::default() };
            let back = chosen.address();
            let mut fields = vec![("integration", chosen.integration), ("name", chosen.name)];
            fields.extend(chosen.use_cases.into_iter().map(|u| ("use_cases", u)));
            Again { action: "/connections/authorize".into(), fields, back }
        }
        Some(Purpose::Session(_)) | None => Again {
            action: "/connections/authorize".into(),
            fields: vec![("integration", integration)],
            back: "/connections/new".into(),
        },
    }
}

fn told(code: &str) -> (StatusCode, &'static str) {
    match code {
        "access_denied" => (StatusCode::FORBIDDEN, "You did not give access"),
        "authorization_expired" => (StatusCode::GONE, "This took too long"),
        "authorization_unfinished" => (StatusCode::CONFLICT, "This was not finished"),
        "code_rejected" => (StatusCode::BAD_REQUEST, "GitLab did not accept its own code"),
        "different_account" => (StatusCode::CONFLICT, "You are signed in at GitLab as somebody else"),
        "name_taken" => (StatusCode::CONFLICT, "That name is taken"),
        "changed_meanwhile" => (StatusCode::CONFLICT, "Somebody else changed this connection"),
        "not_found" => (StatusCode::CONFLICT, "The connection is gone"),
        "insufficient_scope" => (StatusCode::UNPROCESSABLE_ENTITY, "GitLab gave fewer scopes than needed"),
        "insufficient_role" => (StatusCode::UNPROCESSABLE_ENTITY, "The role of this account is too low"),
        "integration_misconfigured" => (StatusCode::BAD_GATEWAY, "GitLab refused this OAuth application"),
        "provider_unavailable" | "provider_unreachable" => {
            (StatusCode::BAD_GATEWAY, "GitLab could not be reached")
        }
        "not_gitlab" => (StatusCode::BAD_GATEWAY, "The answer was not GitLab's"),
        "internal_error" => (StatusCode::INTERNAL_SERVER_ERROR, "Mooring could not do this"),
        _ => (StatusCode::BAD_REQUEST, "This was not connected"),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hash = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    is_hash.then(|| (0..64).step_by(2).map(byte).collect::<Option<_>>()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_again_keeps_what_was_chosen() {
        let purpose = Purpose::Connect { name: Some("a b".into()), use_cases: vec!["read-only".into()] };
        let html = page("access_denied", "You did not <give> access.", Some(purpose));
        assert!(html.contains("name=\"use_cases\" value=\"read-only\"") && html.contains("Start again"));
        assert!(html.contains("&#60;give&#62;") && html.contains("integration=gitlab&#38;name=a+b"));
    }

    fn page(code: &str, text: &str, purpose: Option<Purpose>) -> String {
        let application = ApplicationView {
            id: "gitlab".into(),
            title: "GitLab.com".into(),
            base_url: "https://gitlab.com".into(),
            redirect_uri: "https://m.example.com/oauth/gitlab/callback".into(),
            has_oauth: true,
            form: "https://gitlab.com/-/user_settings/applications".into(),
            prefix: "MOORING_GITLAB".into(),
        };
        let page = OutcomePage {
            frame: Frame::sample(),
            title: told(code).1,
            text: text.into(),
            code: code.into(),
            again: again("gitlab".into(), purpose),
            application: Some(application),
        };
        page.render().unwrap()
    }

    #[test]
    fn a_registration_that_is_wrong_says_what_to_set() {
        let html = page("integration_misconfigured", "No.", None);
        assert!(html.contains("MOORING_GITLAB_OAUTH_CLIENT_SECRET"), "{html}");
        let html = page("code_rejected", "No.", None);
        assert!(html.contains("https://m.example.com/oauth/gitlab/callback"), "{html}");
    }

    #[test]
    fn a_hash_has_one_spelling() {
        assert_eq!(unhex(&"0f".repeat(32)), Some(vec![15; 32]));
        for bad in ["", "0F", &"0F".repeat(32), &"ä".repeat(32), &"0f".repeat(31)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
