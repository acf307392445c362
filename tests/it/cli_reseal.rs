//! `mooring reseal` as an operator runs it: from one encryption key to the next, while the server runs.

use crate::{
    cli::{Said, run},
    support::app::{On, TestApp, on_both},
};
use mooring::{domain::Event, store::EventFilter, vault::generate_key};
use serde_json::{Value, json};
use std::fs;

async fn reseal(app: &TestApp, arguments: &[&str]) -> Said {
    let vars: Vec<_> = app.vars().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    run(app.data.path(), &[&["reseal"], arguments].concat(), &vars).await
}

async fn reseal_json(app: &TestApp, arguments: &[&str]) -> Value {
    let said = reseal(app, &[&["--json"], arguments].concat()).await.expect(0);
    serde_json::from_str(&said.out).expect("it is JSON")
}

fn key_of(app: &TestApp) -> String {
    match app.vars().get("MOORING_ENCRYPTION_KEY") {
        Some(key) => key.clone(),
        None => fs::read_to_string(app.data.path().join("encryption.key")).unwrap().trim().to_owned(),
    }
}

/// What the audit log says of reseals, newest first: the key, who did it, and the sentence.
async fn told(app: &TestApp) -> Vec<(String, String, String)> {
    let filter = EventFilter { kind: "encryption_key.resealed".into(), ..EventFilter::default() };
    let found = app.app().state.store.find_events(&filter, None, 9).await.unwrap().events;
    let told = |event: Event| (event.subject.unwrap(), event.actor, event.detail.unwrap());
    found.into_iter().map(|logged| told(logged.event)).collect()
}

on_both!(the_log_tells_of_a_reseal_once_and_only_if_it_changed_something, async |on: On| {
    let mut app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    reseal(&app, &[]).await.expect(0);
    let (old, new) = (key_of(&app), generate_key().to_string());
    app.restart_with(&[("MOORING_ENCRYPTION_KEY", &new), ("MOORING_ENCRYPTION_KEYS_RETIRED", &old)]).await;
    reseal(&app, &["--dry-run"]).await.expect(0);
    assert_eq!(told(&app).await, [], "nothing was changed");

    let report = reseal_json(&app, &[]).await;
    let (key, done) = (report["active_key"].as_str().unwrap(), report["resealed"].as_object().unwrap());
    let count: u64 = done.values().map(|count| count.as_u64().unwrap()).sum();
    assert!(count >= 2, "an access token and a refresh token: {report}");
    let sentence = format!("{count} values under key {key}.");
    let expected = [(key.to_owned(), "command line".to_owned(), sentence.clone())];
    assert_eq!(told(&app).await, expected);
    reseal(&app, &[]).await.expect(0);
    assert_eq!(told(&app).await, expected, "the second run changed nothing");
    let page = app.http.get("/audit?kind=encryption_key.*").await.expect(200).text;
    assert!(page.contains("Sealed under the active key") && page.contains(&sentence), "{page}");
});

on_both!(from_one_key_to_the_next_while_tokens_are_renewed, async |on: On| {
    let mut app = TestApp::start(on).await;
    app.connect_by_oauth("first").await;
    app.connect_by_oauth("second").await;
    let (old, new) = (key_of(&app), generate_key().to_string());
    let nothing = reseal(&app, &[]).await.expect(0);
    assert!(nothing.out.contains("nothing to reseal") && !nothing.out.contains("RETIRED"), "{}", nothing.out);

    app.restart_with(&[("MOORING_ENCRYPTION_KEY", &new), ("MOORING_ENCRYPTION_KEYS_RETIRED", &old)]).await;
    let counted = reseal_json(&app, &["--dry-run"]).await;
    assert_eq!((&counted["retired_keys_needed"], &counted["resealed"]), (&json!(true), &json!({})));
    assert_eq!(counted["left"].as_array().unwrap().len(), 2, "access tokens and refresh tokens: {counted}");
    let told = reseal(&app, &["--dry-run"]).await.expect(0);
    assert!(told.out.contains(": 2 access tokens.") && told.err.contains("still needed"), "{}", told.out);

    let program = app.program(&["connections:write", "tokens:read"]).await;
    let renewing = async {
        for _ in 0..10 {
            program.post_json("/api/v1/connections/first/renew", json!({})).await.expect(200);
        }
    };
    let (said, ()) = tokio::join!(reseal(&app, &[]), renewing);
    let said = said.expect(0);
    assert!(
        said.out.contains("Sealed under key ") && said.out.contains("empty MOORING_ENCRYPTION_KEYS_RETIRED"),
        "{}",
        said.out
    );
    for secret in [&old, &new] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret));
    }
    let after = reseal_json(&app, &[]).await;
    assert_eq!((&after["retired_keys_needed"], &after["left"]), (&json!(false), &json!([])));

    app.restart_with(&[("MOORING_ENCRYPTION_KEYS_RETIRED", "")]).await;
    for name in ["first", "second"] {
        let held = program.get(&format!("/api/v1/connections/{name}/token")).await.expect(200).json();
        assert!(app.sim().is_live(held["access_token"].as_str().unwrap()));
        program.post_json(&format!("/api/v1/connections/{name}/renew"), json!({})).await.expect(200);
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_named_by_its_id_and_the_end_is_no_success() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.connect_by_oauth("acme").await;
    let old = key_of(&app);
    let (middle, new) = (generate_key().to_string(), generate_key().to_string());
    app.restart_with(&[("MOORING_ENCRYPTION_KEY", &middle), ("MOORING_ENCRYPTION_KEYS_RETIRED", &old)]).await;
    app.restart_with(&[("MOORING_ENCRYPTION_KEY", &new), ("MOORING_ENCRYPTION_KEYS_RETIRED", &middle)]).await;
    let said = reseal(&app, &[]).await.expect(1);
    assert!(
        said.out.contains("Under the missing key ") && said.err.contains("add the key"),
        "{}\n{}",
        said.out,
        said.err
    );
    app.restart_with(&[("MOORING_ENCRYPTION_KEYS_RETIRED", &format!("{middle},{old}"))]).await;
    reseal(&app, &[]).await.expect(0);
}
