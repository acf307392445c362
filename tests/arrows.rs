//! The arrows between modules, as a test. The table is the one of docs/ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

/// Each module and what it may name. Every line may only name lines above it, so there is no circle.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("outbound", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("failpoint", &[]),
    ("vault", &["domain"]),
    ("store", &["domain", "vault"]),
    ("feed", &["store"]),
    ("providers", &["domain", "outbound"]),
    ("api_key", &["domain", "store", "vault"]),
    ("operator", &["domain", "store", "vault"]),
    ("renewal", &["domain", "failpoint", "store", "providers"]),
    ("transfer", &["domain", "vault", "store", "providers"]),
    ("connect", &["domain", "store", "providers", "vault", "transfer"]),
    ("disconnect", &["domain", "store", "providers"]),
    ("health", &["domain", "store", "providers", "renewal"]),
    ("reach", &["domain", "store", "providers", "renewal"]),
    ("handout", &["domain", "store", "renewal"]),
    ("proxy", &["domain", "outbound", "providers", "handout"]),
    ("notify", &["domain", "store", "outbound"]),
    ("sso", &["domain", "outbound", "vault", "store", "operator"]),
    (
        "web",
        &[
            "domain",
            "store",
            "vault",
            "providers",
            "telemetry",
            "api_key",
            "operator",
            "renewal",
            "connect",
            "disconnect",
            "health",
            "reach",
            "handout",
            "proxy",
            "notify",
            "sso",
            "transfer",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "outbound",
            "config",
            "telemetry",
            "vault",
            "store",
            "feed",
            "providers",
            "operator",
            "renewal",
            "connect",
            "disconnect",
            "health",
            "reach",
            "handout",
            "proxy",
            "notify",
            "sso",
            "transfer",
            "web",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "outbound",
            "config",
            "telemetry",
            "vault",
            "store",
            "providers",
            "api_key",
            "operator",
            "renewal",
            "health",
            "notify",
            "connect",
            "handout",
            "transfer",
            "app",
            "web",
        ],
    ),
];

/// The first path segments after `crate::`, also of a braced group.
fn heads(tail: &str) -> Vec<String> {
    let ident = |s: &str| s.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = tail.strip_prefix('{') else { return vec![ident(tail)] };
    let (mut depth, mut item, mut items) = (1, String::new(), vec![]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                items.push(ident(&item));
                item.clear();
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        item.push(c);
    }
    items.push(ident(&item));
    items
}

fn names_in(path: &Path, found: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            names_in(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains("super::super"), "{}: climb with crate::, not super::super", path.display());
        for tail in text.split("crate::").skip(1) {
            found.extend(heads(tail).into_iter().map(|name| (path.display().to_string(), name)));
        }
    }
}

fn source() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn every_module_is_in_the_table() {
    let known: Vec<_> = MAY_NAME.iter().map(|(name, _)| *name).chain(["lib", "main"]).collect();
    for entry in fs::read_dir(source()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(known.contains(&name), "{name} has no line in the table");
    }
}

#[test]
fn modules_point_one_way() {
    let table: BTreeMap<_, _> = MAY_NAME.iter().copied().collect();
    for (i, (name, allowed)) in MAY_NAME.iter().enumerate() {
        let above = |a: &&str| MAY_NAME[..i].iter().any(|(m, _)| m == a);
        assert!(allowed.iter().all(above), "{name} names a line below it: a circle");
    }
    let mut wrong = vec![];
    for (module, allowed) in &table {
        let mut found = vec![];
        for path in [source().join(module), source().join(format!("{module}.rs"))] {
            if path.exists() {
                names_in(&path, &mut found);
            }
        }
        assert!(!found.is_empty() || allowed.is_empty(), "{module} names nothing; its line is too wide");
        wrong.extend(found.into_iter().filter(|(_, name)| {
            name != module && table.contains_key(name.as_str()) && !allowed.contains(&name.as_str())
        }));
    }
    assert!(wrong.is_empty(), "forbidden arrows: {wrong:#?}");
}

/// One place lists where a secret is looked at in the open.
#[test]
fn secrets_are_exposed_in_few_places() {
    let mut found = vec![];
    let mut stack = vec![source()];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else if fs::read_to_string(&path).unwrap().contains(".expose()") {
            let name = path.strip_prefix(source()).unwrap().display().to_string();
            if !name.starts_with("config") && !name.starts_with("cli") && !name.starts_with("app/") {
                found.push(name);
            }
        }
    }
    found.sort();
    assert_eq!(found, EXPOSING, "a secret is looked at in a new place: is it needed?");
}

const EXPOSING: &[&str] = &[
    "connect/begin.rs",
    "connect/completion.rs",
    "connect/session.rs",
    "notify/signature.rs",
    "providers/gitlab/call.rs",
    "providers/gitlab/inspect.rs",
    "providers/gitlab/proxied.rs",
    "providers/oauth.rs",
    "sso.rs",
    "sso/exchange.rs",
    "sso/issuer.rs",
    "store/authorizations.rs",
    "store/connect_sessions.rs",
    "store/credentials.rs",
    "store/idempotent_calls.rs",
    "store/revocations.rs",
    "store/single_sign_ons.rs",
    "store/webhook_endpoints.rs",
    "transfer/document.rs",
    "vault/api_key.rs",
    "vault/ticket.rs",
    "web/api/api_keys.rs",
    "web/api/connect_sessions.rs",
    "web/api/once.rs",
    "web/api/tokens.rs",
    "web/api/webhook_endpoints.rs",
    "web/pages/browser.rs",
    "web/pages/settings/keys.rs",
    "web/pages/settings/people.rs",
    "web/pages/settings/webhook.rs",
];

/// One place lists where mail is sent.
#[test]
fn mail_is_sent_by_notify_alone() {
    let mut stack = vec![source()];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else if fs::read_to_string(&path).unwrap().contains("lettre") {
            let name = path.strip_prefix(source()).unwrap().display().to_string();
            assert!(name.starts_with("notify/"), "{name} sends mail: notify alone does");
        }
    }
}
