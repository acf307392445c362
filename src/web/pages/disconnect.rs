//! Ending a connection, after a page that says what will stop.

use super::{
    Frame, connection,
    form::Form,
    moment::Moment,
    ok,
    problem::Failure,
    usage::{KeyLabel, day_text},
};
use crate::{
    disconnect::DisconnectError,
    store::KeyUsage,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "disconnect.html")]
struct DisconnectPage {
    frame: Frame,
    id: String,
    name: String,
    host: String,
    is_oauth: bool,
    /// Another installation has its token too, which is not to be revoked.
    is_exported: bool,
    last_used: Option<Moment>,
    /// The API keys that got its token and could ask again, the last one first.
    users: Vec<User>,
    /// How many more there are.
    others: usize,
    /// API keys that got it once and are revoked by now.
    revoked: usize,
}

struct User {
    label: KeyLabel,
    last: String,
    hand_outs: i64,
}

const USERS_SHOWN: usize = 20;

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let (users, revoked): (Vec<_>, Vec<_>) =
        state.store.usage_of(c.id).await?.into_iter().partition(|used| used.revoked_at.is_none());
    Ok(ok(DisconnectPage {
        frame: Frame::of(Some(&who), "connections"),
        id: c.id.to_string(),
        host: c.base_url.host().to_owned(),
        is_oauth: c.method == crate::domain::Method::OAuth,
        is_exported: c.credential.exported_at.is_some(),
        last_used: c.last_used_at.map(|at| Moment::new(at, state.clock.now())),
        others: users.len().saturating_sub(USERS_SHOWN),
        users: users.iter().take(USERS_SHOWN).map(User::of).collect(),
        revoked: revoked.len(),
        name: c.name,
    }))
}

impl User {
    fn of(used: &KeyUsage) -> Self {
        Self { label: KeyLabel::of(used), last: day_text(used.last_day), hand_outs: used.hand_outs }
    }
}

pub(super) async fn disconnect(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let revoke = form.filled("revoke").is_some();
    match state.disconnect.end(c.id, revoke, &who.actor()).await {
        Ok(_) => {}
        Err(DisconnectError::Store(error)) => return Err(error.into()),
        Err(error @ DisconnectError::Exported) => {
            return Err(Failure::new(StatusCode::CONFLICT, "Its token lives in another installation")
                .text(error.to_string())
                .link(format!("/connections/{}/disconnect", c.id), "Disconnect it without that"));
        }
    }
    let also = if revoke { " GitLab is told to revoke its token." } else { "" };
    session::give_notice(
        &session,
        format!("{} is disconnected: nobody gets its token any more.{also}", c.name),
    )
    .await?;
    Ok(Redirect::to("/").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_stops_and_revokes_unless_told_otherwise() {
        let page = DisconnectPage {
            frame: Frame::sample(),
            id: "1".into(),
            name: "acme".into(),
            host: "gitlab.com".into(),
            is_oauth: true,
            is_exported: false,
            last_used: None,
            users: vec![User::of(&KeyUsage {
                api_key_id: "k1".into(),
                name: Some("ci <1>".into()),
                revoked_at: None,
                hand_outs: 12,
                last_day: time::macros::date!(2027 - 01 - 29),
            })],
            others: 0,
            revoked: 2,
        };
        let html = page.render().unwrap();
        assert!(html.contains("Also revoke the token at GitLab") && html.contains("ci &#60;1&#62;"));
        assert!(html.contains("29 Jan 2027") && html.contains("12 times"), "{html}");
        assert!(html.split("name=\"revoke\"").nth(1).unwrap().split('>').next().unwrap().contains("checked"));
        assert_eq!(html.matches(">Disconnect</button>").count(), 1);
    }
}
