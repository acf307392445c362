//! Circuits: a fault of all is told once, kills nobody, costs few requests, and is over when it is over.

use crate::support::log::Log as _;
use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use futures_util::future::join_all;
use gitlab_sim::{App, Endpoint, Fault, Gate, Options, Sim, UserId};
use mooring::{
    domain::{Connection, ConnectionId, Credential, EventKind, Renewal, Secret},
    renewal::Worker,
    store::Held,
};
use serde_json::json;
use std::time::Duration;
use tokio::{task::yield_now, time::timeout};
use tokio_util::task::TaskTracker;

const MINUTES: u64 = 60;
/// Ten minutes before the end of a token, it is due; the last twelve seconds of that are left to chance.
const ALL_ARE_DUE: Duration = Duration::from_secs(115 * MINUTES);
/// As many requests as go out before the first of them tells of a fault.
const AT_ONCE: u64 = 16;

/// An app with so many more connections like the one that a person made.
async fn with_connections(app: &TestApp, others: usize) -> Http {
    app.connect_by_oauth("acme").await;
    let one = the_one(app).await;
    for nth in 1..=others {
        add(app, &one, nth, (app.sim(), app.world.alice, &app.world.application)).await;
    }
    app.program(&["admin"]).await
}

async fn the_one(app: &TestApp) -> Held {
    let store = &app.app().state.store;
    let id = store.connections_named("acme", None).await.unwrap()[0].id;
    store.open_credential(id).await.unwrap().unwrap()
}

/// Adds a connection like another one, with a grant of its own from this GitLab.
async fn add(app: &TestApp, like: &Held, nth: usize, (sim, user, application): (&Sim, UserId, &App)) {
    let pair = sim.mint_oauth(user, application, &["api"]);
    let connection =
        Connection { id: ConnectionId::fresh(), name: format!("acme-{nth}"), ..like.connection.clone() };
    let credential = Credential {
        access_token: Secret::new(pair.access),
        renewal: Renewal::Refresh(Secret::new(pair.refresh)),
        ..like.credential.clone()
    };
    let actor = mooring::domain::Actor::Mooring;
    app.app().state.store.add_connection(&connection, &credential, &actor).await.unwrap();
}

fn worker(app: &TestApp) -> Worker {
    let state = &app.app().state;
    Worker::new(state.store.clone(), state.renewals.clone(), state.clock.clone(), TaskTracker::new())
}

async fn told(app: &TestApp, kind: EventKind) -> usize {
    let events = app.app().state.store.list_events(None, None, 100_000).await.unwrap();
    events.iter().filter(|logged| logged.event.kind == kind).count()
}

async fn all_get_tokens(program: &Http, others: usize) {
    program.get("/api/v1/connections/acme/token").await.expect(200);
    let paths = (1..=others).map(|nth| format!("/api/v1/connections/acme-{nth}/token"));
    for path in paths {
        program.get(&path).await.expect(200);
    }
}

/// Runs the worker until something is so.
async fn work_until(app: &TestApp, is_so: impl AsyncFn() -> bool) {
    let worker = worker(app);
    let working = async {
        while !is_so().await {
            worker.try_once().await.unwrap();
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), working).await.expect("the worker gets there");
}

/// A fault of all, from the moment when all are due until it is mended. Says how many requests it cost.
async fn endure(app: &TestApp, program: &Http, others: usize, (rounds, apart): (u64, Duration)) -> u64 {
    let before = app.sim().counts().token_requests;
    app.advance(ALL_ARE_DUE);
    worker(app).try_once().await.unwrap();
    all_get_tokens(program, others).await;
    for _ in 0..rounds {
        app.advance(apart);
        worker(app).try_once().await.unwrap();
    }
    app.sim().counts().token_requests - before
}

/// What follows once it is mended: one probes, then all are renewed, and one event tells of it.
async fn recover(app: &TestApp, program: &Http, others: usize) {
    let before = app.sim().counts();
    let probe = app.sim().hold_after(Endpoint::Token);
    app.advance(Duration::from_secs(6 * MINUTES));
    let (round, ()) = tokio::join!(
        async {
            let worker = worker(app);
            tokio::join!(worker.begin_round(), worker.begin_round())
        },
        probe.reached()
    );
    worker(app).begin_round().await.unwrap();
    assert_eq!(app.sim().counts().token_requests, before.token_requests + 1, "one connection probes");
    probe.release();
    for flight in round.0.unwrap().into_iter().chain(round.1.unwrap()) {
        flight.1.await.unwrap();
    }
    let all = before.refreshes_granted + 1 + others as u64;
    work_until(app, async || app.sim().counts().refreshes_granted == all).await;
    let after = app.sim().counts();
    assert_eq!(after.token_requests - before.token_requests, 1 + others as u64, "each of them asks once");
    all_get_tokens(program, others).await;
    let listed = program.get("/api/v1/connections?status=active&limit=100").await.expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1 + others);
    assert_eq!(told(app, EventKind::IntegrationFailing).await, 1);
    assert_eq!(told(app, EventKind::IntegrationRecovered).await, 1);
    assert_eq!(told(app, EventKind::ActionRequired).await, 0);
    assert_eq!(after.refresh_tokens_presented_twice, 0);
}

on_both!(a_wrong_client_secret_for_a_day_kills_no_connection, async |on: On| {
    let app = TestApp::start(on).await;
    let program = with_connections(&app, 39).await;
    let application = app.world.application.clone();
    app.sim().renew_secret(&application.client_id);
    let rounds = 96;
    let requests = endure(&app, &program, 39, (rounds, Duration::from_secs(15 * MINUTES))).await;
    // One probe for each time that it may be, and not forty.
    assert!(requests <= AT_ONCE + 2 * rounds, "{requests} requests");
    app.sim().register_application(&application, &format!("{}/oauth/gitlab/callback", app.site()), &["api"]);
    recover(&app, &program, 39).await;
});

on_both!(an_outage_of_two_hours_kills_no_connection, async |on: On| {
    let app = TestApp::start(on).await;
    let program = with_connections(&app, 39).await;
    app.sim().fault_always(Endpoint::Token, Fault::bad_gateway());
    let rounds = 24;
    let requests = endure(&app, &program, 39, (rounds, Duration::from_secs(5 * MINUTES))).await;
    assert!(requests <= AT_ONCE + 2 * rounds, "{requests} requests");
    app.sim().clear_faults();
    recover(&app, &program, 39).await;
});

on_both!(a_provider_that_asks_for_patience_is_left_alone_by_all, async |on: On| {
    let app = TestApp::start(on).await;
    let program = with_connections(&app, 1).await;
    app.advance(Duration::from_secs(109 * MINUTES));
    app.sim().fault(Endpoint::Token, Fault::RateLimitedRack { retry_after: 1_200 });
    program.post_json("/api/v1/connections/acme/renew", json!({})).await.expect(503);
    let before = app.sim().counts().token_requests;
    app.advance(Duration::from_secs(15 * MINUTES));
    worker(&app).try_once().await.unwrap();
    let answer = program.get("/api/v1/connections/acme-1/token").await.expect(503);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((290..=420).contains(&wait), "{wait}: five minutes are left, and a little");
    assert_eq!(app.sim().counts().token_requests, before, "the other one was not sent either");
    app.advance(Duration::from_secs(wait + 1));
    work_until(&app, async || app.sim().counts().refreshes_granted == 2).await;
    all_get_tokens(&program, 1).await;
    assert_eq!(told(&app, EventKind::IntegrationFailing).await, 0, "patience is no alarm");
});

on_both!(a_provider_that_hangs_holds_up_no_other, async |on: On| {
    let elsewhere = Sim::start(Options::default()).await;
    let other = elsewhere.add_application("http://localhost/oauth/elsewhere/callback", &["api"]);
    let url = elsewhere.url();
    let settings = [
        ("MOORING_INTEGRATION_ELSEWHERE_URL", url.as_str()),
        ("MOORING_INTEGRATION_ELSEWHERE_OAUTH_CLIENT_ID", &other.client_id),
        ("MOORING_INTEGRATION_ELSEWHERE_OAUTH_CLIENT_SECRET", &other.client_secret),
    ];
    let app = TestApp::start_with(on, Options::default(), &settings).await;
    with_connections(&app, 59).await;
    let mut like = the_one(&app).await;
    like.connection.integration = Some("elsewhere".into());
    like.connection.base_url = mooring::domain::BaseUrl::parse_configured(&url).unwrap();
    let bob = elsewhere.add_user("bob");
    for nth in 60..80 {
        add(&app, &like, nth, (&elsewhere, bob, &other)).await;
    }
    let gates: Vec<_> = (0..60).map(|_| app.sim().hold(Endpoint::Token)).collect();
    app.advance(ALL_ARE_DUE);
    let round = worker(&app).begin_round().await.unwrap();
    join_all(gates.iter().take(16).map(Gate::reached)).await;
    let renewed = async {
        while elsewhere.counts().refreshes_granted < 20 {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), renewed).await.expect("the other provider's are renewed meanwhile");
    let counts = app.sim().counts();
    assert_eq!((counts.token_requests_under_way, counts.refreshes_granted), (16, 0));
    drop(gates);
    join_all(round.into_iter().map(|(_, flight)| flight)).await;
    work_until(&app, async || app.sim().counts().refreshes_granted == 60).await;
    assert_eq!(app.sim().counts().token_requests_at_once_most, AT_ONCE, "sixty were due");
    assert!(elsewhere.counts().token_requests_at_once_most <= AT_ONCE);
});

on_both!(a_breaker_outlives_a_restart_and_is_probed_at_once_after_it, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = with_connections(&app, 3).await;
    app.sim().renew_secret(&app.world.application.client_id.clone());
    endure(&app, &program, 3, (12, Duration::from_secs(6 * MINUTES))).await;
    let opened = app.app().state.store.open_breakers().await.unwrap();
    app.stop().await;
    let before = app.sim().counts().token_requests;
    app.restart().await;
    let probed = async {
        while app.sim().counts().token_requests == before {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), probed).await.expect("somebody probes");
    let still_open = app.app().state.store.open_breakers().await.unwrap();
    assert_eq!((still_open.len(), still_open[0].opened_at), (1, opened[0].opened_at));
    assert_eq!(told(&app, EventKind::IntegrationFailing).await, 1, "the alarm was raised before");
});
