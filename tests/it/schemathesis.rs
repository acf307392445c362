//! Schemathesis asks the running program everything that its OpenAPI document promises, and much that it does not: with
//! and without a key, well formed and not. What is switched off, and why, is told in tests/schemathesis.

use crate::{
    api::{connect, id},
    support::app::{On, TestApp, on_both},
};
use gitlab_sim::Options;
use serde_json::json;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

const PATIENCE: Duration = Duration::from_secs(300);
const SEED: &str = "20261121";

/// A GitLab that nobody can be sent away from, and a return URL that the examples name.
const SETTINGS: [(&str, &str); 2] = [
    ("MOORING_ALLOW_CUSTOM_BASE_URL", "false"),
    ("MOORING_RETURN_URLS", "https://app.example.com/connected"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where scripts/fetch-python puts it.
fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let program = root().join(target).join("schemathesis/python/bin/st");
    assert!(program.exists(), "{} is missing: run scripts/prepare-tests", program.display());
    program
}

struct Run<'a> {
    app: &'a TestApp,
    probe: &'a str,
    token: &'a str,
    /// Without one everything that needs one must be refused.
    key: Option<&'a str>,
    examples: u32,
    phases: &'static str,
}

impl Run<'_> {
    async fn finds_nothing(self) {
        let files = root().join("tests/schemathesis");
        let mut st = Command::new(program());
        st.arg("--config-file").arg(files.join("schemathesis.toml")).args(["--no-color", "run"]);
        st.arg(format!("{}/openapi.json", self.app.site())).args(["--url", self.app.site()]);
        st.args(["--checks", "all", "--phases", self.phases, "--seed", SEED, "--continue-on-failure"]);
        st.args(["--max-examples", &self.examples.to_string(), "--request-timeout", "30"]);
        if let Some(key) = self.key {
            st.args(["--header", &format!("Authorization: Bearer {key}")]);
        }
        st.env("SCHEMATHESIS_HOOKS", files.join("hooks.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        st.env("PROBE", self.probe).env("TOKEN", self.token);
        st.current_dir(self.app.data.path()).stdin(Stdio::null()).kill_on_drop(true);
        let ran = timeout(PATIENCE, st.output()).await.expect("it ends in time").expect("it starts");
        let told = String::from_utf8_lossy(&ran.stdout);
        assert!(told.contains(" generated,"), "it asks something: {told}");
        assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    }
}

on_both!(what_the_document_promises_is_kept, async |on: On| {
    let app = TestApp::start_with(on, Options::default(), &SETTINGS).await;
    let admin = app.program(&["admin"]).await;
    let connection = connect(&app, &admin, "probe", json!({})).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    let run = Run {
        app: &app,
        probe: id(&connection),
        token: &token,
        key: admin.key(),
        // What the databases read differently is in the coverage of every bound, which is the same on both.
        examples: if on == On::Sqlite { 15 } else { 3 },
        phases: "examples,coverage,fuzzing,stateful",
    };
    run.finds_nothing().await;
    let anonymous = Run {
        app: &app,
        probe: id(&connection),
        token: &token,
        key: None,
        examples: 3,
        phases: "examples,coverage",
    };
    anonymous.finds_nothing().await;
    assert_eq!(app.http.get("/readyz").await.expect(200).text, "ready\n");
});
