//! Checks on a schedule: what changed at GitLab is known within one cycle, and nobody is asked too often.

use crate::check::nobody_listens;
use crate::support::log::Log as _;
use crate::support::{
    app::{On, TestApp, on_both},
    request::Http,
};
use gitlab_sim::{Endpoint, Fault, UserState};
use mooring::domain::EventKind;
use serde_json::{Value, json};
use std::time::Duration;

const CYCLE: Duration = Duration::from_hours(27);
const HOUR: Duration = Duration::from_hours(1);

/// Connects a token, plans its checks, and a program that may see all.
async fn connected(app: &TestApp, name: &str, token: &str, use_cases: &[&str]) -> Http {
    let program = app.program(&["admin"]).await;
    connect(&program, name, token, use_cases).await;
    round(app).await;
    app.sim().reset_counts();
    program
}

async fn connect(program: &Http, name: &str, token: &str, use_cases: &[&str]) {
    let body = json!({"name": name, "integration": "gitlab", "token": token, "use_cases": use_cases});
    program.post_json("/api/v1/connections", body).await.expect(201);
}

async fn round(app: &TestApp) {
    app.app().state.health.try_once().await.expect("a round ends");
}

async fn after(app: &TestApp, time: Duration) {
    app.advance(time);
    round(app).await;
}

/// Status, reason and action, as three words or nulls.
async fn standing(program: &Http, name: &str) -> [Value; 3] {
    let connection = program.get(&format!("/api/v1/connections/{name}")).await.expect(200).json();
    ["status", "reason", "action"].map(|field| connection[field].clone())
}

fn active() -> [Value; 3] {
    [json!("active"), Value::Null, Value::Null]
}

/// The events of connections since they were made, oldest first.
async fn events(program: &Http) -> Vec<String> {
    let items = program.get("/api/v1/events?limit=200").await.expect(200).json()["items"].clone();
    let kinds = items.as_array().expect("a list").iter().rev();
    let kinds = kinds.map(|event| event["kind"].as_str().expect("a kind").to_owned());
    kinds.filter(|kind| kind.starts_with("connection.") && kind != "connection.connected").collect()
}

fn alice(app: &TestApp) -> String {
    app.sim().mint_personal(app.world.alice, &["api"], None).token
}

on_both!(a_connection_that_is_well_is_looked_at_daily_and_the_log_stays_quiet, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connected(&app, "one", &alice(&app), &["code-review"]).await;
    after(&app, 21 * HOUR).await;
    assert_eq!(app.sim().count(Endpoint::Any), 0, "not yet");
    for day in 1..=3 {
        after(&app, CYCLE).await;
        assert_eq!(app.sim().count(Endpoint::TokenSelf), day);
        round(&app).await;
    }
    assert_eq!(app.sim().count(Endpoint::TokenSelf), 3, "once each");
    assert_eq!(events(&program).await, Vec::<String>::new());
    program.post_json("/api/v1/connections/one/check", json!({})).await.expect(200);
    assert_eq!(events(&program).await, ["connection.checked"], "a person asked");
    app.stop().await;
});

on_both!(the_setting_says_how_often, async |on: On| {
    let mut app =
        TestApp::start_with(on, gitlab_sim::Options::default(), &[("MOORING_CHECK_EVERY", "1h")]).await;
    connected(&app, "one", &alice(&app), &[]).await;
    for hour in 1..=3 {
        after(&app, HOUR + HOUR / 5).await;
        assert_eq!(app.sim().count(Endpoint::TokenSelf), hour);
    }
    app.stop().await;
});

on_both!(a_lost_role_and_its_return_are_seen, async |on: On| {
    let mut app = TestApp::start(on).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let program = connected(&app, "one", &minted.token, &["code-review"]).await;
    app.sim().add_member_project(app.world.project, minted.user_id, 20);
    after(&app, CYCLE).await;
    assert_eq!(standing(&program, "one").await, [json!("degraded"), json!("insufficient_role"), Value::Null]);
    after(&app, CYCLE).await;
    app.sim().add_member_project(app.world.project, minted.user_id, 40);
    after(&app, CYCLE).await;
    assert_eq!(standing(&program, "one").await, active());
    assert_eq!(events(&program).await, ["connection.degraded", "connection.recovered"], "once each");
    app.stop().await;
});

on_both!(a_lost_scope_and_a_changed_end_are_seen, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connected(&app, "one", &alice(&app), &["code-review"]).await;
    let ends = (app.clock.now() + time::Duration::days(90)).date();
    let changed = json!({"id": 1, "name": "n", "revoked": false, "active": true, "scopes": ["read_api"],
                         "user_id": app.world.alice, "expires_at": ends.to_string()});
    app.sim().fault_always(Endpoint::TokenSelf, Fault::JsonAfter { status: 200, body: changed.to_string() });
    after(&app, CYCLE).await;
    assert_eq!(
        standing(&program, "one").await,
        ["degraded", "insufficient_scope", "rotate"].map(|w| json!(w))
    );
    let one = program.get("/api/v1/connections/one").await.expect(200).json();
    assert_eq!(one["expires_at"], format!("{ends}T00:00:00Z"));
    assert_eq!(events(&program).await, ["connection.degraded"]);
    app.stop().await;
});

on_both!(a_lost_scope_of_a_grant_asks_for_a_new_consent, async |on: On| {
    let mut app = TestApp::start(on).await;
    app.sign_in().await;
    let fields = [("name", "one"), ("integration", "gitlab"), ("use_cases", "code-review")];
    let back = app.consent(&fields).await;
    app.http.get(&back).await.expect(303);
    let program = app.program(&["admin"]).await;
    round(&app).await;
    let narrowed = json!({"resource_owner_id": app.world.alice, "scope": ["read_api"], "expires_in": 7_200});
    app.sim().fault_always(Endpoint::TokenInfo, Fault::Json { status: 200, body: narrowed.to_string() });
    after(&app, CYCLE).await;
    let wanted = ["degraded", "insufficient_scope", "reauthorize"].map(|word| json!(word));
    assert_eq!(standing(&program, "one").await, wanted);
    app.stop().await;
});

on_both!(a_grant_is_not_renewed_for_a_check_while_its_token_lives, async |on: On| {
    let mut app =
        TestApp::start_with(on, gitlab_sim::Options::default(), &[("MOORING_CHECK_EVERY", "5m")]).await;
    app.connect_by_oauth("one").await;
    round(&app).await;
    app.sim().reset_counts();
    for _ in 0..6 {
        after(&app, Duration::from_mins(6)).await;
    }
    assert_eq!(app.sim().count(Endpoint::TokenSelf), 6);
    assert_eq!(app.sim().counts().token_requests, 0);
    app.stop().await;
});

on_both!(a_dead_token_is_found_once_and_never_shown_again, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = alice(&app);
    let program = connected(&app, "revoked", &token, &[]).await;
    let ends = (app.clock.now() + time::Duration::days(3)).date();
    let ending = app.sim().mint_personal(app.world.alice, &["api"], Some(ends)).token;
    connect(&program, "ending", &ending, &[]).await;
    app.sim().revoke(&token);
    after(&app, CYCLE).await;
    let wanted = ["action_required", "token_revoked", "rotate"].map(|word| json!(word));
    assert_eq!(standing(&program, "revoked").await, wanted);
    assert_eq!(events(&program).await, ["connection.action_required"]);

    app.advance(72 * HOUR);
    app.sim().reset_counts();
    for _ in 0..40 {
        after(&app, 6 * HOUR).await;
    }
    assert_eq!(app.sim().count(Endpoint::Any), 0, "ten days long");
    let wanted = ["action_required", "token_expired", "rotate"].map(|word| json!(word));
    assert_eq!(standing(&program, "ending").await, wanted);

    let again = json!({"token": alice(&app)});
    program.put_json("/api/v1/connections/revoked/token", again).await.expect(200);
    round(&app).await;
    app.sim().reset_counts();
    after(&app, CYCLE).await;
    assert_eq!(app.sim().count(Endpoint::TokenSelf), 1, "the new one is looked at again");
    app.stop().await;
});

on_both!(a_token_in_its_last_days_is_looked_at_more_often, async |on: On| {
    let mut app = TestApp::start(on).await;
    let ends = (app.clock.now() + time::Duration::days(6)).date();
    let ending = app.sim().mint_personal(app.world.alice, &["api"], Some(ends)).token;
    connected(&app, "ending", &ending, &[]).await;
    for time in 1..=8 {
        after(&app, 7 * HOUR).await;
        assert_eq!(app.sim().count(Endpoint::TokenSelf), time);
    }
    app.stop().await;
});

on_both!(a_blocked_account_recovers_by_itself_within_the_hour, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connected(&app, "one", &alice(&app), &[]).await;
    app.sim().set_user_state(app.world.alice, UserState::Blocked);
    after(&app, CYCLE).await;
    for _ in 0..3 {
        assert_eq!(
            standing(&program, "one").await,
            [json!("degraded"), json!("account_blocked"), Value::Null]
        );
        after(&app, HOUR + HOUR / 5).await;
    }
    app.sim().set_user_state(app.world.alice, UserState::Active);
    after(&app, HOUR + HOUR / 5).await;
    assert_eq!(standing(&program, "one").await, active());
    assert_eq!(events(&program).await, ["connection.degraded", "connection.recovered"]);
    app.stop().await;
});

on_both!(a_gitlab_that_is_away_is_asked_seldom_and_every_connection_says_so, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    for at in 0..40 {
        connect(&program, &format!("c{at}"), &alice(&app), &[]).await;
    }
    round(&app).await;
    app.sim().reset_counts();
    app.sim().fault_always(Endpoint::Any, Fault::bad_gateway());
    after(&app, CYCLE).await;
    let calls = app.sim().count(Endpoint::Any);
    assert!((2..=4).contains(&calls), "{calls} calls for forty connections");
    let degraded = async || {
        let listed = program.get("/api/v1/connections?limit=200&status=degraded").await.expect(200).json();
        listed["items"].as_array().expect("a list").len()
    };
    assert_eq!(degraded().await, 40);
    for _ in 0..40 {
        after(&app, Duration::from_mins(9)).await;
    }
    let calls = app.sim().count(Endpoint::Any);
    assert!(calls < 100, "{calls} calls in six hours");
    assert_eq!(events(&program).await, vec!["connection.degraded"; 40], "one for each");

    app.sim().clear_faults();
    after(&app, 7 * HOUR).await;
    assert_eq!(degraded().await, 0);
    assert_eq!(events(&program).await[40..], vec!["connection.recovered"; 40]);
    app.stop().await;
});

on_both!(a_gitlab_that_nobody_can_connect_to_is_unreachable, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connected(&app, "one", &alice(&app), &[]).await;
    app.sim().stop();
    nobody_listens(&app.sim().url()).await;
    after(&app, CYCLE).await;
    assert_eq!(
        standing(&program, "one").await,
        [json!("degraded"), json!("provider_unreachable"), Value::Null]
    );
    app.stop().await;
});

on_both!(a_busy_gitlab_is_left_alone_for_as_long_as_it_asks, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connected(&app, "one", &alice(&app), &[]).await;
    app.sim().fault(Endpoint::Any, Fault::RateLimitedRack { retry_after: 3_000 });
    after(&app, CYCLE).await;
    assert_eq!(standing(&program, "one").await, [json!("degraded"), json!("rate_limited"), Value::Null]);
    after(&app, Duration::from_mins(49)).await;
    assert_eq!(app.sim().count(Endpoint::Any), 1);
    after(&app, Duration::from_mins(7)).await;
    assert_eq!(standing(&program, "one").await, active());
    app.stop().await;
});

on_both!(many_dead_tokens_are_not_shown_in_one_go, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let tokens: Vec<_> = (0..30).map(|_| alice(&app)).collect();
    for (at, token) in tokens.iter().enumerate() {
        connect(&program, &format!("c{at}"), token, &[]).await;
        app.sim().revoke(token);
    }
    round(&app).await;
    app.sim().reset_counts();
    after(&app, CYCLE).await;
    let refused = app.sim().counts().unauthorized;
    assert!((10..30).contains(&refused), "{refused} refusals in one round");
    for _ in 0..3 {
        after(&app, Duration::from_mins(11)).await;
    }
    let listed = program.get("/api/v1/connections?limit=200&status=action_required").await.expect(200).json();
    assert_eq!(listed["items"].as_array().expect("a list").len(), 30, "but all of them soon");
    app.stop().await;
});

on_both!(two_replicas_look_at_each_connection_once, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    for at in 0..20 {
        connect(&program, &format!("c{at}"), &alice(&app), &[]).await;
    }
    let (replica, _) = app.replica().await;
    round(&app).await;
    // Its own first round may have taken some of them to plan.
    replica.state.health.try_once().await.unwrap();
    app.sim().reset_counts();
    app.advance(CYCLE);
    let (one, other) = (&app.app().state.health, &replica.state.health);
    let (first, second) = tokio::join!(one.try_once(), other.try_once());
    assert_eq!(app.sim().count(Endpoint::TokenSelf), 20);
    assert!(first.unwrap() + second.unwrap() <= 20);
    replica.stop().await;
    app.stop().await;
});

on_both!(a_restart_forgets_no_check, async |on: On| {
    let mut app = TestApp::start(on).await;
    connected(&app, "one", &alice(&app), &[]).await;
    app.advance(20 * HOUR);
    app.restart().await;
    assert_eq!(app.sim().count(Endpoint::Any), 0, "a start is no reason to look");
    after(&app, 7 * HOUR).await;
    assert_eq!(app.sim().count(Endpoint::TokenSelf), 1);
    app.stop().await;
});

on_both!(a_stop_begins_no_check_and_cuts_none_off, async |on: On| {
    let mut app = TestApp::start(on).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let program = app.program(&["admin"]).await;
    for at in 0..10 {
        connect(&program, &format!("c{at}"), &minted.token, &["code-review"]).await;
    }
    round(&app).await;
    app.sim().add_member_project(app.world.project, minted.user_id, 20);
    app.sim().reset_counts();
    app.advance(CYCLE);
    let (health, stopping) = (app.app().state.health.clone(), app.app().state.stopping.clone());
    let gate = app.sim().hold_after(Endpoint::TokenSelf);
    let looking = tokio::spawn(async move { health.try_once().await });
    gate.reached().await;
    stopping.cancel();
    gate.release();
    looking.await.unwrap().unwrap();
    let begun = app.sim().count(Endpoint::TokenSelf);
    assert!(begun < 10, "{begun} were begun");
    app.restart().await;
    let degraded = app.app().state.store.list_events(None, None, 100).await.unwrap();
    let degraded = degraded.iter().filter(|logged| logged.event.kind == EventKind::Degraded).count();
    assert_eq!(u64::try_from(degraded).unwrap(), begun, "what was begun is kept");
    app.stop().await;
});
