//! What was found at a typed base URL: told when the field is left, and once more where a connect was refused
//! because of it. Whoever asks too often has to wait, as with guesses at a password.

use super::{
    Page, form::Form, guesses::Guesses, places, problem::Failure, refusal::Refusal, submitted::Submitted,
};
use crate::{
    connect::{ConnectError, Preflight},
    domain::BaseUrl,
    providers::Obstacle,
    web::{session::SignedIn, state::AppState},
};
use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use time::OffsetDateTime;

/// Looks that cost no wait. A person needs a handful. What nobody may see, private addresses, is refused in any case.
const FREE: u32 = 20;

/// How often each operator, and each connect session, had an address looked at.
#[derive(Clone)]
pub(super) struct Looks(Guesses);

impl Default for Looks {
    fn default() -> Self {
        Self(Guesses::with_free(FREE))
    }
}

impl Looks {
    /// Counts a look. The error is how many seconds `who` has to wait.
    pub(super) fn count(&self, who: &str, now: OffsetDateTime) -> Result<(), i64> {
        self.0.attempt(who, None, now).map_err(|wait| wait.whole_seconds().max(1))
    }
}

/// What was found, as a part of a page.
#[derive(Template)]
#[template(path = "parts/preflight.html")]
pub(super) struct PreflightView {
    base_url: String,
    host: String,
    obstacle: Option<Obstacle>,
    known: Option<KnownView>,
    instead: Option<InsteadView>,
}

impl askama::filters::HtmlSafe for PreflightView {}

/// The integration that is meant.
struct KnownView {
    title: String,
    has_oauth: bool,
    href: String,
}

/// The base URL that is right, and the form with it filled in.
struct InsteadView {
    base_url: String,
    href: String,
}

#[derive(Template)]
#[template(path = "parts/not_inspected.html")]
struct NotLooked {
    refusal: Refusal,
}

/// The look itself always succeeds; what it found is in the words.
pub(super) async fn look(
    State(state): State<AppState>,
    Extension(looks): Extension<Looks>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let submitted = Submitted::of(&form, &state.instances);
    if let Err(seconds) = looks.count(&who.operator.email, state.clock.now()) {
        let refusal = Refusal::too_many_looks(seconds);
        let page = Page(refusal.status, NotLooked { refusal });
        return Ok(([(RETRY_AFTER, seconds.to_string())], page).into_response());
    }
    match state.connect.preflight(&submitted.base_url).await {
        Ok(found) => Ok(Page(StatusCode::OK, PreflightView::of(&state, found, &submitted)).into_response()),
        Err(error @ ConnectError::Store(_)) => Err(error.into()),
        Err(error) => Ok(Page(StatusCode::OK, NotLooked { refusal: Refusal::of(&error) }).into_response()),
    }
}

/// The same for a connect that was refused; `None`: a look is not worth it, or comes too soon.
pub(super) async fn explained(
    state: &AppState,
    looks: &Looks,
    who: &SignedIn,
    submitted: &Submitted,
) -> Option<PreflightView> {
    looks.count(&who.operator.email, state.clock.now()).ok()?;
    let found = state.connect.preflight(&submitted.base_url).await.ok()?;
    found.obstacle.is_some().then(|| PreflightView::of(state, found, submitted))
}

impl PreflightView {
    fn of(state: &AppState, found: Preflight, submitted: &Submitted) -> Self {
        let known = found.integration.and_then(|id| state.instances.integration(&id)).map(|i| KnownView {
            title: places::title(i),
            has_oauth: i.application.is_some(),
            href: Submitted { integration: i.id.clone(), ..submitted.clone() }.address(),
        });
        let instead = |url: BaseUrl| {
            let base_url = url.as_str().to_owned();
            InsteadView {
                href: Submitted { base_url: base_url.clone(), ..submitted.clone() }.address(),
                base_url,
            }
        };
        Self {
            base_url: found.base_url.as_str().to_owned(),
            host: found.base_url.host().to_owned(),
            obstacle: found.obstacle,
            known,
            instead: found.instead.map(instead),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(obstacle: Option<Obstacle>) -> String {
        let instead = InsteadView { base_url: "https://a.example/gitlab".into(), href: "/x".into() };
        let view = PreflightView {
            base_url: "https://a.example".into(),
            host: "a.example".into(),
            instead: obstacle.is_some().then_some(instead),
            obstacle,
            known: None,
        };
        view.render().unwrap()
    }

    #[test]
    fn each_step_has_a_sentence_of_its_own() {
        let issuer = crate::providers::Issuer { name: "Acme Root".into(), is_itself: false };
        let message = || "It was so.".to_owned();
        let all = [
            (Obstacle::Address { is_private: true, message: message() }, "MOORING_OUTBOUND_ALLOW"),
            (Obstacle::Address { is_private: false, message: message() }, "It was so."),
            (Obstacle::Dns { message: message() }, "cannot be looked up"),
            (Obstacle::Connect { message: message() }, "No connection"),
            (Obstacle::UnknownIssuer(Some(issuer)), "Acme Root"),
            (Obstacle::UnknownIssuer(None), "MOORING_CA_FILE"),
            (Obstacle::Tls { message: message() }, "No secure connection"),
            (Obstacle::SentOn { elsewhere: Some("sso.example".into()), moved: None }, "sso.example"),
            (Obstacle::SentOn { elsewhere: None, moved: None }, "sign-in page"),
            (Obstacle::Http { message: message() }, "no answer"),
            (Obstacle::Busy { status: 502 }, "502"),
            (Obstacle::Busy { status: 429 }, "pause"),
            (Obstacle::NotGitLab { status: 404 }, "not GitLab"),
        ];
        for (obstacle, words) in all {
            let html = told(Some(obstacle.clone()));
            assert!(html.contains(words), "{obstacle:?}: {html}");
            assert!(html.contains("data-use=\"https://a.example/gitlab\""), "{html}");
        }
        assert!(told(None).contains("GitLab answers"));
    }
}
