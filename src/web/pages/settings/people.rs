//! Who may come in: a list with roles, invitations, and removals. There is always an administrator.

use super::frame;
use crate::{
    domain::{OperatorId, Role},
    operator::bad_email,
    store::{Changed, Invitation, Invited, KeptOut, Person},
    vault::Ticket,
    web::{
        pages::{Frame, Page, form::Form, gate, moment::Moment, ok, problem::Failure},
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
use time::{Duration, OffsetDateTime};
use tower_sessions::Session;

const HERE: &str = "/settings/people";
/// How long an invitation is good for.
const GOOD_FOR: Duration = Duration::days(3);

#[derive(Template)]
#[template(path = "settings/people.html")]
struct PeoplePage {
    frame: Frame,
    notice: Option<String>,
    people: Vec<PersonView>,
    invitations: Vec<InvitationView>,
    /// Who was removed, where single sign-on would let them in anew.
    kept_out: Vec<KeptOutView>,
    /// An invitation that was just made: the one time that its link is shown.
    made: Option<Made>,
    email: String,
    error: Option<&'static str>,
    /// Why a change was not made.
    refused: Option<&'static str>,
}

struct PersonView {
    id: String,
    email: String,
    is_administrator: bool,
    is_you: bool,
    last: Option<Moment>,
    /// How they sign in, in words.
    way: &'static str,
}

struct KeptOutView {
    email: String,
    removed: Moment,
}

struct InvitationView {
    email: String,
    role: &'static str,
    ends: Moment,
    is_over: bool,
}

struct Made {
    email: String,
    link: String,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    let notice = session::take_notice(&session).await?;
    Ok(ok(PeoplePage { notice, ..page(&state, &who).await? }))
}

async fn page(state: &AppState, who: &SignedIn) -> Result<PeoplePage, Failure> {
    let now = state.clock.now();
    let people = state.store.list_operators().await?;
    let invitations = state.store.list_invitations().await?;
    let kept_out = if state.sso.is_some() { state.store.list_kept_out().await? } else { vec![] };
    Ok(PeoplePage {
        frame: frame(who, "people"),
        notice: None,
        people: people.into_iter().map(|person| PersonView::of(person, who.operator.id, now)).collect(),
        invitations: invitations.into_iter().map(|one| InvitationView::of(one, now)).collect(),
        kept_out: kept_out.into_iter().map(|one| KeptOutView::of(one, now)).collect(),
        made: None,
        email: String::new(),
        error: None,
        refused: None,
    })
}

impl PersonView {
    fn of(person: Person, you: OperatorId, now: OffsetDateTime) -> Self {
        Self {
            id: person.id.to_string(),
            is_administrator: person.role.may_change(),
            is_you: person.id == you,
            way: match (person.has_password, person.issuer.is_some()) {
                (true, true) => "with a password or by single sign-on",
                (false, true) => "by single sign-on",
                (_, false) => "with a password",
            },
            last: person.last_signed_in_at.map(|at| Moment::new(at, now)),
            email: person.email,
        }
    }
}

impl KeptOutView {
    fn of(one: KeptOut, now: OffsetDateTime) -> Self {
        Self { removed: Moment::new(one.removed_at, now), email: one.email }
    }
}

impl InvitationView {
    fn of(invitation: Invitation, now: OffsetDateTime) -> Self {
        Self {
            role: invitation.role.as_str(),
            ends: Moment::new(invitation.expires_at, now),
            is_over: invitation.expires_at <= now,
            email: invitation.email,
        }
    }
}

/// The answer itself shows the link: it is kept as a hash.
pub(super) async fn invite(
    State(state): State<AppState>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let email = form.text("email").to_lowercase();
    let Ok(role) = form.text("role").parse::<Role>() else {
        return refuse(&state, &who, email, "Choose a role from the list.").await;
    };
    if let Some(wrong) = bad_email(&email) {
        return refuse(&state, &who, email, wrong).await;
    }
    let (ticket, now) = (Ticket::fresh(), state.clock.now());
    let invitation = Invitation { email, role, expires_at: now + GOOD_FOR };
    match state.store.invite(&ticket.digest, &invitation, who.operator.id, now, &who.actor()).await? {
        Invited::Yes => {}
        Invited::IsHere => {
            return refuse(&state, &who, invitation.email, "Somebody with this address is here already.")
                .await;
        }
        Invited::ByNoAdministrator => return Err(gate::viewers_change_nothing()),
    }
    let link = format!("{}/invite?token={}", state.site_url, ticket.secret.expose());
    let made = Some(Made { email: invitation.email, link });
    Ok(Page(StatusCode::CREATED, PeoplePage { made, ..page(&state, &who).await? }).into_response())
}

async fn refuse(
    state: &AppState,
    who: &SignedIn,
    email: String,
    error: &'static str,
) -> Result<Response, Failure> {
    let page = PeoplePage { email, error: Some(error), ..page(state, who).await? };
    Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

pub(super) async fn withdraw(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    form: Form,
) -> Result<Response, Failure> {
    if !state.store.withdraw_invitation(form.text("email"), state.clock.now(), &who.actor()).await? {
        return Err(Failure::not_found());
    }
    session::give_notice(&session, "The invitation is withdrawn: its link leads nowhere now.").await?;
    Ok(Redirect::to(HERE).into_response())
}

/// Lets single sign-on bring somebody back who was removed.
pub(super) async fn let_in(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    form: Form,
) -> Result<Response, Failure> {
    if !state.store.let_in_again(form.text("email"), state.clock.now(), &who.actor()).await? {
        return Err(Failure::not_found());
    }
    session::give_notice(&session, "They may come in by single sign-on again, as a viewer.").await?;
    Ok(Redirect::to(HERE).into_response())
}

pub(super) async fn change_role(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let role: Role = form.text("role").parse().map_err(|_| Failure::not_found())?;
    let id = operator(&id)?;
    let changed = state.store.change_role(id, role, state.clock.now(), &who.actor()).await?;
    let notice = match role {
        Role::Administrator => "They are an administrator now, from their next sign-in on.",
        Role::Viewer => "They are a viewer now. Their sessions are ended, and their open invitations too.",
    };
    answer(&state, &who, &session, changed, notice).await
}

pub(super) async fn remove(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = operator(&id)?;
    let changed = state.store.remove_operator(id, state.clock.now(), &who.actor()).await?;
    answer(&state, &who, &session, changed, "They are removed, and their sessions are ended.").await
}

fn operator(id: &str) -> Result<OperatorId, Failure> {
    id.parse().map_err(|_| Failure::not_found())
}

async fn answer(
    state: &AppState,
    who: &SignedIn,
    session: &Session,
    changed: Changed,
    notice: &'static str,
) -> Result<Response, Failure> {
    if changed == Changed::LastAdministrator {
        let refused = Some("This is the last administrator. Make somebody else one first.");
        let page = PeoplePage { refused, ..page(state, who).await? };
        return Ok(Page(StatusCode::CONFLICT, page).into_response());
    }
    if changed == Changed::Yes {
        session::give_notice(session, notice).await?;
    }
    Ok(Redirect::to(HERE).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_shown_once_and_a_viewer_is_offered_the_other_role() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let person = |email: &str, role| Person {
            id: OperatorId::fresh(),
            email: email.into(),
            role,
            created_at: now,
            last_signed_in_at: None,
            has_password: role == Role::Administrator,
            issuer: Some("https://id.example".into()),
        };
        let (ada, eve) =
            (person("ada@example.com", Role::Administrator), person("eve@example.com", Role::Viewer));
        let you = ada.id;
        let page = PeoplePage {
            frame: Frame::sample(),
            notice: None,
            people: [ada, eve].map(|person| PersonView::of(person, you, now)).into(),
            invitations: vec![],
            kept_out: vec![],
            made: Some(Made {
                email: "bob@example.com".into(),
                link: "https://m.example.com/invite?token=t".into(),
            }),
            email: String::new(),
            error: None,
            refused: None,
        };
        let html = page.render().unwrap();
        assert_eq!(html.matches("/invite?token=t").count(), 1);
        assert!(html.contains("Make an administrator") && html.contains("Make a viewer"));
        assert!(
            html.contains("signs in with a password or by single sign-on<")
                && html.contains("signs in by single sign-on<")
        );
    }
}
