//! Pasted tokens: what each kind turns out to be, and what is refused before anything is stored.

use crate::support::{
    app::{On, TestApp, on_both},
    request::{Http, Reply},
};
use gitlab_sim::{Endpoint, Fault, MintedToken, Options, ServiceOwner, Sim, UserState, Version};
use mooring::{
    domain::{BaseUrl, Clock, Secret},
    outbound::{self, CaBundle, Outbound},
    providers::{GitLab, InspectError, Instance, ProviderApi},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, net::TcpListener, time::Duration};

const CONNECTIONS: &str = "/api/v1/connections";
const INSPECT: &str = "/api/v1/tokens/inspect";

fn word(value: &Value) -> &str {
    value.as_str().expect("a word")
}

/// A new connection at the configured GitLab.
fn pasted(name: &str, token: &str) -> Value {
    json!({"name": name, "integration": "gitlab", "token": token})
}

/// The same, with more fields.
fn pasted_with(name: &str, token: &str, more: &Value) -> Value {
    let mut body = pasted(name, token);
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    body
}

async fn adopt(program: &Http, body: Value) -> Value {
    program.post_json(CONNECTIONS, body).await.expect(201).json()
}

async fn kept(program: &Http) -> Vec<Value> {
    let list = program.get(&format!("{CONNECTIONS}?limit=200")).await.expect(200).json();
    list["items"].as_array().expect("a list").clone()
}

/// Refused with this status and code, and nothing is stored. What was pasted is never repeated.
async fn refused(program: &Http, body: Value, status: u16, code: &str) -> Reply {
    let (name, token) = (body["name"].clone(), body["token"].as_str().unwrap_or_default().to_owned());
    let reply = program.post_json(CONNECTIONS, body).await.expect(status);
    let problem = reply.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(token.is_empty() || !reply.text.contains(&token), "the token is repeated: {problem}");
    assert!(kept(program).await.iter().all(|c| c["name"] != name), "{name} was stored");
    reply
}

fn detail(reply: &Reply) -> String {
    reply.json()["detail"].as_str().expect("a sentence").to_owned()
}

/// What one token is expected to be.
struct Expected {
    name: &'static str,
    minted: MintedToken,
    kind: &'static str,
    account: &'static str,
    resource: Value,
}

fn one_of_each_kind(app: &TestApp) -> Vec<Expected> {
    let (sim, project, group) = (app.sim(), app.world.project, app.world.group);
    let service = |owner, username| sim.mint_service_account(owner, username, &["api"], None);
    let expect = |name, minted, kind, account, resource| Expected { name, minted, kind, account, resource };
    vec![
        expect("person", sim.mint_personal(app.world.alice, &["api"], None), "personal", "user", Value::Null),
        expect(
            "project",
            sim.mint_project(project, &["api"], 40, None),
            "project",
            "project_bot",
            json!({"kind": "project", "id": project}),
        ),
        expect(
            "group",
            sim.mint_group(group, &["api"], 40, None),
            "group",
            "group_bot",
            json!({"kind": "group", "id": group}),
        ),
        expect("instance", service(ServiceOwner::Instance, None), "personal", "service_account", Value::Null),
        expect(
            "of-group",
            service(ServiceOwner::Group(group), None),
            "personal",
            "service_account",
            Value::Null,
        ),
        expect(
            "of-project",
            service(ServiceOwner::Project(project), None),
            "personal",
            "service_account",
            Value::Null,
        ),
        expect(
            "chosen-name",
            service(ServiceOwner::Instance, Some("release.robot")),
            "personal",
            "service_account",
            Value::Null,
        ),
    ]
}

/// Adopts one token of each kind, told and untold, and looks at what became of it.
async fn recognises_every_kind(app: &TestApp) {
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let all = one_of_each_kind(app);
    for Expected { name, minted, kind, account, resource } in &all {
        let made = adopt(&program, pasted(name, &minted.token)).await;
        assert_eq!((&made["token_kind"], &made["method"]), (&json!(kind), &json!("access_token")), "{name}");
        assert_eq!((&made["renewal"], &made["renew_at"]), (&json!("manual"), &Value::Null), "{name}");
        assert_eq!(made["account"]["kind"], *account, "{name}");
        assert_eq!(made["account"]["id"], minted.user_id, "{name}");
        assert_eq!(made["account"]["resource"], *resource, "{name}");
        assert!(made["account"]["username"].is_string() && made["account"]["web_url"].is_string(), "{name}");
        assert_eq!((&made["scopes"], &made["expires_at"]), (&json!(["api"]), &Value::Null), "{name}");
        assert_eq!((&made["status"], &made["generation"]), (&json!("active"), &json!(1)), "{name}");

        let told = pasted_with(&format!("{name}-told"), &minted.token, &json!({"token_kind": kind}));
        assert_eq!(adopt(&program, told).await["token_kind"], *kind, "{name}");
        let token = program.get(&format!("{CONNECTIONS}/{name}/token")).await.expect(200).json();
        assert_eq!(token["access_token"], minted.token, "{name}");
    }
    assert_eq!(kept(&program).await.len(), 2 * all.len());
    let tokens: Vec<_> = all.iter().map(|one| one.minted.token.as_str()).collect();
    travelled_as_bearer_only(app, &tokens);
}

/// Looks at the last request of every endpoint: the token is in one header and nowhere else.
fn travelled_as_bearer_only(app: &TestApp, tokens: &[&str]) {
    let seen: Vec<_> =
        Endpoint::ALL.iter().filter_map(|endpoint| app.sim().last_request(*endpoint)).collect();
    assert!(!seen.is_empty(), "GitLab was asked");
    for request in seen {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        assert!(bearer.is_some_and(|token| tokens.contains(&token)), "{request:?}");
        assert_eq!(request.header("private-token"), None, "{request:?}");
        for token in tokens {
            let places = request.headers.iter().filter(|(_, value)| value.contains(token)).count();
            assert!(places <= 1 && !request.path_and_query.contains(token), "{request:?}");
            assert!(!request.body.contains(token), "{request:?}");
        }
    }
}

on_both!(every_kind_of_token_is_recognised, async |on: On| {
    let mut app = TestApp::start(on).await;
    recognises_every_kind(&app).await;
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_and_other_prefixes_make_no_difference() {
    for (version, token_prefix) in [
        (Version::V17_11, "glpat-"),
        (Version::V18_11, "glpat-"),
        (Version::V19_1, "acme_"),
        // As long and as random as an OAuth access token, and still none.
        (Version::V19_1, ""),
    ] {
        let options = Options { version, token_prefix: token_prefix.into(), ..Options::default() };
        let mut app = TestApp::start_with(On::Sqlite, options, &[]).await;
        recognises_every_kind(&app).await;
        app.stop().await;
    }
}

on_both!(a_pasted_oauth_access_token_lives_two_hours_and_is_not_renewed, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let pair = app.sim().mint_oauth(app.world.alice, &app.world.application, &["api"]);
    let body = pasted_with("borrowed", &pair.access, &json!({"token_kind": "oauth"}));

    let before = app.clock.now();
    let made = adopt(&program, body).await;
    assert_eq!((&made["token_kind"], &made["method"]), (&json!("oauth"), &json!("access_token")));
    assert_eq!((&made["renewal"], &made["renew_at"]), (&json!("manual"), &Value::Null));
    assert_eq!((&made["scopes"], &made["account"]["id"]), (&json!(["api"]), &json!(app.world.alice)));
    assert_eq!((&made["status"], &made["reason"]), (&json!("expiring"), &json!("token_expiring")));
    assert_eq!(made["action"], "rotate");
    let left = instant(&made["expires_at"]) - before;
    assert!(left > time::Duration::minutes(119) && left <= time::Duration::minutes(121), "{left} left");
    travelled_as_bearer_only(&app, &[&pair.access]);

    let untold = adopt(&program, pasted("untold", &pair.access)).await;
    assert_eq!(untold["token_kind"], "oauth");

    app.sim().reset_counts();
    app.advance(Duration::from_mins(121));
    let dead = program.get(&format!("{CONNECTIONS}/borrowed/token")).await.expect(409).json();
    assert_eq!((&dead["reason"], &dead["action"]), (&json!("token_expired"), &json!("rotate")));
    assert_eq!(app.sim().counts().token_requests, 0, "nothing tried to refresh it");
    assert!(app.sim().live_refresh_tokens().contains(&pair.refresh), "its owner's pair is untouched");
    app.stop().await;
});

fn instant(value: &Value) -> time::OffsetDateTime {
    let text = value.as_str().expect("an instant");
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).expect("RFC 3339")
}

on_both!(a_token_with_repository_scopes_alone_is_taken_at_its_word, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let person = app.sim().mint_personal(app.world.alice, &["read_repository"], None);
    let bot = app.sim().mint_project(app.world.project, &["read_repository", "write_repository"], 30, None);
    let named = |id| json!({"id": id, "username": null, "name": null, "kind": "user", "web_url": null, "resource": null});

    let made = adopt(&program, pasted("untold", &person.token)).await;
    assert_eq!((&made["token_kind"], &made["account"]), (&json!("personal"), &named(person.user_id)));
    let made = adopt(&program, pasted_with("told", &bot.token, &json!({"token_kind": "project"}))).await;
    assert_eq!(made["token_kind"], "project");
    assert_eq!(made["account"]["id"], bot.user_id);
    assert_eq!(made["scopes"], json!(["read_repository", "write_repository"]));
    assert_eq!(made["status"], "active");
    let token = program.get(&format!("{CONNECTIONS}/told/token")).await.expect(200).json();
    assert_eq!(token["access_token"], bot.token);

    let body = pasted_with("reader", &bot.token, &json!({"use_cases": ["read-only"]}));
    let said = detail(&refused(&program, body, 422, "insufficient_scope").await);
    assert!(said.contains("read_api"), "{said}");
    app.stop().await;
});

on_both!(a_fine_grained_token_that_may_not_ask_is_recognised, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let (alice, use_cases) = (app.world.alice, json!({"use_cases": ["code-review", "remediation"]}));
    let granular = |allow: &[Endpoint]| app.sim().mint_granular(alice, allow, None).token;

    let silent = granular(&[]);
    let made = adopt(&program, pasted("silent", &silent)).await;
    assert_eq!((&made["token_kind"], &made["account"]), (&json!("personal"), &Value::Null));
    assert_eq!((&made["scopes"], &made["status"]), (&json!(["granular"]), &json!("active")));
    let made = adopt(&program, pasted_with("silent-checked", &silent, &use_cases)).await;
    assert_eq!(outcomes(&made["checks"]), [("code-review", "role_unknown"), ("remediation", "role_unknown")]);
    assert_eq!(made["status"], "active", "what cannot be asked is not held against it");
    let token = program.get(&format!("{CONNECTIONS}/silent/token")).await.expect(200).json();
    assert_eq!(token["access_token"], silent);

    let made = adopt(&program, pasted("says-who", &granular(&[Endpoint::User]))).await;
    assert_eq!((&made["account"]["id"], &made["account"]["username"]), (&json!(alice), &json!("alice")));
    let made = adopt(&program, pasted("says-what", &granular(&[Endpoint::TokenSelf]))).await;
    assert_eq!((&made["account"]["id"], &made["account"]["username"]), (&json!(alice), &Value::Null));
    let asks = granular(&[Endpoint::TokenSelf, Endpoint::User, Endpoint::Projects, Endpoint::Groups]);
    let made = adopt(&program, pasted_with("asks", &asks, &use_cases)).await;
    assert_eq!(outcomes(&made["checks"]), [("code-review", "ok"), ("remediation", "ok")]);
    app.stop().await;
});

fn outcomes(checks: &Value) -> Vec<(&str, &str)> {
    let checks = checks.as_array().expect("checks");
    checks.iter().map(|c| (word(&c["use_case"]), word(&c["outcome"]))).collect()
}

on_both!(a_kind_that_is_told_wrong_is_refused, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let oauth = app.sim().mint_oauth(app.world.alice, &app.world.application, &["api"]).access;
    let known = one_of_each_kind(&app).into_iter().map(|one| (one.name, one.minted.token, one.kind));
    for (name, token, kind) in known.chain([("oauth", oauth, "oauth")]) {
        for told in ["oauth", "personal", "project", "group"].into_iter().filter(|told| *told != kind) {
            let body = pasted_with(name, &token, &json!({"token_kind": told}));
            let said = detail(&refused(&program, body, 422, "wrong_token_kind").await).to_lowercase();
            assert!(said.contains(kind) && said.contains(told), "{name} told as {told}: {said}");
        }
    }
    let body = pasted_with("odd", "glpat-x", &json!({"token_kind": "deploy"}));
    refused(&program, body, 422, "invalid_field").await;
    assert_eq!(kept(&program).await, Vec::<Value>::new());
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_token_is_refused_without_a_call() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    let long = "x".repeat(5_000);
    for (token, says) in [
        ("", "paste the access token"),
        ("  \n", "paste the access token"),
        ("glpat-first second", "spaces"),
        ("glpat-first\tsecond", "spaces"),
        (&long, "too long"),
        ("glpat-ünïcode", "characters no token has"),
        ("glpat-\u{1f511}", "characters no token has"),
        ("glrt-t1_abcdef", "runner"),
        ("glrtr-abcdef", "runner"),
        ("gldt-abcdef", "deploy token"),
        ("glptt-abcdef", "trigger"),
        ("glcbt-abcdef", "job token"),
        ("gloas-abcdef", "oauth application"),
        ("glft-abcdef", "feed"),
        ("glagent-abcdef", "agent"),
    ] {
        let said = detail(&refused(&program, pasted("odd", token), 422, "token_invalid").await);
        assert!(said.to_lowercase().contains(says), "{token:?}: {said}");
        let looked_up = json!({"integration": "gitlab", "token": token});
        let reply = program.post_json(INSPECT, looked_up).await.expect(422).json();
        assert_eq!(reply["code"], "token_invalid");
    }
    assert_eq!(app.sim().count(Endpoint::Any), 0);
    assert_eq!(kept(&program).await, Vec::<Value>::new());
    app.stop().await;
}

on_both!(a_dead_token_is_refused_with_what_is_wrong, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let (sim, alice) = (app.sim(), app.world.alice);
    let revoked = sim.mint_project(app.world.project, &["api"], 40, None).token;
    sim.revoke(&revoked);
    let expired = sim.mint_personal(alice, &["api"], None).token;
    sim.expire(&expired);
    let spent = sim.mint_oauth(alice, &app.world.application, &["api"]).access;
    sim.expire(&spent);
    let withdrawn = sim.mint_oauth(alice, &app.world.application, &["api"]).access;
    sim.revoke(&withdrawn);
    let ghost = sim.mint_group(app.world.group, &["api"], 40, None);
    sim.delete_user(ghost.user_id);
    for (token, code, says) in [
        ("glpat-nobodyknowsthisone", "token_invalid", "does not accept"),
        (&ghost.token, "token_invalid", "does not accept"),
        (&revoked, "token_revoked", "revoked"),
        (&withdrawn, "token_revoked", "revoked"),
        (&expired, "token_expired", "expired"),
        (&spent, "token_expired", "expired"),
    ] {
        sim.reset_counts();
        let said = detail(&refused(&program, pasted("dead", token), 422, code).await);
        assert!(said.contains(says), "{code}: {said}");
        assert_eq!(sim.count(Endpoint::Any), 1, "{code}: one question is enough");
    }
    assert_eq!(kept(&program).await, Vec::<Value>::new());
    app.stop().await;
});

on_both!(an_account_that_gitlab_shuts_out_is_named_as_the_reason, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let (sim, alice) = (app.sim(), app.world.alice);
    let personal = sim.mint_personal(alice, &["api"], None).token;
    let oauth = sim.mint_oauth(alice, &app.world.application, &["api"]).access;
    for (state, says) in [
        (UserState::Blocked, "blocked"),
        (UserState::PendingApproval, "blocked"),
        (UserState::Deactivated, "deactivated"),
        (UserState::TermsNotAccepted, "terms of service"),
        (UserState::Unconfirmed, "not confirmed"),
        (UserState::PasswordExpired, "password"),
        (UserState::Internal, "refuses this account"),
    ] {
        sim.set_user_state(alice, state);
        for token in [&personal, &oauth] {
            let said = detail(&refused(&program, pasted("shut-out", token), 422, "account_blocked").await);
            assert!(said.contains(says), "{state:?}: {said}");
        }
    }
    sim.set_user_state(alice, UserState::Active);
    adopt(&program, pasted("shut-out", &personal)).await;
    app.stop().await;
});

on_both!(every_missing_scope_of_every_chosen_use_case_is_named, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let narrow = app.sim().mint_personal(app.world.alice, &["read_api", "read_repository"], None).token;
    let wanted = json!({"use_cases": ["read-only", "code-review", "remediation"]});
    let reply = refused(&program, pasted_with("narrow", &narrow, &wanted), 422, "insufficient_scope").await;
    let said = detail(&reply);
    let words: BTreeSet<_> =
        said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    assert!(words.contains("api") && words.contains("write_repository"), "{said}");
    assert!(!words.contains("read_repository") && !words.contains("read_api"), "it has these: {said}");
    let help = reply.json()["help_url"].as_str().expect("where to make another").to_owned();
    let page = format!("{}/-/user_settings/personal_access_tokens", app.sim().url());
    assert!(help.starts_with(&page) && help.contains("write_repository"), "{help}");

    let first = pasted_with("narrow", &narrow, &json!({"use_cases": ["read-only"]}));
    assert_eq!(adopt(&program, first).await["checks"][0]["outcome"], "ok");
    assert_eq!(kept(&program).await.len(), 1);
    app.stop().await;
});

on_both!(a_role_that_nothing_reaches_is_refused, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let (sim, project, group) = (app.sim(), app.world.project, app.world.group);
    let review = json!({"use_cases": ["code-review"]});
    let bob = sim.add_user("bob");
    sim.add_member_project(project, bob, 20);
    let bots = [sim.mint_project(project, &["api"], 20, None), sim.mint_group(group, &["api"], 30, None)];

    // A bot has one place, and its own membership there is asked.
    for (bot, endpoint) in bots.iter().zip([Endpoint::ProjectMember, Endpoint::GroupMember]) {
        sim.reset_counts();
        let body = pasted_with("low", &bot.token, &review);
        let said = detail(&refused(&program, body, 422, "insufficient_role").await);
        assert!(said.contains("Maintainer") && said.contains("code-review"), "{said}");
        assert_eq!((sim.count(endpoint), sim.count(Endpoint::Projects)), (1, 0));
        let asked = sim.last_request(endpoint).expect("asked").path_and_query;
        assert!(asked.ends_with(&format!("/members/all/{}", bot.user_id)), "{asked}");
    }

    // A person may have the role anywhere: no project has it, no group has it.
    let token = sim.mint_personal(bob, &["api"], None).token;
    sim.reset_counts();
    refused(&program, pasted_with("low", &token, &review), 422, "insufficient_role").await;
    assert_eq!((sim.count(Endpoint::Projects), sim.count(Endpoint::Groups)), (1, 1));
    assert_eq!((sim.count(Endpoint::ProjectMember), sim.count(Endpoint::GroupMember)), (0, 0));

    // A service account that is a member of nothing.
    let service = sim.mint_service_account(ServiceOwner::Instance, None, &["api"], None).token;
    refused(&program, pasted_with("low", &service, &review), 422, "insufficient_role").await;

    // An owner's use case is above a maintainer's token.
    let maintainer = sim.mint_project(project, &["api"], 40, None).token;
    let sync = json!({"use_cases": ["code-review", "secret-sync"]});
    let said =
        detail(&refused(&program, pasted_with("low", &maintainer, &sync), 422, "insufficient_role").await);
    assert!(said.contains("Owner") && said.contains("secret-sync"), "{said}");

    // A group without a project is a place too.
    let empty = sim.add_group("empty");
    sim.add_member_group(empty, bob, 40);
    let made = adopt(&program, pasted_with("bob", &token, &review)).await;
    assert_eq!(outcomes(&made["checks"]), [("code-review", "ok")]);
    assert_eq!(kept(&program).await.len(), 1);
    app.stop().await;
});

on_both!(a_role_that_is_too_low_in_one_project_is_told_and_not_refused, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let other = app.sim().add_project("acme/docs");
    app.sim().add_member_project(other, app.world.alice, 20);
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    let made = adopt(&program, pasted_with("mixed", &token, &json!({"use_cases": ["code-review"]}))).await;
    let check = &made["checks"][0];
    assert_eq!((&check["outcome"], &check["least_role"]), (&json!("ok"), &json!("Maintainer")));
    assert_eq!(check["too_low_in"], json!(["acme/docs"]));
    assert_eq!((&made["status"], &made["reason"]), (&json!("active"), &Value::Null));
    app.stop().await;
});

on_both!(what_is_wrong_with_a_request_is_said_before_gitlab_is_asked, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    adopt(&program, pasted("taken", &token)).await;
    app.sim().reset_counts();

    let reply = program.post_json(CONNECTIONS, pasted("taken", &token)).await.expect(409).json();
    assert_eq!(reply["code"], "name_taken");
    let url = app.sim().url();
    for (body, code, says) in [
        (pasted_with("a", &token, &json!({"use_cases": ["baking"]})), "unknown_use_case", "baking"),
        (json!({"name": "a", "integration": "acme", "token": token}), "unknown_integration", "acme"),
        (pasted_with("a", &token, &json!({"base_url": url})), "invalid_field", "either"),
        (json!({"name": "a", "token": token}), "invalid_field", "either"),
        (json!({"name": "a", "integration": "gitlab"}), "invalid_field", "token"),
        (pasted("", &token), "invalid_field", "name"),
        (pasted("a/b", &token), "invalid_field", "slash"),
        (pasted_with("a", &token, &json!({"renewal": "refresh"})), "invalid_field", "refresh token"),
        (pasted_with("a", &token, &json!({"colour": "red"})), "invalid_field", "colour"),
        (pasted_with("a", &token, &json!({"tenant": ""})), "invalid_field", "tenant"),
    ] {
        let said = detail(&refused(&program, body.clone(), 422, code).await);
        assert!(said.contains(says), "{body}: {said}");
    }
    assert_eq!(app.sim().count(Endpoint::Any), 0);
    assert_eq!(kept(&program).await.len(), 1);

    // Another tenant's names are its own.
    adopt(&program, pasted_with("taken", &token, &json!({"tenant": "acme"}))).await;
    app.stop().await;
});

/// Where a redirect would lead. Nobody may come.
fn trap() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    (listener, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_on_the_way_stores_nothing_and_names_the_step() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    let token = app.sim().mint_project(app.world.project, &["api"], 40, None).token;
    let (nobody, elsewhere) = trap();
    let sign_in = "<!DOCTYPE html><title>Sign in</title>";
    let redirect = |status, to: String| Fault::Status {
        status,
        headers: vec![("Location".into(), to)],
        body: "<html>You are being redirected.</html>".into(),
    };
    let json = |status, body: &str| Fault::Json { status, body: body.into() };
    let trouble = [
        (Fault::bad_gateway(), 502, "provider_unreachable", "502"),
        (Fault::Maintenance, 502, "provider_unreachable", "503"),
        (json(500, r#"{"message":"500 Internal Server Error"}"#), 502, "provider_unreachable", "500"),
        (Fault::DropBefore, 502, "provider_unreachable", "step: http"),
        (Fault::DropAfterCommit, 502, "provider_unreachable", "step: http"),
        (Fault::Truncate, 502, "provider_unreachable", "step: http"),
        (Fault::status(200, sign_in), 502, "not_gitlab", "base URL"),
        (Fault::status(404, "<h1>404</h1>"), 502, "not_gitlab", "404"),
        (Fault::status(401, sign_in), 502, "not_gitlab", "401"),
        (Fault::status(403, "<title>Just a moment...</title>"), 502, "not_gitlab", "403"),
        (redirect(302, format!("{elsewhere}/users/sign_in")), 502, "not_gitlab", "redirect"),
        (redirect(301, format!("{elsewhere}/api/v4/user")), 502, "not_gitlab", "redirect"),
        (redirect(307, format!("{elsewhere}/api/v4/user")), 502, "not_gitlab", "redirect"),
        (json(200, "{}"), 502, "not_gitlab", "JSON"),
        (json(200, "{\"id\":"), 502, "not_gitlab", "JSON"),
    ];
    for (fault, status, code, says) in trouble {
        for at in [Endpoint::TokenSelf, Endpoint::User] {
            app.sim().fault(at, fault.clone());
            let reply = refused(&program, pasted("trouble", &token), status, code).await;
            assert!(detail(&reply).contains(says), "{fault:?} at {at}: {}", reply.text);
            let step = if code == "provider_unreachable" { json!("http") } else { Value::Null };
            assert_eq!(reply.json()["step"], step, "{fault:?} at {at}");
        }
    }
    assert!(nobody.accept().is_err(), "a redirect was followed");
    adopt(&program, pasted("trouble", &token)).await;
    app.stop().await;
}

/// Below the app, because nobody waits half a minute for the app's own limit.
#[tokio::test]
async fn a_gitlab_that_never_answers_is_given_up_and_not_taken_for_a_dead_token() {
    let sim = Sim::start(Options::default()).await;
    let minted = sim.mint_personal(sim.add_user("alice"), &["api"], None);
    let limits = outbound::Options { total: Duration::from_millis(300), ..outbound::Options::default() };
    let http = Outbound::trusted_with(&CaBundle::default(), limits).expect("a client");
    let base_url = BaseUrl::parse_configured(&sim.url()).expect("a base URL");
    let (instance, token) = (Instance { base_url, http, application: None }, Secret::new(minted.token));
    for at in [Endpoint::TokenSelf, Endpoint::User] {
        let _gate = sim.hold(at);
        let given_up = GitLab.inspect(&instance, &token, None, Clock::default().now()).await;
        let Err(InspectError::Unreachable { step: "http", message }) = given_up else {
            panic!("{given_up:?}")
        };
        assert!(message.contains("did not answer in time"), "{message}");
    }
    GitLab.inspect(&instance, &token, None, Clock::default().now()).await.expect("now it answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_json_api_is_not_taken_for_gitlab() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    for (status, body) in [
        (404, r#"{"message":"Not Found","documentation_url":"https://docs.example.com"}"#),
        (404, r#"{"error":"404 Not Found"}"#),
        (403, r#"{"message":"Forbidden"}"#),
        (400, r#"{"message":"Bad Request"}"#),
        (200, r#"{"hello":"world"}"#),
        (200, "[]"),
        (
            200,
            r#"{"id":1,"name":"x","scopes":["api"],"active":true,"revoked":false,"user_id":1,"expires_at":"-5000-01-01"}"#,
        ),
    ] {
        app.sim().fault_always(Endpoint::Any, Fault::Json { status, body: body.into() });
        refused(&program, pasted("elsewhere", &token), 502, "not_gitlab").await;
        let looked_up = json!({"integration": "gitlab", "token": token});
        assert_eq!(program.post_json(INSPECT, looked_up).await.expect(502).json()["code"], "not_gitlab");
    }
    app.sim().clear_faults();
    // What answers 400 to the first question may still not know the second.
    app.sim().fault(Endpoint::TokenSelf, Fault::Json { status: 400, body: r#"{"code":4}"#.into() });
    app.sim().fault(Endpoint::TokenInfo, Fault::Json { status: 404, body: r#"{"code":5}"#.into() });
    refused(&program, pasted("elsewhere", &token), 502, "not_gitlab").await;
    adopt(&program, pasted("elsewhere", &token)).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_requests_is_passed_on_with_when_to_come_back() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    for at in [Endpoint::TokenSelf, Endpoint::User] {
        app.sim().fault(at, Fault::RateLimitedRack { retry_after: 17 });
        let reply = refused(&program, pasted("later", &token), 503, "rate_limited").await;
        assert_eq!((reply.header("retry-after"), &reply.json()["retry_after"]), ("17", &json!(17)));
        app.sim().fault(at, Fault::RateLimitedEndpoint);
        let reply = refused(&program, pasted("later", &token), 503, "rate_limited").await;
        let wait: u64 = reply.header("retry-after").parse().expect("seconds");
        assert!((1..=3_600).contains(&wait), "{wait}");
    }
    adopt(&program, pasted("later", &token)).await;
    app.stop().await;
}

on_both!(looking_a_token_up_stores_nothing_and_reports_on_every_use_case, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["admin"]).await;
    let ends = (app.clock.now() + time::Duration::days(90)).date();
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, Some(ends));
    let before = program.get("/api/v1/events").await.expect(200).json();

    let asked = json!({"integration": "gitlab", "token": format!("  {}\n", minted.token)});
    let found = program.post_json(INSPECT, asked).await.expect(200).json();
    assert_eq!((&found["kind"], &found["kind_is_sure"]), (&json!("project"), &json!(true)));
    assert_eq!((&found["name"], &found["scopes"]), (&json!("project-token"), &json!(["api"])));
    assert_eq!(found["expires_at"], format!("{ends}T00:00:00Z"));
    assert_eq!(found["account"]["resource"], json!({"kind": "project", "id": app.world.project}));
    assert_eq!(found["base_url"], app.sim().url());
    let mut reported = outcomes(&found["use_cases"]);
    reported.sort_unstable();
    let expected = [
        ("code-review", "ok"),
        ("read-only", "insufficient_scope"),
        ("remediation", "insufficient_scope"),
        ("secret-scanning", "insufficient_scope"),
        ("secret-sync", "insufficient_role"),
    ];
    assert_eq!(reported, expected);
    let known = program.get("/api/v1/use-cases").await.expect(200).json();
    assert_eq!(known["items"].as_array().unwrap().len(), expected.len());

    let one = json!({"integration": "gitlab", "token": minted.token, "use_cases": ["secret-sync"]});
    let found = program.post_json(INSPECT, one).await.expect(200).json();
    assert_eq!(outcomes(&found["use_cases"]), [("secret-sync", "insufficient_role")]);
    assert_eq!(found["problems"], found["use_cases"]);
    let wrong = json!({"integration": "gitlab", "token": minted.token, "token_kind": "group"});
    assert_eq!(program.post_json(INSPECT, wrong).await.expect(422).json()["code"], "wrong_token_kind");

    assert_eq!(kept(&program).await, Vec::<Value>::new());
    assert_eq!(program.get("/api/v1/events").await.expect(200).json(), before, "nothing happened");
    travelled_as_bearer_only(&app, &[&minted.token]);
    app.stop().await;
});

on_both!(a_new_token_of_the_same_account_takes_the_place_of_the_old_one, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let ends = (app.clock.now() + time::Duration::days(10)).date();
    let old = app.sim().mint_personal(app.world.alice, &["api"], Some(ends)).token;
    let made = adopt(&program, pasted_with("alice", &old, &json!({"use_cases": ["code-review"]}))).await;
    assert_eq!((&made["status"], &made["generation"]), (&json!("expiring"), &json!(1)));
    let path = format!("{CONNECTIONS}/alice/token");
    assert_eq!(program.get(&path).await.expect(200).json()["access_token"], old);

    let new = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    let rotated = program.put_json(&path, json!({"token": format!(" {new} ")})).await.expect(200).json();
    assert_eq!((&rotated["id"], &rotated["generation"]), (&made["id"], &json!(2)));
    assert_eq!((&rotated["status"], &rotated["expires_at"]), (&json!("active"), &Value::Null));
    assert_eq!(outcomes(&rotated["checks"]), [("code-review", "ok")]);
    let token = program.get(&path).await.expect(200).json();
    assert_eq!((&token["access_token"], &token["generation"]), (&json!(new), &json!(2)));
    assert!(app.sim().is_live(&old), "a replaced token is its owner's, not ours to revoke");
    app.stop().await;
});

on_both!(a_refused_replacement_keeps_the_old_token_working, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let (sim, alice) = (app.sim(), app.world.alice);
    let old = sim.mint_personal(alice, &["api"], None).token;
    adopt(&program, pasted_with("alice", &old, &json!({"use_cases": ["code-review"]}))).await;
    let dead = sim.mint_personal(alice, &["api"], None).token;
    sim.revoke(&dead);
    let narrow = sim.mint_personal(alice, &["read_api"], None).token;
    let good = sim.mint_personal(alice, &["api"], None).token;
    let foreign = sim.mint_project(app.world.project, &["api"], 40, None).token;
    let path = format!("{CONNECTIONS}/alice/token");
    for (token, fault, status, code) in [
        (&*dead, None, 422, "token_revoked"),
        (&narrow, None, 422, "insufficient_scope"),
        (&foreign, None, 409, "different_account"),
        ("", None, 422, "token_invalid"),
        ("glrt-runner", None, 422, "token_invalid"),
        (&good, Some(Fault::bad_gateway()), 502, "provider_unreachable"),
        (&good, Some(Fault::RateLimitedEndpoint), 503, "rate_limited"),
        (&good, Some(Fault::status(200, "<html>")), 502, "not_gitlab"),
    ] {
        if let Some(fault) = fault {
            sim.fault(Endpoint::TokenSelf, fault);
        }
        let reply = program.put_json(&path, json!({"token": token})).await.expect(status);
        assert_eq!(reply.json()["code"], code, "{}", reply.text);
        assert!(token.is_empty() || !reply.text.contains(token));
        let handed_out = program.get(&path).await.expect(200).json();
        assert_eq!((&handed_out["access_token"], &handed_out["generation"]), (&json!(old), &json!(1)));
        let shown = program.get(&format!("{CONNECTIONS}/alice")).await.expect(200).json();
        assert_eq!((&shown["status"], &shown["account"]["id"]), (&json!("active"), &json!(alice)), "{code}");
    }
    app.stop().await;
});

on_both!(a_token_that_nobody_names_takes_no_place_by_itself, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let silent = || app.sim().mint_granular(app.world.alice, &[], None).token;
    adopt(&program, pasted("silent", &silent())).await;
    let (path, next) = (format!("{CONNECTIONS}/silent/token"), silent());
    let reply = program.put_json(&path, json!({"token": next})).await.expect(409);
    assert_eq!(reply.json()["code"], "different_account");
    assert!(detail(&reply).contains("does not say whose"), "{}", reply.text);
    let allowed = format!("{path}?allow_different_account=true");
    assert_eq!(program.put_json(&allowed, json!({"token": next})).await.expect(200).json()["generation"], 2);
    app.stop().await;
});

// Two people rotate at once: both are told that it was done, and the one who ends last has the last word.
on_both!(a_replacement_wins_over_a_change_meanwhile, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let mint = || app.sim().mint_personal(app.world.alice, &["api"], None).token;
    adopt(&program, pasted("alice", &mint())).await;
    let (path, slow, fast) = (format!("{CONNECTIONS}/alice/token"), mint(), mint());
    let gate = app.sim().hold(Endpoint::TokenSelf);
    let (first, at, token) = (program.clone(), path.clone(), slow.clone());
    let first = tokio::spawn(async move { first.put_json(&at, json!({"token": token})).await });
    gate.reached().await;
    program.put_json(&path, json!({"token": fast})).await.expect(200);
    gate.release();
    assert_eq!(first.await.unwrap().expect(200).json()["generation"], 3);
    assert_eq!(program.get(&path).await.expect(200).json()["access_token"], slow);
    app.stop().await;
});

/// What is replaced leaves no trace in the database's files: a copy of them must not bring it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_is_gone_from_the_database_files() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["connections:write"]).await;
    let old = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    adopt(&program, pasted("alice", &old)).await;
    let file = app.data.path().join("mooring.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let database = sqlx::SqlitePool::connect_with(options).await.expect("the file opens");
    let sealed = async || {
        let all =
            sqlx::query_scalar::<_, Vec<u8>>("select access_token from credentials").fetch_all(&database);
        let [one] = &all.await.expect("it reads")[..] else { panic!("one credential") };
        one.clone()
    };
    let sealed_old = sealed().await;

    let new = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    program.put_json(&format!("{CONNECTIONS}/alice/token"), json!({"token": new})).await.expect(200);
    let sealed_new = sealed().await;
    let checkpoint = sqlx::query_as::<_, (i64, i64, i64)>("pragma wal_checkpoint(truncate)");
    let (busy, ..) = checkpoint.fetch_one(&database).await.expect("a checkpoint");
    assert_eq!(busy, 0, "the log was emptied");

    let mut bytes = fs::read(&file).expect("it reads");
    bytes.extend(fs::read(file.with_extension("db-wal")).unwrap_or_default());
    let holds = |wanted: &[u8]| bytes.windows(wanted.len()).any(|part| part == wanted);
    assert!(holds(&sealed_new), "this is where credentials are");
    assert!(!holds(&sealed_old), "the old ciphertext is still there");
    // The nonce and the first block, should a copy have been cut.
    assert!(!holds(&sealed_old[5..45]), "a part of the old ciphertext is still there");
    assert!(!holds(old.as_bytes()) && !holds(new.as_bytes()), "a token lies there in the open");
    database.close().await;
    app.stop().await;
}
