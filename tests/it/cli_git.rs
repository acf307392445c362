//! `mooring git-credential` with a real git: it clones and pushes without a token on the disk, and no host but the
//! connection's own ever gets one.

use crate::{
    cli::{folder, run_with_input},
    support::{
        app::{On, TestApp},
        front::Front,
        git::git,
    },
};
use axum::{Router, extract::Request, http::StatusCode};
use serde_json::json;
use std::{
    path::Path,
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;
use tokio::process::Command;

/// An app whose GitLab has a repository, a connection to it by OAuth, and a desk to work at.
struct Workshop {
    app: TestApp,
    front: Front,
    key: String,
    desk: TempDir,
}

impl Workshop {
    async fn start() -> Self {
        let mut app = TestApp::start(On::Sqlite).await;
        let front = Front::start(app.sim()).await;
        app.restart_with(&[("MOORING_GITLAB_URL", &front.url)]).await;
        app.connect_by_oauth("acme bot").await;
        front.repositories().add("acme/web").await;
        let key = app.program(&["tokens:read"]).await.key().unwrap().to_owned();
        Self { app, front, key, desk: TempDir::new().unwrap() }
    }

    fn vars<'a>(&'a self, connection: &'a str) -> [(&'a str, &'a str); 3] {
        [("MOORING_URL", self.app.site()), ("MOORING_API_KEY", &self.key), ("MOORING_CONNECTION", connection)]
    }

    /// Runs git with the helper and no other.
    async fn git(&self, folder: &Path, connection: &str, arguments: &[&str]) -> Output {
        let helper = format!("credential.helper=!{} git-credential", env!("CARGO_BIN_EXE_mooring"));
        let mut command = Command::new("git");
        command.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]);
        command.args(["-c", "credential.helper=", "-c", &helper]).args(arguments);
        command.env_remove("http_proxy").env_remove("https_proxy").env("HOME", self.desk.path());
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1").envs(self.vars(connection)).stdin(Stdio::null());
        command.output().await.expect("git is here: `make test` installs it")
    }

    async fn works(&self, folder: &Path, arguments: &[&str]) {
        let done = self.git(folder, "acme bot", arguments).await;
        assert!(done.status.success(), "git {arguments:?}:\n{}", String::from_utf8_lossy(&done.stderr));
    }

    /// What the helper answers when it is asked as git asks.
    async fn helper(&self, operation: &str, connection: &str, request: &str) -> (i32, String, String) {
        let vars = self.vars(connection);
        let said = run_with_input(folder().path(), &["git-credential", operation], &vars, request).await;
        assert!(!said.err.contains(&self.key) && !said.out.contains(&self.key));
        (said.code, said.out, said.err)
    }

    fn where_git_goes(&self) -> String {
        format!("protocol=http\nhost={}\n", self.front.url.strip_prefix("http://").unwrap())
    }

    async fn token(&self) -> String {
        let program = self.app.http.stranger().with_key(&self.key);
        let held = program.get("/api/v1/connections/acme%20bot/token").await.expect(200).json();
        held["access_token"].as_str().unwrap().to_owned()
    }
}

/// Every file below a folder that holds this text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn git_clones_and_pushes_and_no_token_lies_on_the_disk() {
    let shop = Workshop::start().await;
    let (desk, address) = (shop.desk.path(), format!("{}/acme/web.git", shop.front.url));
    shop.works(desk, &["clone", "--quiet", &address, "first"]).await;
    let first = desk.join("first");
    std::fs::write(first.join("one"), "1").unwrap();
    git(&first, &["add", "."]).await;
    git(&first, &["commit", "--quiet", "-m", "one"]).await;
    shop.works(&first, &["push", "--quiet", "origin", "HEAD:main"]).await;
    shop.works(desk, &["clone", "--quiet", &address, "second"]).await;
    assert_eq!(std::fs::read_to_string(desk.join("second/one")).unwrap(), "1");
    for secret in [&shop.token().await, &shop.key] {
        assert_eq!(holding(desk, secret), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_git_saw_refused_is_renewed_for_the_next_try() {
    let shop = Workshop::start().await;
    let (desk, address) = (shop.desk.path(), format!("{}/acme/web.git", shop.front.url));
    let dead = shop.token().await;
    shop.app.sim().expire(&dead);
    let refused = shop.git(desk, "acme bot", &["clone", "--quiet", &address, "first"]).await;
    assert!(!refused.status.success(), "the server thought that it lives");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!told.contains(&dead) && !told.contains(&shop.key), "{told}");
    shop.works(desk, &["clone", "--quiet", &address, "second"]).await;
    assert_ne!(shop.token().await, dead);

    // A password of another age, or of another place, says nothing about the token of now.
    let before = shop.app.sim().counts();
    let there = shop.where_git_goes();
    shop.helper("erase", "acme bot", &format!("{there}password={dead}\n")).await;
    let elsewhere = format!("protocol=https\nhost=gitlab.com\npassword={}\n", shop.token().await);
    shop.helper("erase", "acme bot", &elsewhere).await;
    assert_eq!(shop.helper("store", "acme bot", &there).await, (0, String::new(), String::new()));
    assert_eq!(format!("{before:?}"), format!("{:?}", shop.app.sim().counts()), "GitLab was not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_gets_nothing() {
    let shop = Workshop::start().await;
    let (asked, with_password) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&asked), Arc::clone(&with_password));
    let stranger = Router::new().fallback(move |request: Request| {
        counts.0.fetch_add(1, Ordering::Relaxed);
        let has_one = request.headers().contains_key("authorization");
        counts.1.fetch_add(usize::from(has_one), Ordering::Relaxed);
        async { (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"GitLab\"")], "denied") }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/acme/web.git", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, stranger).await });
    let refused = shop.git(shop.desk.path(), "acme bot", &["clone", "--quiet", &address, "first"]).await;
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("mooring: ") && told.contains("gets nothing"), "{told}");
    assert_eq!((asked.load(Ordering::Relaxed) > 0, with_password.load(Ordering::Relaxed)), (true, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn git_is_answered_in_its_own_words() {
    let shop = Workshop::start().await;
    let there = shop.where_git_goes();
    let token = shop.token().await;
    let later = format!(
        "capability[]=authtype\ncapability[]=state\n{there}path=acme/web.git\nwwwauth[]=Basic realm=\"x\"\nnew=1\n\n"
    );
    let (code, out, err) = shop.helper("get", "acme bot", &later).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[..2], ["username=oauth2".to_owned(), format!("password={token}")]);
    let end: i64 = lines[2].strip_prefix("password_expiry_utc=").unwrap().parse().unwrap();
    assert!(end > shop.app.clock.now().unix_timestamp());
    assert_eq!(lines.len(), 3);

    let named = |host: &str| format!("{host}=acme bot,gitlab.com=other");
    let host = shop.front.url.strip_prefix("http://").unwrap();
    assert!(shop.helper("get", &named(host), &there).await.1.contains(&token));
    let by_path = named(&format!("{host}/acme"));
    let (code, out, err) = shop.helper("get", &by_path, &there).await;
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("credential.useHttpPath"), "{err}");
    let with_path = format!("{there}path=acme/web.git\n");
    assert!(shop.helper("get", &by_path, &with_path).await.1.contains(&token));

    for (request, code, why) in [
        (format!("{there}username=alice\n"), 0, "its user is another"),
        ("protocol=https\nhost=elsewhere.example\n".to_owned(), 0, "gets nothing"),
        (there.replace("protocol=http\n", "protocol=https\n"), 0, "gets nothing"),
        ("protocol=ssh\nhost=gitlab.com\n".to_owned(), 0, ""),
        (format!("{there}username=a\rb\n"), 2, "carriage return"),
        (format!("{there}nonsense\n"), 2, "key=value"),
    ] {
        let (was, out, err) = shop.helper("get", "acme bot", &request).await;
        assert_eq!((was, out.as_str()), (code, ""), "{request}");
        assert!(err.contains(why), "{request}: {err}");
    }
    let (code, out, _) = shop.helper("capability", "acme bot", &there).await;
    assert_eq!((code, out.as_str()), (0, ""), "what later versions of git ask is none of its business");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_needs_a_person_says_where_and_hands_out_nothing() {
    let shop = Workshop::start().await;
    let program = shop.app.program(&["connections:write"]).await;
    let minted = shop.app.sim().mint_project(shop.app.world.project, &["api"], 40, None).token;
    let new = json!({ "name": "pasted", "integration": "gitlab", "token": minted });
    program.post_json("/api/v1/connections", new).await.expect(201);
    let there = shop.where_git_goes();
    let (_, out, _) = shop.helper("get", "pasted", &there).await;
    assert!(out.contains(&format!("password={minted}")) && !out.contains("username=\n"), "{out}");
    shop.app.sim().revoke(&minted);
    let (code, out, err) = shop.helper("erase", "pasted", &format!("{there}password={minted}\n")).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("/rotate") && !err.contains(&minted), "{err}");
    let (code, out, err) = shop.helper("get", "pasted", &there).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("action_required") && err.contains("/rotate"), "{err}");
}
