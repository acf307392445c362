//! Lists: their limits, their cursors and their filters.

use crate::{
    api::{connect, id, make_key},
    support::{
        app::{On, TestApp, on_both},
        request::Http,
    },
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::Duration;

/// Every page of a list, by following its cursors.
async fn pages(program: &Http, path: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut next = path.to_owned();
    while pages.len() < 50 {
        let page = program.get(&next).await.expect(200).json();
        pages.push(page["items"].as_array().expect("items").clone());
        match &page["next_cursor"] {
            Value::Null => return pages,
            cursor => next = format!("{path}&cursor={}", cursor.as_str().expect("a cursor is text")),
        }
    }
    panic!("{path} has no last page");
}

fn names(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

on_both!(seven_connections_come_in_three_pages, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    for name in ["1", "2", "3", "4", "5", "6", "7"] {
        connect(&app, &program, name, json!({})).await;
    }
    let found = pages(&program, "/api/v1/connections?limit=3").await;
    assert_eq!(
        found.iter().map(|page| names(page)).collect::<Vec<_>>(),
        [vec!["7", "6", "5"], vec!["4", "3", "2"], vec!["1"]]
    );
    let exactly = pages(&program, "/api/v1/connections?limit=7").await;
    assert_eq!(exactly.len(), 1, "nothing is left, so there is no further page");
    assert_eq!(names(&exactly[0]).len(), 7);

    let first = program.get("/api/v1/connections?limit=3").await.expect(200).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    connect(&app, &program, "8", json!({})).await;
    program.delete("/api/v1/connections/5").await.expect(204);
    let second =
        program.get(&format!("/api/v1/connections?limit=3&cursor={cursor}")).await.expect(200).json();
    assert_eq!(
        names(second["items"].as_array().unwrap()),
        ["4", "3", "2"],
        "what comes and goes shifts nothing"
    );
});

on_both!(a_status_is_filtered_over_all_pages, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let soon = (app.clock.now() + Duration::days(10)).date();
    for at in 0..9 {
        let expires_at = (at % 4 == 0).then_some(soon);
        let minted = app.sim().mint_project(app.world.project, &["api"], 40, expires_at);
        let new = json!({"name": at.to_string(), "integration": "gitlab", "token": minted.token});
        program.post_json("/api/v1/connections", new).await.expect(201);
    }
    let expiring = pages(&program, "/api/v1/connections?status=expiring&limit=1").await;
    assert_eq!(expiring.iter().map(|page| names(page)).collect::<Vec<_>>(), [["8"], ["4"], ["0"]]);
    let active = pages(&program, "/api/v1/connections?status=active&limit=4").await.concat();
    assert_eq!(names(&active), ["7", "6", "5", "3", "2", "1"]);
    app.advance(std::time::Duration::from_hours(24 * 11));
    let ended = pages(&program, "/api/v1/connections?status=action_required&limit=2").await.concat();
    assert_eq!(names(&ended), ["8", "4", "0"], "a status follows the clock");
    let none = program.get("/api/v1/connections?status=degraded").await.expect(200).json();
    assert_eq!(none, json!({"items": [], "next_cursor": null}));
});

on_both!(connections_are_filtered, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    app.connect_by_oauth("by-oauth").await;
    connect(&app, &program, "Ärger_1", json!({"tenant": "acme"})).await;
    connect(&app, &program, "Arger11", json!({"tenant": "other"})).await;
    let host = app.sim().url().replace("http://", "");
    let filters = [
        ("tenant=acme", vec!["Ärger_1"]),
        ("tenant=nobody", vec![]),
        ("integration=gitlab", vec!["Arger11", "Ärger_1", "by-oauth"]),
        ("integration=other", vec![]),
        ("method=oauth", vec!["by-oauth"]),
        ("method=access_token", vec!["Arger11", "Ärger_1"]),
        ("method=access_token&tenant=other", vec!["Arger11"]),
        ("q=RGER", vec!["Arger11", "Ärger_1"]),
        ("q=r_1", vec!["Ärger_1"]),
        ("q=%C3%84rger", vec!["Ärger_1"]),
        ("q=alice", vec!["by-oauth"]),
        ("q=ADAMS", vec!["by-oauth"]),
        (&format!("q={host}"), vec!["Arger11", "Ärger_1", "by-oauth"]),
        ("q=nothing", vec![]),
    ];
    for (query, expected) in filters {
        let list = program.get(&format!("/api/v1/connections?{query}")).await.expect(200).json();
        assert_eq!(names(list["items"].as_array().unwrap()), expected, "{query}");
    }
    for query in ["status=fine", "method=magic"] {
        let reply = program.get(&format!("/api/v1/connections?{query}")).await.expect(422);
        assert_eq!(reply.json()["code"], "invalid_parameter", "{query}");
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_cursors_are_checked_on_every_list() {
    let app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["admin"]).await;
    connect(&app, &program, "acme", json!({})).await;
    let lists = [
        ("/api/v1/connections", true),
        ("/api/v1/events", true),
        ("/api/v1/connections/acme/renewals", true),
        ("/api/v1/connections/acme/projects", false),
        ("/api/v1/api-keys", false),
    ];
    for (path, cursor_is_ours) in lists {
        for limit in ["0", "201", "-1", "abc", "", "1.5", "99999999999999999999"] {
            let reply = program.get(&format!("{path}?limit={limit}")).await.expect(422);
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("limit"), "{path}?limit={limit}: {detail}");
        }
        for limit in ["1", "200"] {
            program.get(&format!("{path}?limit={limit}")).await.expect(200);
        }
        if cursor_is_ours {
            for cursor in ["garbage", "%27", ""] {
                let problem = program.get(&format!("{path}?cursor={cursor}")).await.expect(422).json();
                assert_eq!(problem["errors"][0]["field"], "cursor", "{path}: {problem}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_fifty_items_unless_told_otherwise() {
    let app = TestApp::start(On::Sqlite).await;
    let admin = app.program(&["admin"]).await;
    for _ in 0..60 {
        make_key(&admin, json!({"name": "k", "scopes": ["proxy"]})).await;
    }
    let keys = admin.get("/api/v1/api-keys").await.expect(200).json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 50);
    let all = pages(&admin, "/api/v1/api-keys?limit=25").await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 11], "the sixty and the one that asks");
    let ids: BTreeSet<_> = all.concat().iter().map(|key| id(key).to_owned()).collect();
    assert_eq!(ids.len(), 61);
}

on_both!(the_log_is_for_a_key_that_governs_all, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    let made = connect(&app, &admin, "acme", json!({"tenant": "acme"})).await;
    admin.delete("/api/v1/connections/acme?revoke=false").await.expect(204);
    let events = pages(&admin, "/api/v1/events?limit=3").await;
    assert_eq!(events.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    let all = events.concat();
    let ids: BTreeSet<_> = all.iter().map(|event| id(event).to_owned()).collect();
    assert_eq!(ids.len(), all.len(), "each once");
    let kinds: Vec<_> = all.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let expected = ["connection.disconnected", "connection.connected", "api_key.created", "operator.added"];
    assert_eq!(kinds, expected, "newest first");
    assert_eq!((&all[0]["subject"], &all[0]["tenant"]), (&made["id"], &json!("acme")));
    assert!(all[0]["actor"].as_str().unwrap().starts_with("api_key:"));

    let bound = app.program_of(Some("acme"), &["admin"]).await;
    for path in ["/api/v1/events", "/api/v1/api-keys"] {
        let refused = bound.get(path).await.expect(403).json();
        assert_eq!(refused["code"], "insufficient_permission", "{path}");
    }
    bound.post_json("/api/v1/api-keys", json!({"name": "k", "scopes": ["admin"]})).await.expect(403);
    bound.delete("/api/v1/api-keys/none").await.expect(403);
    bound.get("/api/v1/connections").await.expect(200);
});
