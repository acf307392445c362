//! Changes a connection's name and description.

use super::{Page, connection, form::Form, problem::Failure, refusal::Refusal};
use crate::{
    connect::{ConnectError, Fields},
    domain::Connection,
    web::{
        session::{self, SignedIn},
        state::AppState,
    },
};
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

/// The form as it is shown, or as it was sent and refused.
pub(super) struct EditForm {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) refusal: Option<Refusal>,
}

impl EditForm {
    pub(super) fn of(c: &Connection) -> Self {
        Self { name: c.name.clone(), description: c.description.clone().unwrap_or_default(), refusal: None }
    }

    pub(super) fn error(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref().and_then(|r| r.field(field))
    }
}

pub(super) async fn edit(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let fields = Fields {
        name: form.text("name").to_owned(),
        description: form.filled("description").map(str::to_owned),
        ..Fields::of(&c)
    };
    match state.connect.edit(&c, fields, None, &who.actor()).await {
        Ok(()) => {
            session::give_notice(&session, "Saved.").await?;
            Ok(Redirect::to(&format!("/connections/{}", c.id)).into_response())
        }
        Err(ConnectError::Gone) => Err(Failure::not_found()),
        Err(ConnectError::Store(error)) => Err(error.into()),
        Err(error) => refuse(&state, &who, &c, (&form, &error)).await,
    }
}

async fn refuse(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    (form, error): (&Form, &ConnectError),
) -> Result<Response, Failure> {
    let refusal = Refusal::of(error);
    let status = refusal.status;
    let (name, description) = (form.text("name").to_owned(), form.text("description").to_owned());
    let edit = EditForm { name, description, refusal: Some(refusal) };
    let forms = connection::Forms { edit, ..connection::Forms::of(c) };
    Ok(Page(status, connection::render(state, who, c, forms).await?).into_response())
}
