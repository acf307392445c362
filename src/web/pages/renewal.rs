//! Whether a pasted token rotates itself: the switch on a connection's page.

use super::{Page, connection, form::Form, problem::Failure, refusal::Refusal};
use crate::{
    connect::{ConnectError, Fields},
    domain::{Connection, Method, RenewalKind, TokenKind},
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

/// The field that switches it on, here and where a token is pasted.
pub(super) const FIELD: &str = "self_rotate";

/// The switch as it is shown, or as it was sent and refused.
pub(super) struct RenewalForm {
    /// Only a pasted token that is no OAuth access token has the choice.
    pub(super) is_offered: bool,
    pub(super) rotates_itself: bool,
    pub(super) refusal: Option<Refusal>,
}

impl RenewalForm {
    pub(super) fn of(c: &Connection) -> Self {
        Self {
            is_offered: c.method == Method::AccessToken && c.token_kind != TokenKind::OAuth,
            rotates_itself: c.credential.renewal == RenewalKind::SelfRotate,
            refusal: None,
        }
    }
}

pub(super) async fn choose(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    let rotates_itself = form.filled(FIELD).is_some();
    match state.connect.edit(&c, Fields::of(&c), Some(chosen(rotates_itself)), &who.actor()).await {
        Ok(()) => {
            session::give_notice(&session, notice(rotates_itself)).await?;
            Ok(Redirect::to(&format!("/connections/{}", c.id)).into_response())
        }
        Err(error @ (ConnectError::Store(_) | ConnectError::Gone)) => Err(error.into()),
        Err(error) => {
            let refusal = Refusal::of(&error);
            let status = refusal.status;
            let renewal = RenewalForm { rotates_itself, refusal: Some(refusal), ..RenewalForm::of(&c) };
            Ok(Page(status, connection::render(&state, &who, &c, renewal).await?).into_response())
        }
    }
}

/// The renewal that a checkbox stands for.
pub(super) fn chosen(rotates_itself: bool) -> RenewalKind {
    if rotates_itself { RenewalKind::SelfRotate } else { RenewalKind::Manual }
}

fn notice(rotates_itself: bool) -> &'static str {
    if rotates_itself {
        "Saved. Mooring rotates this token before it ends."
    } else {
        "Saved. A person rotates this token from now on."
    }
}
