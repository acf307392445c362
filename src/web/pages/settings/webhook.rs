//! One webhook endpoint: how its deliveries stand, and what an administrator does with it.

use super::{
    frame,
    webhooks::{EndpointView, HERE as LIST},
};
use crate::{
    domain::{DeliveryId, Secret, WebhookEndpointId},
    notify::{LONGEST_OVERLAP, Tested},
    store::{DeliveryRecord, DeliveryState, EndpointStatus, WebhookEndpoint},
    web::{
        pages::{Frame, Page, form::Form, moment::Moment, ok, problem::Failure},
        session::{self, SignedIn},
        state::AppState,
    },
};
use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use tower_sessions::Session;

const PER_PAGE: usize = 50;

/// Which deliveries.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    before: String,
}

#[derive(Template)]
#[template(path = "settings/webhook.html")]
struct WebhookPage {
    frame: Frame,
    notice: Option<String>,
    endpoint: EndpointView,
    /// A secret that was just made: the one time that it is shown.
    secret: Option<(&'static str, String)>,
    tested: Option<Tested>,
    error: Option<&'static str>,
    state: Option<DeliveryState>,
    deliveries: Vec<DeliveryView>,
    is_first: bool,
    newest: String,
    older: Option<String>,
}

struct DeliveryView {
    id: String,
    kind: String,
    state: DeliveryState,
    attempts: i64,
    status: Option<i64>,
    error: Option<String>,
    next: Option<Moment>,
    made: Moment,
}

pub(super) async fn show(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let endpoint = find(&state, &id).await?;
    let notice = session::take_notice(&session).await?;
    Ok(ok(WebhookPage { notice, ..page(&state, &who, endpoint, &asked).await? }))
}

async fn page(
    state: &AppState,
    who: &SignedIn,
    endpoint: WebhookEndpoint,
    asked: &Asked,
) -> Result<WebhookPage, Failure> {
    let (now, id) = (state.clock.now(), endpoint.id);
    let wanted: Option<DeliveryState> = asked.state.parse().ok();
    let limit = i64::try_from(PER_PAGE + 1).expect("small");
    let mut found = state.store.list_deliveries(id, wanted, asked.before.parse().ok(), limit).await?;
    let has_more = found.len() > PER_PAGE;
    found.truncate(PER_PAGE);
    let newest = format!("{LIST}/{id}?state={}", wanted.map_or("", DeliveryState::as_str));
    let older = |last: &DeliveryRecord| format!("{newest}&before={}#deliveries", last.id);
    Ok(WebhookPage {
        frame: frame(who, "webhooks"),
        notice: None,
        endpoint: EndpointView::of(endpoint, now),
        secret: None,
        tested: None,
        error: None,
        state: wanted,
        is_first: asked.before.is_empty(),
        older: found.last().filter(|_| has_more).map(older),
        newest: newest.clone() + "#deliveries",
        deliveries: found.into_iter().map(|delivery| DeliveryView::of(delivery, now)).collect(),
    })
}

impl DeliveryView {
    fn of(delivery: DeliveryRecord, now: OffsetDateTime) -> Self {
        let state = delivery.state();
        let waits = state == DeliveryState::Pending;
        Self {
            id: delivery.id.to_string(),
            kind: delivery.kind,
            state,
            attempts: delivery.attempts,
            status: delivery.last_status,
            error: delivery.last_error,
            next: waits.then(|| Moment::new(delivery.next_attempt_at, now)),
            made: Moment::new(delivery.created_at, now),
        }
    }
}

/// The page of an endpoint with a secret of it, which is shown this once.
pub(super) async fn made(
    state: &AppState,
    who: &SignedIn,
    id: WebhookEndpointId,
    secret: &Secret,
    title: &'static str,
) -> Result<Response, Failure> {
    let endpoint = find(state, &id.to_string()).await?;
    let secret = Some((title, secret.expose().to_owned()));
    let page = WebhookPage { secret, ..page(state, who, endpoint, &Asked::default()).await? };
    Ok(Page(StatusCode::CREATED, page).into_response())
}

/// Sends a test now. Its outcome is the answer.
pub(super) async fn test(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let endpoint = find(&state, &id).await?;
    let tested = state.webhook_endpoints.test(endpoint.id, &who.actor()).await?;
    let tested = Some(tested.ok_or_else(Failure::not_found)?);
    Ok(ok(WebhookPage { tested, ..page(&state, &who, endpoint, &Asked::default()).await? }))
}

pub(super) async fn rotate_secret(
    State(state): State<AppState>,
    who: SignedIn,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let endpoint = find(&state, &id).await?;
    let hours = form.text("overlap_hours").parse().ok();
    let Some(hours) = hours.filter(|hours| (0..=LONGEST_OVERLAP.whole_hours()).contains(hours)) else {
        let error = Some("Choose from the list how long both secrets sign.");
        let page = WebhookPage { error, ..page(&state, &who, endpoint, &Asked::default()).await? };
        return Ok(Page(StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    let overlap = Duration::hours(hours);
    let secret = state.webhook_endpoints.rotate_secret(endpoint.id, overlap, &who.actor()).await?;
    let secret = secret.ok_or_else(Failure::not_found)?;
    made(&state, &who, endpoint.id, &secret, "The new secret").await
}

pub(super) async fn pause(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    set_paused(&state, &who, &session, &id, true).await
}

pub(super) async fn resume(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    set_paused(&state, &who, &session, &id, false).await
}

async fn set_paused(
    state: &AppState,
    who: &SignedIn,
    session: &Session,
    id: &str,
    paused: bool,
) -> Result<Response, Failure> {
    let id = find(state, id).await?.id;
    if state.store.pause_webhook_endpoint(id, paused, state.clock.now(), &who.actor()).await? {
        let notice = if paused {
            "Paused. What happens waits here for three days, and is sent when you resume."
        } else {
            "Resumed. What waited is sent now."
        };
        session::give_notice(session, notice).await?;
    }
    Ok(Redirect::to(&format!("{LIST}/{id}")).into_response())
}

pub(super) async fn remove(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = find(&state, &id).await?.id;
    if !state.store.remove_webhook_endpoint(id, state.clock.now(), &who.actor()).await? {
        return Err(Failure::not_found());
    }
    session::give_notice(&session, "The endpoint is removed, and what waited for it too.").await?;
    Ok(Redirect::to(LIST).into_response())
}

pub(super) async fn redeliver(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let endpoint = find(&state, &id).await?;
    let delivery: DeliveryId = delivery.parse().map_err(|_| Failure::not_found())?;
    if !state.webhook_endpoints.redeliver(endpoint.id, delivery, &who.actor()).await? {
        return Err(Failure::not_found());
    }
    let notice = match endpoint.status() {
        EndpointStatus::Paused => "This endpoint is paused: it is sent again when you resume.",
        _ => "It is sent again in a moment.",
    };
    session::give_notice(&session, notice).await?;
    Ok(Redirect::to(&format!("{LIST}/{}", endpoint.id)).into_response())
}

async fn find(state: &AppState, id: &str) -> Result<WebhookEndpoint, Failure> {
    let id = id.parse().map_err(|_| Failure::not_found())?;
    state.store.webhook_endpoint(id).await?.ok_or_else(Failure::not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: EndpointStatus) -> WebhookPage {
        let now = OffsetDateTime::UNIX_EPOCH;
        WebhookPage {
            frame: Frame::sample(),
            notice: None,
            endpoint: EndpointView {
                id: "1".into(),
                url: "https://example.com/hooks".into(),
                description: None,
                tenant: None,
                events: "connection.*".into(),
                status,
                reason: None,
                failures: 2,
                retry: None,
                pending: 0,
                dead: 1,
                last: None,
            },
            secret: Some(("The new secret", "whsec_once".into())),
            tested: Some(Tested {
                delivered: false,
                status: Some(500),
                error: Some("It answered 500.".into()),
            }),
            error: None,
            state: None,
            deliveries: vec![DeliveryView {
                id: "7".into(),
                kind: "connection.expired".into(),
                state: DeliveryState::Dead,
                attempts: 9,
                status: Some(500),
                error: None,
                next: None,
                made: Moment::new(now, now),
            }],
            is_first: true,
            newest: String::new(),
            older: None,
        }
    }

    #[test]
    fn what_failed_can_be_sent_again_unless_the_endpoint_is_disabled() {
        let html = page(EndpointStatus::Failing).render().unwrap();
        assert!(html.contains("deliveries/7/redeliver") && html.contains(">Pause</button>"));
        assert_eq!(html.matches("whsec_once").count(), 1);
        let html = page(EndpointStatus::Disabled).render().unwrap();
        assert!(!html.contains("deliveries/7/redeliver") && !html.contains(">Pause</button>"));
        assert!(page(EndpointStatus::Paused).render().unwrap().contains(">Resume</button>"));
    }
}
