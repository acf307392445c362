//! Pasted tokens that rotate themselves: chosen by a person, where the token may, and never by default.

use crate::support::{
    app::{On, TestApp, on_both},
    request::{Http, Reply},
};
use gitlab_sim::{Endpoint, Fault, MintedToken, Options, ServiceOwner, Version};
use serde_json::{Value, json};
use std::time::Duration;
use time::Date;

const CONNECTIONS: &str = "/api/v1/connections";
const PATH: &str = "/api/v1/connections/acme";

fn day(app: &TestApp, days: i64) -> Date {
    app.sim().now().date() + time::Duration::days(days)
}

fn midnight(date: Date) -> Value {
    json!(format!("{date}T00:00:00Z"))
}

fn self_rotating(name: &str, token: &str) -> Value {
    json!({"name": name, "integration": "gitlab", "token": token, "renewal": "self_rotate"})
}

async fn kept(program: &Http) -> Value {
    program.get(PATH).await.expect(200).json()
}

async fn renew(program: &Http, name: &str) -> Reply {
    program.post_json(&format!("{CONNECTIONS}/{name}/renew"), json!({})).await
}

/// The token that programs get.
async fn handed_out(program: &Http, name: &str) -> String {
    let token = program.get(&format!("{CONNECTIONS}/{name}/token")).await.expect(200).json();
    token["access_token"].as_str().expect("a token").to_owned()
}

/// How often each rotate path was asked: personal, project, group.
fn asked(app: &TestApp) -> [u64; 3] {
    [Endpoint::RotateSelf, Endpoint::RotateProjectToken, Endpoint::RotateGroupToken]
        .map(|endpoint| app.sim().count(endpoint))
}

/// No revoked token ever came to a rotate path.
#[track_caller]
fn harmless(app: &TestApp) {
    assert_eq!(app.sim().counts().families_revoked, 0, "a revoked token was presented for rotation");
}

on_both!(every_kind_of_token_rotates_at_its_own_path, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let (sim, world, end) = (app.sim(), &app.world, Some(day(&app, 90)));
    let kinds: [(&str, MintedToken, [u64; 3]); 4] = [
        ("person", sim.mint_personal(world.alice, &["api"], end), [1, 0, 0]),
        ("bot", sim.mint_project(world.project, &["api", "self_rotate"], 40, end), [0, 1, 0]),
        ("crew", sim.mint_group(world.group, &["api"], 40, end), [0, 0, 1]),
        (
            "service",
            sim.mint_service_account(ServiceOwner::Instance, None, &["api", "self_rotate"], end),
            [1, 0, 0],
        ),
    ];
    for (name, old, paths) in kinds {
        let made = program.post_json(CONNECTIONS, self_rotating(name, &old.token)).await.expect(201).json();
        assert_eq!((&made["renewal"], &made["status"]), (&json!("self_rotate"), &json!("active")), "{name}");
        assert!(made["renew_at"].as_str() < made["expires_at"].as_str() && made["renew_at"].is_string());
        assert_eq!(asked(&app), [0; 3], "choosing rotates nothing");

        let reply = renew(&program, name).await.expect(200);
        let renewed = reply.json();
        assert_eq!((&renewed["generation"], &renewed["renewal"]), (&json!(2), &json!("self_rotate")));
        assert_eq!(renewed["expires_at"], midnight(day(&app, 90)), "{name}");
        assert_eq!(
            (&renewed["scopes"], &renewed["account"], renewed["renew_at"].is_string()),
            (&made["scopes"], &made["account"], true)
        );
        assert_eq!(asked(&app), paths, "{name}");
        let new = handed_out(&program, name).await;
        assert!(sim.is_live(&new) && !sim.is_live(&old.token), "{name}");
        assert!(!reply.text.contains(&new) && !reply.text.contains(&old.token));
        renew(&program, name).await.expect(200);
        let third = handed_out(&program, name).await;
        assert!(sim.is_live(&third) && !sim.is_live(&new), "{name}");
        assert_eq!(sim.counts().rotations, 2);
        harmless(&app);
        sim.reset_counts();
    }
});

on_both!(a_token_with_the_scope_of_rotation_alone_is_enough, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let old = app.sim().mint_personal(app.world.alice, &["self_rotate"], Some(day(&app, 30)));
    program.post_json(CONNECTIONS, self_rotating("acme", &old.token)).await.expect(201);
    renew(&program, "acme").await.expect(200);
    assert!(app.sim().is_live(&handed_out(&program, "acme").await));
    assert_eq!(kept(&program).await["scopes"], json!(["self_rotate"]));
    harmless(&app);
});

on_both!(a_token_that_may_not_rotate_itself_is_refused_and_nothing_is_stored, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let (sim, alice, end) = (app.sim(), app.world.alice, Some(day(&app, 30)));
    let narrow = sim.mint_personal(alice, &["read_api", "read_repository"], end).token;
    let fine = sim.mint_granular(alice, &[Endpoint::Any], end).token;
    let oauth = sim.mint_oauth(alice, &app.world.application, &["api"]).access;
    let refused = async |token: &str, status: u16, code: &str| {
        let problem = program.post_json(CONNECTIONS, self_rotating("acme", token)).await.expect(status);
        assert!(!problem.text.contains(token));
        let problem = problem.json();
        assert_eq!(problem["code"], code, "{problem}");
        program.get(PATH).await.expect(404);
        problem
    };
    let problem = refused(&narrow, 422, "insufficient_scope").await;
    assert!(problem["detail"].as_str().unwrap().contains("scope self_rotate"), "{problem}");
    let form = problem["help_url"].as_str().unwrap();
    assert!(form.contains("scopes=read_api%2Cread_repository%2Cself_rotate"), "{form}");
    refused(&fine, 422, "self_rotation_unsupported").await;
    refused(&oauth, 422, "self_rotation_unsupported").await;
    let good = sim.mint_personal(alice, &["api"], end).token;
    sim.fault(Endpoint::Version, Fault::bad_gateway());
    refused(&good, 502, "provider_unreachable").await;
    let refresh = json!({"name": "acme", "integration": "gitlab", "token": good, "renewal": "refresh"});
    program.post_json(CONNECTIONS, refresh).await.expect(422);
    assert_eq!(asked(&app), [0; 3]);
    program.post_json(CONNECTIONS, self_rotating("acme", &good)).await.expect(201);
});

on_both!(an_instance_that_is_too_old_is_told_when_it_is_chosen, async |on: On| {
    let options = Options { version: Version::V16_9, ..Options::default() };
    let app = TestApp::start_with(on, options, &[]).await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], Some(day(&app, 30))).token;
    let problem = program.post_json(CONNECTIONS, self_rotating("acme", &token)).await.expect(422).json();
    assert_eq!(problem["code"], "self_rotation_unsupported");
    assert!(problem["detail"].as_str().unwrap().contains("GitLab 16.9"), "{problem}");
});

on_both!(a_version_without_the_path_of_projects_rotates_at_the_personal_one, async |on: On| {
    let options = Options { version: Version::V16_11, ..Options::default() };
    let app = TestApp::start_with(on, options, &[]).await;
    let program = app.program(&["admin"]).await;
    let end = Some(day(&app, 30));
    let project = app.sim().mint_project(app.world.project, &["api"], 40, end).token;
    let group = app.sim().mint_group(app.world.group, &["api"], 40, end).token;
    for (name, token, paths) in [("web", project, [1, 1, 0]), ("acme", group, [2, 1, 1])] {
        program.post_json(CONNECTIONS, self_rotating(name, &token)).await.expect(201);
        renew(&program, name).await.expect(200);
        assert_eq!(asked(&app), paths);
        assert!(app.sim().is_live(&handed_out(&program, name).await));
    }
    assert_eq!(app.sim().counts().rotations, 2);
    harmless(&app);
});

on_both!(the_choice_can_be_changed_both_ways, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], Some(day(&app, 10))).token;
    let new = json!({"name": "acme", "integration": "gitlab", "token": token});
    let made = program.post_json(CONNECTIONS, new).await.expect(201).json();
    assert_eq!((&made["renewal"], &made["status"]), (&json!("manual"), &json!("expiring")));
    let change = async |renewal: &str| program.patch_json(PATH, json!({"renewal": renewal})).await;

    let on = change("self_rotate").await.expect(200).json();
    assert_eq!(
        (&on["renewal"], &on["status"], &on["action"]),
        (&json!("self_rotate"), &json!("active"), &Value::Null)
    );
    assert!(on["renew_at"].is_string());
    let again = change("self_rotate").await.expect(200).json();
    assert_eq!(again["renew_at"], on["renew_at"], "it is so already");
    let named = program.patch_json(PATH, json!({"description": "x"})).await.expect(200).json();
    assert_eq!((&named["renewal"], &named["renew_at"]), (&on["renewal"], &on["renew_at"]));

    let off = change("manual").await.expect(200).json();
    assert_eq!(
        (&off["renewal"], &off["renew_at"], &off["status"]),
        (&json!("manual"), &Value::Null, &json!("expiring"))
    );
    assert_eq!(renew(&program, "acme").await.expect(409).json()["code"], "renewal_is_manual");
    change("refresh").await.expect(422);
    assert_eq!(asked(&app), [0; 3], "choosing rotates nothing");

    app.sim().revoke(&token);
    assert_eq!(change("self_rotate").await.expect(422).json()["code"], "token_revoked");
    assert_eq!(kept(&program).await["renewal"], "manual");
    harmless(&app);
});

on_both!(what_may_not_rotate_itself_cannot_be_switched_to_it, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let narrow = app.sim().mint_project(app.world.project, &["read_api"], 40, Some(day(&app, 30))).token;
    let new = json!({"name": "acme", "integration": "gitlab", "token": narrow});
    program.post_json(CONNECTIONS, new).await.expect(201);
    let change = json!({"renewal": "self_rotate", "name": "changed"});
    let problem = program.patch_json(PATH, change).await.expect(422).json();
    assert_eq!(problem["code"], "insufficient_scope");
    assert_eq!(kept(&program).await["renewal"], "manual", "and its name stays");
    app.connect_by_oauth("by-oauth").await;
    let path = format!("{CONNECTIONS}/by-oauth");
    let problem = program.patch_json(&path, json!({"renewal": "self_rotate"})).await.expect(422).json();
    assert_eq!(problem["errors"][0]["field"], "renewal", "{problem}");
    assert_eq!(asked(&app), [0; 3]);
});

on_both!(a_token_that_takes_the_place_of_one_must_be_able_to_rotate_too, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let mint = |scopes: &[&str]| app.sim().mint_personal(app.world.alice, scopes, Some(day(&app, 60))).token;
    let old = mint(&["api"]);
    program.post_json(CONNECTIONS, self_rotating("acme", &old)).await.expect(201);
    let replace =
        async |token: &str| program.put_json(&format!("{PATH}/token"), json!({"token": token})).await;

    let problem = replace(&mint(&["read_api"])).await.expect(422).json();
    assert_eq!(problem["code"], "insufficient_scope");
    assert_eq!(handed_out(&program, "acme").await, old, "the old one stays");
    let next = mint(&["read_api", "self_rotate"]);
    let replaced = replace(&next).await.expect(200).json();
    assert_eq!((&replaced["renewal"], &replaced["generation"]), (&json!("self_rotate"), &json!(2)));
    assert!(replaced["renew_at"].is_string());
    assert!(app.sim().is_live(&old), "it was pasted by a person, who may use it elsewhere");
    program.patch_json(PATH, json!({"renewal": "manual"})).await.expect(200);
    assert_eq!(replace(&mint(&["read_api"])).await.expect(200).json()["renewal"], "manual");
    assert_eq!(asked(&app), [0; 3]);
});

on_both!(the_next_token_lives_no_longer_than_the_instance_allows, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], Some(day(&app, 300))).token;
    program.post_json(CONNECTIONS, self_rotating("acme", &token)).await.expect(201);
    app.sim().set_longest_token_life(20);
    let renewed = renew(&program, "acme").await.expect(200).json();
    assert_eq!(renewed["expires_at"], midnight(day(&app, 19)), "the day before the one that was named");
    assert_eq!(asked(&app), [2, 0, 0]);

    let refused = Fault::Json { status: 400, body: r#"{"error":"expires_at is invalid"}"#.into() };
    app.sim().set_longest_token_life(365);
    app.sim().fault(Endpoint::RotateSelf, refused.clone());
    let renewed = renew(&program, "acme").await.expect(200).json();
    assert_eq!(renewed["expires_at"], midnight(day(&app, 30)), "a modest end where none was named");

    app.sim().reset_counts();
    app.sim().fault_always(Endpoint::RotateSelf, refused);
    renew(&program, "acme").await.expect(503);
    assert_eq!(asked(&app), [2, 0, 0], "and no third attempt");
    assert!(app.sim().is_live(&handed_out(&program, "acme").await));
    assert_eq!(kept(&program).await["status"], "degraded");
    let off = program.patch_json(PATH, json!({"renewal": "manual"})).await.expect(200).json();
    assert_eq!((&off["failure"], &off["reason"]), (&Value::Null, &json!("token_expiring")));
    harmless(&app);
});

on_both!(a_token_without_an_end_stays_without_one, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    let made = program.post_json(CONNECTIONS, self_rotating("acme", &token)).await.expect(201).json();
    assert_eq!((&made["expires_at"], &made["renew_at"]), (&Value::Null, &Value::Null), "nothing is due");
    let renewed = renew(&program, "acme").await.expect(200).json();
    assert_eq!((&renewed["generation"], &renewed["expires_at"]), (&json!(2), &Value::Null));
});

on_both!(a_token_that_ended_needs_a_person_and_never_meets_a_rotate_path, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], Some(day(&app, 30))).token;
    program.post_json(CONNECTIONS, self_rotating("acme", &token)).await.expect(201);
    app.sim().fault_always(Endpoint::RotateSelf, Fault::DropBefore);
    app.advance(Duration::from_hours(31 * 24));

    let dead = kept(&program).await;
    assert_eq!(
        (&dead["status"], &dead["reason"], &dead["action"]),
        (&json!("action_required"), &json!("token_expired"), &json!("rotate"))
    );
    assert_eq!(asked(&app), [0; 3]);
});

on_both!(the_pages_offer_the_choice_and_say_what_it_means, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let program = app.program(&["admin"]).await;
    let switch = |page: &Reply| {
        let tag = page.text.split("name=\"self_rotate\"").nth(1).expect("the checkbox is there");
        assert!(page.text.contains("Let Mooring rotate this token before it expires"));
        assert!(page.text.contains("the old one dies at once"));
        tag.split('>').next().unwrap_or_default().contains("checked")
    };
    assert!(!switch(&app.http.get("/connections/new").await.expect(200)), "never by default");
    let mint = |scopes: &[&str]| app.sim().mint_personal(app.world.alice, scopes, Some(day(&app, 60))).token;
    let connect = async |name: &str, token: &str, more: &[(&str, &str)]| {
        let fields = [&[("integration", "gitlab"), ("name", name), ("token", token), ("way", "token")], more];
        app.http.post_form("/connections", &fields.concat()).await
    };
    let narrow = mint(&["read_api"]);
    let refused = connect("acme", &narrow, &[("self_rotate", "yes")]).await.expect(422);
    assert!(switch(&refused), "what was chosen stays chosen");
    assert!(refused.text.contains("scope self_rotate") && !refused.text.contains(&narrow));
    connect("plain", &narrow, &[]).await.expect(303);
    let page = connect("acme", &mint(&["api"]), &[("self_rotate", "yes")]).await.expect(303);
    let page = page.location().to_owned();
    assert!(switch(&app.http.get(&page).await.expect(200)));
    assert_eq!(kept(&program).await["renewal"], "self_rotate");

    let form = format!("{page}/renewal");
    assert_eq!(app.http.post_form(&form, &[]).await.expect(303).location(), page);
    assert!(!switch(&app.http.get(&page).await.expect(200)));
    assert_eq!(kept(&program).await["renewal"], "manual");
    app.http.post_form(&form, &[("self_rotate", "yes")]).await.expect(303);
    assert_eq!(kept(&program).await["renewal"], "self_rotate");

    let plain = program.get(&format!("{CONNECTIONS}/plain")).await.expect(200).json();
    let form = format!("/connections/{}/renewal", plain["id"].as_str().unwrap());
    let refused = app.http.post_form(&form, &[("self_rotate", "yes")]).await.expect(422);
    assert!(refused.text.contains("The access token lacks a scope") && switch(&refused));
    app.http.stranger().post_form(&form, &[]).await.expect(303);
    assert_eq!(asked(&app), [0; 3]);
});
