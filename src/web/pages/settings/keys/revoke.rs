//! An API key is revoked at once everywhere, after a page that says what will stop.

use super::{HERE, KeyView};
use crate::web::{
    pages::{
        Frame, ok,
        problem::Failure,
        settings::{MOST, frame},
    },
    session::{self, SignedIn},
    state::AppState,
};
use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use time::{Duration, macros::format_description};
use tower_sessions::Session;

/// How far back the page looks.
const LATELY: Duration = Duration::days(30);

const DAY: &[time::format_description::BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [year]");

#[derive(Template)]
#[template(path = "settings/revoke.html")]
struct RevokePage {
    frame: Frame,
    notice: Option<String>,
    key: KeyView,
    /// What it read lately, the latest first.
    used: Vec<Used>,
}

struct Used {
    id: String,
    name: String,
    hand_outs: i64,
    /// The day.
    last: String,
}

/// What stops when a key is revoked.
pub(in crate::web::pages::settings) async fn ask(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let now = state.clock.now();
    let key =
        state.store.api_key(&id).await?.filter(|key| key.is_valid(now)).ok_or_else(Failure::not_found)?;
    let used = state.store.used_by_api_key(&id, now - LATELY, MOST).await?;
    let used = used.into_iter().map(|use_of| Used {
        id: use_of.connection.to_string(),
        name: use_of.name,
        hand_outs: use_of.hand_outs,
        last: use_of.last_day.date().format(DAY).expect("a day has a date"),
    });
    Ok(ok(RevokePage {
        frame: frame(&who, "api-keys"),
        notice: None,
        key: KeyView::of(key, now),
        used: used.collect(),
    }))
}

pub(in crate::web::pages::settings) async fn revoke(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    if !state.store.revoke_api_key(&id, state.clock.now(), &who.actor()).await? {
        return Err(Failure::not_found());
    }
    session::give_notice(&session, "The API key is revoked. Programs that use it are refused from now on.")
        .await?;
    Ok(Redirect::to(HERE).into_response())
}
