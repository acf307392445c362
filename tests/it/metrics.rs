//! What an operator's monitoring sees: the state of tokens and renewals, and of nobody in particular.

use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use mooring::{
    domain::{BaseUrl, Connection, Reason, RenewalId},
    renewal::Worker,
    store::{ConnectionFilter, Fault},
};
use serde_json::json;
use std::{fs, time::Duration};
use tokio_util::task::TaskTracker;

const TWO_HOURS: Duration = Duration::from_secs(7_200);
const FRESH: Duration = Duration::from_secs(6);

/// What reads our metrics.
const WATCHED: [(&str, &str); 3] = [
    ("alerts.yaml", include_str!("../../deploy/alerts.yaml")),
    ("grafana.json", include_str!("../../deploy/grafana.json")),
    ("OPERATING.md", include_str!("../../docs/OPERATING.md")),
];

/// The metrics that a text names.
fn names(text: &str) -> Vec<String> {
    let rest = text.split("mooring_").skip(1);
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    rest.map(|rest| format!("mooring_{}", name(rest))).collect()
}

async fn start(on: On) -> (TestApp, Http) {
    let settings = [("MOORING_METRICS_LISTEN", "127.0.0.1:0")];
    let app = TestApp::start_with(on, gitlab_sim::Options::default(), &settings).await;
    let address = app.app().metrics_address.expect("metrics are served");
    (app, Http::new(&format!("http://{address}")))
}

async fn scrape(metrics: &Http) -> String {
    metrics.get("/metrics").await.expect(200).text
}

/// The value of one metric with its labels, as they are written.
fn value(text: &str, of: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

async fn connect(app: &TestApp, name: &str, ends_in_days: i64) -> String {
    let ends = (app.clock.now() + time::Duration::days(ends_in_days)).date();
    let token = app.sim().mint_personal(app.world.alice, &["api"], Some(ends)).token;
    let body = json!({"name": name, "integration": "gitlab", "token": token, "tenant": "secret-tenant"});
    app.program(&["admin"]).await.post_json("/api/v1/connections", body).await.expect(201);
    token
}

async fn renew_due(app: &TestApp) {
    let state = &app.app().state;
    let (store, renewals, clock) = (state.store.clone(), state.renewals.clone(), state.clock.clone());
    Worker::new(store, renewals, clock, TaskTracker::new()).try_once().await.expect("a round ends");
}

on_both!(tokens_are_counted_as_they_stand, async |on: On| {
    let (mut app, metrics) = start(on).await;
    app.connect_by_oauth("by-consent").await;
    let doomed = connect(&app, "doomed", 200).await;
    connect(&app, "ending", 5).await;
    let text = scrape(&metrics).await;
    for (metric, wanted) in [
        ("mooring_database_up", 1.0),
        (r#"mooring_connections{status="active"}"#, 2.0),
        (r#"mooring_connections{status="expiring"}"#, 1.0),
        (r#"mooring_connections{status="degraded"}"#, 0.0),
        (r#"mooring_connections{status="action_required"}"#, 0.0),
        (r#"mooring_connections{status="unreadable"}"#, 0.0),
        (r#"mooring_tokens_expiring{within="1d"}"#, 0.0),
        (r#"mooring_tokens_expiring{within="7d"}"#, 1.0),
        (r#"mooring_tokens_expiring{within="30d"}"#, 1.0),
        (r#"mooring_renewals_total{outcome="renewed"}"#, 0.0),
        ("mooring_renewals_due", 0.0),
        ("mooring_renewals_oldest_due_seconds", 0.0),
        ("mooring_renewals_in_doubt", 0.0),
        ("mooring_revocations_owed", 0.0),
        ("mooring_spool_answers", 0.0),
        (r#"mooring_notices_waiting{channel="webhook"}"#, 0.0),
        (r#"mooring_notices_dead{channel="mail"}"#, 0.0),
        (r#"mooring_notices_oldest_waiting_seconds{channel="mail"}"#, 0.0),
    ] {
        assert_eq!(value(&text, metric), Some(wanted), "{metric} in\n{text}");
    }
    let left = |text: &str, renewal: &str| {
        value(text, &format!(r#"mooring_token_seconds_to_expiry{{renewal="{renewal}"}}"#))
    };
    assert!(left(&text, "refresh").is_some_and(|left| left > 7_100.0 && left <= 7_200.0), "{text}");
    assert!(left(&text, "manual").is_some_and(|left| left > 4.0 * 86_400.0 && left <= 5.0 * 86_400.0));
    assert_eq!(left(&text, "self_rotate"), None);

    app.sim().revoke(&doomed);
    app.program(&["admin"]).await.post_json("/api/v1/connections/doomed/check", json!({})).await.expect(200);
    app.program(&["admin"]).await.delete("/api/v1/connections/ending?revoke=false").await.expect(204);
    app.advance(FRESH);
    let text = scrape(&metrics).await;
    assert_eq!(value(&text, r#"mooring_connections{status="action_required"}"#), Some(1.0));
    assert_eq!(
        (left(&text, "manual"), value(&text, r#"mooring_tokens_expiring{within="7d"}"#)),
        (None, Some(0.0))
    );
    app.stop().await;
});

on_both!(a_broken_integration_shows_and_names_nobody, async |on: On| {
    let (mut app, metrics) = start(on).await;
    let id = app.connect_by_oauth("by-consent").await;
    app.sim().renew_secret(&app.world.application.client_id);
    app.advance(TWO_HOURS);
    renew_due(&app).await;
    let typed = "https://gitlab.hidden.example";
    fault_at(&app, typed).await;
    app.advance(FRESH);
    let text = scrape(&metrics).await;
    for (metric, wanted) in [
        (r#"mooring_breakers_open{integration="gitlab",reason="integration_misconfigured"}"#, 1.0),
        (r#"mooring_breakers_open{integration="typed",reason="provider_error"}"#, 1.0),
        (r#"mooring_connections{status="degraded"}"#, 1.0),
        ("mooring_renewals_due", 1.0),
    ] {
        assert_eq!(value(&text, metric), Some(wanted), "{metric} in\n{text}");
    }
    for (file, told) in WATCHED {
        for name in names(told) {
            assert!(text.contains(&name), "{file} asks for {name}, which is not there");
        }
    }
    assert!(value(&text, r#"mooring_renewals_total{outcome="misconfigured"}"#).is_some_and(|n| n >= 1.0));
    assert!(
        value(&text, "mooring_renewals_oldest_due_seconds").is_some_and(|s| s > 400.0 && s < 720.0),
        "{text}"
    );
    let gitlab = app.sim().url();
    let host = gitlab.strip_prefix("http://").unwrap();
    for private in ["by-consent", "secret-tenant", "alice", "Alice", "hidden", typed, host, &id] {
        assert!(!text.contains(private), "{private} in\n{text}");
    }
    app.stop().await;
});

/// Opens the breaker of an instance that a user typed.
async fn fault_at(app: &TestApp, typed: &str) {
    let store = &app.app().state.store;
    let all =
        store.list_connections(&ConnectionFilter::default(), app.app().state.as_of(), None, 1).await.unwrap();
    let base_url = BaseUrl::parse_typed(typed).unwrap();
    let there = Connection { integration: None, base_url, ..all[0].clone() };
    let now = app.clock.now();
    let fault = Fault { code: Reason::ProviderError, message: "502".into(), limit: 1, probe_at: now };
    store.note_fault(&there, &fault, now).await.unwrap();
}

on_both!(the_database_is_asked_every_few_seconds_however_often_the_metrics_are, async |on: On| {
    let (mut app, metrics) = start(on).await;
    let active = async || value(&scrape(&metrics).await, r#"mooring_connections{status="active"}"#);
    assert_eq!(active().await, Some(0.0));
    connect(&app, "one", 200).await;
    assert_eq!(active().await, Some(0.0), "as it was a moment ago");
    app.advance(FRESH);
    assert_eq!(active().await, Some(1.0));
    app.stop().await;
});

on_both!(metrics_are_answered_without_a_database, async |on: On| {
    let (mut app, metrics) = start(on).await;
    app.connect_by_oauth("acme").await;
    let spool = app.data.path().join("spool");
    fs::create_dir_all(&spool).unwrap();
    fs::write(spool.join(RenewalId::fresh().to_string()), "sealed").unwrap();
    app.app().state.store.close().await;
    let text = scrape(&metrics).await;
    assert_eq!(value(&text, "mooring_database_up"), Some(0.0));
    assert_eq!(value(&text, "mooring_spool_answers"), Some(1.0));
    assert_eq!(value(&text, r#"mooring_renewals_total{outcome="renewed"}"#), Some(0.0));
    assert!(text.contains("mooring_http_requests_total{"), "{text}");
    assert!(!text.contains("mooring_connections"), "nothing is made up: {text}");
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    app.stop().await;
});
