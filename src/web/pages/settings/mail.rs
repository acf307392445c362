//! Mail: whether it is set up, where it goes, and a test. A password is shown nowhere.

use super::frame;
use crate::web::{
    pages::{Frame, Page, ok, problem::Failure},
    session::{self, SignedIn},
    state::AppState,
};
use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "settings/mail.html")]
struct MailPage {
    frame: Frame,
    notice: Option<String>,
    route: Option<Route>,
    /// Why the test did not arrive.
    error: Option<String>,
}

struct Route {
    host: String,
    from: String,
    to: Vec<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    Ok(ok(MailPage { notice: session::take_notice(&session).await?, ..page(&state, &who) }))
}

fn page(state: &AppState, who: &SignedIn) -> MailPage {
    let route = state.mailer.as_ref().map(|mailer| {
        let (host, from, to) = mailer.route();
        Route { host, from, to }
    });
    MailPage { frame: frame(who, "mail"), notice: None, route, error: None }
}

pub(super) async fn test(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    let mailer = state.mailer.as_ref().ok_or_else(Failure::not_found)?;
    if let Err(error) = mailer.test(&who.actor()).await {
        let page = MailPage { error: Some(error.to_string()), ..page(&state, &who) };
        return Ok(Page(StatusCode::BAD_GATEWAY, page).into_response());
    }
    session::give_notice(&session, "The mail server took the test mail. Look whether it arrives.").await?;
    Ok(Redirect::to("/settings/mail").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mail_server_the_page_says_what_to_set() {
        let page = |route| MailPage { frame: Frame::sample(), notice: None, route, error: None };
        let html = page(None).render().unwrap();
        assert!(html.contains("MOORING_SMTP_URL") && !html.contains("Send a test mail"));
        let (host, from, to) = ("mail.example".into(), "m@example.com".into(), vec!["o@example.com".into()]);
        let html = page(Some(Route { host, from, to })).render().unwrap();
        assert!(html.contains("o@example.com") && html.contains("Send a test mail"));
    }
}
