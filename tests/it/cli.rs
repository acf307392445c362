//! The binary as an operator meets it: exit codes, what is printed where, files with their modes, and signals.
//!
//! Each program runs in an empty folder with no environment but what the test names, and ends with the test.

use crate::support::request::Http;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use gitlab_sim::{Options, Sim};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

/// How long a program may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a change made beside a running server counts there.
const SOON: Duration = Duration::from_secs(1);
const PASSWORD: &str = "correct horse battery staple";

pub(crate) type Vars<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn program(folder: &Path, arguments: &[&str], vars: Vars<'_>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mooring"));
    command.args(arguments).current_dir(folder).env_clear().envs(vars.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a finished program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        let code = output.status.code().expect("it ended by itself");
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The one line on standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> &str {
        let line = self.out.strip_suffix('\n').expect("a line ends");
        assert!(!line.contains('\n'), "more than one line:\n{}", self.out);
        line
    }
}

pub(crate) async fn run(folder: &Path, arguments: &[&str], vars: Vars<'_>) -> Said {
    run_with_input(folder, arguments, vars, "").await
}

pub(crate) async fn run_with_input(folder: &Path, arguments: &[&str], vars: Vars<'_>, input: &str) -> Said {
    let mut child = program(folder, arguments, vars).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // A program that ends without reading is no fault of the test's.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    Said::of(output.unwrap_or_else(|_| panic!("{arguments:?} does not end")).expect("it is waited for"))
}

pub(crate) fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder can be made")
}

fn mode(file: &Path) -> u32 {
    let known = fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    known.permissions().mode() & 0o777
}

/// A server that is running. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    heard: String,
    pub(crate) address: String,
    pub(crate) http: Http,
}

impl Server {
    /// Starts on a port that the system chooses, and waits until it is ready.
    pub(crate) async fn start(folder: &Path, vars: Vars<'_>) -> Self {
        let vars = [vars, &[("MOORING_LISTEN", "127.0.0.1:0")]].concat();
        let mut child = program(folder, &[], &vars).spawn().expect("it starts");
        let stderr = child.stderr.take().expect("its errors are a pipe");
        let (mut log, mut heard) = (BufReader::new(stderr).lines(), String::new());
        let line = hear(&mut log, &mut heard, "Mooring listens on ").await;
        let address = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        let server = Self { http: Http::new(&address), child, log, heard, address };
        let ready = server.http.get("/readyz").await.expect(200);
        assert_eq!(ready.text, "ready\n");
        server
    }

    /// The one-time link for the first administrator.
    async fn setup_link(&mut self) -> String {
        let line = hear(&mut self.log, &mut self.heard, "/setup?token=").await;
        line.split_whitespace().find(|word| word.contains("/setup?token=")).expect("a link").to_owned()
    }

    /// Asks it to stop as a service manager does: its exit code, and everything that it said.
    pub(crate) async fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().expect("it runs").to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().await.expect("there is a kill");
        assert!(killed.success());
        let mut rest = String::new();
        let ended = timeout(PATIENCE, async {
            self.log.get_mut().read_to_string(&mut rest).await.expect("it prints text");
            self.child.wait().await.expect("it is waited for")
        });
        let status = ended.await.expect("it stops when asked to");
        (status.code(), self.heard + &rest)
    }
}

/// The next line that holds this text. What comes before it is kept.
async fn hear(log: &mut Lines<BufReader<ChildStderr>>, heard: &mut String, wanted: &str) -> String {
    let wait = timeout(PATIENCE, async {
        while let Some(line) = log.next_line().await.expect("it prints text") {
            heard.push_str(&line);
            heard.push('\n');
            if line.contains(wanted) {
                return Some(line);
            }
        }
        None
    });
    let line = wait.await.ok().flatten();
    line.unwrap_or_else(|| panic!("it never says {wanted:?}, but:\n{heard}"))
}

/// Asks until the answer has this status, for no longer than a change may take.
pub(crate) async fn soon(http: &Http, path: &str, status: u16) {
    let begun = Instant::now();
    loop {
        let reply = http.get(path).await;
        if reply.status == status {
            return;
        }
        assert!(begun.elapsed() < SOON, "still {} after a second:\n{}", reply.status, reply.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_good_configuration_is_said_to_be_good_and_nothing_is_made() {
    let folder = folder();
    let said = run(folder.path(), &["check-config"], &[]).await.expect(0);
    assert!(said.line().contains("good"), "{}", said.out);
    assert_eq!(said.err, "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a check makes no file");
}

#[tokio::test]
async fn every_problem_of_a_configuration_is_a_line_of_its_own() {
    let folder = folder();
    fs::write(folder.path().join(".env"), "MOORING_RENEW_BEFORE=10\nMOORING_LOG=debug\n").unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    let bad = [
        ("MOORING_LISTEN", "8080"),
        ("MOORING_LISTN", "x"),
        ("MOORING_SITE_URL", "http://alice:canary-1@mooring.example.com"),
        ("MOORING_ENCRYPTION_KEY", "canary-2"),
        ("MOORING_DATABASE_URL", "mysql://u:canary-3@db/m"),
        ("MOORING_GITLAB_OAUTH_CLIENT_SECRET", "canary-4"),
        ("MOORING_ADMIN_PASSWORD", "canary-5"),
        ("MOORING_CA_FILE", "/nonexistent"),
        ("MOORING_API_KEY_FILE", "empty"),
    ];
    for command in [&["check-config"][..], &["serve"], &[], &["api-key", "list"]] {
        let said = run(folder.path(), command, &bad).await.expect(2);
        assert_eq!(said.out, "");
        for name in [
            "MOORING_LISTEN",
            "MOORING_LISTN",
            "MOORING_SITE_URL",
            "MOORING_ENCRYPTION_KEY",
            "MOORING_DATABASE_URL",
            "MOORING_GITLAB_OAUTH_CLIENT_ID",
            "MOORING_ADMIN_PASSWORD",
            "MOORING_ADMIN_EMAIL",
            "MOORING_CA_FILE",
            "MOORING_RENEW_BEFORE",
        ] {
            let lines: Vec<_> = said.err.lines().filter(|l| l.starts_with(&format!("{name}: "))).collect();
            assert!(!lines.is_empty(), "{command:?} has no line for {name}:\n{}", said.err);
        }
        assert!(said.err.lines().all(|line| line.starts_with("MOORING_")), "{}", said.err);
        assert!(!said.err.contains("canary"), "a secret is printed:\n{}", said.err);
    }
    assert!(!folder.path().join("data").exists(), "nothing starts with a problem");
}

#[tokio::test]
async fn files_that_a_configuration_names_are_read_by_its_check() {
    let folder = folder();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file(
        "cases.toml",
        "[[use_case]]\nid = \"x\"\ntitle = \"X\"\nscopes = [\"api\"]\nleast_role = \"king\"\n",
    );
    file("ca.pem", "no certificate");
    for (name, path, says) in [
        ("MOORING_USE_CASES_FILE", "cases.toml", "king"),
        ("MOORING_CA_FILE", "ca.pem", "certificate"),
        ("MOORING_GITLAB_URL", "https://user@gitlab.example.com", "up to the @"),
        ("MOORING_INTEGRATION_ACME_EU_URL", "https://gitlab.example.com/../x", "path"),
        ("MOORING_OUTBOUND_ALLOW", "169.254.169.254", "never"),
    ] {
        let said = run(folder.path(), &["check-config"], &[(name, path)]).await.expect(2);
        assert!(said.err.starts_with(&format!("{name}: ")) && said.err.contains(says), "{}", said.err);
        assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1), "{name}: {}", said.err);
    }
    file("key", &format!("{}\n", mooring::vault::generate_key().as_str()));
    run(folder.path(), &["check-config"], &[("MOORING_ENCRYPTION_KEY_FILE", "key")]).await.expect(0);
}

/// What is wrong with the values and with what they name is told at once, before anything is made.
#[tokio::test]
async fn every_problem_of_what_a_configuration_names_is_told_at_once() {
    let folder = folder();
    fs::write(folder.path().join("broken"), "this is = not\n[a file").unwrap();
    let bad = [
        ("MOORING_GITLAB_URL", "https://gitlab.example.com?x=1"),
        ("MOORING_INTEGRATION_ACME_URL", "http://[::1"),
        ("MOORING_INTEGRATION_ACME_CA_FILE", "broken"),
        ("MOORING_CA_FILE", "broken"),
        ("MOORING_OUTBOUND_ALLOW", "169.254.169.254"),
        ("MOORING_USE_CASES_FILE", "broken"),
        ("MOORING_LISTEN", "8080"),
    ];
    for command in [&["check-config"][..], &["serve"], &[]] {
        let said = run(folder.path(), command, &bad).await.expect(2);
        for (name, _) in bad {
            let lines = said.err.lines().filter(|line| line.starts_with(&format!("{name}: "))).count();
            assert_eq!(lines, 1, "{command:?}, {name}:\n{}", said.err);
        }
        assert_eq!((said.out.as_str(), said.err.lines().count()), ("", bad.len()), "{}", said.err);
    }
    assert!(!folder.path().join("data").exists(), "nothing starts with a problem");
}

#[tokio::test]
async fn a_command_that_generates_the_key_says_so() {
    let folder = folder();
    let made = run(folder.path(), &["api-key", "create", "--name", "ci"], &[]).await.expect(0);
    assert!(made.line().starts_with("moor_"));
    let key = fs::read_to_string(folder.path().join("data/encryption.key")).unwrap();
    assert!(made.err.contains("encryption key was generated"), "{}", made.err);
    assert!(made.err.contains("data/encryption.key") && !made.err.contains(key.trim()), "{}", made.err);
    let list = run(folder.path(), &["api-key", "list"], &[]).await.expect(0);
    assert!(list.out.contains("connections:read,tokens:read"), "what a key may do by itself: {}", list.out);
    assert_eq!(list.err, "");
    let help = run(folder.path(), &["api-key", "create", "--help"], &[]).await.expect(0);
    assert!(help.out.contains("[default: connections:read tokens:read]"), "{}", help.out);
}

#[tokio::test]
async fn a_lost_key_is_not_replaced_by_a_new_one() {
    let folder = folder();
    run(folder.path(), &["api-key", "create", "--name", "ci"], &[]).await.expect(0);
    let (file, aside) = (folder.path().join("data/encryption.key"), folder.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    for command in [&["api-key", "list"][..], &["serve"]] {
        let said = run(folder.path(), command, &[("MOORING_LISTEN", "127.0.0.1:0")]).await.expect(1);
        assert!(said.err.contains("the key of this database is missing"), "{}", said.err);
        assert!(!file.exists());
    }
    fs::rename(&aside, &file).unwrap();
    run(folder.path(), &["api-key", "list"], &[]).await.expect(0);
}

#[tokio::test]
async fn bad_usage_exits_with_two() {
    let folder = folder();
    for arguments in [
        &["sail"][..],
        &["--sail"],
        &["api-key"],
        &["api-key", "create", "--scope", "admin"],
        &["api-key", "create", "--name", "ci", "--scope", "everything"],
        &["api-key", "create", "--name", "ci", "--scope", "admin", "--expires-in", "soon"],
        &["api-key", "revoke", "nosuchkey"],
        &["encryption-key"],
        &["user", "add"],
        &["user", "add", "nobody"],
        &["token", "acme"],
    ] {
        let said = run(folder.path(), arguments, &[]).await.expect(2);
        assert_eq!(said.out, "", "{arguments:?}");
        assert!(!said.err.trim().is_empty(), "{arguments:?} says nothing");
    }
}

#[tokio::test]
async fn an_encryption_key_is_printed_alone_and_never_twice() {
    let folder = folder();
    let (first, second) = (
        run(folder.path(), &["encryption-key", "generate"], &[]).await.expect(0),
        run(folder.path(), &["encryption-key", "generate"], &[]).await.expect(0),
    );
    for said in [&first, &second] {
        let key = said.line();
        assert_eq!((key.len(), BASE64_STANDARD.decode(key).expect("base64").len()), (44, 32));
        assert_eq!(said.err, "");
        run(folder.path(), &["check-config"], &[("MOORING_ENCRYPTION_KEY", key)]).await.expect(0);
    }
    assert_ne!(first.out, second.out);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it is kept nowhere");
}

#[tokio::test]
async fn the_printed_document_is_the_one_that_the_server_shows() {
    let folder = folder();
    let said = run(folder.path(), &["openapi"], &[]).await.expect(0);
    let printed: Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(printed["openapi"].as_str().unwrap().starts_with("3.1"), "{}", printed["openapi"]);
    assert!(printed["paths"]["/api/v1/connections/{ref}/token"]["get"].is_object());
    let server = Server::start(folder.path(), &[]).await;
    assert_eq!(server.http.get("/openapi.json").await.expect(200).json(), printed);
}

#[tokio::test]
async fn a_first_start_makes_private_files_and_prints_the_setup_link() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &[]).await;
    let first = server.setup_link().await;
    assert!(first.starts_with("http://localhost:8080/setup?token="), "{first}");
    let data = folder.path().join("data");
    let files: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.contains(&data.join("mooring.db")) && files.contains(&data.join("encryption.key")));
    for file in &files {
        assert_eq!(mode(file), if file.is_dir() { 0o700 } else { 0o600 }, "{}", file.display());
    }
    let key = fs::read_to_string(data.join("encryption.key")).unwrap();
    assert_eq!(BASE64_STANDARD.decode(key.trim()).expect("base64").len(), 32);
    let database = fs::metadata(data.join("mooring.db")).unwrap();
    let (code, said) = server.terminate().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("encryption key was generated") && said.contains("copy"), "{said}");
    assert!(!said.contains(key.trim()), "the key is in the log");

    // As long as nobody exists, each start has a link of its own.
    let mut server = Server::start(folder.path(), &[]).await;
    let second = server.setup_link().await;
    assert_ne!(first, second);
    assert_eq!(fs::read_to_string(data.join("encryption.key")).unwrap(), key);
    let again = fs::metadata(data.join("mooring.db")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&again), std::os::unix::fs::MetadataExt::ino(&database));
    let (code, said) = server.terminate().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("was generated"), "{said}");

    // With somebody there is none.
    let added =
        run_with_input(folder.path(), &["user", "add", "ops@example.com"], &[], &format!("{PASSWORD}\n"))
            .await;
    added.expect(0);
    let (code, said) = Server::start(folder.path(), &[]).await.terminate().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("/setup?token="), "{said}");
}

#[tokio::test]
async fn a_first_administrator_from_the_environment_needs_no_link() {
    let folder = folder();
    let vars = [("MOORING_ADMIN_EMAIL", "ops@example.com"), ("MOORING_ADMIN_PASSWORD", PASSWORD)];
    for _ in 0..2 {
        let (code, said) = Server::start(folder.path(), &vars).await.terminate().await;
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("/setup?token=") && !said.contains(PASSWORD), "{said}");
    }
    // Once somebody is there, the settings make nobody.
    let other = [("MOORING_ADMIN_EMAIL", "new@example.com"), vars[1]];
    let (code, said) = Server::start(folder.path(), &other).await.terminate().await;
    assert_eq!(code, Some(0), "{said}");
    let reset = ["user", "reset-password", "new@example.com"];
    run_with_input(folder.path(), &reset, &[], &format!("{PASSWORD}\n")).await.expect(2);
}

#[tokio::test]
async fn a_server_that_others_reach_does_not_start_on_defaults() {
    let folder = folder();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let said = run(folder.path(), &["serve"], &[("MOORING_LISTEN", listen)]).await.expect(2);
        let lines: Vec<_> = said.err.lines().collect();
        assert!(lines.iter().any(|line| line.starts_with("MOORING_SITE_URL: wants ")), "{}", said.err);
        assert!(lines.iter().any(|line| line.starts_with("MOORING_ENCRYPTION_KEY: wants ")), "{}", said.err);
    }
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn a_wrong_key_is_found_at_the_start() {
    let folder = folder();
    let (code, _) = Server::start(folder.path(), &[]).await.terminate().await;
    assert_eq!(code, Some(0));
    let key = fs::read_to_string(folder.path().join("data/encryption.key")).unwrap();
    let other = mooring::vault::generate_key();
    let wrong = [("MOORING_ENCRYPTION_KEY", other.as_str()), ("MOORING_LISTEN", "127.0.0.1:0")];
    for command in [&["serve"][..], &["api-key", "list"]] {
        let said = run(folder.path(), command, &wrong).await;
        assert!(said.code == 1 || said.code == 2, "{} {}", said.code, said.err);
        assert!(said.err.contains("MOORING_ENCRYPTION_KEY is not the key"), "{}", said.err);
        assert!(!said.err.contains(other.as_str()) && !said.err.contains(key.trim()), "{}", said.err);
    }
    fs::set_permissions(folder.path().join("data/encryption.key"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let said = run(folder.path(), &["serve"], &wrong[1..]).await;
    assert!(said.code != 0 && said.err.contains("chmod 600"), "a key that others read: {}", said.err);

    fs::set_permissions(folder.path().join("data/encryption.key"), fs::Permissions::from_mode(0o600))
        .unwrap();
    let (code, _) = Server::start(folder.path(), &[]).await.terminate().await;
    assert_eq!(code, Some(0), "nothing was spoilt");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_narrowed() {
    let folder = folder();
    let create =
        ["api-key", "create", "--name", "ci", "--allow", "GET /api/v4/user", "--allow", "* /api/graphql"];
    let refused = run(folder.path(), &create, &[]).await.expect(2);
    assert!(refused.err.contains("scope proxy") && refused.out.is_empty(), "{}", refused.err);
    let made = run(folder.path(), &[&create[..], &["--scope", "proxy"]].concat(), &[]).await.expect(0);
    assert!(made.line().starts_with("moor_"));
    let wrong = ["api-key", "create", "--name", "ci", "--scope", "proxy", "--allow", "/api/v4/user"];
    run(folder.path(), &wrong, &[]).await.expect(2);

    run(folder.path(), &["api-key", "create", "--name", "wide", "--scope", "proxy"], &[]).await.expect(0);
    let list = run(folder.path(), &["api-key", "list"], &[]).await.expect(0).out;
    let line =
        |name: &str| list.lines().find(|line| line.split('\t').nth(1) == Some(name)).unwrap().to_owned();
    assert!(line("ci").ends_with("\tvalid\tGET /api/v4/user, * /api/graphql"), "{list}");
    assert!(line("wide").ends_with("\tvalid\t"), "{list}");
    let list = run(folder.path(), &["api-key", "list", "--json"], &[]).await.expect(0).out;
    let list: Vec<Value> = serde_json::from_str(&list).expect("JSON");
    let allow = |name: &str| list.iter().find(|key| key["name"] == name).unwrap()["allow"].clone();
    assert_eq!(allow("ci"), json!(["GET /api/v4/user", "* /api/graphql"]));
    assert_eq!(allow("wide"), json!([]), "everything");
}

#[tokio::test]
async fn an_api_key_is_made_and_revoked_beside_a_running_server() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]).await;
    let create = |more: &'static [&'static str]| {
        let arguments = [&["api-key", "create", "--name", "ci"][..], more].concat();
        let folder = folder.path().to_owned();
        async move { run(&folder, &arguments, &[]).await.expect(0) }
    };
    let made = create(&["--scope", "connections:read", "--scope", "tokens:read", "--tenant", "acme"]).await;
    let key = made.line().to_owned();
    let id = key.strip_prefix("moor_").and_then(|rest| rest.split_once('_')).expect("a key").0.to_owned();
    assert!(!made.err.contains(&key));
    let client = server.http.with_key(&key);
    soon(&client, "/api/v1/connections", 200).await;
    let forbidden = client.get("/api/v1/api-keys").await.expect(403).json();
    assert_eq!(forbidden["code"], "insufficient_permission");
    let admin = create(&["--scope", "admin", "--expires-in", "90d"]).await.line().to_owned();
    soon(&server.http.with_key(&admin), "/api/v1/api-keys", 200).await;

    let list = run(folder.path(), &["api-key", "list"], &[]).await.expect(0);
    let line = list.out.lines().find(|line| line.starts_with(&id)).expect("it is listed");
    for part in ["ci", "acme", "connections:read", "tokens:read", "valid"] {
        assert!(line.contains(part), "{part} is not in {line:?}");
    }
    assert_eq!(list.out.lines().count(), 2);
    assert!(!list.out.contains(&key) && !list.out.contains(&admin), "the secrets are shown once");

    let revoked = run(folder.path(), &["api-key", "revoke", &id], &[]).await.expect(0);
    assert_eq!(revoked.out, "");
    soon(&client, "/api/v1/connections", 401).await;
    run(folder.path(), &["api-key", "revoke", &id], &[]).await.expect(2);
    let list = run(folder.path(), &["api-key", "list"], &[]).await.expect(0);
    assert!(list.out.lines().any(|line| line.starts_with(&id) && line.contains("revoked")), "{}", list.out);
    // The key itself names it too: that is what a person has at hand who finds one lying about.
    run(folder.path(), &["api-key", "revoke", &admin], &[]).await.expect(0);
    soon(&server.http.with_key(&admin), "/api/v1/api-keys", 401).await;
    let (code, said) = server.terminate().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&key) && !said.contains(&admin), "{said}");
}

#[tokio::test]
async fn a_user_is_added_with_a_password_from_standard_input() {
    let folder = folder();
    let user = async |command: &str, email: &str, input: &str| {
        run_with_input(folder.path(), &["user", command, email], &[], input).await
    };
    let short = user("add", "ops@example.com", "elevenchars\n").await.expect(2);
    assert!(short.err.contains("12 characters"), "{}", short.err);
    assert!(!short.err.contains("elevenchars"));
    user("add", "ops@example.com", "").await.expect(2);
    user("reset-password", "ops@example.com", &format!("{PASSWORD}\n")).await.expect(2);
    // Twelve characters, not twelve bytes; the end of the line does not count.
    let added = user("add", " Ops@Example.com ", "zwölfzeichen\r\n").await.expect(0);
    assert_eq!(added.out, "");
    let twice = user("add", "OPS@example.com", &format!("{PASSWORD}\n")).await.expect(2);
    assert!(twice.err.contains("reset-password"), "{}", twice.err);
    user("reset-password", "ops@example.com", &format!("{PASSWORD}\n")).await.expect(0);
    user("reset-password", "ops@example.com", "short\n").await.expect(2);
}

#[tokio::test]
async fn people_are_listed_changed_and_removed_but_the_last_administrator_stays() {
    let folder = folder();
    let user = async |arguments: &[&str], input: &str| {
        run_with_input(folder.path(), &[&["user"], arguments].concat(), &[], input).await
    };
    let password = format!("{PASSWORD}\n");
    user(&["add", "ada@example.com"], &password).await.expect(0);
    user(&["create", "eve@example.com", "--role", "viewer"], &password).await.expect(0);
    let wrong = user(&["add", "bob@example.com", "--role", "owner"], &password).await.expect(2);
    assert!(wrong.err.contains("administrator, viewer"), "{}", wrong.err);
    let listed = user(&["list"], "").await.expect(0);
    assert_eq!(listed.out, "ada@example.com\tadministrator\tnever\neve@example.com\tviewer\tnever\n");
    for refused in [&["set-role", "ada@example.com", "viewer"][..], &["remove", "ada@example.com"]] {
        let refused = user(refused, "").await.expect(2);
        assert!(refused.err.contains("last administrator"), "{}", refused.err);
    }
    user(&["set-role", "eve@example.com", "administrator"], "").await.expect(0);
    user(&["remove", "ada@example.com"], "").await.expect(0);
    user(&["remove", "ada@example.com"], "").await.expect(2);
    assert_eq!(user(&["list"], "").await.expect(0).out, "eve@example.com\tadministrator\tnever\n");
}

#[tokio::test]
async fn a_token_is_printed_alone_or_where_to_mend_it() {
    let (folder, sim) = (folder(), Sim::start(Options::default()).await);
    let token = sim.mint_personal(sim.add_user("alice"), &["api"], None).token;
    let url = sim.url();
    let server = Server::start(folder.path(), &[("MOORING_GITLAB_URL", &url)]).await;
    let arguments =
        ["api-key", "create", "--name", "ci", "--scope", "connections:write", "--scope", "tokens:read"];
    let key = run(folder.path(), &arguments, &[]).await.expect(0).line().to_owned();
    let client = server.http.with_key(&key);
    let body = json!({"name": "acme review", "integration": "gitlab", "token": token});
    let made = client.post_json("/api/v1/connections", body).await.expect(201).json();
    let address = server.address.clone();

    // Asked from anywhere: nothing of the server's folder is needed.
    let elsewhere = TempDir::new().unwrap();
    let vars = [("MOORING_URL", address.as_str()), ("MOORING_API_KEY", &key)];
    let id = made["id"].as_str().unwrap();
    for reference in ["acme review", id] {
        let said = run(elsewhere.path(), &["token", reference], &vars).await.expect(0);
        assert_eq!((said.line(), said.err.as_str()), (token.as_str(), ""));
    }
    let named = [vars[0], vars[1], ("MOORING_CONNECTION", "acme review")];
    assert_eq!(run(elsewhere.path(), &["token"], &named).await.expect(0).line(), token);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    run(elsewhere.path(), &["token"], &vars).await.expect(2);
    run(elsewhere.path(), &["token", "acme"], &vars[1..]).await.expect(2);
    let unknown = run(elsewhere.path(), &["token", "nobody"], &vars).await.expect(1);
    assert!(unknown.err.contains("not_found"), "{}", unknown.err);
    let stranger = [vars[0], ("MOORING_API_KEY", "moor_abc_def")];
    let refused = run(elsewhere.path(), &["token", "acme review"], &stranger).await.expect(1);
    assert!(
        refused.err.contains("invalid_api_key") && !refused.err.contains("moor_abc_def"),
        "{}",
        refused.err
    );

    sim.revoke(&token);
    let path = format!("/api/v1/connections/{id}/check");
    let checked = client.request(http::Method::POST, &path).send().await.expect(200).json();
    assert_eq!(checked["reason"], "token_revoked");
    let dead = run(elsewhere.path(), &["token", "acme review"], &vars).await.expect(1);
    assert_eq!(dead.out, "", "never a dead token");
    assert!(dead.err.contains(&format!("http://localhost:8080/connections/{id}/rotate")), "{}", dead.err);
    assert!(!dead.err.contains(&token) && !dead.err.contains(&key), "{}", dead.err);

    let (code, said) = server.terminate().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&token) && !said.contains(&key), "{said}");
    let gone = run(elsewhere.path(), &["token", "acme review"], &vars).await.expect(1);
    assert!(gone.err.contains("could not be reached"), "{}", gone.err);
}

#[tokio::test]
async fn a_second_server_on_the_same_port_says_so() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]).await;
    let taken = server.address.strip_prefix("http://").unwrap();
    let said = run(folder.path(), &["serve"], &[("MOORING_LISTEN", taken)]).await.expect(1);
    assert!(said.err.contains("MOORING_LISTEN"), "{}", said.err);
    server.http.get("/readyz").await.expect(200);
}

/// What is under way when the signal comes is finished.
#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let (folder, sim) = (folder(), Sim::start(Options::default()).await);
    let token = sim.mint_personal(sim.add_user("alice"), &["api"], None).token;
    let url = sim.url();
    let server = Server::start(folder.path(), &[("MOORING_GITLAB_URL", &url)]).await;
    let arguments = ["api-key", "create", "--name", "ci", "--scope", "connections:write"];
    let key = run(folder.path(), &arguments, &[]).await.expect(0).line().to_owned();
    let client = server.http.with_key(&key);
    let gate = sim.hold(gitlab_sim::Endpoint::TokenSelf);
    let body = json!({"name": "late", "integration": "gitlab", "token": token});
    let asking = client.post_json("/api/v1/connections", body);
    let stopping = async {
        gate.reached().await;
        let stopping = server.terminate();
        let mut stopping = std::pin::pin!(stopping);
        // The server is told, and does not end while the answer is outstanding.
        let early = timeout(Duration::from_millis(300), &mut stopping).await;
        assert!(early.is_err(), "it ended under a request");
        gate.release();
        stopping.await
    };
    let (made, (code, said)) = tokio::join!(asking, stopping);
    assert_eq!(made.expect(201).json()["account"]["username"], "alice");
    assert_eq!(code, Some(0), "{said}");
}
