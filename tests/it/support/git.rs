//! Real git on both ends: a client in a folder of its own, and `git http-backend` behind a door that knows which
//! tokens live, as GitLab's does.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, stream};
use gitlab_sim::Sim;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdout, Command},
};

/// Repositories on the server's side.
pub(crate) struct Repositories {
    folder: TempDir,
}

impl Repositories {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder can be made") }
    }

    /// Makes an empty repository, such as `acme/web`.
    pub(crate) async fn add(&self, path: &str) -> PathBuf {
        let bare = self.folder.path().join(format!("{path}.git"));
        std::fs::create_dir_all(&bare).expect("a folder can be made");
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch=main"]).await;
        git(&bare, &["config", "http.receivepack", "true"]).await;
        bare
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }
}

/// Runs git, which must succeed.
pub(crate) async fn git(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = try_git(folder, arguments).await;
    let told = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "git {arguments:?}:\n{told}");
    String::from_utf8_lossy(&stdout).into_owned()
}

/// Runs git as a person without any settings who cannot be asked.
pub(crate) async fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(arguments);
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command.env_remove("http_proxy").env_remove("https_proxy").stdin(Stdio::null());
    command.output().await.expect("git is here: `make test` installs it")
}

/// Answers a request for a repository, as a CGI program does (RFC 3875).
pub(super) async fn serve(sim: &Sim, root: &Path, request: Request) -> Response {
    if !password(request.headers()).is_some_and(|token| sim.is_live(&token)) {
        return denied();
    }
    let (parts, body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut command = Command::new("git");
    command.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("PATH_INFO", parts.uri.path()).env("QUERY_STRING", parts.uri.query().unwrap_or_default());
    command.env("REQUEST_METHOD", parts.method.as_str()).env("CONTENT_TYPE", header("content-type"));
    command.env("HTTP_CONTENT_ENCODING", header("content-encoding")).env("REMOTE_USER", "oauth2");
    command.env("GIT_PROTOCOL", header("git-protocol")).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let length = header("content-length");
    if !length.is_empty() {
        command.env("CONTENT_LENGTH", length);
    }
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("git is here: `make test` installs it");
    let mut input = child.stdin.take().expect("it is piped");
    tokio::spawn(async move {
        let mut body = body.into_data_stream();
        while let Some(Ok(chunk)) = body.next().await {
            if input.write_all(&chunk).await.is_err() {
                break;
            }
        }
    });
    let mut output = BufReader::with_capacity(64 * 1024, child.stdout.take().expect("it is piped"));
    let (status, headers) = head(&mut output).await;
    let pieces = stream::unfold((output, child), async |(mut output, child)| {
        let mut piece = vec![0; 64 * 1024];
        let read = output.read(&mut piece).await.unwrap_or_default();
        piece.truncate(read);
        (read > 0).then(|| (Ok::<_, Infallible>(Bytes::from(piece)), (output, child)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The lines before the first empty one; `Status` is the status.
async fn head(output: &mut BufReader<ChildStdout>) -> (StatusCode, HeaderMap) {
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    let mut line = String::new();
    while output.read_line(&mut line).await.is_ok_and(|read| read > 0) && !line.trim().is_empty() {
        let (name, value) = line.trim().split_once(':').expect("a header");
        if name.eq_ignore_ascii_case("status") {
            let code = value.split_whitespace().next().expect("a code");
            status = code.parse().expect("a status");
        } else {
            let name = HeaderName::try_from(name).expect("a header's name");
            headers.insert(name, HeaderValue::from_str(value.trim()).expect("a header's value"));
        }
        line.clear();
    }
    (status, headers)
}

/// The credential part of Basic.
pub(super) fn basic(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}

pub(super) fn password(headers: &HeaderMap) -> Option<String> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    Some(pair.strip_prefix("oauth2:")?.to_owned())
}

/// As GitLab says it (GitLab docs, "Git over HTTPS").
fn denied() -> Response {
    let mut response =
        Response::new(Body::from("HTTP Basic: Access denied. The provided password or token is incorrect."));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Basic realm=\"GitLab\""));
    response
}
