//! Changes what a person may change of a connection: name, description, tags and use cases. What others changed
//! since the form was made is not overwritten before the person has seen it.

use super::{
    Frame, Page,
    checks::{ScopeHeld, ScopeView, title},
    connection,
    form::Form,
    head::{Head, Tab},
    hex, ok,
    problem::Failure,
    refusal::Refusal,
    renewal::RenewalForm,
};
use crate::{
    connect::{ConnectError, Fields},
    domain::{CheckOutcome, Connection, UseCase},
    web::{
        change::change,
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use std::collections::{BTreeMap, BTreeSet};
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

/// The fields as they are shown: as they stand, or as they were sent.
struct Typed {
    name: String,
    description: String,
    tags: Vec<(String, String)>,
    use_cases: Vec<String>,
}

/// A use case to choose, with what this token lacks for it.
struct Choice {
    id: String,
    title: String,
    purpose: String,
    least_role: String,
    scopes: Vec<ScopeView>,
    is_chosen: bool,
}

impl Choice {
    fn of(known: &UseCase, c: &Connection, chosen: &[String]) -> Self {
        let needs = known.needs(c.token_kind);
        Self {
            id: known.id.clone(),
            title: known.title.clone(),
            purpose: known.purpose.clone(),
            least_role: needs.least_role.to_string(),
            scopes: ScopeView::all(&needs.scopes, &c.credential.scopes),
            is_chosen: chosen.contains(&known.id),
        }
    }

    fn lacks(&self) -> Vec<&str> {
        let missing = self.scopes.iter().filter(|scope| scope.held == ScopeHeld::No);
        missing.map(|scope| scope.name.as_str()).collect()
    }
}

impl Typed {
    fn of(c: &Connection) -> Self {
        Self {
            name: c.name.clone(),
            description: c.description.clone().unwrap_or_default(),
            tags: c.tags.clone().into_iter().collect(),
            use_cases: c.use_cases.clone(),
        }
    }

    fn sent(form: &Form) -> Self {
        let trimmed = |name| form.all(name).into_iter().map(|text| text.trim().to_owned());
        let rows = trimmed("tag_key").zip(trimmed("tag_value"));
        Self {
            name: form.text("name").to_owned(),
            description: form.text("description").to_owned(),
            tags: rows.filter(|(key, value)| !key.is_empty() || !value.is_empty()).collect(),
            use_cases: form.all("use_cases"),
        }
    }

    /// What is to stand in the connection. A tag without a key, or with one that stands twice, would be lost.
    fn fields(&self, c: &Connection) -> Result<Fields, ConnectError> {
        let mut tags = BTreeMap::new();
        for (key, value) in &self.tags {
            if key.is_empty() || tags.insert(key.clone(), value.clone()).is_some() {
                let message = if key.is_empty() {
                    format!("The tag with the value “{value}” has no key. Give it one, or empty the value.")
                } else {
                    format!("The tag “{key}” stands twice. Keep one of them.")
                };
                return Err(ConnectError::Field { field: "tags", message });
            }
        }
        Ok(Fields {
            name: self.name.clone(),
            description: Some(self.description.clone()).filter(|text| !text.is_empty()),
            tags,
            use_cases: self.use_cases.clone(),
            ..Fields::of(c)
        })
    }
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
    let sent = Typed::sent(form).fields(c)?;
    let fields = match form.filled("seen") {
        Some(seen) if seen != mark(c) => return Err(ConnectError::ChangedMeanwhile),
        Some(_) => sent,
        None => Fields { name: sent.name, description: sent.description, ..Fields::of(c) },
    };
    change(state, c, fields, None, &who.actor()).await
}

/// A short mark of what the form shows.
fn mark(c: &Connection) -> String {
    let text = format!("{:?}", (&c.name, &c.description, &c.tags, &c.use_cases));
    hex(&crate::vault::digest(&text)[..12])
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
    if matches!(error, ConnectError::ChangedMeanwhile) {
        page.theirs = theirs(&page.typed, c, state);
        if let Some(refusal) = &mut page.refusal {
            OUTDATED.clone_into(&mut refusal.text);
        }
    }
    Page(status, page).into_response()
}

/// Where what was sent differs from what stands there now.
fn theirs(typed: &Typed, c: &Connection, state: &AppState) -> Vec<(&'static str, String)> {
    let now = Typed::of(c);
    let tags = |tags: &[(String, String)]| {
        let all: BTreeMap<_, _> =
            tags.iter().filter(|(key, _)| !key.is_empty()).map(|(k, v)| (k, v)).collect();
        all.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    };
    let use_cases = |ids: &[String]| {
        let all: BTreeSet<_> = ids.iter().map(|id| title(id, &state.use_cases)).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let pairs = [
        ("Name", typed.name.clone(), now.name),
        ("Description", typed.description.clone(), now.description),
        ("Tags", tags(&typed.tags), tags(&now.tags)),
        ("Use cases", use_cases(&typed.use_cases), use_cases(&now.use_cases)),
    ];
    pairs.into_iter().filter(|(_, mine, theirs)| mine != theirs).map(|(field, _, now)| (field, now)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::connection::sample;
    use time::macros::datetime;

    #[test]
    fn rows_of_tags_are_read_and_empty_ones_left_out() {
        let c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        let fields = |text: &str| Typed::sent(&Form::parse(text.as_bytes())).fields(&c);
        let good = fields("name=a&tag_key=+team+&tag_value=sec&tag_key=&tag_value=&tag_key=env&tag_value=");
        let tags: Vec<_> = good.unwrap().tags.into_iter().collect();
        assert_eq!(tags, [("env".to_owned(), String::new()), ("team".to_owned(), "sec".to_owned())]);
        for bad in ["tag_key=&tag_value=x", "tag_key=a&tag_value=1&tag_key=a&tag_value=2"] {
            assert!(matches!(fields(bad), Err(ConnectError::Field { field: "tags", .. })), "{bad}");
        }
    }

    #[test]
    fn the_mark_changes_with_what_the_form_shows_and_with_nothing_else() {
        let c = sample::connection(datetime!(2027-01-01 12:00 UTC));
        let mut renewed = c.clone();
        renewed.credential.generation += 1;
        renewed.updated_at = datetime!(2027-01-01 13:00 UTC);
        assert_eq!(mark(&c), mark(&renewed));
        let mut tagged = c.clone();
        tagged.tags.insert("a".into(), "b".into());
        assert_ne!(mark(&c), mark(&tagged));
    }
}
