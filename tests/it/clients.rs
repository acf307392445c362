//! The clients that people use, unmodified: python-gitlab, @gitbeaker/rest. Nothing but the URL and the token is changed.

use crate::support::app::{On, TestApp};
use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};
use tokio::process::Command;

/// Eight projects of one person, whose connection renews itself.
struct Shop {
    app: TestApp,
    key: String,
    projects: String,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start(On::Sqlite).await;
        let mut projects = vec!["acme/web".to_owned()];
        for nth in 1..8 {
            let path = format!("acme/p{nth}");
            let id = app.sim().add_project(&path);
            app.sim().add_member_project(id, app.world.alice, 40);
            projects.push(path);
        }
        app.connect_by_oauth("acme").await;
        let key = app.program(&["proxy"]).await.key().expect("it has one").to_owned();
        Self { app, key, projects: projects.join(" ") }
    }

    async fn run(&self, program: &Path, script: &Path) -> Output {
        let url = format!("{}/proxy/acme", self.app.site());
        let mut command = Command::new(program);
        command.arg(script).env("GITLAB_URL", url).env("GITLAB_TOKEN", &self.key);
        command.env("PROJECTS", &self.projects).env("no_proxy", "localhost,127.0.0.1");
        command.output().await.unwrap_or_else(|error| {
            panic!("{} does not start ({error}): `make test` installs it", program.display())
        })
    }

    /// All that a program does, and once more after GitLab ended the token that Mooring holds.
    async fn serves(&self, program: &Path, script: &Path) {
        for round in 0..2 {
            let Output { status, stdout, stderr } = self.run(program, script).await;
            let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            assert!(status.success() && said.contains("done"), "round {round}:\n{said}");
            assert_eq!(
                self.app.sim().counts().refreshes_granted,
                round,
                "one refresh, and only where it was needed"
            );
            let held = self.app.program(&["tokens:read"]).await.get("/api/v1/connections/acme/token").await;
            self.app.advance(Duration::from_mins(1));
            self.app.sim().expire(held.expect(200).json()["access_token"].as_str().expect("a token"));
        }
    }
}

/// What the test command fetched.
fn fetched(path: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients").join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn python_gitlab_works_with_another_url() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python_gitlab.py");
    Shop::open().await.serves(&fetched("python/bin/python"), &script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitbeaker_works_with_another_url() {
    // It looks for its libraries beside itself.
    let script = fetched("node/gitbeaker.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/gitbeaker.mjs"), &script)
        .unwrap();
    Shop::open().await.serves(Path::new("node"), &script).await;
}
