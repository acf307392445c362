//! What the environment may change. Each test runs its other half, an ignored test, in a process of its own.

use std::process::Command;

use super::server::{Pki, answering};
use super::{Script, get, trusted};
use crate::outbound::{BuildError, CaBundle, Outbound};

/// Runs the ignored test `name` of this module with `variables` set.
fn in_a_process_with(variables: &[(&str, String)], name: &str) {
    let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &name, "--ignored"]);
    for (variable, value) in variables {
        command.env(variable, value);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_proxy_of_the_environment_sees_nothing() {
    let proxy = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy");
    let target = answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ntarget");
    let proxy_url = proxy.url("");
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let mut variables: Vec<_> = names.map(|name| (name, proxy_url.clone())).to_vec();
    variables.push(("MOORING_TEST_TARGET", target.address.port().to_string()));
    variables.push(("no_proxy", String::new()));
    in_a_process_with(&variables, "reaches_the_target_itself");
    assert_eq!((proxy.connections(), target.connections()), (0, 1));
}

#[tokio::test]
#[ignore = "run by a_proxy_of_the_environment_sees_nothing"]
#[expect(clippy::disallowed_methods, reason = "the port comes from the test that started this process")]
async fn reaches_the_target_itself() {
    let port = std::env::var("MOORING_TEST_TARGET").unwrap();
    let options = Script::always(&["127.0.0.1"]).options();
    let outbound = Outbound::trusted_with(&CaBundle::default(), options).unwrap();
    let answer = outbound.send(get(&format!("http://gitlab.example:{port}/"))).await.unwrap();
    assert_eq!(answer.body.as_slice(), b"target");
}

#[test]
fn a_system_without_roots_is_a_clear_error() {
    let variables =
        [("SSL_CERT_FILE", "/nonexistent".to_owned()), ("SSL_CERT_DIR", "/nonexistent".to_owned())];
    in_a_process_with(&variables, "says_that_there_are_no_roots");
}

#[test]
#[ignore = "run by a_system_without_roots_is_a_clear_error"]
fn says_that_there_are_no_roots() {
    assert_eq!(Outbound::trusted(&CaBundle::default()).unwrap_err(), BuildError::NoRoots);
    assert!(Outbound::trusted(&Pki::for_host("gitlab.example").ca()).is_ok(), "a CA file is enough");
}

#[test]
fn a_client_shows_nothing_but_its_guard() {
    assert_eq!(format!("{:?}", trusted()), "Outbound { guard: Open, .. }");
}
