//! API keys: made here and shown once, revoked at once everywhere.

use super::{
    Page,
    form::Form,
    problem::Failure,
    settings::{self, Made},
};
use crate::{
    api_key::{KeyRequest, KeyRequestError, create_key},
    domain::Permission,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

/// The answer itself shows the key: it is kept nowhere to be shown later.
pub(super) async fn create(
    State(state): State<AppState>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let Some(permissions) = permissions(&form) else {
        return refuse(&state, &who, &form, "There is no such scope. Choose from the list.".into()).await;
    };
    let request = KeyRequest {
        name: form.text("name").to_owned(),
        tenant: form.filled("tenant").map(str::to_owned),
        permissions,
        expires_in: form.filled("expires_in").map(|days| format!("{days}d")),
    };
    let made = match create_key(&state.store, request, state.clock.now(), &who.actor()).await {
        Ok(made) => made,
        Err(KeyRequestError::Store(error)) => return Err(error.into()),
        Err(KeyRequestError::Field { message, .. }) => return refuse(&state, &who, &form, message).await,
    };
    let mut page = settings::page(&state, &who, None).await?;
    page.made = Some(Made { name: made.key.name, key: made.secret.expose().to_owned() });
    Ok(Page(StatusCode::CREATED, page).into_response())
}

async fn refuse(state: &AppState, who: &SignedIn, form: &Form, message: String) -> Result<Response, Failure> {
    let mut page = settings::page(state, who, None).await?;
    (page.key_name, page.key_tenant) = (form.text("name").to_owned(), form.text("tenant").to_owned());
    page.key_error = Some(message);
    Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn permissions(form: &Form) -> Option<Vec<Permission>> {
    form.all("scopes").iter().map(|scope| scope.parse().ok()).collect()
}

pub(super) async fn revoke(
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
    Ok(Redirect::to("/settings").into_response())
}
