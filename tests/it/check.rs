//! A connection is checked on request, and its projects are listed to the last.

use crate::support::app::{On, TestApp, on_both};
use crate::support::request::Http;
use gitlab_sim::{Endpoint, Fault, Options, UserState};
use serde_json::{Value, json};
use std::{net::TcpListener, time::Duration};

const ONE: &str = "/api/v1/connections/one";
const CHECK: &str = "/api/v1/connections/one/check";
const PROJECTS: &str = "/api/v1/connections/one/projects";
const TOKEN: &str = "/api/v1/connections/one/token";

/// Connects a token under the name `one`, and lets it grow older than the seconds in which a refusal is doubted.
async fn connect(app: &TestApp, token: &str, use_cases: &[&str]) -> Http {
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let body = json!({"name": "one", "integration": "gitlab", "token": token, "use_cases": use_cases});
    program.post_json("/api/v1/connections", body).await.expect(201);
    app.advance(Duration::from_mins(1));
    program
}

async fn check(program: &Http) -> Value {
    program.request(http::Method::POST, CHECK).send().await.expect(200).json()
}

/// Status, reason and action, as three words or nulls.
fn standing(connection: &Value) -> [&Value; 3] {
    [&connection["status"], &connection["reason"], &connection["action"]]
}

fn alice(app: &TestApp, scopes: &[&str]) -> String {
    app.sim().mint_personal(app.world.alice, scopes, None).token
}

on_both!(a_check_that_finds_all_well_says_when, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connect(&app, &alice(&app, &["api"]), &["code-review"]).await;
    let before = program.get(ONE).await.expect(200).json();
    let checked = check(&program).await;
    assert_eq!(standing(&checked), [&json!("active"), &Value::Null, &Value::Null]);
    assert_eq!((&checked["checks"][0]["outcome"], &checked["generation"]), (&json!("ok"), &json!(1)));
    assert_ne!(checked["last_checked_at"], before["last_checked_at"]);
    assert_eq!(checked, program.get(ONE).await.expect(200).json(), "what was answered is what is kept");
    app.stop().await;
});

on_both!(what_two_use_cases_ask_is_asked_once, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = app.sim().mint_project(app.world.project, &["api", "read_repository"], 40, None).token;
    let program = connect(&app, &token, &["code-review", "secret-scanning"]).await;
    app.sim().reset_counts();
    let checked = check(&program).await;
    assert_eq!(checked["checks"].as_array().unwrap().len(), 2);
    assert_eq!((app.sim().count(Endpoint::ProjectMember), app.sim().count(Endpoint::Projects)), (1, 1));
    app.stop().await;
});

on_both!(a_user_answer_without_end_is_not_read, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connect(&app, &alice(&app, &["api"]), &[]).await;
    let body = json!({"id": 1, "username": "a".repeat(300 * 1024)}).to_string();
    app.sim().fault(Endpoint::User, Fault::Json { status: 200, body });
    let reply = program.request(http::Method::POST, CHECK).send().await.expect(502).json();
    assert_eq!(reply["code"], "provider_unreachable");
    app.stop().await;
});

on_both!(a_look_at_a_token_refuses_an_unknown_use_case, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = alice(&app, &["api"]);
    let program = app.program(&["connections:write"]).await;
    let mut asked = json!({"integration": "gitlab", "token": token, "use_cases": ["code-review", "baking"]});
    app.sim().reset_counts();
    let refused = program.post_json("/api/v1/tokens/inspect", asked.clone()).await.expect(422).json();
    assert_eq!(refused["code"], "unknown_use_case");
    assert_eq!(app.sim().count(Endpoint::Any), 0, "it is said before GitLab is asked");
    asked["use_cases"] = json!(["code-review"]);
    let found = program.post_json("/api/v1/tokens/inspect", asked).await.expect(200).json();
    assert_eq!(found["use_cases"].as_array().unwrap().len(), 1);
    app.stop().await;
});

on_both!(a_check_finds_a_revoked_token_and_nobody_asks_again, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = alice(&app, &["api"]);
    let program = connect(&app, &token, &[]).await;
    app.sim().revoke(&token);

    let checked = check(&program).await;
    assert_eq!(standing(&checked), [&json!("action_required"), &json!("token_revoked"), &json!("rotate")]);
    app.sim().reset_counts();
    for path in [TOKEN, &format!("{TOKEN}?newer_than=1"), &format!("{TOKEN}?min_ttl=0"), PROJECTS] {
        let refused = program.get(path).await.expect(409).json();
        assert_eq!(
            (&refused["code"], &refused["reason"]),
            (&json!("action_required"), &json!("token_revoked"))
        );
        assert!(refused["action_url"].as_str().unwrap().ends_with("/rotate"), "{refused}");
    }
    assert_eq!(app.sim().count(Endpoint::Any), 0);

    let again = alice(&app, &["api"]);
    let rotated = program.put_json(TOKEN, json!({"token": again})).await.expect(200).json();
    assert_eq!(standing(&rotated), [&json!("active"), &Value::Null, &Value::Null]);
    assert_eq!(program.get(TOKEN).await.expect(200).json()["access_token"], again);
    app.stop().await;
});

on_both!(a_check_finds_a_lost_role_and_its_return, async |on: On| {
    let mut app = TestApp::start(on).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let program = connect(&app, &minted.token, &["code-review"]).await;
    app.sim().add_member_project(app.world.project, minted.user_id, 20);

    let checked = check(&program).await;
    assert_eq!(standing(&checked), [&json!("degraded"), &json!("insufficient_role"), &Value::Null]);
    let found = &checked["checks"][0];
    assert_eq!(
        (&found["outcome"], &found["least_role"]),
        (&json!("insufficient_role"), &json!("Maintainer"))
    );
    let token = program.get(TOKEN).await.expect(200).json();
    assert_eq!(
        (&token["access_token"], &token["warnings"][0]["code"]),
        (&json!(minted.token), &json!("insufficient_role"))
    );

    app.sim().add_member_project(app.world.project, minted.user_id, 40);
    assert_eq!(standing(&check(&program).await), [&json!("active"), &Value::Null, &Value::Null]);
    app.stop().await;
});

on_both!(a_check_finds_a_lost_scope_and_asks_for_a_new_token, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = connect(&app, &alice(&app, &["api"]), &["code-review"]).await;
    let narrowed = json!({"id": 1, "name": "n", "revoked": false, "active": true, "scopes": ["read_api"],
                          "user_id": app.world.alice, "expires_at": null});
    app.sim().fault(Endpoint::TokenSelf, Fault::JsonAfter { status: 200, body: narrowed.to_string() });

    let checked = check(&program).await;
    assert_eq!(standing(&checked), [&json!("degraded"), &json!("insufficient_scope"), &json!("rotate")]);
    assert_eq!(
        (&checked["scopes"], &checked["checks"][0]["missing_scopes"]),
        (&json!(["read_api"]), &json!(["api"]))
    );
    assert_eq!(program.get(TOKEN).await.expect(200).json()["warnings"][0]["code"], "insufficient_scope");
    let listed = program.get("/api/v1/connections?status=degraded").await.expect(200).json();
    assert_eq!(listed["items"][0]["name"], "one");
    app.stop().await;
});

on_both!(a_blocked_account_degrades_and_recovers, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = alice(&app, &["api"]);
    let program = connect(&app, &token, &[]).await;
    for (state, says) in [(UserState::Blocked, "blocked"), (UserState::TermsNotAccepted, "terms of service")]
    {
        app.sim().set_user_state(app.world.alice, state);
        let checked = check(&program).await;
        assert_eq!(standing(&checked), [&json!("degraded"), &json!("account_blocked"), &Value::Null]);
        let failure = &checked["failure"];
        assert_eq!((&failure["code"], &failure["attempts"]), (&json!("account_blocked"), &json!(1)));
        assert!(failure["message"].as_str().unwrap().contains(says), "{failure}");
        let handed_out = program.get(TOKEN).await.expect(200).json();
        assert_eq!(
            (&handed_out["access_token"], &handed_out["warnings"][0]["code"]),
            (&json!(token), &json!("account_blocked"))
        );

        app.sim().set_user_state(app.world.alice, UserState::Active);
        let checked = check(&program).await;
        assert_eq!((standing(&checked)[0], &checked["failure"]), (&json!("active"), &Value::Null));
    }
    app.stop().await;
});

on_both!(a_gitlab_that_cannot_be_asked_degrades_and_recovers, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = alice(&app, &["api"]);
    let program = connect(&app, &token, &["code-review"]).await;
    let sign_in = Fault::status(200, "<!DOCTYPE html><title>Sign in</title>");
    for (fault, status, code, reason) in [
        (Fault::bad_gateway(), 502, "provider_unreachable", "provider_error"),
        (Fault::DropBefore, 502, "provider_unreachable", "provider_error"),
        (sign_in, 502, "not_gitlab", "provider_error"),
        (Fault::RateLimitedRack { retry_after: 9 }, 503, "rate_limited", "rate_limited"),
    ] {
        app.sim().fault_always(Endpoint::Any, fault);
        for attempts in [1, 2] {
            let reply = program.request(http::Method::POST, CHECK).send().await.expect(status);
            assert_eq!(reply.json()["code"], code);
            assert_eq!(reply.header("retry-after"), if status == 503 { "9" } else { "" });
            let kept = program.get(ONE).await.expect(200).json();
            assert_eq!(standing(&kept), [&json!("degraded"), &json!(reason), &Value::Null], "{code}");
            let failure = &kept["failure"];
            assert_eq!((&failure["code"], &failure["attempts"]), (&json!(reason), &json!(attempts)));
            assert_eq!(kept["checks"][0]["outcome"], "ok", "what was found before stays");
        }
        assert_eq!(program.get(TOKEN).await.expect(200).json()["access_token"], token);
        app.sim().clear_faults();
        let checked = check(&program).await;
        assert_eq!((standing(&checked)[0], &checked["failure"]), (&json!("active"), &Value::Null), "{code}");
    }
    app.sim().stop();
    nobody_listens(&app.sim().url()).await;
    let reply = program.request(http::Method::POST, CHECK).send().await.expect(502).json();
    assert_eq!((&reply["code"], &reply["step"]), (&json!("provider_unreachable"), &json!("connect")));
    assert_eq!(program.get(ONE).await.expect(200).json()["reason"], "provider_unreachable");
    app.stop().await;
});

/// Waits until a server that was told to stop has closed its door.
pub(crate) async fn nobody_listens(url: &str) {
    let address = url.strip_prefix("http://").expect("a plain URL");
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{url} still listens");
}

on_both!(an_expiry_that_changed_at_gitlab_is_seen_by_a_check, async |on: On| {
    let mut app = TestApp::start(on).await;
    let token = alice(&app, &["api"]);
    let program = connect(&app, &token, &[]).await;
    let ends = (app.clock.now() + time::Duration::days(3)).date();
    let told = json!({"id": 1, "name": "n", "scopes": ["api"], "user_id": app.world.alice,
                      "expires_at": ends.to_string(), "active": true, "revoked": false});
    app.sim().fault(Endpoint::TokenSelf, Fault::JsonAfter { status: 200, body: told.to_string() });
    let checked = check(&program).await;
    assert_eq!(checked["expires_at"], format!("{ends}T00:00:00Z"));
    assert_eq!(standing(&checked), [&json!("expiring"), &json!("token_expiring"), &json!("rotate")]);
    app.stop().await;
});

/// Every page of the projects, each with at most `limit` of them.
async fn pages(program: &Http, limit: usize) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{PROJECTS}?limit={limit}{cursor}");
        let page = program.get(&path).await.expect(200).json();
        pages.push(page["items"].as_array().expect("a list").clone());
        let Some(next) = page["next_cursor"].as_str() else { return pages };
        assert!(pages.len() < 300, "this does not end");
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        cursor = format!("&cursor={encoded}");
    }
}

on_both!(two_hundred_and_fifty_projects_are_complete_on_pages_of_any_size, async |on: On| {
    let (nobody, elsewhere) = trap();
    // GitLab builds its links from a setting of its own, which may name another host.
    let options = Options { external_url: Some(elsewhere.clone()), ..Options::default() };
    let mut app = TestApp::start_with(on, options, &[]).await;
    app.sim().add_member_group(app.world.group, app.world.alice, 30);
    let mut ids = vec![app.world.project];
    ids.extend((1..250).map(|n| app.sim().add_project(&format!("acme/p{n:03}"))));
    let public = app.sim().add_project("other/public");
    app.sim().set_project_public(public, true);
    let program = connect(&app, &alice(&app, &["read_api"]), &[]).await;

    for limit in [200, 100, 50, 7] {
        let pages = pages(&program, limit).await;
        assert_eq!(pages.len(), 250_usize.div_ceil(limit), "pages of {limit}");
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "pages of {limit}");
        let found: Vec<_> = pages.iter().flatten().map(|p| p["id"].as_i64().expect("an id")).collect();
        assert_eq!(found, ids, "each once and in order, on pages of {limit}");
    }
    let page = program.get(&format!("{PROJECTS}?limit=2")).await.expect(200).json();
    let path = |at: usize| (page["items"][at]["path"].clone(), page["items"][at]["access_level"].clone());
    assert_eq!(path(0), (json!("acme/web"), json!(40)), "the higher of two roles");
    assert_eq!(path(1), (json!("acme/p001"), json!(30)));
    assert_eq!(page["items"][1]["web_url"], format!("{elsewhere}/acme/p001"), "as GitLab says it");
    for limit in ["0", "201", "many"] {
        program.get(&format!("{PROJECTS}?limit={limit}")).await.expect(422);
    }
    assert!(nobody.accept().is_err(), "the host in a link was contacted");
    app.stop().await;
});

fn trap() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    (listener, url)
}

on_both!(a_dead_token_has_no_projects_but_a_reason, async |on: On| {
    let mut app = TestApp::start(on).await;
    let ends = (app.clock.now() + time::Duration::days(10)).date();
    let token = app.sim().mint_personal(app.world.alice, &["api"], Some(ends)).token;
    let program = connect(&app, &token, &[]).await;
    assert_eq!(program.get(PROJECTS).await.expect(200).json()["items"][0]["path"], "acme/web");

    // Nobody has noticed yet: this call is the first to see it.
    app.sim().revoke(&token);
    let refused = program.get(PROJECTS).await.expect(409).json();
    assert_eq!((&refused["code"], &refused["reason"]), (&json!("action_required"), &json!("token_revoked")));
    assert!(refused["action_url"].as_str().unwrap().ends_with("/rotate"), "{refused}");
    let kept = program.get(ONE).await.expect(200).json();
    assert_eq!(standing(&kept), [&json!("action_required"), &json!("token_revoked"), &json!("rotate")]);

    let again = app.sim().mint_personal(app.world.alice, &["api"], Some(ends)).token;
    program.put_json(TOKEN, json!({"token": again})).await.expect(200);
    program.get(PROJECTS).await.expect(200);
    app.advance(Duration::from_hours(11 * 24));
    app.sim().reset_counts();
    let refused = program.get(PROJECTS).await.expect(409).json();
    assert_eq!((&refused["code"], &refused["reason"]), (&json!("action_required"), &json!("token_expired")));
    assert_eq!(app.sim().count(Endpoint::Any), 0, "its end is known without asking");
    app.stop().await;
});

on_both!(an_access_token_that_died_early_is_renewed_for_its_projects, async |on: On| {
    let mut app = TestApp::start(on).await;
    app.connect_by_oauth("one").await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let first = program.get(TOKEN).await.expect(200).json();
    app.advance(Duration::from_mins(1));
    app.sim().expire(first["access_token"].as_str().unwrap());
    let listed = program.get(PROJECTS).await.expect(200).json();
    assert_eq!(listed["items"][0]["path"], "acme/web");
    assert_eq!(app.sim().counts().refreshes_granted, 1);
    let next = program.get(TOKEN).await.expect(200).json();
    assert_eq!((&next["generation"], &first["generation"]), (&json!(2), &json!(1)));
    app.stop().await;
});

on_both!(projects_that_cannot_be_asked_for_are_never_an_empty_list, async |on: On| {
    let mut app = TestApp::start(on).await;
    for n in 0..12 {
        let project = app.sim().add_project(&format!("acme/p{n}"));
        app.sim().add_member_project(project, app.world.alice, 30);
    }
    let token = alice(&app, &["api"]);
    let program = connect(&app, &token, &[]).await;
    for (fault, status, code) in [
        (Fault::bad_gateway(), 502, "provider_unreachable"),
        (Fault::Truncate, 502, "provider_unreachable"),
        (Fault::status(200, "<!DOCTYPE html>"), 502, "not_gitlab"),
        (Fault::RateLimitedRack { retry_after: 5 }, 503, "rate_limited"),
    ] {
        app.sim().fault(Endpoint::Projects, fault);
        assert_eq!(program.get(PROJECTS).await.expect(status).json()["code"], code);
    }
    app.sim().set_user_state(app.world.alice, UserState::Blocked);
    assert_eq!(program.get(PROJECTS).await.expect(422).json()["code"], "account_blocked");
    app.sim().set_user_state(app.world.alice, UserState::Active);
    assert_eq!(program.get(PROJECTS).await.expect(200).json()["items"].as_array().unwrap().len(), 13);
    app.stop().await;
});
