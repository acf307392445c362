//! Who is signed in, what another site may do, and what every answer carries.
//! What the table in the security notes calls O27 and O30, H1, H3 to H5 and H13; one file, so that each row is found.

use crate::support::{
    app::{EMAIL, On, PASSWORD, TestApp, on_both},
    database::{dump, holds, rows, run},
    request::{Http, Reply},
    slow::SlowSender,
};
use futures_util::future::join_all;
use gitlab_sim::Options;
use http::Method;
use mooring::{
    domain::{Actor, Role},
    operator::new_operator,
    vault::hash_password,
};
use serde_json::json;
use std::time::Duration;

const NEW_PASSWORD: &str = "tr0ubador and three more";
const HOUR: Duration = Duration::from_secs(3_600);

async fn sign_in(browser: &Http, password: &str) -> Reply {
    browser.post_form("/login", &[("email", EMAIL), ("password", password)]).await
}

async fn is_signed_in(browser: &Http) -> bool {
    let reply = browser.get("/settings").await;
    assert!(
        reply.status == 200 || reply.status == 303 && reply.location().starts_with("/login"),
        "{}",
        reply.status
    );
    reply.status == 200
}

/// The same browser, as it was at this moment: with a cookie that somebody copied.
fn copy_of(browser: &Http) -> Http {
    let copy = browser.stranger();
    copy.set_cookie("mooring", &browser.cookie("mooring").expect("it has a session"));
    copy
}

// The setup link

/// A first start without an administrator: the link's path and query.
async fn first_start(on: On) -> (TestApp, String) {
    let settings = [("MOORING_ADMIN_EMAIL", ""), ("MOORING_ADMIN_PASSWORD", "")];
    let app = TestApp::start_with(on, Options::default(), &settings).await;
    let link = app.app().setup_link.clone().expect("nobody can sign in yet");
    let path = link.strip_prefix(app.site()).expect("on this site").to_owned();
    (app, path)
}

fn token_of(link: &str) -> &str {
    link.strip_prefix("/setup?token=").expect("a token")
}

on_both!(the_setup_link_works_once, async |on: On| {
    let (app, link) = first_start(on).await;
    let token = token_of(&link);
    assert!(token.len() >= 43, "256 bits");
    assert!(!holds(&dump(&app).await, token), "kept as a hash");
    let site = &app.http;
    assert!(site.get("/login").await.expect(200).text.contains("/setup?token="));
    assert_eq!(sign_in(site, PASSWORD).await.status, 422, "there is no account by default");

    let form = |token, email, password| [("token", token), ("email", email), ("password", password)];
    let (other, longer) = ("A".repeat(43), format!("{token}A"));
    for wrong in ["", "A", other.as_str(), &token[1..], &longer, "' or 1=1 --"] {
        assert_eq!(site.post_form("/setup", &form(wrong, EMAIL, NEW_PASSWORD)).await.status, 410, "{wrong}");
    }
    for path in ["/setup", "/setup?token=", "/setup?token=wrong"] {
        site.get(path).await.expect(410);
    }
    site.get(&link).await.expect(200);
    for (email, password) in
        [(EMAIL, "elevenchars"), (EMAIL, ""), ("nobody", NEW_PASSWORD), ("", NEW_PASSWORD)]
    {
        let refused = site.post_form("/setup", &form(token, email, password)).await.expect(422);
        assert!(password.is_empty() || !refused.text.contains(password), "a password is not sent back");
    }
    assert_eq!(rows(&app, "operators").await, 0);

    let made = site.post_form("/setup", &form(token, EMAIL, NEW_PASSWORD)).await.expect(303);
    assert_eq!(made.location(), "/");
    assert!(is_signed_in(site).await);
    for other in [site.clone(), site.stranger()] {
        other.get(&link).await.expect(410);
        other.post_form("/setup", &form(token, "eve@example.com", NEW_PASSWORD)).await.expect(410);
    }
    assert_eq!(rows(&app, "operators").await, 1);
    assert_eq!(sign_in(&site.stranger(), NEW_PASSWORD).await.status, 303);
});

on_both!(of_many_who_hold_the_setup_link_one_gets_in, async |on: On| {
    let (app, link) = first_start(on).await;
    let emails: Vec<_> = (0..6).map(|n| format!("n{n}@example.com")).collect();
    let finish = async |email: &str| {
        let form = [("token", token_of(&link)), ("email", email), ("password", NEW_PASSWORD)];
        app.http.stranger().post_form("/setup", &form).await.status
    };
    let mut statuses = join_all(emails.iter().map(|email| finish(email))).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410, 410, 410]);
    assert_eq!(rows(&app, "operators").await, 1);
});

on_both!(a_restart_before_setup_gives_a_new_link_and_none_afterwards, async |on: On| {
    let (mut app, first) = first_start(on).await;
    app.restart().await;
    let second = app.app().setup_link.clone().expect("still nobody");
    let second = second.strip_prefix(app.site()).unwrap();
    assert_ne!(first, second);
    let form = [("token", token_of(second)), ("email", EMAIL), ("password", NEW_PASSWORD)];
    app.http.post_form("/setup", &form).await.expect(303);
    app.http.get(&first).await.expect(410);
    app.restart().await;
    assert!(app.app().setup_link.is_none());
    assert!(is_signed_in(&app.http).await, "a restart signs nobody out");
});

// H4: sessions

on_both!(a_planted_session_is_worth_nothing, async |on: On| {
    let app = TestApp::start(on).await;
    let invented = app.http.stranger();
    invented.set_cookie("mooring", "AAAAAAAAAAAAAAAAAAAAAA");
    let planted = copy_of(&invented);
    sign_in(&invented, PASSWORD).await.expect(303);
    assert_ne!(invented.cookie("mooring"), planted.cookie("mooring"));
    assert!(is_signed_in(&invented).await && !is_signed_in(&planted).await);

    let attacker = app.http.stranger();
    sign_in(&attacker, PASSWORD).await.expect(303);
    let victim = copy_of(&attacker);
    sign_in(&victim, PASSWORD).await.expect(303);
    assert_ne!(victim.cookie("mooring"), attacker.cookie("mooring"));
    assert!(is_signed_in(&victim).await && !is_signed_in(&attacker).await);
});

on_both!(a_session_is_kept_as_a_hash_and_dies_with_its_sign_out, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let id = app.http.cookie("mooring").expect("a session");
    assert!(id.len() >= 22, "128 bits");
    assert_eq!(rows(&app, "sessions").await, 1);
    assert!(!holds(&dump(&app).await, &id));
    let (copy, other) = (copy_of(&app.http), app.http.stranger());
    sign_in(&other, PASSWORD).await.expect(303);
    assert!(is_signed_in(&copy).await);
    assert_eq!(app.http.post_form("/logout", &[]).await.expect(303).location(), "/login");
    assert_eq!(app.http.cookie("mooring"), None, "the cookie is taken back");
    assert!(!is_signed_in(&copy).await && is_signed_in(&other).await);
    assert_eq!(rows(&app, "sessions").await, 1);
    app.http.post_form("/logout", &[]).await.expect(303);
});

on_both!(a_password_reset_ends_every_session, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let other = app.http.stranger();
    sign_in(&other, PASSWORD).await.expect(303);
    let hash = hash_password(NEW_PASSWORD.into()).await;
    let now = app.clock.now();
    assert!(app.app().state.store.reset_password(EMAIL, &hash, now, &Actor::CommandLine).await.unwrap());
    assert!(!is_signed_in(&app.http).await && !is_signed_in(&other).await);
    assert_eq!(rows(&app, "sessions").await, 0);
    assert_eq!(sign_in(&app.http.stranger(), PASSWORD).await.status, 422);
    assert_eq!(sign_in(&app.http.stranger(), NEW_PASSWORD).await.status, 303);
});

on_both!(who_changes_the_own_password_stays_and_the_others_go, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let other = app.http.stranger();
    sign_in(&other, PASSWORD).await.expect(303);
    for (current, new) in
        [("wrong password here", NEW_PASSWORD), ("", NEW_PASSWORD), (PASSWORD, "short"), (PASSWORD, "")]
    {
        let form = [("current_password", current), ("new_password", new)];
        app.http.post_form("/settings/password", &form).await.expect(422);
    }
    assert!(is_signed_in(&other).await);
    let copy = copy_of(&app.http);
    let form = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    app.http.post_form("/settings/password", &form).await.expect(303);
    assert!(is_signed_in(&app.http).await);
    assert!(!is_signed_in(&other).await && !is_signed_in(&copy).await);
    assert_eq!(sign_in(&app.http.stranger(), PASSWORD).await.status, 422);
});

on_both!(a_session_that_was_made_with_the_password_before_a_reset_is_worth_nothing, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    assert!(is_signed_in(&app.http).await);
    // As if the reset was committed while this sign-in was looked at: its session came after those were ended.
    let hash = hash_password(NEW_PASSWORD.into()).await;
    run(&app, &format!("update operators set password_hash = '{hash}'")).await;
    assert!(!is_signed_in(&app.http).await);
    assert_eq!(rows(&app, "sessions").await, 0);
});

on_both!(guessing_the_current_password_gets_slow_and_is_told, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let change = async |current: &str| {
        let form = [("current_password", current), ("new_password", NEW_PASSWORD)];
        app.http.post_form("/settings/password", &form).await
    };
    let mut looked_at = 0;
    let refused = loop {
        let reply = change("not the password").await;
        if reply.status == 429 {
            break reply;
        }
        reply.expect(422);
        looked_at += 1;
        assert!(looked_at < 15, "and no wait");
    };
    assert!(looked_at >= 5 && refused.text.contains("/settings/account"), "a person may mistype");
    assert_eq!(rows(&app, "events where kind = 'operator.sign_in_failed'").await, looked_at);
    assert_eq!(change(PASSWORD).await.status, 429, "the password is not looked at");
    app.advance(Duration::from_secs(refused.header("retry-after").parse().unwrap()));
    change(PASSWORD).await.expect(303);
});

on_both!(the_cookie_outlives_the_session_so_that_nothing_typed_is_lost, async |on: On| {
    let app = TestApp::start(on).await;
    let reply = sign_in(&app.http, PASSWORD).await.expect(303);
    let age = reply.header("set-cookie").split("Max-Age=").nth(1).expect("a cookie that stays");
    let age: u64 = age.split(';').next().unwrap().parse().unwrap();
    assert!(age > 24 * 3_600, "{age} s");
    app.advance(12 * HOUR + Duration::from_secs(1));
    let form = [("name", "typed with care")];
    for time in ["the first", "once more before signing in"] {
        let page = app.http.post_form("/settings/api-keys", &form).await.expect(403).text;
        assert!(page.contains("Your session has ended") && page.contains("typed with care"), "{time}");
    }
    assert_eq!(
        app.http.post_form("/settings/sessions/end-others", &[]).await.expect(303).location(),
        "/login"
    );
});

on_both!(who_is_demoted_while_they_send_is_refused, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let store = &app.app().state.store;
    let other = new_operator("eve@example.com".into(), PASSWORD.into(), Role::Administrator).await;
    store.add_operator(&other, app.clock.now(), &Actor::CommandLine).await.unwrap();
    let me = store.operator_by_email(EMAIL).await.unwrap().unwrap().id;
    let body = "name=slow&scopes=admin&expires_in=30";
    let cookie =
        format!("cookie: mooring={}\r\nsec-fetch-site: same-origin", app.http.cookie("mooring").unwrap());
    let kind = "application/x-www-form-urlencoded";
    let sender = SlowSender::begin(&app, "/settings/api-keys", (&cookie, kind), body.len()).await;
    store.change_role(me, Role::Viewer, app.clock.now(), &Actor::CommandLine).await.unwrap();
    let answer = sender.end(body).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(rows(&app, "api_keys").await, 0);
});

on_both!(a_session_ends_when_it_is_not_used, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    for _ in 0..3 {
        app.advance(11 * HOUR);
        assert!(is_signed_in(&app.http).await, "it is used");
    }
    app.advance(12 * HOUR + Duration::from_secs(1));
    assert!(!is_signed_in(&app.http).await);

    app.sign_in().await;
    app.advance(11 * HOUR);
    for path in [format!("/connections/{id}/live"), format!("/live/rows?ids={id}"), "/live/summary".into()] {
        app.http.get(&path).await.expect(200);
    }
    app.advance(2 * HOUR);
    assert!(!is_signed_in(&app.http).await, "a page that refreshes itself is nobody");
});

on_both!(a_session_ends_after_a_week, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    for _ in 0..28 {
        assert!(is_signed_in(&app.http).await);
        app.advance(6 * HOUR);
    }
    app.advance(Duration::from_secs(1));
    assert!(!is_signed_in(&app.http).await);
    assert_eq!(rows(&app, "sessions").await, 0);
});

on_both!(a_session_is_one_on_every_replica, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let (replica, at_replica) = app.replica().await;
    at_replica.set_cookie("mooring", &app.http.cookie("mooring").unwrap());
    assert!(is_signed_in(&at_replica).await);
    app.http.post_form("/logout", &[]).await.expect(303);
    assert!(!is_signed_in(&at_replica).await);
    replica.stop().await;
});

// H5: guessing

/// Guesses until told to wait: how many guesses were looked at, and for how long to wait.
async fn guess_until_told_to_wait(
    app: &TestApp,
    email: impl Fn(usize) -> String,
    most: usize,
) -> (usize, Duration) {
    for n in 0..most {
        let form = [("email", email(n)), ("password", "not the password".to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        let reply = app.http.stranger().post_form("/login", &form).await;
        if reply.status == 429 {
            let wait = reply.header("retry-after").parse().expect("Retry-After is a number of seconds");
            assert!(reply.text.contains("Too many attempts") && wait >= 1);
            return (n, Duration::from_secs(wait));
        }
        assert_eq!(reply.status, 422);
    }
    panic!("{most} guesses and no wait")
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_one_account_gets_slow() {
    let app = TestApp::start(On::Sqlite).await;
    let (tries, wait) = guess_until_told_to_wait(&app, |_| EMAIL.to_owned(), 15).await;
    assert!(tries >= 5, "a person may mistype: {tries}");
    let shouted = EMAIL.to_uppercase();
    for email in [EMAIL, &shouted, &format!(" {EMAIL} ")] {
        let form = [("email", email), ("password", PASSWORD)];
        assert_eq!(
            app.http.post_form("/login", &form).await.status,
            429,
            "{email}: the password is not looked at"
        );
    }
    assert_eq!(app.http.cookie("mooring"), None);
    app.advance(wait);
    sign_in(&app.http, PASSWORD).await.expect(303);
    assert!(is_signed_in(&app.http).await);
    assert_eq!(sign_in(&app.http.stranger(), "wrong").await.status, 422, "a right password forgives");

    let unknown = guess_until_told_to_wait(&app, |_| "nobody@example.com".to_owned(), 15).await;
    assert!(unknown.0 >= 5, "an account that is none is treated alike");
}

/// Behind a reverse proxy everybody has one address: a guesser there must not keep the operators out.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_through_a_proxy_keeps_nobody_else_out() {
    let app = TestApp::start(On::Sqlite).await;
    for n in 0..45 {
        let form = [("email", format!("n{n}@example.com")), ("password", "guess".to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        app.http.stranger().post_form("/login", &form).await.expect(422);
    }
    sign_in(&app.http, PASSWORD).await.expect(303);
    guess_until_told_to_wait(&app, |_| EMAIL.to_owned(), 15).await;
    for (name, value) in
        [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9"), ("x-real-ip", "203.0.113.9")]
    {
        let call = app.http.request(Method::POST, "/login").form(&[("email", EMAIL), ("password", PASSWORD)]);
        assert_eq!(call.header(name, value).send().await.status, 429, "{name} is anybody's word");
    }
}

on_both!(a_password_typed_as_the_address_is_kept_nowhere, async |on: On| {
    let app = TestApp::start(on).await;
    let typed = "Canary-my-Password-4711";
    app.http.post_form("/login", &[("email", typed), ("password", "x")]).await.expect(422);
    app.http.post_form("/login", &[("email", EMAIL), ("password", "wrong")]).await.expect(422);
    let program = app.program(&["admin"]).await;
    let log = program.get("/api/v1/events").await.expect(200).json();
    let failed =
        log["items"].as_array().expect("events").iter().filter(|e| e["kind"] == "operator.sign_in_failed");
    let told: Vec<_> = failed.map(|e| (&e["subject"], &e["actor"])).collect();
    let known = (json!(EMAIL), json!(format!("operator:{EMAIL}")));
    assert_eq!(told, [(&known.0, &known.1), (&json!(null), &json!("mooring"))]);
    let kept = dump(&app).await;
    assert!(kept.contains(EMAIL) && !kept.to_lowercase().contains(&typed.to_lowercase()));
});

on_both!(a_null_character_on_a_page_is_no_error_of_ours, async |on: On| {
    let app = TestApp::start(on).await;
    for path in ["/login?next=%00", "/setup?token=a%00"] {
        let reply = app.http.get(path).await.expect(400);
        assert!(
            reply.text.contains("null character") && reply.text.contains("<h1>"),
            "{path}: {}",
            reply.text
        );
    }
    app.http.post_form("/login", &[("email", "a\0@b"), ("password", "\0")]).await.expect(422);
    let id = app.connect_by_oauth("acme").await;
    for path in ["/?q=%00", "/audit?subject=a%00", "/connections/new?name=%00"] {
        app.http.get(path).await.expect(400);
    }
    for path in ["/connections/a%00b", "/oauth/gitlab/outcome/%00"] {
        app.http.get(path).await.expect(404);
    }
    let [rotate, edit] = ["rotate", "edit"].map(|what| format!("/connections/{id}/{what}"));
    for (path, field) in [
        ("/connections", "name"),
        ("/connections/authorize", "name"),
        ("/connections/inspect", "base_url"),
        (&rotate, "token"),
        (&edit, "description"),
        ("/settings/api-keys", "name"),
        ("/settings/password", "new_password"),
        ("/setup", "email"),
    ] {
        let reply = app.http.post_form(path, &[(field, "a\0b")]).await;
        assert_eq!(reply.status, 422, "{path}: {}", reply.text);
        assert!(reply.text.contains("null character"), "{path}");
    }
    assert_eq!(app.http.post_form("/settings/api-keys/a%00b/revoke", &[]).await.status, 404);
});

on_both!(an_unknown_address_and_a_wrong_password_look_alike, async |on: On| {
    let app = TestApp::start(on).await;
    let ask = async |email: &str, password: &str| {
        let reply =
            app.http.stranger().post_form("/login", &[("email", email), ("password", password)]).await;
        let names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        (reply.status, names, reply.text.replace(email, "E-MAIL"))
    };
    let wrong = ask(EMAIL, "not the password").await;
    let unknown = ask("nobody@example.com", "not the password").await;
    assert_eq!(wrong.0, 422);
    assert_eq!(wrong, unknown);
    assert_eq!(ask(EMAIL, "").await, ask("nobody@example.com", "").await);
    let long = "a".repeat(5_000);
    assert_eq!(ask(EMAIL, &long).await, ask("nobody@example.com", &long).await);
});

// H1: other sites

/// Every address of a page that changes something.
fn changes(id: &str, key: &str) -> Vec<String> {
    let mut paths: Vec<_> = ["check", "reauthorize", "edit", "rotate", "disconnect"]
        .iter()
        .map(|verb| format!("/connections/{id}/{verb}"))
        .collect();
    paths.push(format!("/settings/api-keys/{key}/revoke"));
    let fixed = [
        "/connections",
        "/connections/authorize",
        "/connections/inspect",
        "/login",
        "/setup",
        "/settings/api-keys",
        "/settings/password",
        "/settings/people/invite",
        "/settings/people/withdraw",
        "/settings/sessions/end-others",
        "/settings/webhooks",
        "/settings/mail/test",
        "/settings/integrations/gitlab/check",
        "/invite",
        "/audit/export",
        "/logout",
    ];
    paths.extend(fixed.map(str::to_owned));
    paths
}

on_both!(no_other_site_can_press_a_button, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["admin"]).await;
    let keys = program.get("/api/v1/api-keys").await.expect(200).json();
    let key = keys["items"][0]["id"].as_str().unwrap().to_owned();
    let tables = [
        "connections",
        "authorizations",
        "api_keys where revoked_at is null",
        "sessions",
        "operators",
        "events",
    ];
    let counted = async || join_all(tables.map(|table| rows(&app, table))).await;
    let (before, asked) = (counted().await, app.sim().counts().requests_total);
    let foreign: [&[(&str, &str)]; 6] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost")],
    ];
    let body = format!("email={EMAIL}&password=x&name=evil&current_password=x&revoke=true&scopes=admin");
    for path in changes(&id, &key) {
        for headers in foreign {
            for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
            {
                let call =
                    app.http.request(Method::POST, &path).body(body.clone()).header("content-type", kind);
                let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
                let refused = call.send().await;
                assert_eq!(refused.status, 403, "{path} {headers:?} {kind}");
                assert!(
                    refused.text.contains("another site") && refused.text.contains("<html"),
                    "{}",
                    refused.text
                );
            }
        }
    }
    assert_eq!(counted().await, before);
    assert_eq!(app.sim().counts().requests_total, asked, "GitLab heard of nothing");
    assert!(is_signed_in(&app.http).await);
    program.get("/api/v1/connections/acme").await.expect(200);
});

on_both!(the_api_takes_no_cookie_and_the_pages_no_key, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    for path in
        ["connections", "connections/acme", "connections/acme/token", "events", "api-keys", "integrations"]
    {
        let refused = app.http.get(&format!("/api/v1/{path}")).await.expect(401);
        assert_eq!(refused.json()["code"], "invalid_api_key", "{path}");
    }
    app.http.post_json("/api/v1/connections", json!({"name": "x", "token": "x"})).await.expect(401);
    app.http.delete("/api/v1/connections/acme").await.expect(401);
    let plain =
        app.http.request(Method::POST, "/api/v1/api-keys").body(r#"{"name":"evil","scopes":["admin"]}"#);
    let plain = plain.header("content-type", "text/plain").header("origin", "https://evil.example");
    plain.send().await.expect(401);
    assert_eq!(rows(&app, "api_keys").await, 0);
    assert_eq!(rows(&app, "connections").await, 1);

    let program = app.program(&["admin"]).await;
    for path in ["/", "/settings", "/audit", &format!("/connections/{id}")] {
        assert!(program.get(path).await.expect(303).location().starts_with("/login"), "{path}");
    }
    program.post_form(&format!("/connections/{id}/disconnect"), &[("revoke", "true")]).await.expect(403);
    assert_eq!(rows(&app, "connections").await, 1);
    let both = app.http.with_key("moor_wrong_key").get("/api/v1/connections").await;
    assert_eq!(both.status, 401, "a session does not mend a wrong key");
});

on_both!(every_button_that_leads_on_answers_303, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let token = |scopes: &[&str]| app.sim().mint_personal(app.world.alice, scopes, None).token;
    let (first, second) = (token(&["api"]), token(&["api"]));
    let press = async |path: &str, fields: &[(&str, &str)]| {
        let reply = app.http.post_form(path, fields).await;
        assert_eq!(reply.status, 303, "{path}:\n{}", reply.text);
        reply.location().to_owned()
    };
    let pasted =
        press("/connections", &[("name", "pasted"), ("integration", "gitlab"), ("token", &first)]).await;
    assert_eq!(press(&format!("{pasted}/rotate"), &[("token", &second)]).await, pasted);
    assert_eq!(press(&format!("{pasted}/edit"), &[("name", "renamed")]).await, pasted);
    assert_eq!(press(&format!("{pasted}/check"), &[]).await, pasted);
    assert_eq!(press(&format!("{pasted}/disconnect"), &[("revoke", "true")]).await, "/");
    let to_gitlab = press(&format!("/connections/{id}/reauthorize"), &[]).await;
    assert!(to_gitlab.starts_with(&app.sim().url()));
    assert!(
        press("/connections/authorize", &[("integration", "gitlab")]).await.starts_with(&app.sim().url())
    );
    let program = app.program(&["admin"]).await;
    let keys = program.get("/api/v1/api-keys").await.expect(200).json();
    let key = keys["items"][0]["id"].as_str().unwrap();
    assert_eq!(press(&format!("/settings/api-keys/{key}/revoke"), &[]).await, "/settings/api-keys");
    program.get("/api/v1/connections").await.expect(401);
    let passwords = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    assert_eq!(press("/settings/password", &passwords).await, "/settings/account");
    assert_eq!(press("/logout", &[]).await, "/login");
    assert_eq!(
        press("/login", &[("email", EMAIL), ("password", NEW_PASSWORD), ("next", "/audit")]).await,
        "/audit"
    );
    app.http.post_form("/logout", &[]).await.expect(303);
    for path in changes(&id, "none")
        .iter()
        .filter(|p| !matches!(p.as_str(), "/login" | "/setup" | "/invite" | "/logout"))
    {
        assert_eq!(press(path, &[]).await, "/login", "{path} without a session");
    }
});

// O27, H3: what every answer carries

#[track_caller]
fn is_hardened(what: &str, reply: &Reply, is_https: bool) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        let values: Vec<_> = reply.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{what}: {name}");
    }
    let policy = reply.header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"] {
        assert!(policy.contains(part), "{what}: {part} is not in {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{what}: {policy}");
    let is_viewer = what.contains(" /docs") || what.contains(" /openapi.json");
    assert!(is_viewer || !policy.contains("unsafe"), "{what}: {policy}");
    assert!(!policy.contains("script-src 'self' 'unsafe"), "{what}: {policy}");
    let keep = reply.header("cache-control");
    let may_be_kept = (what.contains(" /assets/") || what.contains(" /docs")) && reply.status < 400;
    assert!(keep == "no-store" || may_be_kept, "{what}: {keep}");
    assert_eq!(reply.header("strict-transport-security").contains("max-age=63072000"), is_https, "{what}");
    for absent in ["server", "x-powered-by", "access-control-allow-origin"] {
        assert!(reply.header(absent).is_empty(), "{what}: {absent}");
    }
    assert_eq!(reply.header("x-request-id").len(), 32, "{what}");
}

async fn every_kind_of_answer_is_hardened(app: &TestApp, id: &str, is_https: bool) {
    let nobody = app.http.stranger();
    let program = app.program(&["admin"]).await;
    let styles = nobody.get("/login").await.expect(200).text;
    let assets: Vec<_> =
        styles.split('"').filter(|text| text.starts_with("/assets/")).map(str::to_owned).collect();
    assert!(assets.len() >= 3, "{assets:?}");
    let mut paths: Vec<String> = [
        "/",
        "/connections",
        "/connections/new",
        "/settings",
        "/audit",
        "/login",
        "/setup",
        "/setup?token=x",
        "/nothing",
        "/connections/nothing",
        "/oauth/gitlab/callback",
        "/oauth/gitlab/callback?code=a&state=b",
        "/oauth/gitlab/outcome/x",
        "/assets/0/app.css",
        "/favicon.ico",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/docs/",
        "/docs/nothing",
        "/api/v1/connections",
        "/api/v1/connections/nothing",
        "/api/v1/nothing",
        "/api/v1/events",
        "/api/",
        "/%00",
        "/..%2f",
    ]
    .map(str::to_owned)
    .into();
    paths.extend(assets);
    paths.extend(
        ["", "/live", "/rotate", "/disconnect", "/check", "/edit", "/reach", "/history", "/usage", "/use"]
            .map(|part| format!("/connections/{id}{part}")),
    );
    for path in &paths {
        for (who, client) in [("nobody", &nobody), ("an operator", &app.http), ("a program", &program)] {
            let reply = client.get(path).await;
            is_hardened(&format!("{who} GET {path} {}", reply.status), &reply, is_https);
        }
        for method in [Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE] {
            let call = app.http.request(method.clone(), path).header("origin", "https://evil.example");
            let reply = call.send().await;
            is_hardened(&format!("{method} {path} {}", reply.status), &reply, is_https);
            assert!(method != Method::TRACE || reply.status >= 400, "TRACE {path}");
        }
    }
    for path in ["/login", "/connections", "/api/v1/connections"] {
        for (body, kind) in
            [("x", "text/plain"), ("{", "application/json"), ("%%%", "application/x-www-form-urlencoded")]
        {
            let call = program.request(Method::POST, path).body(body).header("content-type", kind);
            let reply = call.send().await;
            is_hardened(&format!("POST {path} {kind} {}", reply.status), &reply, is_https);
        }
        let call = app.http.request(Method::POST, path).body("a".repeat(66_000));
        let reply = call.header("content-type", "application/x-www-form-urlencoded").send().await;
        is_hardened(&format!("POST {path} a lot {}", reply.status), &reply, is_https);
        let foreign = app.http.request(Method::POST, path).header("sec-fetch-site", "cross-site");
        is_hardened(&format!("POST {path} from elsewhere"), &foreign.send().await, is_https);
    }
    app.app().state.store.close().await;
    let both = app.http.with_key_of(&program);
    for path in ["/", "/login", "/api/v1/events", "/readyz"] {
        let reply = both.get(path).await;
        assert!(reply.status >= 500, "{path}: {}", reply.status);
        is_hardened(&format!("broken GET {path}"), &reply, is_https);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_hardened() {
    let app = TestApp::start(On::Sqlite).await;
    let id = app.connect_by_oauth("acme").await;
    every_kind_of_answer_is_hardened(&app, &id, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_on_https_is_hardened() {
    let key = mooring::vault::generate_key();
    let settings =
        [("MOORING_SITE_URL", "https://mooring.example"), ("MOORING_ENCRYPTION_KEY", key.as_str())];
    let app = TestApp::start_with(On::Sqlite, Options::default(), &settings).await;
    app.sign_in().await;
    every_kind_of_answer_is_hardened(&app, "nothing", true).await;
}

// H13: errors

on_both!(an_error_of_ours_tells_an_id_and_no_cause, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let program = app.program(&["admin"]).await;
    let missing = app.http.get("/nothing").await.expect(404);
    assert!(missing.text.contains("Page not found") && missing.text.contains(missing.header("x-request-id")));
    let forged = app.http.request(Method::GET, "/nothing").header("x-request-id", "evil").send().await;
    assert!(!forged.text.contains("evil") && forged.header("x-request-id") != "evil");

    app.app().state.store.close().await;
    let causes = ["sqlx", "pool", "postgres", "sqlite", "closed", "database failed", "src/", "panicked"];
    for path in ["/", "/settings", "/login", "/oauth/gitlab/callback?code=a&state=b"] {
        let page = app.http.get(path).await.expect(500);
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.text.contains(page.header("x-request-id")), "{path}: the id leads to the cause");
        let text = page.text.to_lowercase();
        assert!(causes.iter().all(|cause| !text.contains(cause)), "{path}:\n{text}");
    }
    let problem = program.get("/api/v1/events").await.expect(500);
    assert_eq!(problem.json()["request_id"], problem.header("x-request-id"));
    assert!(causes.iter().all(|cause| !problem.text.to_lowercase().contains(cause)), "{}", problem.text);
    app.http.get("/healthz").await.expect(200);
    app.http.get("/readyz").await.expect(503);
});

on_both!(what_was_refused_has_a_page, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let post = |path: &str| app.http.request(Method::POST, path);
    let form = "application/x-www-form-urlencoded";
    for (call, status) in [
        (app.http.request(Method::GET, "/nothing"), 404),
        (app.http.request(Method::GET, "/connections/0199a3c2-9f4e-7c3a-8d1e-2f3a4b5c6d7e"), 404),
        (app.http.request(Method::DELETE, "/settings"), 405),
        (app.http.request(Method::GET, "/connections/authorize"), 405),
        (post("/login").body("{}").header("content-type", "application/json"), 415),
        (post("/connections").body("a".repeat(66_000)).header("content-type", form), 413),
        (app.http.request(Method::GET, "/audit?before=x"), 400),
    ] {
        let page = call.send().await.expect(status);
        assert!(
            page.text.contains("<h1>") && page.text.contains(page.header("x-request-id")),
            "{}",
            page.text
        );
    }
});

// Pages hold no token, and text stays text

/// The pages that an operator can open, with what they show.
async fn all_pages(app: &TestApp) -> Vec<(String, String)> {
    let program = app.program(&["connections:read"]).await;
    let list = program.get("/api/v1/connections").await.expect(200).json();
    let mut paths: Vec<String> = [
        "/",
        "/?q=a",
        "/live/summary",
        "/connections/new",
        "/connections/new?integration=gitlab",
        "/settings",
        "/audit",
    ]
    .map(str::to_owned)
    .into();
    let sections = ["account", "people", "api-keys", "webhooks", "mail", "integrations", "encryption"];
    paths.extend(sections.map(|section| format!("/settings/{section}")));
    for connection in list["items"].as_array().unwrap() {
        let id = connection["id"].as_str().unwrap();
        let parts = ["", "/live", "/rotate", "/disconnect", "/edit", "/reach", "/history", "/usage", "/use"];
        paths.extend(parts.map(|part| format!("/connections/{id}{part}")));
        paths.push(format!("/audit?subject={id}"));
        paths.push(format!("/live/rows?ids={id}"));
    }
    let mut pages = Vec::new();
    for path in paths {
        let page = app.http.get(&path).await;
        assert!(
            page.status == 200 || page.status == 409 && path.ends_with("/rotate"),
            "{path}: {}",
            page.status
        );
        pages.push((path, page.text));
    }
    pages
}

on_both!(no_page_holds_a_token, async |on: On| {
    let app = TestApp::start(on).await;
    app.connect_by_oauth("by oauth").await;
    let pasted = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    let narrow = app.sim().mint_personal(app.world.alice, &["read_user"], None).token;
    let form = |token| {
        [("name", "pasted"), ("integration", "gitlab"), ("use_cases", "code-review"), ("token", token)]
    };
    let mut seen = vec![
        (
            "looked at".to_owned(),
            app.http.post_form("/connections/inspect", &form(pasted.as_str())).await.expect(200).text,
        ),
        (
            "refused".to_owned(),
            app.http.post_form("/connections", &form(narrow.as_str())).await.expect(422).text,
        ),
    ];
    let made = app.http.post_form("/connections", &form(pasted.as_str())).await.expect(303);
    let rotate = format!("{}/rotate", made.location());
    seen.push((
        "not rotated".into(),
        app.http.post_form(&rotate, &[("token", &narrow)]).await.expect(422).text,
    ));
    app.http.post_form(&format!("{}/check", made.location()), &[]).await.expect(303);
    let program = app.program(&["tokens:read"]).await;
    let held = program.get("/api/v1/connections/by%20oauth/token").await.expect(200).json();
    seen.extend(all_pages(&app).await);
    assert!(seen.len() >= 24);

    let mut secrets = vec![pasted, narrow, app.world.application.client_secret.clone(), PASSWORD.to_owned()];
    secrets.push(held["access_token"].as_str().unwrap().to_owned());
    secrets.extend(app.sim().live_refresh_tokens());
    secrets.extend(program.key().map(str::to_owned));
    secrets.extend(app.http.secrets_in_cookies());
    assert_eq!(secrets.len(), 9);
    for (path, text) in &seen {
        for secret in &secrets {
            let middle = &secret[secret.len() / 4..secret.len() - 4];
            assert!(!text.contains(middle), "{path} shows a secret:\n{text}");
        }
    }
});

on_both!(a_name_is_text_and_never_html, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let mallory = app.sim().add_named_user("mallory", "<script>alert('account')</script>");
    app.sim().add_member_project(app.world.project, mallory, 40);
    let token = app.sim().mint_personal(mallory, &["api"], None).token;
    let program = app.program(&["admin"]).await;
    let new = json!({
        "name": "<img src=x onerror=alert(1)>", "description": "\"><script>alert('description')</script>", "integration": "gitlab",
        "tenant": "<b>tenant</b>", "tags": {"<i>tag": "</textarea><script>alert('tag')</script>"}, "token": token,
    });
    let made = program.post_json("/api/v1/connections", new).await.expect(201).json();
    let key = json!({"name": "<u>key</u>", "tenant": "\" autofocus onfocus=\"alert(1)", "scopes": ["admin"]});
    program.post_json("/api/v1/api-keys", key).await.expect(201);
    app.http
        .stranger()
        .post_form("/login", &[("email", "<b>@example.com"), ("password", "x")])
        .await
        .expect(422);
    let id = made["id"].as_str().unwrap();
    let mut pages = all_pages(&app).await;
    let refused = [
        ("name", "<img src=x onerror=alert(1)>"),
        ("integration", "gitlab"),
        ("token", "x"),
        ("use_cases", "<b>"),
    ];
    pages.push(("refused".into(), app.http.post_form("/connections", &refused).await.expect(422).text));
    let query = "/connections/new?name=%3Cb%3E%22%20onfocus%3D%22alert(1)&base_url=%22%3E%3Cscript%3E&use_cases=%3Cb%3E";
    pages.push(("filled in".into(), app.http.get(query).await.expect(200).text));
    pages.push((
        "looked for".into(),
        app.http.get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await.expect(200).text,
    ));
    let long = "a".repeat(101);
    let edit = [("name", long.as_str()), ("description", "</textarea><script>alert(1)</script>")];
    pages.push((
        "edited".into(),
        app.http.post_form(&format!("/connections/{id}/edit"), &edit).await.expect(422).text,
    ));

    let page = &pages.iter().find(|(path, _)| *path == format!("/connections/{id}")).unwrap().1;
    for shown in [
        "&#60;img src=x onerror=alert(1)&#62;",
        "&#60;script&#62;alert(&#39;description&#39;)",
        "&#60;b&#62;tenant",
    ] {
        assert!(page.contains(shown), "{shown} is shown as text:\n{page}");
    }
    for (path, text) in &pages {
        for html in [
            "<script>",
            "<img src=x",
            "<b>",
            "<i>",
            "<u>",
            "</textarea><",
            "\" onfocus=",
            "\" autofocus onfocus",
        ] {
            assert!(!text.contains(html), "{path} holds {html}:\n{text}");
        }
    }
});
