//! `mooring token` and the commands that need no server: what they print where, and what they say of what failed.

use crate::{
    cli::{Server, folder, run, run_with_input},
    support::{
        app::{On, PASSWORD, TestApp},
        tls::{Authority, TlsDoor, ca_file},
    },
};
use axum::{Router, http::StatusCode, response::Redirect, routing::get};
use gitlab_sim::{Endpoint, Fault};
use serde_json::{Value, json};
use std::fs;

/// An app with a connection by OAuth and a key for its tokens.
async fn connected() -> (TestApp, String) {
    let app = TestApp::start(On::Sqlite).await;
    app.connect_by_oauth("acme").await;
    let key = app.program(&["tokens:read"]).await.key().unwrap().to_owned();
    (app, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_out_can_be_had_whole_and_newer_than_a_refused_one() {
    let (app, key) = connected().await;
    let (folder, site) = (folder(), app.site().to_owned());
    let vars = [("MOORING_URL", site.as_str()), ("MOORING_API_KEY", &key)];
    let token =
        async |more: &[&str]| run(folder.path(), &[&["token", "acme"], more].concat(), &vars).await.expect(0);
    let whole: Value = serde_json::from_str(&token(&["--json"]).await.out).unwrap();
    assert_eq!((&whole["generation"], &whole["token_type"]), (&json!(1), &json!("Bearer")));
    assert_eq!(token(&["--min-ttl", "30m"]).await.line(), whole["access_token"]);
    app.advance(std::time::Duration::from_secs(100 * 60));
    assert_eq!(token(&[]).await.line(), whole["access_token"], "twenty minutes are left");
    let longer = token(&["--min-ttl", "30m"]).await;
    assert_ne!(longer.line(), whole["access_token"], "one with less left is renewed first");
    app.sim().expire(longer.line());
    let newer: Value = serde_json::from_str(&token(&["--newer-than", "2", "--json"]).await.out).unwrap();
    assert_eq!(newer["generation"], 3);
    let refused = run(folder.path(), &["token", "acme", "--min-ttl", "soon"], &vars).await.expect(2);
    assert!(refused.err.contains("10m"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_can_go_wrong_has_words_of_its_own() {
    let (app, key) = connected().await;
    let (folder, site) = (folder(), app.site().to_owned());
    let ask = async |url: &str, key: &str| {
        let vars = [("MOORING_URL", url), ("MOORING_API_KEY", key)];
        let said = run(folder.path(), &["token", "acme"], &vars).await.expect(1);
        assert!(said.out.is_empty() && !said.err.contains(key), "{}", said.err);
        said.err
    };
    let told = ask(&app.sim().url(), &key).await;
    assert!(told.contains("is not a Mooring server") && told.contains("MOORING_URL"), "{told}");
    let elsewhere =
        served(Router::new().fallback(get(|| async { Redirect::temporary("https://evil.example/") }))).await;
    let told = ask(&elsewhere, &key).await;
    assert!(told.contains("sends requests on") && !told.contains("evil"), "{told}");
    let page = served(Router::new().fallback(get(|| async { (StatusCode::OK, "<html>") }))).await;
    assert!(ask(&page, &key).await.contains("is not a Mooring server"));
    let told = ask("https://mooring.invalid", &key).await;
    assert!(told.contains("could not be reached (dns)"), "{told}");
    let told = ask("http://127.0.0.1:1", &key).await;
    assert!(
        told.contains("could not be reached (connect)") && told.contains("whether the server runs"),
        "{told}"
    );
    let narrow = app.program(&["connections:read"]).await.key().unwrap().to_owned();
    let told = ask(&site, &narrow).await;
    assert!(told.contains("needs the scope tokens:read"), "{told}");

    app.advance(std::time::Duration::from_secs(3 * 3600));
    for _ in 0..3 {
        app.sim().fault(Endpoint::Token, Fault::bad_gateway());
    }
    let told = ask(&site, &key).await;
    assert!(told.contains("provider_unavailable") && told.contains("Ask again in "), "{told}");
}

async fn served(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_believed_where_it_is_named() {
    let (app, key) = connected().await;
    let authority = Authority::for_host("127.0.0.1");
    let door = TlsDoor::open(&authority).await;
    let (url, (_keep, bundle), folder) = (door.url(), ca_file(&authority.pem), folder());
    door.serve(app.sim());
    let vars = [("MOORING_URL", url.as_str()), ("MOORING_API_KEY", &key), ("MOORING_CA_FILE", &bundle)];
    let told = run(folder.path(), &["token", "acme"], &vars[..2]).await.expect(1).err;
    assert!(told.contains("(tls)") && told.contains("MOORING_CA_FILE"), "{told}");
    let told = run(folder.path(), &["token", "acme"], &vars).await.expect(1).err;
    assert!(told.contains("is not a Mooring server"), "believed, and found to be a GitLab: {told}");
    let missing = [vars[0], vars[1], ("MOORING_CA_FILE", "/nonexistent.pem")];
    let told = run(folder.path(), &["token", "acme"], &missing).await.expect(2).err;
    assert!(told.contains("MOORING_CA_FILE: "), "{told}");
}

#[tokio::test]
async fn what_is_missing_is_named_and_a_wrong_word_corrected() {
    let folder = folder();
    for command in [&["token", "acme"][..], &["git-credential", "get"]] {
        let request = "protocol=https\nhost=gitlab.com\n\n";
        let told = run_with_input(folder.path(), command, &[], request).await.expect(2).err;
        assert!(told.contains("MOORING_URL: wants the URL of a Mooring server"), "{told}");
        assert!(told.contains("MOORING_API_KEY: wants an API key"), "{told}");
    }
    let several = [
        ("MOORING_URL", "https://mooring.example.com"),
        ("MOORING_API_KEY", "moor_a_b"),
        ("MOORING_CONNECTION", "gitlab.com=a,other.example=b"),
    ];
    let told = run(folder.path(), &["token"], &several).await.expect(2).err;
    assert!(told.contains("Name a connection"), "{told}");
    let told = run(folder.path(), &["dokter"], &[]).await.expect(2).err;
    assert!(told.contains("'doctor'"), "{told}");
    run(folder.path(), &["api-key", "create"], &[]).await.expect(2);
}

#[tokio::test]
async fn a_shell_completes_every_command_and_the_manual_tells_of_it() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder.path(), &["completions", shell], &[]).await.expect(0).out;
        assert!(script.contains("git-credential") && script.contains("check-config"), "{shell}");
    }
    run(folder.path(), &["completions", "tcsh"], &[]).await.expect(2);
    let page = run(folder.path(), &["man"], &[]).await.expect(0).out;
    assert!(page.starts_with(".ie") && page.contains("mooring\\-doctor"), "{page}");
    fs::create_dir(folder.path().join("man")).unwrap();
    assert_eq!(run(folder.path(), &["man", "man"], &[]).await.expect(0).out, "");
    let page = fs::read_to_string(folder.path().join("man/mooring-git-credential.1")).unwrap();
    assert!(page.contains("MOORING_CONNECTION"), "{page}");
    assert!(!folder.path().join("data").exists(), "no server's files were made");
}

#[tokio::test]
async fn what_is_made_and_listed_can_be_had_as_json() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]).await;
    let json = async |arguments: &[&str], input: &str| -> Value {
        let said = run_with_input(folder.path(), arguments, &[], input).await.expect(0);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
    };
    let create = ["api-key", "create", "--name", "ci", "--expires-in", "90d", "--json"];
    let made = json(&create, "").await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("moor_{id}_")) && made["state"] == "valid", "{made}");
    let listed = json(&["api-key", "list", "--json"], "").await;
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(listed, json!([expected]), "all but the key itself");
    let revoked = json(&["api-key", "revoke", id, "--json"], "").await;
    assert_eq!(revoked, json!({ "id": id, "state": "revoked" }));
    assert_eq!(json(&["api-key", "list", "--json"], "").await[0]["state"], "revoked");

    let added = json(&["user", "add", "ops@example.com", "--json"], &format!("{PASSWORD}\n")).await;
    assert_eq!((&added["email"], &added["role"]), (&json!("ops@example.com"), &json!("administrator")));
    let people = json(&["user", "list", "--json"], "").await;
    assert_eq!((&people[0]["id"], &people[0]["last_signed_in_at"]), (&added["id"], &Value::Null));

    let viewer = json(&["user", "add", "eve@example.com", "--role", "viewer", "--json"], PASSWORD).await;
    let set_role = ["user", "set-role", "eve@example.com", "administrator", "--json"];
    let administrator = json!({ "id": viewer["id"], "email": "eve@example.com", "role": "administrator" });
    assert_eq!(json(&set_role, "").await, administrator);
    let refused = run(folder.path(), &set_role, &[]).await.expect(2);
    assert!(refused.out.is_empty() && refused.err.contains("nothing to change"), "{}", refused.err);
    let reset = ["user", "reset-password", "EVE@example.com", "--json"];
    assert_eq!(json(&reset, "a new pass phrase\n").await, administrator, "no password is in it");
    assert_eq!(json(&["user", "remove", "eve@example.com", "--json"], "").await, administrator);
    let gone = run_with_input(folder.path(), &reset, &[], PASSWORD).await.expect(2);
    assert!(gone.out.is_empty() && gone.err.contains("Nobody has the address"), "{}", gone.err);

    let generated = json(&["encryption-key", "generate", "--json"], "").await;
    let key = [("MOORING_ENCRYPTION_KEY", generated["key"].as_str().unwrap())];
    let elsewhere = crate::cli::folder();
    let report = run(elsewhere.path(), &["reseal", "--dry-run", "--json"], &key).await.expect(0);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["active_key"], generated["id"]);

    assert_eq!(json(&["check-config", "--json"], "").await, json!({ "ok": true, "problems": [] }));
    let wrong = [("MOORING_SITEURL", "x")];
    let said = run(folder.path(), &["check-config", "--json"], &wrong).await.expect(2);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["ok"], false);
    assert!(told["problems"][0].as_str().unwrap().contains("MOORING_SITE_URL"), "{told}");
    server.terminate().await;
}
