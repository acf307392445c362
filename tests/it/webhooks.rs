//! Webhook endpoints over the API, with the app's own workers behind them.

use crate::{
    api::{connect, id},
    support::{
        app::{EMAIL, On, TestApp, on_both},
        receiver::Receiver,
        request::Http,
    },
};
use serde_json::{Value, json};

const ENDPOINTS: &str = "/api/v1/webhook-endpoints";

async fn add(program: &Http, fields: Value) -> Value {
    program.post_json(ENDPOINTS, fields).await.expect(201).json()
}

fn at(endpoint: &Value, path: &str) -> String {
    format!("{ENDPOINTS}/{}{path}", id(endpoint))
}

on_both!(what_happens_to_a_connection_reaches_its_endpoint, async |on: On| {
    let app = TestApp::start(on).await;
    let (admin, receiver) = (app.program(&["admin"]).await, Receiver::start().await);
    let new = json!({"url": receiver.url, "description": " alerts ", "events": ["connection.*"]});
    let reply = admin.post_json(ENDPOINTS, new).await.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let endpoint = reply.json();
    let secret = endpoint["secret"].as_str().unwrap();
    assert_eq!((&endpoint["status"], &endpoint["description"]), (&json!("active"), &json!("alerts")));

    let connection = connect(&app, &admin, "acme", json!({"tenant": "t"})).await;
    let came = receiver.wait_for(1).await;
    standardwebhooks::Webhook::new(secret)
        .unwrap()
        .verify(came[0].body.as_bytes(), &came[0].headers)
        .unwrap();
    let notice = came[0].json();
    assert_eq!((&notice["type"], &notice["data"]["tenant"]), (&json!("connection.connected"), &json!("t")));
    let told = &notice["data"]["connection"];
    assert_eq!(
        (&told["id"], &told["name"], &told["status"]),
        (&connection["id"], &json!("acme"), &json!("active"))
    );
    assert_eq!(
        (&told["integration"], &told["action"], &told["action_url"]),
        (&json!("gitlab"), &Value::Null, &Value::Null)
    );
    assert_eq!(told["url"], format!("{}/connections/{}", app.site(), id(&connection)));
    assert_eq!((&told["account"], &told["generation"]), (&connection["account"]["username"], &json!(1)));

    let list = admin.get(ENDPOINTS).await.expect(200);
    assert!(!list.text.contains("whsec_") && !list.text.contains(secret), "a secret is shown once");
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
    admin.delete(&at(&endpoint, "")).await.expect(204);
    admin.delete(&at(&endpoint, "")).await.expect(404);
    assert_eq!(admin.get(ENDPOINTS).await.expect(200).json()["items"], json!([]));
});

on_both!(a_token_that_is_revoked_is_told_with_what_to_do, async |on: On| {
    let app = TestApp::start(on).await;
    let (admin, receiver) = (app.program(&["admin"]).await, Receiver::start().await);
    add(&admin, json!({"url": receiver.url, "events": ["connection.action_required"]})).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let new = json!({"name": "acme", "integration": "gitlab", "token": minted.token});
    let connection = admin.post_json("/api/v1/connections", new).await.expect(201).json();
    app.sim().revoke(&minted.token);
    admin.post_json("/api/v1/connections/acme/check", json!({})).await;
    let told = &receiver.wait_for(1).await[0].json()["data"]["connection"];
    assert_eq!((&told["status"], &told["action"]), (&json!("action_required"), &json!("rotate")));
    assert_eq!(told["action_url"], format!("{}/connections/{}/rotate", app.site(), id(&connection)));
});

on_both!(an_endpoint_is_tested_and_its_deliveries_are_shown, async |on: On| {
    let app = TestApp::start(on).await;
    let (admin, receiver) = (app.program(&["admin"]).await, Receiver::start().await);
    let endpoint = add(&admin, json!({"url": receiver.url})).await;
    let tested = admin.post_json(&at(&endpoint, "/test"), json!({})).await.expect(200).json();
    assert_eq!(tested, json!({"delivered": true, "status": 200, "error": null}));
    let test = &receiver.came()[0];
    assert_eq!(test.json()["type"], "webhook_endpoint.test");
    assert!(test.is_signed_with(endpoint["secret"].as_str().unwrap()));
    receiver.answer(500);
    let tested = admin.post_json(&at(&endpoint, "/test"), json!({})).await.expect(200).json();
    assert_eq!(tested, json!({"delivered": false, "status": 500, "error": "The endpoint answered 500."}));

    receiver.answer(200);
    connect(&app, &admin, "acme", json!({})).await;
    receiver.wait_for(3).await;
    let reply = admin.get(&at(&endpoint, "/deliveries?limit=1")).await.expect(200).json();
    let delivery = &reply["items"][0];
    assert_eq!((&delivery["type"], &delivery["attempts"]), (&json!("connection.connected"), &json!(1)));
    let again = at(&endpoint, &format!("/deliveries/{}/redeliver", id(delivery)));
    admin.post_json(&again, json!({})).await.expect(202);
    let came = receiver.wait_for(4).await;
    assert_eq!(came[3].header("webhook-id"), delivery["event_id"], "the receiver can tell that it knows it");
    let dead = admin.get(&at(&endpoint, "/deliveries?state=dead")).await.expect(200).json();
    assert_eq!(dead["items"], json!([]));
    admin.get(&at(&endpoint, "/deliveries?state=lost")).await.expect(422);
    let strange = "01890000-0000-7000-8000-000000000000";
    admin.post_json(&at(&endpoint, &format!("/deliveries/{strange}/redeliver")), json!({})).await.expect(404);
});

on_both!(what_is_sent_again_by_a_person_is_told_and_a_number_too_large_is_refused, async |on: On| {
    let app = TestApp::start(on).await;
    let (admin, receiver) = (app.program(&["admin"]).await, Receiver::start().await);
    let endpoint = add(&admin, json!({"url": receiver.url})).await;
    connect(&app, &admin, "acme", json!({})).await;
    receiver.wait_for(1).await;
    let deliveries = admin.get(&at(&endpoint, "/deliveries")).await.expect(200).json();
    let delivery = id(&deliveries["items"][0]).to_owned();
    app.sign_in().await;
    let page = format!("/settings/webhooks/{}", id(&endpoint));
    for hours in ["9223372036854775807", "-9223372036854775808", "721", "-1", "x"] {
        let form = [("overlap_hours", hours)];
        app.http.post_form(&format!("{page}/rotate-secret"), &form).await.expect(422);
    }
    app.http.post_form(&format!("{page}/pause"), &[]).await.expect(303);
    app.http.post_form(&format!("{page}/deliveries/{delivery}/redeliver"), &[]).await.expect(303);
    assert!(app.http.get(&page).await.expect(200).text.contains("sent again when you resume"));
    let told = admin.get("/api/v1/events?limit=1").await.expect(200).json();
    let told = &told["items"][0];
    assert_eq!((&told["kind"], &told["subject"]), (&json!("webhook_endpoint.redelivered"), &endpoint["id"]));
    assert_eq!(told["actor"], format!("operator:{EMAIL}"));
    assert!(told["detail"].as_str().unwrap().contains(&delivery));
});

on_both!(a_secret_is_rotated, async |on: On| {
    let app = TestApp::start(on).await;
    let (admin, receiver) = (app.program(&["admin"]).await, Receiver::start().await);
    let endpoint = add(&admin, json!({"url": receiver.url})).await;
    let rotate = at(&endpoint, "/rotate-secret");
    let reply = admin.request(http::Method::POST, &rotate).send().await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let second = reply.json();
    assert_ne!(second["secret"], endpoint["secret"]);
    let third = admin.post_json(&rotate, json!({"overlap_seconds": 0})).await.expect(200).json();
    admin.post_json(&at(&endpoint, "/test"), json!({})).await.expect(200);
    let signed = |made: &Value| receiver.came()[0].is_signed_with(made["secret"].as_str().unwrap());
    assert_eq!([&endpoint, &second, &third].map(signed), [false, false, true]);
    for wrong in [-1, 2_592_001] {
        admin.post_json(&rotate, json!({"overlap_seconds": wrong})).await.expect(422);
    }
});

on_both!(a_tenant_sees_and_makes_its_own_endpoints_alone, async |on: On| {
    let app = TestApp::start(on).await;
    let receiver = Receiver::start().await;
    let (admin, bound) = (app.program(&["admin"]).await, app.program_of(Some("acme"), &["admin"]).await);
    let theirs = add(&admin, json!({"url": receiver.url, "tenant": "other"})).await;
    let everybodys = add(&admin, json!({"url": receiver.url})).await;
    for foreign in [&theirs, &everybodys] {
        bound.delete(&at(foreign, "")).await.expect(404);
        bound.get(&at(foreign, "/deliveries")).await.expect(404);
        for verb in ["/test", "/rotate-secret"] {
            bound.post_json(&at(foreign, verb), json!({})).await.expect(404);
        }
    }
    assert_eq!(bound.get(ENDPOINTS).await.expect(200).json()["items"], json!([]));
    let refused =
        bound.post_json(ENDPOINTS, json!({"url": receiver.url, "tenant": "other"})).await.expect(403);
    assert_eq!(refused.json()["code"], "tenant_forbidden");
    let own = add(&bound, json!({"url": receiver.url})).await;
    assert_eq!(own["tenant"], "acme");
    assert_eq!(bound.get(ENDPOINTS).await.expect(200).json()["items"].as_array().unwrap().len(), 1);
    bound.delete(&at(&own, "")).await.expect(204);
    assert_eq!(receiver.count(), 0);
});

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_may_not_be_called_is_refused_with_what_to_do() {
    let mut app = TestApp::start(On::Postgres).await;
    let admin = app.program(&["admin"]).await;
    let code = async |url: &str| {
        let reply = admin.post_json(ENDPOINTS, json!({"url": url})).await;
        if reply.status == 201 {
            "made".to_owned()
        } else {
            reply.expect(422).json()["code"].as_str().unwrap().to_owned()
        }
    };
    for url in ["example.com", "ftp://example.com", "https://u:p@example.com", "https://example.com/#a", ""] {
        assert_eq!(code(url).await, "webhook_url_invalid", "{url}");
    }
    for url in [
        "http://example.com/hooks",
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://metadata.google.internal/",
    ] {
        assert_eq!(code(url).await, "webhook_url_forbidden", "{url}");
    }
    for url in ["https://example.com/hooks?key=1", "http://localhost:9/", "http://[::1]:9/"] {
        assert_eq!(code(url).await, "made", "{url}: this machine is open while the site is on it");
    }
    app.restart_with(&[("MOORING_SITE_URL", "https://mooring.example.com")]).await;
    for url in ["http://localhost:9/", "http://127.0.0.1:9/", "https://127.0.0.1/"] {
        assert_eq!(code(url).await, "webhook_url_forbidden", "{url}");
    }
    app.restart_with(&[("MOORING_OUTBOUND_ALLOW", "hooks.corp,127.0.0.1")]).await;
    for url in ["http://hooks.corp/in", "http://127.0.0.1:9/"] {
        assert_eq!(code(url).await, "made", "{url}");
    }
    assert_eq!(code("http://other.corp/in").await, "webhook_url_forbidden");
}

on_both!(a_kind_that_does_not_exist_is_refused, async |on: On| {
    let app = TestApp::start(on).await;
    let admin = app.program(&["admin"]).await;
    for events in [json!(["connection.exploded"]), json!(["*"]), json!([])] {
        let reply = admin
            .post_json(ENDPOINTS, json!({"url": "https://example.com", "events": events}))
            .await
            .expect(422);
        assert_eq!(reply.json()["errors"][0]["field"], "events", "{}", reply.text);
    }
    let reply = admin.post_json(ENDPOINTS, json!({"url": "https://example.com", "events": ["x.*"]})).await;
    assert!(reply.text.contains("connection.expiring"), "the known ones are named: {}", reply.text);
    let usual = add(&admin, json!({"url": "https://example.com"})).await;
    assert_eq!(usual["events"], json!(["connection.*", "authorization.*", "integration.*"]));
});
