//! Faults, gates, the HTTP controls and the end of the process.
#![expect(clippy::disallowed_methods, reason = "the client under test here is the test's own")]
#![allow(unreachable_pub, dead_code, reason = "each test file uses a part of the support module")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use gitlab_sim::{Ending, Endpoint, Fault, Options, Template};
use serde_json::{Value, json};
use support::{World, read};

#[tokio::test]
async fn an_answer_dropped_after_the_commit_loses_the_pair() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    world.sim.fault(Endpoint::Token, Fault::DropAfterCommit);
    assert!(world.try_refresh(&pair.refresh).await.is_err());
    assert_eq!(world.sim.counts().refreshes_granted, 1);
    assert_eq!(world.refresh(&pair.refresh).await.error(), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn a_request_dropped_before_the_commit_changes_nothing() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    world.sim.fault(Endpoint::Token, Fault::DropBefore);
    assert!(world.try_refresh(&pair.refresh).await.is_err());
    assert_eq!(world.refresh(&pair.refresh).await.status, 200);
}

#[tokio::test]
async fn a_truncated_answer_breaks_off() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    world.sim.fault(Endpoint::Token, Fault::Truncate);
    assert!(world.try_refresh(&pair.refresh).await.is_err());
    assert_eq!(world.sim.counts().refreshes_granted, 1);
}

#[tokio::test]
async fn a_refresh_is_answered_in_other_words() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let wide: Vec<u8> = "{refresh_token}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let template = Template {
        status: 418,
        headers: vec![("Content-Type".into(), "text/html".into())],
        ..Template::json([b"<{access_token}|{expires_in}|".as_slice(), &wide].concat())
    };
    world.sim.fault(Endpoint::Token, Fault::Template(template));
    let answer = world.refresh(&pair.refresh).await;
    assert_eq!((answer.status, answer.header("content-type")), (418, "text/html"));
    let parts: Vec<_> = answer.text.trim_start_matches('<').split('|').collect();
    assert!(world.sim.is_live(parts[0]) && parts[1] == "7200", "{}", answer.text);
    assert_eq!(vec![parts[2].replace('\0', "")], world.sim.live_refresh_tokens());
}

#[tokio::test]
async fn an_answer_in_other_words_ends_as_it_is_told() {
    let world = World::new().await;
    let endings = [
        (Ending::Whole, "", true),
        (Ending::Dribble, "", true),
        (Ending::Whole, "5", true),
        (Ending::Whole, "500", false),
        (Ending::Broken, "", false),
        (Ending::DribbleAndBreak, "", false),
    ];
    for (ending, length, arrives) in endings {
        let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
        let headers = if length.is_empty() { vec![] } else { vec![("Content-Length".into(), length.into())] };
        let template = Template { headers, ending, ..Template::json("{access_token/2}") };
        world.sim.fault(Endpoint::Token, Fault::Template(template));
        let answer = world.try_refresh(&pair.refresh).await;
        assert_eq!(answer.is_ok(), arrives, "{ending:?} {length}");
        let expected = if length == "5" { 5 } else { 32 };
        assert!(answer.is_err() || answer.is_ok_and(|a| a.text.len() == expected), "{ending:?} {length}");
        assert!(!world.sim.is_live(&pair.access), "carried out: {ending:?}");
    }
}

#[tokio::test]
async fn where_nothing_is_granted_the_real_answer_comes() {
    let world = World::new().await;
    world.sim.fault(Endpoint::Token, Fault::Template(Template::json("{access_token}")));
    assert_eq!(world.refresh("nonsense").await.error(), (400, "invalid_grant".into()));
}

#[test]
fn a_template_is_written_in_json() {
    let read = |value: Value| match serde_json::from_value(value).unwrap() {
        Fault::Template(template) => template,
        other => panic!("{other:?}"),
    };
    let short = read(json!({ "template": { "body": "x" } }));
    assert_eq!((short.status, short.body.as_slice(), short.ending), (200, &b"x"[..], Ending::Whole));
    let long = read(json!({ "template": {
        "status": 502, "headers": [["Content-Type", "text/html"]], "body": { "base64": "//4=" }, "ending": "silent",
    } }));
    assert_eq!((long.status, long.body.as_slice(), long.ending), (502, &b"\xff\xfe"[..], Ending::Silent));
    assert_eq!(long.headers[0].1, "text/html");
}

#[tokio::test]
async fn faults_answer_in_place_of_gitlab() {
    let world = World::new().await;
    let token = world.sim.mint_personal(world.user, &["api"], None).token;
    let table = [
        (Fault::bad_gateway(), 502, "text/html; charset=UTF-8", "GitLab is not responding"),
        (Fault::Json { status: 200, body: "{\"nope".into() }, 200, "application/json", "{\"nope"),
        (Fault::JsonAfter { status: 200, body: "[]".into() }, 200, "application/json", "[]"),
        (Fault::RateLimitedRack { retry_after: 7 }, 429, "text/plain", "Retry later"),
        (Fault::RateLimitedEndpoint, 429, "application/json", "requested too many times"),
        (Fault::Maintenance, 503, "application/json", "GitLab Maintenance: system is in maintenance mode"),
    ];
    for (fault, status, kind, text) in table {
        world.sim.fault(Endpoint::User, fault.clone());
        let answer = world.get("/api/v4/user", &token).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, kind), "{fault:?}");
        assert!(answer.text.contains(text), "{fault:?}: {}", answer.text);
        let rack = matches!(fault, Fault::RateLimitedRack { .. });
        assert_eq!(answer.header("retry-after"), if rack { "7" } else { "" });
        assert_eq!(answer.headers.contains_key("ratelimit-reset"), rack);
        assert_eq!(world.get("/api/v4/user", &token).await.status, 200, "used up");
    }
}

#[tokio::test]
async fn a_gate_shows_the_moment_between_commit_and_answer() {
    let world = Arc::new(World::new().await);
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    for (after, granted) in [(false, 0), (true, 2)] {
        let live = world.sim.live_refresh_tokens().pop().unwrap();
        let gate =
            if after { world.sim.hold_after(Endpoint::Token) } else { world.sim.hold(Endpoint::Token) };
        let asking = Arc::clone(&world);
        let flight = tokio::spawn(async move { asking.refresh(&live).await });
        gate.reached().await;
        assert_eq!(world.sim.counts().refreshes_granted, granted);
        gate.release();
        assert_eq!(flight.await.unwrap().status, 200);
    }
    assert!(!world.sim.is_live(&pair.access));
}

#[tokio::test]
async fn a_commit_happens_although_the_client_hung_up() {
    let world = Arc::new(World::new().await);
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let gate = world.sim.hold(Endpoint::Token);
    let (asking, refresh) = (Arc::clone(&world), pair.refresh.clone());
    let flight = tokio::spawn(async move { asking.refresh(&refresh).await });
    gate.reached().await;
    flight.abort();
    gate.release();
    let rotated = async {
        while world.sim.counts().refreshes_granted == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), rotated).await.unwrap();
    assert!(!world.sim.is_live(&pair.access));
}

#[tokio::test]
async fn maintenance_mode_lets_reading_and_refreshing_through() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    world.sim.set_maintenance(true);
    assert_eq!(world.get("/api/v4/user", &pair.access).await.status, 200);
    assert_eq!(world.post("/api/v4/projects/1/hooks", &pair.access, &[]).await.status, 503);
    assert_eq!(world.refresh(&pair.refresh).await.status, 200);
}

#[tokio::test]
async fn rate_limit_headers_can_be_switched_on() {
    let world = World::with(Options { rate_limit_headers: true, ..Options::default() }).await;
    let token = world.sim.mint_personal(world.user, &["api"], None).token;
    let answer = world.get("/api/v4/user", &token).await;
    assert_eq!(answer.header("ratelimit-limit"), "2000");
    assert!(answer.header("etag").starts_with("W/\""));
}

#[tokio::test]
async fn what_was_sent_can_be_looked_at() {
    let world = World::new().await;
    world.refresh("unknown").await;
    let seen = world.sim.last_request(Endpoint::Token).unwrap();
    assert_eq!((seen.method.as_str(), seen.path_and_query.as_str()), ("POST", "/oauth/token"));
    assert_eq!(seen.form("refresh_token").as_deref(), Some("unknown"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn other_processes_use_the_controls() {
    let world = World::with(Options { base_path: "/gitlab".into(), ..Options::default() }).await;
    let control = async |path: &str, body: Value| {
        let request = world.client.post(format!("{}/_sim/{path}", world.sim.url())).json(&body);
        let answer = read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    };
    let minted = control("mint", json!({ "kind": "personal", "username": "alice", "scopes": ["api"] })).await;
    let token = minted["token"].as_str().unwrap();
    control("faults", json!({ "endpoint": "user", "fault": { "delay_before": 0.0 } })).await;
    control("faults", json!({ "endpoint": "user", "fault": "maintenance", "always": true })).await;
    assert_eq!(world.get("/api/v4/user", token).await.status, 200);
    assert_eq!(world.get("/api/v4/user", token).await.status, 503);
    let cleared = world.client.delete(format!("{}/_sim/faults", world.sim.url())).send().await.unwrap();
    assert_eq!(cleared.status(), 200);
    control("users/state", json!({ "username": "alice", "state": "blocked" })).await;
    assert_eq!(world.get("/api/v4/user", token).await.status, 403);
    control("sign-in-as", json!({ "username": "alice" })).await;
    control("token-life", json!({ "seconds": 30 })).await;
    control("advance", json!({ "seconds": 10 })).await;
    control("users", json!({ "username": "bob" })).await;
    control("projects", json!({ "path": "acme/web" })).await;
    control("members", json!({ "username": "bob", "group": "acme", "access_level": 30 })).await;
    let app = control("applications", json!({ "redirect_uri": support::CALLBACK, "scopes": ["api"] })).await;
    assert_eq!(app["client_id"].as_str().unwrap().len(), 64);
    let approved = control("approve", json!({ "url": world.authorize_url("api") })).await;
    assert!(approved["location"].as_str().unwrap().contains("code="));
    control("expire", json!({ "token": token })).await;
    control("revoke", json!({ "token": token })).await;
    assert_eq!(control("is-live", json!({ "token": token })).await["live"], false);
    let counts = world.client.get(format!("{}/_sim/counts", world.sim.url())).send().await.unwrap();
    let counts: Value = counts.json().await.unwrap();
    assert_eq!(counts["endpoints"]["user"], 3);
}

#[tokio::test]
async fn it_stops_with_its_last_handle() {
    let world = World::new().await;
    let url = world.sim.url();
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    drop(world);
    let stopped = async { while client.get(&url).send().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), stopped).await.unwrap();
}
