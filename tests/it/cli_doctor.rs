//! `mooring doctor` beside a running server: what it says of each thing, that it changes nothing, and how it ends.

use crate::{
    cli::{Said, folder, run},
    support::{
        app::{On, TestApp, on_both},
        database,
        oidc::Provider,
        smtp::{Pki, SmtpServer},
    },
};
use gitlab_sim::{Options, Sim};
use mooring::vault::generate_key;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

async fn doctor_with(app: &TestApp, arguments: &[&str], more: &[(&str, &str)]) -> Said {
    let vars = app.vars().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let vars: Vec<_> = vars.chain(more.iter().copied()).collect();
    run(app.data.path(), &[&["doctor"], arguments].concat(), &vars).await
}

async fn doctor(app: &TestApp) -> Said {
    doctor_with(app, &[], &[]).await
}

#[track_caller]
fn tells(said: &Said, line: &str) {
    let found = said.out.lines().any(|told| told.contains(line));
    assert!(found, "no {line:?} in\n{}{}", said.out, said.err);
}

on_both!(all_is_well_beside_a_running_server, async |on: On| {
    let app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read"]).await;
    let before = app.http.get("/readyz").await.expect(200);
    let said = doctor(&app).await.expect(0);
    for line in [
        "ok       configuration: ",
        "ok       data directory: ",
        "ok       database: answers and can be written.",
        "ok       schema: is this version's.",
        "opens the database.",
        "is reached: DNS, TCP, TLS and HTTP work",
        "; GitLab 1",
        "ok       clock: in step with gitlab",
        "ok       connections: 1 active.",
        "ok       renewals: 0 are due now",
        "ok       spool: ",
        "ok       mail: is not set up",
    ] {
        tells(&said, line);
    }
    assert!(!said.out.contains("problem") && said.err.is_empty(), "{}{}", said.out, said.err);
    let held = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    for secret in [held["access_token"].as_str().unwrap(), &app.world.application.client_secret] {
        assert!(!said.out.contains(secret));
    }
    if let Some(url) = app.vars().get("MOORING_DATABASE_URL") {
        assert!(!said.out.contains(url.as_str()));
    }
    assert_eq!(app.http.get("/readyz").await.text, before.text);
});

on_both!(what_needs_a_person_is_named_with_what_to_press, async |on: On| {
    let app = TestApp::start(on).await;
    app.connect_by_oauth("fine").await;
    let program = app.program(&["connections:write"]).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    let new = json!({ "name": "acme\u{2028}bot", "integration": "gitlab", "token": token });
    let id = program.post_json("/api/v1/connections", new).await.expect(201).json()["id"].clone();
    app.sim().revoke(&token);
    let path = format!("/api/v1/connections/{}/check", id.as_str().unwrap());
    program.post_json(&path, json!({})).await.expect(200);
    let said = doctor(&app).await.expect(1);
    tells(&said, "ok       connections: 1 active, 1 action_required.");
    tells(&said, &format!("Paste a new token: {}/connections/{}/rotate", app.site(), id.as_str().unwrap()));
    tells(&said, "is action_required (token_revoked).");

    let report: Value =
        serde_json::from_str(&doctor_with(&app, &["--json"], &[]).await.expect(1).out).unwrap();
    assert_eq!(report["ok"], false);
    let problems: Vec<_> =
        report["findings"].as_array().unwrap().iter().filter(|one| one["verdict"] == "problem").collect();
    assert_eq!((problems.len(), &problems[0]["check"]), (1, &json!("connection")));
    assert!(problems[0]["action"].as_str().unwrap().contains("/rotate"));
});

on_both!(another_version_is_told_and_nothing_brought_up_to_date, async |on: On| {
    let mut app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    app.stop().await;
    let steps = database::rows(&app, "_sqlx_migrations").await;
    database::run(
        &app,
        "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)",
    )
    .await;
    let said = doctor(&app).await.expect(0);
    tells(&said, "warning  schema: is older than this version: 1 steps are missing.");
    assert_eq!(database::rows(&app, "_sqlx_migrations").await, steps - 1, "it is left to the server");
    let newer = "update _sqlx_migrations set version = 9999 where version = 1";
    database::run(&app, newer).await;
    let said = doctor(&app).await.expect(1);
    tells(&said, "problem  schema: is of a version that this one does not know.");
});

on_both!(keys_that_are_needed_or_wrong_are_told_without_showing_one, async |on: On| {
    let mut app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    let old = match app.vars().get("MOORING_ENCRYPTION_KEY") {
        Some(key) => key.clone(),
        None => fs::read_to_string(app.data.path().join("encryption.key")).unwrap().trim().to_owned(),
    };
    let (new, wrong) = (generate_key().to_string(), generate_key().to_string());
    let said = doctor_with(&app, &[], &[("MOORING_ENCRYPTION_KEY", &wrong)]).await.expect(1);
    tells(&said, "problem  encryption key: MOORING_ENCRYPTION_KEY is not the key of this database.");
    assert!(!said.out.contains(&wrong) && !said.err.contains(&wrong));
    app.restart_with(&[("MOORING_ENCRYPTION_KEY", &new), ("MOORING_ENCRYPTION_KEYS_RETIRED", &old)]).await;
    let said = doctor(&app).await.expect(0);
    tells(&said, "warning  encryption key: 2 values are still sealed under the retired key ");
    tells(&said, "Run `mooring reseal`");
    app.restart_with(&[("MOORING_ENCRYPTION_KEYS_RETIRED", "")]).await;
    let said = doctor(&app).await.expect(1);
    tells(&said, "which is not here.");
});

#[tokio::test(flavor = "multi_thread")]
async fn each_way_out_fails_at_a_step_of_its_own() {
    let (app, pki) = (TestApp::start(On::Sqlite).await, Pki::new());
    let issuer = Provider::start().await;
    let url = issuer.issuer();
    let user = ["--tls", "start", "--user", "mooring", "--password", "a-password-of-the-mail-server"];
    let server = SmtpServer::start(Some(&pki), &user).await;
    let smtp = |password: &str| format!("smtps://mooring:{password}@localhost:{}", server.port);
    let ca = pki.ca_file().display().to_string();
    let good = smtp("a-password-of-the-mail-server");
    let mut more = vec![
        ("MOORING_INTEGRATION_NONAME_URL", "https://gitlab.invalid"),
        ("MOORING_INTEGRATION_CLOSED_URL", "http://127.0.0.1:1"),
        ("MOORING_INTEGRATION_OTHER_URL", url.as_str()),
        ("MOORING_SMTP_URL", good.as_str()),
        ("MOORING_MAIL_FROM", "mooring@example.com"),
        ("MOORING_MAIL_TO", "ops@example.com"),
        ("MOORING_CA_FILE", ca.as_str()),
        ("MOORING_OIDC_ISSUER", url.as_str()),
        ("MOORING_OIDC_CLIENT_ID", "mooring"),
        ("MOORING_OIDC_CLIENT_SECRET", "a-secret-of-single-sign-on"),
        ("MOORING_OIDC_ALLOWED", "example.com"),
    ];
    let said = doctor_with(&app, &[], &more).await.expect(1);
    tells(&said, "problem  integration: noname (https://gitlab.invalid) fails at the step dns");
    tells(&said, "problem  integration: closed (http://127.0.0.1:1) fails at the step connect");
    tells(&said, &format!("problem  integration: other ({url}) fails at the step not_gitlab"));
    tells(&said, "its version is told to a connection that works");
    tells(&said, "ok       mail: the mail server localhost is reached.");
    tells(&said, "ok       single sign-on: the issuer ");
    let bad = smtp("another-password");
    more[3].1 = &bad;
    let said = doctor_with(&app, &[], &more).await.expect(1);
    tells(&said, "problem  mail: The mail server localhost did not let us sign in");
    for secret in ["a-secret-of-single-sign-on", "another-password"] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret));
    }
}

#[tokio::test]
async fn before_the_first_start_nothing_is_made() {
    let (folder, sim) = (folder(), Sim::start(Options::default()).await);
    let url = sim.url();
    let vars = [("MOORING_GITLAB_URL", url.as_str())];
    let said = run(folder.path(), &["doctor"], &vars).await.expect(0);
    tells(&said, "warning  data directory: ./data is not there yet.");
    tells(&said, "warning  database: ./data/mooring.db is not there yet.");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let said = run(folder.path(), &["doctor"], &[("MOORING_RENEW_BEFORE", "soon")]).await.expect(2);
    assert!(said.err.contains("MOORING_RENEW_BEFORE: "), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_others_read_is_told() {
    let app = TestApp::start(On::Sqlite).await;
    fs::set_permissions(app.data.path(), fs::Permissions::from_mode(0o755)).unwrap();
    tells(&doctor(&app).await.expect(0), "warning  data directory: others may look into ");
    let left: Vec<_> = fs::read_dir(app.data.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("doctor")), "{left:?}");
}
