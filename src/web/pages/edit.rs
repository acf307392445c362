//! Changes what a person may change of a connection: name, description, tags and use cases. What others changed
//! since the form was made is not overwritten before the person has seen it.

use super::{
    Frame, Page,
    checks::title,
    connection,
    edit_form::{Choice, Typed, theirs},
    form::Form,
    head::{Head, Tab},
    ok,
    problem::Failure,
    refusal::Refusal,
    renewal::RenewalForm,
};
use crate::{
    connect::{ConnectError, Fields},
    domain::{CheckOutcome, Connection},
    web::{
        change::{change, mark},
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

/// Rows that are left empty, for tags to come.
const EMPTY_ROWS: usize = 3;

const OUTDATED: &str = "Since you opened this form, something else was saved. Nothing of yours is lost, and nothing of \
                        it is saved yet.";

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    frame: Frame,
    head: Head,
    typed: Typed,
    /// What the form was made of.
    seen: String,
    use_cases: Vec<Choice>,
    /// Chosen, and not known here any more.
    gone: Vec<String>,
    /// What stands there now where somebody else changed it: the field and its value.
    theirs: Vec<(&'static str, String)>,
    refusal: Option<Refusal>,
    /// Whether there is a choice how it renews.
    chooses_renewal: bool,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    Ok(ok(page(&state, &who, &c, (Typed::of(&c), None))))
}

pub(super) async fn edit(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let c = connection::find(&state, &id).await?;
    match save(&state, &who, &c, &form).await {
        Ok(now) => {
            session::give_notice(&session, notice(&state, &c, &now)).await?;
            Ok(Redirect::to(&format!("/connections/{}", c.id)).into_response())
        }
        Err(error @ (ConnectError::Gone | ConnectError::Store(_))) => Err(error.into()),
        Err(error) => {
            let now = connection::find(&state, &id).await?;
            Ok(refuse(&state, &who, &now, (&form, &error)))
        }
    }
}

/// A form that does not say what it was made of has the name and the description alone.
async fn save(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    form: &Form,
) -> Result<Connection, ConnectError> {
    let typed = Typed::sent(form);
    let is_outdated = form.filled("seen").is_some_and(|seen| seen != mark(c));
    if is_outdated && theirs(&typed, c, state).is_empty() {
        // A second click: the first one saved it.
        return Ok(c.clone());
    }
    if is_outdated {
        return Err(ConnectError::ChangedMeanwhile);
    }
    let sent = typed.fields(c)?;
    let fields = match form.filled("seen") {
        Some(_) => sent,
        None => Fields { name: sent.name, description: sent.description, ..Fields::of(c) },
    };
    change(state, c, fields, None, &who.actor()).await
}

/// What is new, and what GitLab said to it.
fn notice(state: &AppState, was: &Connection, now: &Connection) -> String {
    let is_new = |id: &&String| !was.use_cases.contains(id);
    let found = |id: &String| {
        let title = title(id, &state.use_cases);
        match now.checks.iter().find(|check| check.use_case == *id) {
            None => format!(" “{title}” could not be checked: GitLab could not be asked."),
            Some(check) => match check.outcome {
                CheckOutcome::Ok => format!(" “{title}” works."),
                CheckOutcome::InsufficientScope => {
                    format!(
                        " “{title}” needs {}, which this token does not have.",
                        check.missing_scopes.join(", ")
                    )
                }
                CheckOutcome::InsufficientRole => {
                    format!(" “{title}” needs the role {}, which this account has nowhere.", check.least_role)
                }
                CheckOutcome::RoleUnknown => format!(" For “{title}” GitLab does not tell the role."),
            },
        }
    };
    now.use_cases.iter().filter(is_new).fold("Saved.".to_owned(), |text, id| text + &found(id))
}

fn refuse(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    (form, error): (&Form, &ConnectError),
) -> Response {
    let refusal = Refusal::of(error);
    let status = refusal.status;
    let typed = if form.filled("seen").is_some() {
        Typed::sent(form)
    } else {
        let Typed { name, description, .. } = Typed::sent(form);
        Typed { name, description, ..Typed::of(c) }
    };
    let mut page = page(state, who, c, (typed, Some(refusal)));
    if let Some(seen) = form.filled("seen")
        && !matches!(error, ConnectError::ChangedMeanwhile)
    {
        // What was changed since has not been shown.
        seen.clone_into(&mut page.seen);
    }
    if matches!(error, ConnectError::ChangedMeanwhile) {
        page.theirs = theirs(&page.typed, c, state);
        if let Some(refusal) = &mut page.refusal {
            OUTDATED.clone_into(&mut refusal.text);
        }
    }
    Page(status, page).into_response()
}

fn page(
    state: &AppState,
    who: &SignedIn,
    c: &Connection,
    (mut typed, refusal): (Typed, Option<Refusal>),
) -> EditPage {
    typed.tags.extend(vec![(String::new(), String::new()); EMPTY_ROWS]);
    EditPage {
        frame: Frame::of(Some(who), "connections"),
        head: Head::of(state, c, Tab::Edit),
        seen: mark(c),
        use_cases: state.use_cases.iter().map(|known| Choice::of(known, c, &typed.use_cases)).collect(),
        gone: c.use_cases.iter().filter(|id| state.use_cases.get(id).is_none()).cloned().collect(),
        theirs: vec![],
        chooses_renewal: RenewalForm::of(c).is_offered,
        typed,
        refusal,
    }
}

impl EditPage {
    fn error(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref().and_then(|refusal| refusal.field(field))
    }
}
