//! API keys: found here, made, and shown once.

pub(super) mod revoke;

use super::frame;
use crate::{
    api_key::{KeyRequest, KeyRequestError, create_key},
    domain::Permission,
    store::{ApiKey, ApiKeyFilter},
    web::{
        pages::{Frame, Page, form::Form, moment::Moment, ok, problem::Failure},
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use time::{Date, OffsetDateTime, Time, macros::format_description};
use tower_sessions::Session;

const HERE: &str = "/settings/api-keys";
const PER_PAGE: usize = 50;
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    /// `ended`: those that are expired or revoked.
    state: String,
    /// The id of the last key of the page before.
    after: String,
}

#[derive(Template)]
#[template(path = "settings/keys.html")]
struct KeysPage {
    frame: Frame,
    notice: Option<String>,
    keys: Vec<KeyView>,
    valid: i64,
    ended: i64,
    shows_ended: bool,
    q: String,
    is_first: bool,
    newest: String,
    older: Option<String>,
    permissions: Vec<PermissionView>,
    made: Option<Made>,
    typed: Typed,
    error: Option<String>,
}

/// What was filled in.
struct Typed {
    name: String,
    tenant: String,
    scopes: Vec<String>,
    expires_in: String,
    ends_on: String,
    allow: String,
}

impl Default for Typed {
    fn default() -> Self {
        let scopes = vec![Permission::TokensRead.as_str().to_owned()];
        let (name, tenant, ends_on) = (String::new(), String::new(), String::new());
        Self { name, tenant, scopes, expires_in: "90".to_owned(), ends_on, allow: String::new() }
    }
}

/// A key that was just made: the one time that it is shown.
struct Made {
    name: String,
    key: String,
}

struct KeyView {
    id: String,
    name: String,
    tenant: Option<String>,
    permissions: String,
    /// The requests that it is narrowed to.
    allow: Vec<String>,
    is_valid: bool,
    /// When and how it ended.
    state: &'static str,
    created: Moment,
    expires: Option<Moment>,
    last_used: Option<Moment>,
}

struct PermissionView {
    value: &'static str,
    meaning: &'static str,
    chosen: bool,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let notice = session::take_notice(&session).await?;
    Ok(ok(KeysPage { notice, ..page(&state, &who, asked).await? }))
}

async fn page(state: &AppState, who: &SignedIn, asked: Asked) -> Result<KeysPage, Failure> {
    let now = state.clock.now();
    let shows_ended = asked.state == "ended";
    let filter = ApiKeyFilter { ended: shows_ended, q: asked.q.trim().to_owned() };
    let limit = i64::try_from(PER_PAGE + 1).expect("small");
    let mut found = state.store.find_api_keys(&filter, &asked.after, now, limit).await?;
    let has_more = found.len() > PER_PAGE;
    found.truncate(PER_PAGE);
    let older = found.last().filter(|_| has_more).map(|last| address(&filter, Some(&last.id)));
    let (valid, ended) = state.store.count_api_keys(now).await?;
    Ok(KeysPage {
        frame: frame(who, "api-keys"),
        notice: None,
        keys: found.into_iter().map(|key| KeyView::of(key, now)).collect(),
        valid,
        ended,
        shows_ended,
        newest: address(&filter, None),
        q: filter.q,
        is_first: asked.after.is_empty(),
        older,
        permissions: permissions(&Typed::default()),
        made: None,
        typed: Typed::default(),
        error: None,
    })
}

fn address(filter: &ApiKeyFilter, after: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(after.map(|after| ("after", after)));
    if filter.ended {
        query.append_pair("state", "ended");
    }
    if !filter.q.is_empty() {
        query.append_pair("q", &filter.q);
    }
    format!("{HERE}?{}", query.finish())
}

/// The answer itself shows the key: it is kept nowhere to be shown later.
pub(super) async fn create(
    State(state): State<AppState>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let now = state.clock.now();
    let request = match request(&form, now) {
        Ok(request) => request,
        Err(message) => return refuse(&state, &who, &form, message.to_owned()).await,
    };
    let made = match create_key(&state.store, request, now, &who.actor()).await {
        Ok(made) => made,
        Err(KeyRequestError::Store(error)) => return Err(error.into()),
        Err(KeyRequestError::Field { message, .. }) => return refuse(&state, &who, &form, message).await,
    };
    let made = Some(Made { name: made.key.name, key: made.secret.expose().to_owned() });
    let page = KeysPage { made, ..page(&state, &who, Asked::default()).await? };
    Ok(Page(StatusCode::CREATED, page).into_response())
}

fn request(form: &Form, now: OffsetDateTime) -> Result<KeyRequest, &'static str> {
    let permissions = form.all("scopes").iter().map(|scope| scope.parse().ok()).collect::<Option<_>>();
    let expires_in = match form.text("expires_in") {
        "" => None,
        "date" => Some(format!("{}s", until(form.text("ends_on"), now)?)),
        days => Some(format!("{days}d")),
    };
    Ok(KeyRequest {
        name: form.text("name").to_owned(),
        tenant: form.filled("tenant").map(str::to_owned),
        permissions: permissions.ok_or("There is no such scope. Choose from the list.")?,
        allow: form
            .text("allow")
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect(),
        expires_in,
    })
}

/// The seconds until the end of a day in UTC.
fn until(day: &str, now: OffsetDateTime) -> Result<i64, &'static str> {
    let day = Date::parse(day, format_description!("[year]-[month]-[day]"));
    let day = day.map_err(|_| "Choose the day on which the key ends, such as 2027-01-31.")?;
    let end = day.next_day().unwrap_or(day).with_time(Time::MIDNIGHT).assume_utc();
    let left = (end - now).whole_seconds();
    if left > 0 { Ok(left) } else { Err("That day is over. Choose a later one.") }
}

async fn refuse(state: &AppState, who: &SignedIn, form: &Form, message: String) -> Result<Response, Failure> {
    let text = |name| form.text(name).to_owned();
    let typed = Typed {
        name: text("name"),
        tenant: text("tenant"),
        scopes: form.all("scopes"),
        expires_in: text("expires_in"),
        ends_on: text("ends_on"),
        allow: text("allow"),
    };
    let (permissions, page) = (permissions(&typed), page(state, who, Asked::default()).await?);
    let page = KeysPage { typed, permissions, error: Some(message), ..page };
    Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

impl KeyView {
    fn of(key: ApiKey, now: OffsetDateTime) -> Self {
        let is_valid = key.is_valid(now);
        Self {
            permissions: key.permissions.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", "),
            allow: key.allow.iter().map(ToString::to_string).collect(),
            created: Moment::new(key.created_at, now),
            expires: key.revoked_at.or(key.expires_at).map(|at| Moment::new(at, now)),
            last_used: key.last_used_at.map(|at| Moment::new(at, now)),
            state: if key.revoked_at.is_some() { "Revoked" } else { "Expired" },
            id: key.id,
            name: key.name,
            tenant: key.tenant,
            is_valid,
        }
    }
}

fn permissions(typed: &Typed) -> Vec<PermissionView> {
    Permission::ALL.iter().map(|p| permission(*p, typed)).collect()
}

fn permission(permission: Permission, typed: &Typed) -> PermissionView {
    let meaning = match permission {
        Permission::ConnectionsRead => "See connections and check them",
        Permission::ConnectionsWrite => "Make, change and disconnect them",
        Permission::TokensRead => "Get access tokens",
        Permission::Proxy => "Send requests to GitLab through Mooring",
        Permission::Admin => "Everything, also API keys and the audit log",
    };
    let value = permission.as_str();
    PermissionView { value, meaning, chosen: typed.scopes.iter().any(|scope| scope == value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-30 12:00 UTC);

    #[test]
    fn a_day_ends_at_its_end() {
        assert_eq!(until("2027-01-30", NOW), Ok(12 * 3_600));
        assert_eq!(until("2027-01-31", NOW), Ok(36 * 3_600));
        assert!(until("2027-01-29", NOW).is_err() && until("31.1.2027", NOW).is_err());
    }

    #[test]
    fn a_new_key_is_shown_once_and_the_form_keeps_what_was_typed() {
        let scopes = vec!["proxy".into()];
        let typed = Typed { name: "ci <1>".into(), expires_in: "30".into(), scopes, ..Typed::default() };
        let page = KeysPage {
            frame: Frame::sample(),
            notice: None,
            keys: vec![],
            valid: 0,
            ended: 3,
            shows_ended: false,
            q: String::new(),
            is_first: true,
            newest: String::new(),
            older: None,
            permissions: permissions(&typed),
            made: Some(Made { name: "ci".into(), key: "moor_once".into() }),
            typed,
            error: Some("Give the key a name.".into()),
        };
        let html = page.render().unwrap();
        assert_eq!(html.matches("moor_once").count(), 1);
        assert_eq!(html.matches(">Name</label>").count(), 1);
        assert!(html.contains("ci &#60;1&#62;") && html.contains("?state=ended"));
        assert_eq!(html.matches(" checked").count(), 1);
        assert!(html.contains("value=\"proxy\" checked") && html.contains("value=\"30\" selected"));
    }
}
