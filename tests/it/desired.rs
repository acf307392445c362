//! Connections by their names as they are to be: sent as often as one likes, done once.

use crate::{
    api::{id, without_request_id},
    support::{
        app::{On, TestApp, on_both},
        request::{Http, Reply},
    },
};
use gitlab_sim::Endpoint;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/v1/connections/by-name/acme";

fn token(app: &TestApp) -> String {
    app.sim().mint_project(app.world.project, &["api"], 40, None).token
}

fn desired(token: &str) -> Value {
    json!({"integration": "gitlab", "token": token, "description": "Reviews", "tags": {"team": "sec"},
           "use_cases": ["code-review"]})
}

async fn put_if(program: &Http, header: (&str, &str), body: &Value) -> Reply {
    program.request(Method::PUT, PATH).header(header.0, header.1).json(body).send().await
}

async fn events(admin: &Http) -> Vec<Value> {
    let events = admin.get("/api/v1/events?limit=200").await.expect(200).json();
    let of_connections = |event: &&Value| event["kind"].as_str().unwrap().starts_with("connection.");
    events["items"].as_array().unwrap().iter().filter(of_connections).map(|e| e["kind"].clone()).collect()
}

on_both!(what_is_as_it_is_to_be_stays_untouched, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let body = desired(&token(&app));
    let made = admin.put_json(PATH, body.clone()).await.expect(201);
    assert_eq!(made.location(), format!("/api/v1/connections/{}", id(&made.json())));
    let (asked, told) = (app.sim().count(Endpoint::Any), events(&admin).await);
    assert_eq!(told, [json!("connection.connected")]);
    for _ in 0..3 {
        let again = admin.put_json(PATH, body.clone()).await.expect(200);
        assert_eq!(again.json(), made.json());
        assert_eq!(again.header("etag"), made.header("etag"));
    }
    assert_eq!(app.sim().count(Endpoint::Any), asked, "GitLab is not asked");
    assert_eq!(events(&admin).await, told, "nothing happened");

    let changed = admin.put_json(PATH, json!({"tags": {"team": "ops"}})).await.expect(200).json();
    assert_eq!(
        (&changed["tags"], &changed["description"], &changed["use_cases"], &changed["generation"]),
        (&json!({"team": "ops"}), &Value::Null, &json!([]), &json!(1)),
        "what is not there is as in a new connection, and the token stays"
    );
    assert_eq!(events(&admin).await[0], "connection.updated");
});

on_both!(another_token_takes_the_place_of_the_one_before, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    admin.put_json(PATH, desired(&token(&app))).await.expect(201);
    let second = token(&app);
    let mut body = desired(&second);
    body["use_cases"] = json!(["read-only"]);
    let refused = admin.put_json(PATH, body.clone()).await.expect(422).json();
    assert_eq!(refused["code"], "insufficient_scope", "it is held against what it is to be for");
    let kept = admin.get("/api/v1/connections/acme").await.expect(200).json();
    assert_eq!((&kept["generation"], &kept["use_cases"]), (&json!(1), &json!(["code-review"])));

    body["use_cases"] = json!(["code-review"]);
    assert_eq!(admin.put_json(PATH, body.clone()).await.expect(200).json()["generation"], 2);
    let asked = app.sim().count(Endpoint::Any);
    assert_eq!(admin.put_json(PATH, body.clone()).await.expect(200).json()["generation"], 2);
    assert_eq!(app.sim().count(Endpoint::Any), asked, "the same token is no news");

    let project = app.sim().add_project("acme/other");
    let foreign = desired(&app.sim().mint_project(project, &["api"], 40, None).token);
    let refused = admin.put_json(PATH, foreign.clone()).await.expect(409).json();
    assert_eq!(refused["code"], "different_account");
    let allowed = admin.put_json(&format!("{PATH}?allow_different_account=true"), foreign).await;
    assert_eq!(allowed.expect(200).json()["generation"], 3);
    let bad = admin.put_json(PATH, desired("glpat-nobody")).await.expect(422).json();
    assert_eq!(bad["code"], "token_invalid");
});

on_both!(a_token_that_rotated_itself_is_still_the_one_that_was_brought, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let end = app.sim().now().date() + time::Duration::days(90);
    let brought = app.sim().mint_project(app.world.project, &["api", "self_rotate"], 40, Some(end)).token;
    let mut body = desired(&brought);
    body["renewal"] = json!("self_rotate");
    admin.put_json(PATH, body.clone()).await.expect(201);
    app.advance(Duration::from_hours(24));
    admin.post_json("/api/v1/connections/acme/renew", json!({})).await.expect(200);
    let asked = app.sim().count(Endpoint::Any);
    let now = admin.put_json(PATH, body).await.expect(200).json();
    assert_eq!((&now["generation"], &now["status"]), (&json!(2), &json!("active")));
    assert_eq!(app.sim().count(Endpoint::Any), asked, "the dead token is not tried");
});

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    for (body, field) in [
        (json!({"integration": "gitlab"}), "token"),
        (json!({"token": "glpat-x"}), "integration"),
        (json!({"integration": "gitlab", "base_url": "https://x.example", "token": "t"}), "integration"),
        (json!({"name": "other"}), "name"),
    ] {
        let problem = admin.put_json(PATH, body).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    for name in ["01890000-0000-7000-8000-000000000000", "by-name", "a%23b"] {
        let path = format!("/api/v1/connections/by-name/{name}");
        let problem = admin.put_json(&path, desired("glpat-x")).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], "name");
    }
    let first = admin.put_json(PATH, desired(&token(&app))).await.expect(201).json();
    let elsewhere = json!({"base_url": "https://other.example.com"});
    assert_eq!(admin.put_json(PATH, elsewhere).await.expect(409).json()["code"], "different_instance");
    let kind = json!({"token_kind": "group"});
    assert_eq!(admin.put_json(PATH, kind).await.expect(422).json()["code"], "wrong_token_kind");
    assert_eq!(admin.get("/api/v1/connections/acme").await.expect(200).json(), first);
    let by_oauth = app.connect_by_oauth("consented").await;
    let path = "/api/v1/connections/by-name/consented";
    assert_eq!(admin.put_json(path, desired("glpat-x")).await.expect(409).json()["code"], "made_by_oauth");
    let described = admin.put_json(path, json!({"description": "By consent"})).await.expect(200).json();
    assert_eq!((id(&described), &described["renewal"]), (by_oauth.as_str(), &json!("refresh")));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_names_of_its_own() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    let bound = app.program_of(Some("acme"), &["connections:write"]).await;
    let mine = bound.put_json(PATH, desired(&token(&app))).await.expect(201).json();
    assert_eq!(mine["tenant"], "acme");
    let other = format!("{PATH}?tenant=other");
    let theirs = admin.put_json(&other, desired(&token(&app))).await.expect(201).json();
    let nobodys = admin.put_json(PATH, desired(&token(&app))).await.expect(201).json();
    assert_eq!((&theirs["tenant"], &nobodys["tenant"]), (&json!("other"), &Value::Null));
    assert_eq!(id(&bound.put_json(PATH, json!({})).await.expect(200).json()), id(&mine));
    assert_eq!(bound.put_json(&other, json!({})).await.expect(403).json()["code"], "tenant_forbidden");
    let both = admin.put_json(&other, json!({"tenant": "acme"})).await.expect(422).json();
    assert_eq!(both["errors"][0]["field"], "tenant");
}

on_both!(of_many_at_once_one_makes_it, async |on: On| {
    let app = TestApp::start(on).await;
    let (replica, there) = app.replica().await;
    let admin = app.program(&["admin"]).await;
    let (elsewhere, body) = (there.with_key_of(&admin), desired(&token(&app)));
    let calls = (0..10).map(|nth| {
        let program = if nth % 2 == 0 { admin.clone() } else { elsewhere.clone() };
        let body = body.clone();
        tokio::spawn(async move { program.put_json(PATH, body).await.status })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 9], vec![201]].concat());
    assert_eq!(events(&admin).await, [json!("connection.connected")]);
    replica.stop().await;
});

on_both!(what_was_read_is_not_overwritten_unseen, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let only_new = ("if-none-match", "*");
    put_if(&admin, ("if-match", "*"), &desired(&token(&app))).await.expect(412);
    let made = put_if(&admin, only_new, &desired(&token(&app))).await.expect(201);
    let seen = made.header("etag").to_owned();
    let refused = put_if(&admin, only_new, &json!({})).await.expect(412);
    assert_eq!(refused.json()["code"], "precondition_failed");
    assert_eq!(without_request_id(&refused)["status"], 412);

    let path = "/api/v1/connections/acme";
    let known =
        admin.request(Method::GET, path).header("if-none-match", &format!("W/{seen}, \"x\"")).send().await;
    let known = known.expect(304);
    assert_eq!((known.text.as_str(), known.header("etag")), ("", seen.as_str()));
    app.advance(Duration::from_secs(60));
    admin.post_json(&format!("{path}/check"), json!({})).await.expect(200);
    let checked = admin.request(Method::GET, path).header("if-none-match", &seen).send().await.expect(200);
    assert_ne!(checked.header("etag"), seen, "the answer shows when it was checked");

    let edit = async |tag: &str, text: &str| {
        let call = admin.request(Method::PATCH, path).header("if-match", tag);
        call.json(&json!({"description": text})).send().await
    };
    let edited = edit(&seen, "first").await.expect(200);
    for stale in [seen.as_str(), "\"x\"", "nonsense", &format!("W/{}", edited.header("etag"))] {
        edit(stale, "second").await.expect(412);
        put_if(&admin, ("if-match", stale), &json!({})).await.expect(412);
        let call = admin.request(Method::DELETE, path).header("if-match", stale);
        call.send().await.expect(412);
    }
    let now = admin.get(path).await.expect(200);
    assert_eq!(
        (now.json()["description"].as_str(), now.header("etag")),
        (Some("first"), edited.header("etag"))
    );
    edit(&format!("\"x\", {}", edited.header("etag")), "third").await.expect(200);
    edit("*", "fourth").await.expect(200);
});
