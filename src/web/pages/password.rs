//! Changing the own password. Every session ends but this one, which gets a new id.

use super::{Page, form::Form, problem::Failure, settings};
use crate::{
    operator::{LONGEST_PASSWORD, bad_password},
    vault::{hash_password, verify_password},
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

pub(super) async fn change(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    form: Form,
) -> Result<Response, Failure> {
    let (current, new) = (form.password("current_password"), form.password("new_password"));
    let known = current.len() <= LONGEST_PASSWORD * 4
        && verify_password(current.to_owned(), Some(who.operator.password_hash.clone())).await;
    let current_error = (!known).then_some("This is not your current password.");
    let password_error = bad_password(new);
    if current_error.is_some() || password_error.is_some() {
        let mut page = settings::page(&state, &who, None).await?;
        (page.current_error, page.password_error) = (current_error, password_error);
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let hash = hash_password(new.to_owned()).await;
    let now = state.clock.now();
    state.store.reset_password(&who.operator.email, &hash, now, &who.actor()).await?;
    session::sign_in(&session, &who.operator, now).await?;
    session::give_notice(&session, "Your password is changed. Everybody else has to sign in again.").await?;
    Ok(Redirect::to("/settings").into_response())
}
