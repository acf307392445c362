//! Ending a connection, after a page that says what will stop.

use super::{Frame, connection, form::Form, moment::Moment, ok, problem::Failure};
use crate::web::{
    session::{self, SignedIn},
    state::AppState,
};
use askama::Template;
use axum::{
    extract::{Path, State},
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
    last_used: Option<Moment>,
    /// Names of the API keys that used it.
    users: Vec<String>,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let mut users = Vec::new();
    for (key, _) in state.store.usage_of(c.id).await? {
        users.push(state.store.api_key(&key).await?.map_or(key, |k| k.name));
    }
    Ok(ok(DisconnectPage {
        frame: Frame::of(Some(&who), "connections"),
        id: c.id.to_string(),
        host: c.base_url.host().to_owned(),
        is_oauth: c.method == crate::domain::Method::OAuth,
        last_used: c.last_used_at.map(|at| Moment::new(at, state.clock.now())),
        users,
        name: c.name,
    }))
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
    state.disconnect.end(c.id, revoke, &who.actor()).await?;
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
            last_used: None,
            users: vec!["ci <1>".into()],
        };
        let html = page.render().unwrap();
        assert!(html.contains("Also revoke the token at GitLab") && html.contains("ci &#60;1&#62;"));
        assert!(html.split("name=\"revoke\"").nth(1).unwrap().split('>').next().unwrap().contains("checked"));
        assert_eq!(html.matches(">Disconnect</button>").count(), 1);
    }
}
