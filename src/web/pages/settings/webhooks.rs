//! Who is told of events: the webhook endpoints, and a new one. The verbs are those of the API.

use super::{frame, webhook};
use crate::{
    domain::EventKind,
    notify::{EndpointError, EndpointRequest, Kinds},
    store::{EndpointStatus, WebhookEndpoint},
    web::{
        pages::{Frame, Page, form::Form, moment::Moment, ok, problem::Failure, words},
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
use time::OffsetDateTime;
use tower_sessions::Session;

pub(super) const HERE: &str = "/settings/webhooks";
const PER_PAGE: usize = 50;

#[derive(Template)]
#[template(path = "settings/webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    notice: Option<String>,
    endpoints: Vec<EndpointView>,
    families: Vec<Family>,
    url: String,
    description: String,
    tenant: String,
    error: Option<String>,
    is_first: bool,
    next: Option<String>,
}

/// Which endpoints.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    /// The id of the last endpoint of the page before.
    after: String,
}

/// An endpoint in a list.
pub(super) struct EndpointView {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) description: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) events: String,
    pub(super) status: EndpointStatus,
    pub(super) reason: Option<String>,
    pub(super) failures: i64,
    pub(super) retry: Option<Moment>,
    pub(super) pending: i64,
    pub(super) dead: i64,
    pub(super) last: Option<Moment>,
}

/// Kinds of event that begin alike.
struct Family {
    /// Such as `connection.*`.
    word: String,
    chosen: bool,
    kinds: Vec<Kind>,
}

impl Family {
    /// Whether some of its kinds are chosen one by one.
    fn is_open(&self) -> bool {
        self.kinds.iter().any(|kind| kind.chosen)
    }
}

struct Kind {
    word: &'static str,
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
    Ok(ok(WebhooksPage { notice, ..page(&state, &who, Kinds::default().words(), &asked).await? }))
}

async fn page(
    state: &AppState,
    who: &SignedIn,
    chosen: &[String],
    asked: &Asked,
) -> Result<WebhooksPage, Failure> {
    let now = state.clock.now();
    let after = asked.after.parse().ok();
    let limit = i64::try_from(PER_PAGE + 1).expect("small");
    let mut endpoints = state.store.list_webhook_endpoints(None, after, limit).await?;
    let has_more = endpoints.len() > PER_PAGE;
    endpoints.truncate(PER_PAGE);
    let next = endpoints.last().filter(|_| has_more);
    Ok(WebhooksPage {
        frame: frame(who, "webhooks"),
        notice: None,
        is_first: after.is_none(),
        next: next.map(|last| format!("{HERE}?after={}", last.id)),
        endpoints: endpoints.into_iter().map(|endpoint| EndpointView::of(endpoint, now)).collect(),
        families: families(chosen),
        url: String::new(),
        description: String::new(),
        tenant: String::new(),
        error: None,
    })
}

impl EndpointView {
    pub(super) fn of(endpoint: WebhookEndpoint, now: OffsetDateTime) -> Self {
        Self {
            id: endpoint.id.to_string(),
            status: endpoint.status(),
            url: endpoint.url,
            description: endpoint.description,
            tenant: endpoint.tenant,
            events: endpoint.events.join(", "),
            reason: endpoint.disabled_reason,
            failures: endpoint.failures,
            retry: endpoint.retry_at.map(|at| Moment::new(at, now)),
            pending: endpoint.pending,
            dead: endpoint.dead,
            last: endpoint.last_delivered_at.map(|at| Moment::new(at, now)),
        }
    }
}

/// Every kind of event under its family, with what is chosen ticked.
fn families(chosen: &[String]) -> Vec<Family> {
    let is_chosen = |word: &str| chosen.iter().any(|one| one == word);
    let mut families: Vec<Family> = Vec::new();
    for kind in EventKind::ALL {
        let word = kind.as_str();
        let family = format!("{}.*", word.split('.').next().unwrap_or(word));
        if families.last().is_none_or(|last| last.word != family) {
            families.push(Family { chosen: is_chosen(&family), word: family, kinds: Vec::new() });
        }
        let kind = Kind { word, meaning: words::event(*kind), chosen: is_chosen(word) };
        families.last_mut().expect("one was pushed").kinds.push(kind);
    }
    families
}

/// The answer shows the new endpoint with its secret, this once.
pub(super) async fn add(
    State(state): State<AppState>,
    who: SignedIn,
    form: Form,
) -> Result<Response, Failure> {
    let request = EndpointRequest {
        url: form.text("url").to_owned(),
        description: form.filled("description").map(str::to_owned),
        events: Some(form.all("events")),
        tenant: form.filled("tenant").map(str::to_owned),
    };
    match state.webhook_endpoints.add(request, &who.actor()).await {
        Ok((id, secret)) => webhook::made(&state, &who, id, &secret, "Your new webhook endpoint").await,
        Err(EndpointError::Store(error)) => Err(error.into()),
        Err(refused) => {
            let text = |name| form.text(name).to_owned();
            let page = WebhooksPage {
                url: text("url"),
                description: text("description"),
                tenant: text("tenant"),
                error: Some(refused.to_string()),
                ..page(&state, &who, &form.all("events"), &Asked::default()).await?
            };
            Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_can_be_chosen_once() {
        let families = families(Kinds::default().words());
        let kinds: usize = families.iter().map(|family| family.kinds.len()).sum();
        assert_eq!(kinds, EventKind::ALL.len());
        let words: std::collections::BTreeSet<_> = families.iter().map(|family| &family.word).collect();
        assert_eq!(words.len(), families.len(), "the kinds of a family stand together");
        assert_eq!(families.iter().filter(|family| family.chosen).count(), 3);
    }
}
