//! Operators' sessions: who is signed in, proved by a cookie whose id is kept as a hash alone.
//!
//! A new id at sign-in, the row gone at sign-out. A session ends twelve hours after it was last used and
//! a week after it began. `SameSite=Lax`, not `Strict`: the browser must bring it back from GitLab.

mod own;
mod stored;

pub use own::{OwnSession, own_sessions};
pub use stored::StoredSessions;
use stored::key;

use super::{pages::problem::Failure, state::AppState, visitor::Visitor};
use crate::{
    domain::{Actor, OperatorId},
    store::Operator,
    vault::{Digest, digest},
};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, Method, header::COOKIE, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tower_sessions::{Expiry, Session, SessionManagerLayer, cookie::SameSite, session::Id};

const IDLE: Duration = Duration::hours(12);
const LONGEST: Duration = Duration::days(7);
/// How often the use of a session is noted: not with every request, that would be a write each time.
const NOTED_EVERY: Duration = Duration::minutes(10);

const OPERATOR: &str = "operator";
/// A digest of the hash of the password that the operator had when the session began.
const PASSWORD: &str = "password";
const BEGAN: &str = "began";
const SEEN: &str = "seen";
const NOTICE: &str = "notice";
/// What the browser said it is, and where it was.
const AGENT: &str = "agent";
const ADDRESS: &str = "address";

/// The layer that reads and sets the session cookie.
pub fn layer(state: &AppState) -> SessionManagerLayer<StoredSessions> {
    SessionManagerLayer::new(StoredSessions::of(state))
        .with_name(cookie_name(state.is_https))
        .with_secure(state.is_https)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        // The cookie outlives the row, so that a form that is sent too late is known to come from somebody.
        .with_expiry(Expiry::OnInactivity(LONGEST))
}

fn cookie_name(is_https: bool) -> &'static str {
    if is_https { "__Host-mooring" } else { "mooring" }
}

/// Whether the browser brings a session, be it over or not.
pub fn brings_one(headers: &HeaderMap, is_https: bool) -> bool {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut names = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    names.any(|(name, _)| name.trim() == cookie_name(is_https))
}

/// Somebody came in: begins a session of its own for them.
pub async fn sign_in(
    state: &AppState,
    session: &Session,
    operator: &Operator,
    visitor: &Visitor,
) -> Result<(), Failure> {
    let now = state.clock.now();
    begin(session, operator, visitor, now).await?;
    Ok(state.store.note_sign_in(operator.id, now).await?)
}

/// A session under a new id: one that was planted before is worth nothing.
pub async fn begin(
    session: &Session,
    operator: &Operator,
    visitor: &Visitor,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    session.clear().await;
    session.cycle_id().await?;
    session.insert(OPERATOR, operator.id).await?;
    session.insert(PASSWORD, digest(operator.password_hash.as_deref().unwrap_or_default())).await?;
    session.insert(BEGAN, now.unix_timestamp()).await?;
    session.insert(SEEN, now.unix_timestamp()).await?;
    session.insert(AGENT, visitor.agent()).await?;
    session.insert(ADDRESS, visitor.certain_address()).await?;
    Ok(())
}

pub async fn sign_out(session: &Session) -> Result<(), Failure> {
    Ok(session.flush().await?)
}

/// A sentence for the next page that this operator sees.
pub async fn give_notice(session: &Session, text: impl Into<String>) -> Result<(), Failure> {
    Ok(session.insert(NOTICE, text.into()).await?)
}

/// The sentence, once.
pub async fn take_notice(session: &Session) -> Result<Option<String>, Failure> {
    if session.get_value(NOTICE).await?.is_none() {
        return Ok(None);
    }
    Ok(session.remove(NOTICE).await?)
}

/// The operator who is signed in. Without one a page leads to the sign-in and back again.
pub struct SignedIn {
    pub operator: Operator,
    /// Stays the same until sign-out: an authorization is finished by the session that began it.
    pub session_digest: Digest,
    /// Under what the session is kept.
    pub session_key: Vec<u8>,
}

impl SignedIn {
    pub fn actor(&self) -> Actor {
        Actor::Operator(self.operator.email.clone())
    }
}

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let found = find(parts, state).await.map_err(IntoResponse::into_response)?;
        found.ok_or_else(|| to_sign_in(parts))
    }
}

impl OptionalFromRequestParts<AppState> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, Failure> {
        find(parts, state).await
    }
}

async fn find(parts: &Parts, state: &AppState) -> Result<Option<SignedIn>, Failure> {
    let Some(session) = parts.extensions.get::<Session>() else { return Ok(None) };
    let Some(operator) = operator(session, state).await? else { return Ok(None) };
    note_use(session, parts, state.clock.now()).await?;
    let Some(id) = session.id() else { return Ok(None) };
    Ok(Some(SignedIn { operator, session_digest: digest(&id.to_string()), session_key: key(&id) }))
}

/// Whose session this is, if it goes on.
async fn operator(session: &Session, state: &AppState) -> Result<Option<Operator>, Failure> {
    let Some(id) = session.get::<OperatorId>(OPERATOR).await? else { return Ok(None) };
    let Some(operator) = state.store.operator(id).await? else { return Ok(None) };
    let is_too_old = state.clock.now() - began(session).await? > LONGEST;
    if is_too_old || !knew_password_of(&operator, session).await? {
        session.flush().await?;
        return Ok(None);
    }
    Ok(Some(operator))
}

/// A reset ends the sessions that are there. One that is begun meanwhile, with the password before, ends here;
/// those of an older version of Mooring do not say.
async fn knew_password_of(operator: &Operator, session: &Session) -> Result<bool, Failure> {
    let known = session.get::<Digest>(PASSWORD).await?;
    Ok(known.is_none_or(|known| known == digest(operator.password_hash.as_deref().unwrap_or_default())))
}

/// Whether the session of this id goes on, for what outlives the request that it came with.
pub async fn goes_on(state: &AppState, id: Id) -> Result<bool, Failure> {
    let session = Session::new(Some(id), Arc::new(StoredSessions::of(state)), None);
    Ok(operator(&session, state).await?.is_some())
}

async fn began(session: &Session) -> Result<OffsetDateTime, Failure> {
    let seconds = session.get::<i64>(BEGAN).await?.unwrap_or_default();
    Ok(OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// A page that refreshes itself is not somebody using it.
async fn note_use(session: &Session, parts: &Parts, now: OffsetDateTime) -> Result<(), Failure> {
    let seen = session.get::<i64>(SEEN).await?.unwrap_or_default();
    let is_stale = now.unix_timestamp() - seen > NOTED_EVERY.whole_seconds();
    let path = parts.uri.path();
    if is_stale && !path.starts_with("/live") && !path.ends_with("/live") {
        session.insert(SEEN, now.unix_timestamp()).await?;
    }
    Ok(())
}

fn to_sign_in(parts: &Parts) -> Response {
    let wanted = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    if parts.method != Method::GET || wanted == "/" {
        return Redirect::to("/login").into_response();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", wanted);
    Redirect::to(&format!("/login?{}", query.finish())).into_response()
}

/// A path on this site to go on to after sign-in; anything else leads to the start page.
pub fn safe_next(next: Option<&str>) -> &str {
    let is_path = |text: &&str| {
        text.starts_with('/')
            && !text.starts_with("//")
            && text.len() <= 2_000
            && text.chars().all(|c| c.is_ascii_graphic() && c != '\\')
    };
    next.filter(is_path).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_sign_in_nobody_leaves_this_site() {
        for good in ["/", "/connections/new?integration=acme", "/audit#top", "/a//b"] {
            assert_eq!(safe_next(Some(good)), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "evil.example",
            "/\t/evil.example",
            "/\n",
            " /",
            "/ä",
            "\\/evil",
            "/%\r\nx",
        ] {
            assert_eq!(safe_next(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(safe_next(None), "/");
    }
}
