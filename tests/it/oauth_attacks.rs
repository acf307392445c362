//! Attacks on an authorization: stolen, replayed, swapped and forged answers, and a hostile token endpoint.
//! What the table in the security notes calls O1 to O9, O16 to O21 and O26; one file, so that each row is found. Counted at the simulated GitLab.

use crate::support::{
    app::{On, TestApp, on_both},
    database::{dump, holds, rows},
    flow::{Flow, callback, outcome},
    request::Http,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use futures_util::{StreamExt, future::join_all, stream};
use gitlab_sim::{Endpoint, Fault, Gate, Options, Sim};
use http::Method;
use mooring::{
    connect::{Begin, Purpose},
    domain::{Actor, OperatorId, Role, Secret},
    store::Operator,
    vault::hash_password,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;
use url::Url;

const NINE_MINUTES: Duration = Duration::from_secs(540);
const PATIENCE: Duration = Duration::from_secs(60);

async fn signed_in(on: On) -> TestApp {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    app
}

/// Nothing was asked of GitLab's token endpoint, and nothing is kept.
async fn nothing_came_of_it(app: &TestApp) {
    assert_eq!(app.sim().counts().token_requests, 0);
    nothing_is_kept(app).await;
}

async fn nothing_is_kept(app: &TestApp) {
    assert_eq!((rows(app, "connections").await, rows(app, "credentials").await), (0, 0));
}

/// Waits until GitLab has revoked what the gate in front of the answer tells of.
async fn revoked(gate: Gate) {
    timeout(PATIENCE, gate.reached()).await.expect("a revocation reaches GitLab");
    gate.release();
}

// O1

on_both!(no_two_states_are_alike_and_none_is_kept, async |on: On| {
    let app = TestApp::start(on).await;
    let begins = if on == On::Sqlite { 1_000 } else { 10_000 };
    let begin = async || {
        let purpose = Purpose::Connect { name: None, use_cases: vec![] };
        let (session, binder) = (vec![7; 32], Secret::new("b".repeat(43)));
        let begin = Begin { integration: "gitlab".into(), purpose, session, binder };
        Flow { authorize: app.app().state.connect.begin(begin).await.expect("it begins").url }
    };
    let flows: Vec<Flow> = stream::iter(0..begins).map(|_| begin()).buffer_unordered(32).collect().await;
    let states: HashSet<_> = flows.iter().map(|flow| flow.asked("state")).collect();
    let challenges: HashSet<_> = flows.iter().map(|flow| flow.asked("code_challenge")).collect();
    assert_eq!((states.len(), challenges.len()), (begins, begins));
    let bytes: Vec<_> = states.iter().map(|state| BASE64_URL_SAFE_NO_PAD.decode(state).unwrap()).collect();
    assert!(bytes.iter().all(|b| b.len() * 8 >= 128));
    for bit in 0..128 {
        let set = bytes.iter().filter(|b| b[bit / 8] & (1 << (bit % 8)) != 0).count();
        assert!((begins * 2 / 5..begins * 3 / 5).contains(&set), "bit {bit} is set {set} times of {begins}");
    }
    let kept = dump(&app).await;
    assert!(kept.contains("/oauth/gitlab/callback"), "the authorizations were looked at");
    assert!(states.iter().take(25).all(|state| !holds(&kept, state)));
});

on_both!(an_authorization_lives_ten_minutes, async |on: On| {
    let app = signed_in(on).await;
    let (in_time, late) = (Flow::begin(&app, "in time").await, Flow::begin(&app, "late").await);
    let (in_time, late) = (in_time.approve(app.sim()), late.approve(app.sim()));
    app.advance(NINE_MINUTES);
    app.http.get(&in_time.path()).await.expect(303);
    assert_eq!(app.sim().counts().codes_exchanged, 1);
    app.advance(Duration::from_secs(61));
    let page = outcome(&app.http, &late.path(), "authorization_expired").await.expect(410);
    assert!(page.text.contains("ten minutes"));
    assert_eq!(app.sim().counts().token_requests, 1, "the late one was not exchanged");
    assert_eq!(rows(&app, "connections").await, 1);
    app.app().state.store.sweep(app.clock.now() + time::Duration::hours(1)).await.unwrap();
    let page = app.http.get(&late.path()).await.expect(400);
    assert!(page.text.contains("not known here"));
    assert_eq!(app.sim().counts().token_requests, 1);
});

// O2

/// A browser that somebody else signed in, or nobody.
async fn stranger(app: &TestApp, signed_in: bool) -> Http {
    let other = app.http.stranger();
    if signed_in {
        let form = [("email", crate::support::app::EMAIL), ("password", crate::support::app::PASSWORD)];
        other.post_form("/login", &form).await.expect(303);
    }
    other
}

on_both!(an_answer_in_another_browser_is_refused_and_burned, async |on: On| {
    let app = signed_in(on).await;
    let session = app.http.cookie("mooring").expect("signed in");
    for (name, is_signed_in, stolen) in [
        ("a", true, None),
        ("b", false, None),
        ("c", false, Some("mooring")),
        ("d", true, Some("mooring-browser")),
    ] {
        let answer = Flow::begin(&app, name).await.approve(app.sim());
        let other = stranger(&app, is_signed_in).await;
        if let Some(cookie) = stolen {
            other.set_cookie(cookie, &app.http.cookie(cookie).expect("both are set"));
        }
        let refused = other.get(&answer.path()).await.expect(403);
        assert!(refused.text.contains("another browser or session"), "{}", refused.text);
        outcome(&app.http, &answer.path(), "authorization_unfinished").await.expect(409);
        assert_eq!(app.http.cookie("mooring").as_ref(), Some(&session));
    }
    nothing_came_of_it(&app).await;
    app.http.get(&Flow::begin(&app, "e").await.approve(app.sim()).path()).await.expect(303);
    assert_eq!(app.sim().counts().codes_exchanged, 1, "the browser itself is as good as before");
});

on_both!(who_is_too_late_with_a_stolen_answer_changes_nothing, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let gate = app.sim().hold(Endpoint::Token);
    let (browser, path) = (app.http.clone(), answer.path());
    let first = tokio::spawn(async move { browser.get(&path).await });
    timeout(PATIENCE, gate.reached()).await.expect("the code is being exchanged");
    stranger(&app, true).await.get(&answer.path()).await.expect(403);
    gate.release();
    let first = first.await.unwrap().expect(303);
    assert!(first.location().starts_with("/connections/"));
    assert_eq!(app.http.get(&answer.path()).await.expect(303).location(), first.location());
});

// O3

on_both!(a_hundred_callbacks_on_three_replicas_exchange_once, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let (second, at_second) = app.replica().await;
    let (third, at_third) = app.replica().await;
    for cookie in ["mooring", "mooring-browser"] {
        let value = app.http.cookie(cookie).expect("both are set");
        at_second.set_cookie(cookie, &value);
        at_third.set_cookie(cookie, &value);
    }
    let browsers = [app.http.clone(), at_second, at_third];
    let path = answer.path();
    let replies = join_all((0..100).map(|n| browsers[n % 3].get(&path))).await;
    let places: HashSet<_> =
        replies.into_iter().map(|reply| reply.expect(303).location().to_owned()).collect();
    assert_eq!(places.len(), 1, "all end at one page: {places:?}");
    let page = app.http.get(places.iter().next().unwrap()).await.expect(200);
    assert!(page.text.contains("acme"));
    let counts = app.sim().counts();
    assert_eq!((counts.token_requests, counts.codes_exchanged), (1, 1));
    assert_eq!(rows(&app, "connections").await, 1);
    second.stop().await;
    third.stop().await;
});

// O4

on_both!(an_answer_of_no_is_an_answer, async |on: On| {
    let app = signed_in(on).await;
    for denied in [true, false] {
        let flow = Flow::begin(&app, "acme").await;
        let code = if denied { "access_denied" } else { "authorization_refused" };
        let state = flow.asked("state");
        let no = callback(
            "gitlab",
            &[("error", if denied { "access_denied" } else { "server_error" }), ("state", &state)],
        );
        outcome(&app.http, &no, code).await;
        let late = flow.approve(app.sim());
        assert_eq!(late.state(), state);
        outcome(&app.http, &late.path(), code).await;
    }
    nothing_came_of_it(&app).await;
});

// O5, O6

on_both!(the_code_is_bound_to_a_verifier_that_only_we_know, async |on: On| {
    let app = signed_in(on).await;
    let only_plain =
        json!({"issuer": app.sim().url(), "code_challenge_methods_supported": ["plain"]}).to_string();
    app.sim().fault_always(Endpoint::Discovery, Fault::Json { status: 200, body: only_plain });
    let flow = Flow::begin(&app, "acme").await;
    let gitlab = Http::new(&app.sim().url());
    let consent = format!("{}?{}", flow.authorize.path(), flow.authorize.query().unwrap());
    gitlab.get(&consent).await.expect(200);
    let seen = app.sim().last_request(Endpoint::Authorize).expect("GitLab was asked");
    let seen = Flow { authorize: Url::parse(&app.sim().url()).unwrap().join(&seen.path_and_query).unwrap() };
    assert_eq!(seen.asked("code_challenge_method"), "S256");
    assert_eq!(seen.asked("response_type"), "code");

    let answer = flow.approve(app.sim());
    let before = dump(&app).await;
    let began = app.http.get(&answer.path()).await.expect(303);
    let exchange = app.sim().last_request(Endpoint::Token).expect("the exchange");
    let verifier = exchange.form("code_verifier").expect("a verifier");
    assert!((43..=128).contains(&verifier.len()));
    assert!(
        verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
        "RFC 7636 section 4.1"
    );
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    assert_eq!(challenge, seen.asked("code_challenge"));

    let after = dump(&app).await;
    let (session, binder) =
        (app.http.cookie("mooring").unwrap(), app.http.cookie("mooring-browser").unwrap());
    for kept in [&before, &after] {
        assert!(kept.contains("/oauth/gitlab/callback"), "the authorization was looked at");
        for secret in [&verifier, &flow.asked("state"), &answer.code(), &session, &binder] {
            assert!(!holds(kept, secret), "{secret} is kept in clear");
        }
    }
    for header in began.headers.values() {
        assert!(!String::from_utf8_lossy(header.as_bytes()).contains(&verifier));
    }
    assert_eq!(rows(&app, "authorizations where code_verifier is not null").await, 0, "gone after use");
});

// O7

on_both!(where_to_come_back_to_is_ours_to_say, async |on: On| {
    let app = signed_in(on).await;
    let expected = format!("{}/oauth/gitlab/callback", app.site());
    let values = [
        "evil.example",
        "evil.example:443",
        "localhost:1",
        "127.0.0.1",
        "[::1]:80",
        "evil.example.",
        "EVIL.EXAMPLE",
        "user@evil.example",
        "localhost.evil.example",
        "xn--e1afmkfd.example",
    ];
    let mut forged: Vec<(&str, String)> = Vec::new();
    for value in values {
        if !value.contains('@') {
            forged.push(("host", value.to_owned()));
        }
        forged.push(("x-forwarded-host", value.to_owned()));
        forged.push(("forwarded", format!("host=\"{value}\";proto=https;for=192.0.2.1")));
        forged.push(("x-original-host", value.to_owned()));
    }
    for value in ["https", "http", "javascript", "https, http"] {
        forged.push(("x-forwarded-proto", value.to_owned()));
        forged.push(("x-forwarded-scheme", value.to_owned()));
    }
    forged.extend([
        ("x-forwarded-port", "1".into()),
        ("x-forwarded-prefix", "/evil".into()),
        ("x-original-url", "/evil".into()),
    ]);
    assert!(forged.len() >= 40);
    for (name, value) in &forged {
        let begun =
            app.http.request(Method::POST, "/connections/authorize").form(&[("integration", "gitlab")]);
        let flow = Flow::of(&begun.header(name, value).send().await);
        assert_eq!(flow.asked("redirect_uri"), expected, "{name}: {value}");
    }
    for (name, value) in forged.iter().step_by(5) {
        let answer = Flow::begin_in(&app.http, &[("integration", "gitlab")]).await.approve(app.sim());
        let came = app.http.request(Method::GET, &answer.path()).header(name, value).send().await.expect(303);
        assert!(came.location().starts_with("/connections/"), "{}", came.location());
        let exchange = app.sim().last_request(Endpoint::Token).unwrap();
        assert_eq!(exchange.form("redirect_uri").as_ref(), Some(&expected), "{name}: {value}");
    }
});

// O8

/// An app with a second integration at a GitLab of its own.
async fn with_two_integrations(on: On) -> (TestApp, Sim) {
    let other = Sim::start(Options::default()).await;
    other.add_user("alice");
    let registered = other.add_application("http://localhost/placeholder", &["api"]);
    let settings = [
        ("MOORING_INTEGRATION_ACME_URL", other.url()),
        ("MOORING_INTEGRATION_ACME_OAUTH_CLIENT_ID", registered.client_id.clone()),
        ("MOORING_INTEGRATION_ACME_OAUTH_CLIENT_SECRET", registered.client_secret.clone()),
    ];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let app = TestApp::start_with(on, Options::default(), &settings).await;
    other.set_redirect_uri(&registered.client_id, &format!("{}/oauth/acme/callback", app.site()));
    app.sign_in().await;
    (app, other)
}

on_both!(an_answer_at_another_integration_is_refused, async |on: On| {
    let (app, other) = with_two_integrations(on).await;
    let ours = Flow::begin(&app, "ours").await;
    let theirs = Flow::begin_in(&app.http, &[("name", "theirs"), ("integration", "acme")]).await;
    assert_ne!(ours.asked("redirect_uri"), theirs.asked("redirect_uri"));
    let (ours, theirs) = (ours.approve(app.sim()), theirs.approve(&other));
    let mixed_up = [
        ours.path().replace("/oauth/gitlab/", "/oauth/acme/"),
        theirs.path().replace("/oauth/acme/", "/oauth/gitlab/"),
    ];
    for path in &mixed_up {
        let refused = app.http.get(path).await.expect(400);
        assert!(refused.text.contains("another integration"), "{}", refused.text);
    }
    outcome(&app.http, &ours.path(), "authorization_unfinished").await;
    let burned = app.http.get(&theirs.path()).await.expect(303);
    assert!(burned.location().starts_with("/oauth/acme/outcome/"));
    assert_eq!(other.counts().token_requests, 0);
    nothing_came_of_it(&app).await;

    let unknown = Flow::begin(&app, "unknown").await.approve(app.sim());
    let path = unknown.path().replace("/oauth/gitlab/", "/oauth/nobody/");
    app.http.get(&path).await.expect(400);
    nothing_came_of_it(&app).await;

    let good =
        Flow::begin_in(&app.http, &[("name", "theirs"), ("integration", "acme")]).await.approve(&other);
    let made = app.http.get(&good.path()).await.expect(303);
    assert!(made.location().starts_with("/connections/"), "{}", made.location());
    assert_eq!((other.counts().codes_exchanged, app.sim().counts().token_requests), (1, 0));
});

// O9

on_both!(an_answer_that_names_another_issuer_is_refused, async |on: On| {
    let app = signed_in(on).await;
    let issuer = app.sim().url();
    let wrong = [
        "https://gitlab.com".to_owned(),
        format!("{issuer}/"),
        format!("{issuer}/gitlab"),
        issuer.replace("http", "HTTP"),
        issuer.replace("http:", "https:"),
        format!("{issuer}#"),
        format!(" {issuer}"),
        issuer.replace("127.0.0.1", "localhost"),
        issuer.replace("http://", "http://x@"),
    ];
    for iss in &wrong {
        let answer = Flow::begin(&app, "acme").await.approve(app.sim());
        let refused = app.http.get(&answer.and("iss", iss)).await.expect(400);
        assert!(refused.text.contains("another server"), "{iss}: {}", refused.text);
        outcome(&app.http, &answer.path(), "authorization_unfinished").await;
        let denied = Flow::begin(&app, "acme").await.deny(app.sim());
        app.http.get(&denied.and("iss", iss)).await.expect(400);
    }
    let twice = Flow::begin(&app, "acme").await.approve(app.sim());
    let pair = url::form_urlencoded::Serializer::new(String::new()).append_pair("iss", &issuer).finish();
    app.http.get(&format!("{}&{pair}", twice.and("iss", &issuer))).await.expect(400);
    nothing_came_of_it(&app).await;

    let absent = Flow::begin(&app, "absent").await.approve(app.sim());
    let equal = Flow::begin(&app, "equal").await.approve(app.sim());
    for path in [absent.path(), equal.and("iss", &issuer)] {
        let made = app.http.get(&path).await.expect(303);
        assert!(made.location().starts_with("/connections/"), "{}", made.location());
    }
    assert_eq!(app.sim().counts().codes_exchanged, 2);
});

// O16

on_both!(only_our_own_pages_begin_anything, async |on: On| {
    let app = signed_in(on).await;
    let id = app.connect_by_oauth("acme").await;
    let token = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    let before = (rows(&app, "authorizations").await, rows(&app, "connections").await);
    let asked = app.sim().counts().requests_total;
    let foreign: [&[(&str, &str)]; 6] = [
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ];
    let form = [("name", "evil"), ("integration", "gitlab"), ("token", token.as_str())];
    for path in ["/connections/authorize", "/connections", &format!("/connections/{id}/reauthorize")] {
        for headers in foreign {
            let mut call = app.http.request(Method::POST, path).form(&form);
            for (name, value) in headers {
                call = call.header(name, value);
            }
            let refused = call.send().await;
            assert_eq!(refused.status, 403, "{path} {headers:?}");
            assert!(refused.text.contains("another site"), "a page of ours says so");
        }
    }
    let links = [
        "/connections/authorize?name=evil&integration=gitlab".to_owned(),
        format!("/connections?name=evil&integration=gitlab&token={token}&way=either"),
        "/connections/new?name=evil&integration=gitlab&way=either".to_owned(),
        format!("/connections/{id}/reauthorize"),
        format!("/connections/{id}/disconnect?revoke=true"),
        format!("/connections/{id}/check"),
        "/logout".to_owned(),
    ];
    for link in &links {
        for method in [Method::GET, Method::HEAD] {
            app.http.request(method, link).send().await;
        }
    }
    assert_eq!((rows(&app, "authorizations").await, rows(&app, "connections").await), before);
    assert_eq!(app.sim().counts().requests_total, asked, "GitLab heard of nothing");
    app.http.get("/settings").await.expect(200);

    let nobody = app.http.stranger();
    let refused = nobody.post_form("/connections/authorize", &form[..2]).await.expect(403);
    assert!(refused.text.contains("href=\"/login\""));
    assert_eq!(rows(&app, "authorizations").await, before.0);
    for good in [&[("sec-fetch-site", "same-origin")][..], &[("origin", app.site())]] {
        let mut call = app.http.request(Method::POST, "/connections/authorize").form(&form[..2]);
        for (name, value) in good {
            call = call.header(name, value);
        }
        call.send().await.expect(303);
    }
    assert_eq!(rows(&app, "authorizations").await, before.0 + 2, "our own pages do");
});

// O17

on_both!(swapped_codes_are_worth_nothing, async |on: On| {
    let app = signed_in(on).await;
    let bob = app.sim().add_user("bob");
    let mine = Flow::begin(&app, "mine").await.approve(app.sim());
    app.sim().sign_in_as(bob);

    let hash = hash_password("another long password".into()).await;
    let operator = Operator {
        id: OperatorId::fresh(),
        email: "bob@example.com".into(),
        password_hash: Some(hash),
        role: Role::Administrator,
    };
    app.app().state.store.add_operator(&operator, app.clock.now(), &Actor::CommandLine).await.unwrap();
    let other = app.http.stranger();
    let form = [("email", "bob@example.com"), ("password", "another long password")];
    other.post_form("/login", &form).await.expect(303);
    let his = Flow::begin_in(&other, &[("name", "his"), ("integration", "gitlab")]).await.approve(app.sim());

    let to_me = callback("gitlab", &[("code", &his.code()), ("state", &mine.state())]);
    let to_him = callback("gitlab", &[("code", &mine.code()), ("state", &his.state())]);
    outcome(&app.http, &to_me, "code_rejected").await.expect(400);
    outcome(&other, &to_him, "code_rejected").await.expect(400);
    nothing_is_kept(&app).await;
    let counts = app.sim().counts();
    assert_eq!((counts.token_requests, counts.codes_exchanged), (2, 0));

    outcome(&app.http, &mine.path(), "code_rejected").await;
    let seen = outcome(&app.http, &to_me, "code_rejected").await;
    assert!(!seen.text.contains(&his.code()) && !seen.text.contains("bob"));
    assert_eq!(app.sim().counts().token_requests, 2, "nothing is tried twice");
});

on_both!(an_outcome_is_told_to_its_own_session_only, async |on: On| {
    let app = signed_in(on).await;
    let answer = Flow::begin(&app, "acme").await.deny(app.sim());
    let page = app.http.get(&answer.path()).await.expect(303).location().to_owned();
    app.http.get(&page).await.expect(403);
    stranger(&app, true).await.get(&page).await.expect(404);
    let nobody = stranger(&app, false).await.get(&page).await.expect(303);
    assert!(nobody.location().starts_with("/login?next="));
});

on_both!(another_account_does_not_take_over_a_connection, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["tokens:read", "connections:read"]).await;
    let before = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    let old_grant = app.sim().live_refresh_tokens();
    let bob = app.sim().add_user("bob");
    app.sim().sign_in_as(bob);

    let answer = Flow::reauthorize(&app, &id).await.approve(app.sim());
    let gate = app.sim().hold_after(Endpoint::Revoke);
    let page = outcome(&app.http, &answer.path(), "different_account").await.expect(409);
    assert!(page.text.contains("bob") && page.text.contains("alice"), "it says who is who:\n{}", page.text);
    assert_eq!(app.sim().counts().codes_exchanged, 2);
    revoked(gate).await;
    assert_eq!(app.sim().live_refresh_tokens(), old_grant, "only the new grant was revoked");

    let after = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    assert_eq!((&after["access_token"], &after["generation"]), (&before["access_token"], &json!(1)));
    assert!(app.sim().is_live(after["access_token"].as_str().unwrap()));
    let connection = program.get("/api/v1/connections/acme").await.expect(200).json();
    assert_eq!(
        (&connection["status"], &connection["account"]["username"]),
        (&json!("active"), &json!("alice"))
    );
});

// O18

/// The token endpoint's answer with a pair that really has these scopes, which it names or does not.
fn grant_of(app: &TestApp, scopes: &[&str], named: Option<&str>) -> (Fault, String) {
    let pair = app.sim().mint_oauth(app.world.alice, &app.world.application, scopes);
    let mut body = json!({"access_token": pair.access, "token_type": "Bearer", "expires_in": 7200, "refresh_token": pair.refresh});
    if let Some(named) = named {
        body["scope"] = json!(named);
    }
    (Fault::Json { status: 200, body: body.to_string() }, pair.refresh)
}

on_both!(fewer_scopes_than_needed_make_no_connection, async |on: On| {
    let app = signed_in(on).await;
    let fields = [("name", "acme"), ("integration", "gitlab"), ("use_cases", "code-review")];
    for (granted, named) in [("read_user", "read_user"), ("read_api", "read_api read_user")] {
        let flow = Flow::begin_in(&app.http, &fields).await;
        assert_eq!(flow.asked("scope"), "api");
        let answer = flow.approve(app.sim());
        let (fault, refresh_token) = grant_of(&app, &[granted], Some(named));
        app.sim().fault(Endpoint::Token, fault);
        let gate = app.sim().hold_after(Endpoint::Revoke);
        let page = outcome(&app.http, &answer.path(), "insufficient_scope").await.expect(422);
        assert!(page.text.contains("api") && page.text.contains("code-review"), "{}", page.text);
        revoked(gate).await;
        assert!(!app.sim().live_refresh_tokens().contains(&refresh_token), "the grant is given up");
    }
    nothing_is_kept(&app).await;

    for (name, named) in [("as asked", None), ("more", Some("api read_user sudo"))] {
        let answer =
            Flow::begin_in(&app.http, &[("name", name), fields[1], fields[2]]).await.approve(app.sim());
        app.sim().fault(Endpoint::Token, grant_of(&app, &["api"], named).0);
        let made = app.http.get(&answer.path()).await.expect(303);
        assert!(made.location().starts_with("/connections/"), "{name}: {}", made.location());
    }
    let program = app.program(&["connections:read"]).await;
    let made = program.get("/api/v1/connections/more").await.expect(200).json();
    assert_eq!(made["scopes"], json!(["api", "read_user", "sudo"]), "what was given is what is shown");
    let made = program.get("/api/v1/connections/as%20asked").await.expect(200).json();
    assert_eq!(made["scopes"], json!(["api"]), "RFC 6749 section 5.1");
});

// O19

const CANARY: &str = "canary-4711";
const LOST: &str = "provider_unavailable";

/// Answers of a hostile token endpoint: none of them holds a token that may be sent anywhere.
fn hostile_answers() -> Vec<(&'static str, Fault, &'static str)> {
    let json = |body: serde_json::Value| Fault::Json { status: 200, body: body.to_string() };
    let token = |value: serde_json::Value| {
        json(
            serde_json::json!({"access_token": value, "token_type": "Bearer", "expires_in": 7200, "refresh_token": CANARY}),
        )
    };
    let kind = |kind: &str| {
        json(serde_json::json!({"access_token": CANARY, "token_type": kind, "expires_in": 7200}))
    };
    let raw = |status, body: &str| Fault::Json { status, body: body.to_owned() };
    let html = |status| Fault::status(status, "<html><script>alert('canary-4711')</script></html>");
    let with = |c: char| token(json!(format!("{CANARY}{c}more")));
    vec![
        ("an empty token", token(json!("")), LOST),
        ("a new line", with('\n'), LOST),
        ("a header", token(json!("canary-4711\r\nX-Evil: 1")), LOST),
        ("a zero", with('\0'), LOST),
        ("a tab", with('\t'), LOST),
        ("a space", with(' '), LOST),
        ("the delete character", with('\u{7f}'), LOST),
        ("a letter beyond ASCII", with('ö'), LOST),
        ("text that runs backwards", with('\u{202e}'), LOST),
        ("nine thousand letters", token(json!("a".repeat(9_000))), LOST),
        ("a megabyte", token(json!("a".repeat(1_048_576))), LOST),
        ("a number", token(json!(4711)), LOST),
        ("nothing", token(json!(null)), LOST),
        ("a list of tokens", token(json!([CANARY])), LOST),
        ("an object", token(json!({"value": CANARY})), LOST),
        ("no token", json(json!({"token_type": "Bearer", "refresh_token": CANARY})), LOST),
        ("a MAC token", kind("mac"), LOST),
        ("a DPoP token", kind("DPoP"), LOST),
        ("a token of another kind", kind("jwt"), LOST),
        ("a page", html(200), LOST),
        ("a page with 400", html(400), LOST),
        ("a page with 500", html(500), LOST),
        ("a list", raw(200, r#"["canary-4711"]"#), LOST),
        ("a text", raw(200, r#""canary-4711""#), LOST),
        ("null", raw(200, "null"), LOST),
        ("an empty body", raw(200, ""), LOST),
        ("half an object", raw(200, r#"{"access_token":"canary-4711","#), LOST),
        ("ten thousand brackets", raw(200, &"[".repeat(10_000)), LOST),
        (
            "an error with 200",
            raw(200, r#"{"error":"invalid_grant","error_description":"<script>canary-4711"}"#),
            "code_rejected",
        ),
        ("an error of its own", raw(400, r#"{"error":"<script>canary-4711</script>"}"#), LOST),
        (
            "a wrong scope",
            raw(400, r#"{"error":"invalid_scope","error_description":"canary-4711"}"#),
            "integration_misconfigured",
        ),
        ("half of a good answer", Fault::Truncate, LOST),
    ]
}

on_both!(a_hostile_token_endpoint_gets_a_page_and_nothing_else, async |on: On| {
    let app = signed_in(on).await;
    let answers = hostile_answers();
    assert!(answers.len() >= 25);
    for (what, fault, code) in answers {
        let answer = Flow::begin(&app, "acme").await.approve(app.sim());
        let asked = app.sim().counts().requests_total;
        app.sim().fault(Endpoint::Token, fault);
        let page = outcome(&app.http, &answer.path(), code).await;
        assert!(page.status < 500 || page.status == 502, "{what}: {}", page.status);
        assert!(!page.text.contains(CANARY), "{what} is shown:\n{}", page.text);
        assert_eq!(app.sim().counts().requests_total, asked + 1, "{what}: the exchange and no other request");
    }
    nothing_is_kept(&app).await;
    assert!(!dump(&app).await.contains(CANARY), "nothing of the answers is kept");

    let answer = Flow::begin(&app, "acme").await.approve(app.sim());
    let unknown = json!({"access_token": "nobody-issued-this", "token_type": "bearer", "expires_in": 9e18});
    app.sim().fault(Endpoint::Token, Fault::Json { status: 200, body: unknown.to_string() });
    outcome(&app.http, &answer.path(), "token_invalid").await;
    nothing_is_kept(&app).await;
    app.http.get("/healthz").await.expect(200);
});

on_both!(a_hostile_word_about_a_token_breaks_nothing, async |on: On| {
    let app = signed_in(on).await;
    for (n, body) in ["[]", "<html>", r#"{"id":"7"}"#, r#"{"id":9223372036854775808}"#].iter().enumerate() {
        let answer = Flow::begin(&app, &format!("acme-{n}")).await.approve(app.sim());
        app.sim().fault(Endpoint::User, Fault::Json { status: 200, body: (*body).to_owned() });
        outcome(&app.http, &answer.path(), "not_gitlab").await.expect(502);
    }
    assert_eq!(rows(&app, "connections").await, 0);

    let program = app.program(&["connections:write"]).await;
    let pasted = app.sim().mint_oauth(app.world.alice, &app.world.application, &["api"]).access;
    let bodies = [
        (200, r#"{"scope":["api"],"expires_in":9223372036854775807,"resource_owner_id":1}"#),
        (200, r#"{"scope":["api"],"expires_in":-9223372036854775808,"resource_owner_id":1}"#),
        (502, "[]"),
        (502, "<html>"),
    ];
    for (status, body) in bodies {
        app.sim().fault(Endpoint::TokenInfo, Fault::Json { status: 200, body: body.to_owned() });
        let asked = serde_json::json!({"integration": "gitlab", "token": pasted});
        program.post_json("/api/v1/tokens/inspect", asked).await.expect(status);
    }
});

// O20

on_both!(our_secret_goes_one_way_and_once, async |on: On| {
    let app = TestApp::start(on).await;
    app.connect_by_oauth("acme").await;
    let application = app.world.application.clone();
    let program = app.program(&["tokens:read", "connections:write"]).await;
    let one_method = |endpoint| {
        let request = app.sim().last_request(endpoint).expect("a request");
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("authorization"), None, "not in the header as well");
        assert!(!request.path_and_query.contains('?'), "nothing is in the address");
        let pairs: Vec<_> = url::form_urlencoded::parse(request.body.as_bytes()).collect();
        for (name, value) in
            [("client_id", &application.client_id), ("client_secret", &application.client_secret)]
        {
            let sent: Vec<_> =
                pairs.iter().filter(|(known, _)| known == name).map(|(_, v)| v.as_ref()).collect();
            assert_eq!(sent, [value.as_str()], "{name}");
        }
    };
    one_method(Endpoint::Token);
    app.advance(Duration::from_secs(7_200));
    program.get("/api/v1/connections/acme/token").await.expect(200);
    assert_eq!(app.sim().counts().refreshes_granted, 1);
    one_method(Endpoint::Token);
    let gate = app.sim().hold_after(Endpoint::Revoke);
    program.delete("/api/v1/connections/acme").await.expect(204);
    revoked(gate).await;
    one_method(Endpoint::Revoke);

    for (n, error) in ["invalid_client", "unauthorized_client", "invalid_request"].iter().enumerate() {
        app.sim().reset_counts();
        let answer = Flow::begin(&app, &format!("refused-{n}")).await.approve(app.sim());
        let status = if *error == "invalid_request" { 400 } else { 401 };
        app.sim()
            .fault_always(Endpoint::Token, Fault::Json { status, body: json!({"error": error}).to_string() });
        let page = outcome(&app.http, &answer.path(), "integration_misconfigured").await.expect(502);
        assert!(!page.text.contains(&application.client_secret));
        assert_eq!(app.sim().counts().token_requests, 1, "{error}: asked once");
        one_method(Endpoint::Token);
        app.sim().clear_faults();
    }
    nothing_is_kept(&app).await;
});

// O21

on_both!(a_token_endpoint_that_points_elsewhere_is_not_followed, async |on: On| {
    let app = signed_in(on).await;
    let elsewhere = Sim::start(Options::default()).await;
    for (n, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        let answer = Flow::begin(&app, "acme").await.approve(app.sim());
        let headers = vec![("location".to_owned(), format!("{}/oauth/token", elsewhere.url()))];
        app.sim().fault(Endpoint::Token, Fault::Status { status, headers, body: String::new() });
        outcome(&app.http, &answer.path(), "provider_unavailable").await.expect(502);
        assert_eq!(app.sim().counts().token_requests, 1 + u64::try_from(n).unwrap());
    }
    assert_eq!(elsewhere.counts().requests_total, 0, "the code and our secret went nowhere");
    nothing_is_kept(&app).await;
    Http::new(&elsewhere.url()).get("/").await.expect(200);
    assert_eq!(elsewhere.counts().requests_total, 1, "it would have counted");
});

// O26

on_both!(a_browser_that_goes_away_does_not_cancel_the_exchange, async |on: On| {
    let app = signed_in(on).await;
    for (n, gate) in
        [app.sim().hold(Endpoint::Token), app.sim().hold_after(Endpoint::Token)].into_iter().enumerate()
    {
        let answer = Flow::begin(&app, &format!("acme-{n}")).await.approve(app.sim());
        let path = answer.path();
        tokio::select! {
            reply = app.http.get(&path) => panic!("the answer is held, but {} came", reply.status),
            () = gate.reached() => {}
        }
        gate.release();
        let made = app.http.get(&answer.path()).await.expect(303);
        assert!(made.location().starts_with("/connections/"), "{}", made.location());
        app.http.get(made.location()).await.expect(200);
    }
    let counts = app.sim().counts();
    assert_eq!((counts.token_requests, counts.codes_exchanged), (2, 2));
    let program = app.program(&["tokens:read"]).await;
    for name in ["acme-0", "acme-1"] {
        let token = program.get(&format!("/api/v1/connections/{name}/token")).await.expect(200).json();
        assert!(app.sim().is_live(token["access_token"].as_str().unwrap()));
    }
});
