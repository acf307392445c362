//! Single sign-on as people meet it: who comes in and as what, who does not, and what joins two ways in.

use crate::support::log::Log as _;
use crate::support::{
    app::{EMAIL, On, PASSWORD, TestApp, on_both},
    database::{dump, holds, rows},
    oidc::{Provider, refusal},
    request::Http,
};
use mooring::domain::Role;
use serde_json::{Value, json};
use std::time::Duration;

const ADA: &str = "ada@example.com";

async fn role_of(app: &TestApp, email: &str) -> Option<Role> {
    app.app().state.store.operator_by_email(email).await.unwrap().map(|operator| operator.role)
}

/// The newest events: kind, subject and detail.
async fn events(app: &TestApp, count: usize) -> Vec<(String, Option<String>, Option<String>)> {
    let limit = i64::try_from(count).unwrap();
    let logged = app.app().state.store.list_events(None, None, limit).await.unwrap();
    logged.into_iter().map(|one| (one.event.kind.to_string(), one.event.subject, one.event.detail)).collect()
}

async fn is_in(browser: &Http) -> bool {
    browser.get("/settings/account").await.status == 200
}

on_both!(a_first_sign_in_makes_a_viewer_and_the_next_finds_them, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let page = app.http.get("/login?next=/audit").await.expect(200).text;
    assert!(page.contains("Sign in with 127.0.0.1</button>") && page.contains(">Sign in</button>"));
    assert_eq!(provider.count("document").await, 0, "the page does not wait for the issuer");

    let begun = app.http.post_form("/login/sso", &[("next", "/audit")]).await.expect(303);
    let back = provider.consented(begun.location()).await;
    assert_eq!(app.http.get(&back).await.expect(303).location(), "/audit");
    assert_eq!(role_of(&app, ADA).await, Some(Role::Viewer));
    assert_eq!(provider.count("token").await, 1);
    assert_eq!(provider.last().await["method"], "client_secret_basic");
    let log = events(&app, 2).await;
    assert_eq!((log[0].0.as_str(), log[0].1.as_deref()), ("operator.signed_in", Some(ADA)));
    assert!(log[0].2.as_deref().unwrap().starts_with("by single sign-on, from "), "{log:?}");
    assert_eq!(
        (log[1].0.as_str(), log[1].2.as_deref()),
        ("operator.added", Some("by single sign-on, as viewer"))
    );
    let account = app.http.get("/settings/account").await.expect(200).text;
    assert!(account.contains("You have no password here") && account.contains("this one"));
    assert!(!account.contains("Change password") && account.contains(&provider.issuer()));
    let people = app.http.get("/settings/people").await.expect(200).text;
    assert!(people.contains("signs in by single sign-on<") && people.contains("signs in with a password<"));

    let again = app.http.stranger();
    assert_eq!(provider.sign_in(&again).await.location(), "/");
    assert_eq!((rows(&app, "operators").await, provider.count("token").await), (2, 2));
    assert_eq!((provider.count("document").await, provider.count("keys").await), (1, 1), "both are kept");
    provider.user("ada-1", "ada.new@example.com").await;
    provider.sign_in(&app.http.stranger()).await;
    assert_eq!(rows(&app, "operators").await, 2, "it is the subject that counts");
    for guess in ["", "password", PASSWORD] {
        app.http.stranger().post_form("/login", &[("email", ADA), ("password", guess)]).await.expect(422);
        app.advance(Duration::from_mins(1));
        let form = [("current_password", guess), ("new_password", "a long new password")];
        again.post_form("/settings/password", &form).await.expect(422);
        app.advance(Duration::from_mins(1));
    }
});

on_both!(nothing_of_the_provider_is_kept, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let begun = app.http.post_form("/login/sso", &[]).await.expect(303);
    let asked = url::Url::parse(begun.location()).unwrap();
    let nonce = asked.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
    let waiting = dump(&app).await;
    let back = provider.consented(begun.location()).await;
    app.http.get(&back).await.expect(303);
    let (last, kept) = (provider.last().await, dump(&app).await);
    for secret in ["code", "code_verifier", "access_token", "id_token", "nonce", "state"] {
        let secret = last[secret].as_str().unwrap();
        assert!(!holds(&kept, secret) && !holds(&waiting, secret));
    }
    assert_eq!(last["nonce"], nonce);
    assert_eq!(rows(&app, "single_sign_ons").await, 0);
});

on_both!(where_there_is_no_administrator_the_first_becomes_one, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[("MOORING_ADMIN_EMAIL", ""), ("MOORING_ADMIN_PASSWORD", "")]).await;
    let link = app.app().setup_link.clone().expect("the setup link works beside it");
    let link = link.strip_prefix(app.site()).unwrap();
    app.http.get(link).await.expect(200);
    let page = app.http.get("/login").await.expect(200).text;
    assert!(page.contains("Nobody can sign in yet") && page.contains("Or sign in with 127.0.0.1"));
    provider.sign_in(&app.http).await;
    assert_eq!(role_of(&app, ADA).await, Some(Role::Administrator));
    app.http.get("/connections/new").await.expect(200);
    app.http.stranger().get(link).await.expect(410);
    provider.user("bob-1", "bob@example.com").await;
    provider.sign_in(&app.http.stranger()).await;
    assert_eq!(role_of(&app, "bob@example.com").await, Some(Role::Viewer));
});

on_both!(the_setup_link_still_makes_the_first_administrator, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[("MOORING_ADMIN_EMAIL", ""), ("MOORING_ADMIN_PASSWORD", "")]).await;
    let link = app.app().setup_link.clone().unwrap();
    let token = link.split_once("token=").unwrap().1;
    let form = [("token", token), ("email", EMAIL), ("password", PASSWORD)];
    app.http.post_form("/setup", &form).await.expect(303);
    provider.sign_in(&app.http.stranger()).await;
    assert_eq!(
        (role_of(&app, EMAIL).await, role_of(&app, ADA).await),
        (Some(Role::Administrator), Some(Role::Viewer))
    );
});

on_both!(only_verified_addresses_that_are_allowed_come_in, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let user = |email: Value, verified: Value| json!({"user": {"sub": "s", "email": email, "email_verified": verified}});
    for (email, verified, code) in [
        (json!("ada@example.com.evil.org"), json!(true), "sso_not_allowed"),
        (json!("ada@sub.example.com"), json!(true), "sso_not_allowed"),
        (json!("other@example.org"), json!(true), "sso_not_allowed"),
        (json!("ada@example.com"), json!(false), "sso_email_unverified"),
        (json!("ada@example.com"), json!("true"), "sso_email_unverified"),
        (json!("ada@example.com"), json!(1), "sso_email_unverified"),
        (json!("ada@example.com"), json!(null), "sso_email_unverified"),
        (json!(null), json!(true), "sso_email_unverified"),
        (json!("no address"), json!(true), "sso_email_unverified"),
        (json!("ada@evil.org@example.com"), json!(true), "sso_email_unverified"),
        (json!(["ada@example.com"]), json!(true), "sso_email_unverified"),
    ] {
        provider.tell(user(email.clone(), verified.clone())).await;
        let browser = app.http.stranger();
        assert_eq!(provider.refused(&browser).await, code, "{email} {verified}");
        assert!(!is_in(&browser).await);
        let (kind, _, detail) = events(&app, 1).await.remove(0);
        assert_eq!(kind, "operator.sign_in_failed");
        assert!(detail.unwrap().starts_with(&format!("single sign-on, {code}: ")));
    }
    assert_eq!(rows(&app, "operators").await, 1);
    provider.tell(user(json!("GUEST@Example.ORG"), json!(true))).await;
    provider.sign_in(&app.http).await;
    assert!(role_of(&app, "guest@example.org").await.is_some());
});

on_both!(who_is_allowed_no_more_does_not_come_in_again, async |on: On| {
    let provider = Provider::start().await;
    let mut app = provider.app(on, &[]).await;
    provider.sign_in(&app.http).await;
    app.restart_with(&[("MOORING_OIDC_ALLOWED", "example.net")]).await;
    assert!(is_in(&app.http).await, "a session goes on until its end");
    assert_eq!(provider.refused(&app.http.stranger()).await, "sso_not_allowed");
});

on_both!(an_address_that_is_taken_is_joined_by_its_owner_alone, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[("MOORING_OIDC_ALLOWED", EMAIL), ("MOORING_LOG", "warn")]).await;
    provider.user("ops-1", EMAIL).await;
    assert_eq!(provider.refused(&app.http.stranger()).await, "sso_email_taken");
    assert_eq!(rows(&app, "operators").await, 1);

    app.sign_in().await;
    let wrong =
        app.http.post_form("/settings/account/sso/join", &[("join_password", "no")]).await.expect(303);
    assert!(app.http.follow(wrong).await.text.contains("not your password"));
    let begun =
        app.http.post_form("/settings/account/sso/join", &[("join_password", PASSWORD)]).await.expect(303);
    let back = provider.consented(begun.location()).await;
    let joined = app.http.get(&back).await.expect(303);
    assert_eq!(joined.location(), "/settings/account");
    let page = app.http.follow(joined).await.text;
    assert!(page.contains("you can sign in by single sign-on") && page.contains("or with your password"));
    assert_eq!(events(&app, 1).await[0].0, "operator.single_sign_on_joined");

    let elsewhere = app.http.stranger();
    provider.sign_in(&elsewhere).await;
    elsewhere.get("/connections/new").await.expect(200);
    let people = elsewhere.get("/settings/people").await.expect(200).text;
    assert!(people.contains("signs in with a password or by single sign-on"));
    assert_eq!(rows(&app, "operators").await, 1);
    elsewhere.post_form("/settings/account/sso/part", &[]).await.expect(303);
    assert_eq!(events(&app, 1).await[0].0, "operator.single_sign_on_parted");
    assert_eq!(provider.refused(&app.http.stranger()).await, "sso_email_taken");
});

on_both!(nobody_joins_what_is_somebody_elses_or_for_somebody_else, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let hers = app.http.stranger();
    provider.sign_in(&hers).await;
    hers.post_form("/settings/account/sso/part", &[]).await.expect(303);
    provider.sign_in(&app.http.stranger()).await;

    app.sign_in().await;
    let join = async || {
        let form = [("join_password", PASSWORD)];
        let begun = app.http.post_form("/settings/account/sso/join", &form).await.expect(303);
        provider.consented(begun.location()).await
    };
    let back = join().await;
    let taken = app.http.get(&back).await.expect(303);
    assert!(taken.location().starts_with("/settings/account?"));
    assert_eq!(refusal(&app.http, &taken).await, "sso_identity_taken");
    provider.user("new-1", "new@example.com").await;
    let back = join().await;
    app.http.post_form("/logout", &[]).await.expect(303);
    let late = app.http.get(&back).await.expect(303);
    assert!(late.location().ends_with("refused=sso_wrong_browser"));
    assert!(!is_in(&app.http).await, "joining signs nobody in");
    assert_eq!(rows(&app, "operators").await, 2);
});

on_both!(who_was_removed_stays_out_until_an_administrator_says_otherwise, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let hers = app.http.stranger();
    provider.sign_in(&hers).await;
    let id = app.app().state.store.operator_by_email(ADA).await.unwrap().unwrap().id;
    app.sign_in().await;
    app.http.post_form(&format!("/settings/people/{id}/remove"), &[]).await.expect(303);
    assert!(!is_in(&hers).await);
    for (subject, email) in [("ada-1", ADA), ("ada-1", "other@example.com"), ("ada-2", ADA)] {
        provider.user(subject, email).await;
        assert_eq!(provider.refused(&app.http.stranger()).await, "sso_removed", "{subject} {email}");
    }
    let page = app.http.get("/settings/people").await.expect(200).text;
    assert!(page.contains("Let in again") && page.contains(ADA));
    app.http.post_form("/settings/people/let-in", &[("email", ADA)]).await.expect(303);
    assert_eq!(events(&app, 1).await[0].0, "operator.let_in_again");
    app.http.post_form("/settings/people/let-in", &[("email", ADA)]).await.expect(404);
    provider.sign_in(&hers).await;
    assert_eq!(role_of(&app, ADA).await, Some(Role::Viewer));
});

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_stops_nobody_else() {
    let dead = "http://127.0.0.1:9/realm";
    let settings = [
        ("MOORING_OIDC_ISSUER", dead),
        ("MOORING_OIDC_CLIENT_ID", "mooring"),
        ("MOORING_OIDC_CLIENT_SECRET", "secret"),
        ("MOORING_OIDC_ALLOWED", "example.com"),
    ];
    let app = TestApp::start_with(On::Sqlite, gitlab_sim::Options::default(), &settings).await;
    let stranger = app.http.stranger();
    let refused = stranger.post_form("/login/sso", &[]).await.expect(303);
    assert_eq!(refusal(&stranger, &refused).await, "sso_unreachable");
    app.sign_in().await;
    let checked = app.http.post_form("/settings/sso/check", &[]).await.expect(502).text;
    assert!(checked.contains("It does not answer") && checked.contains("(connect)"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_tell_what_to_enter_and_ask_only_when_told_to() {
    let provider = Provider::start().await;
    let app = provider.app(On::Sqlite, &[]).await;
    app.sign_in().await;
    let page = app.http.get("/settings/sso").await.expect(200).text;
    for told in [&provider.issuer(), &format!("{}/login/sso/callback", app.site()), "guest@example.org"] {
        assert!(page.contains(told), "{told}");
    }
    assert!(!page.contains("canary"));
    app.http.get("/settings").await.expect(200);
    assert_eq!(provider.count("document").await, 0);
    let page = app.http.post_form("/settings/sso/check", &[]).await.expect(200).text;
    assert!(page.contains("It answers") && page.contains("with 1 key "));
    provider.tell(json!({"document": {"token_endpoint": "https://evil.example/token"}})).await;
    let page = app.http.post_form("/settings/sso/check", &[]).await.expect(502).text;
    assert!(page.contains("token_endpoint is at another origin"), "{page}");
    assert_eq!(
        provider.refused_at_once(&app.http.stranger()).await,
        "sso_untrusted",
        "what was found counts"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_issuer_there_is_no_single_sign_on() {
    let app = TestApp::start(On::Sqlite).await;
    assert!(!app.http.get("/login").await.expect(200).text.contains("Sign in with"));
    app.http.post_form("/login/sso", &[]).await.expect(404);
    app.http.get("/login/sso/callback?code=a&state=b").await.expect(404);
    app.sign_in().await;
    for path in ["/settings/sso/check", "/settings/account/sso/join"] {
        app.http.post_form(path, &[]).await.expect(404);
    }
    let page = app.http.get("/settings/sso").await.expect(200).text;
    assert!(page.contains("MOORING_OIDC_ALLOWED") && page.contains("/login/sso/callback"));
    assert!(!app.http.get("/settings/account").await.expect(200).text.contains("id=\"sso\""));
}

on_both!(both_what_is_known_and_what_failed_are_forgotten_in_time, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    provider.tell(json!({"answers": {"document": {"status": 503}}})).await;
    for _ in 0..3 {
        assert_eq!(provider.refused_at_once(&app.http.stranger()).await, "sso_unreachable");
    }
    assert_eq!(provider.count("document").await, 1, "not everybody waits for it");
    provider.tell(json!({"answers": {}})).await;
    app.advance(Duration::from_secs(5));
    provider.tell(json!({"clock": 5})).await;
    provider.sign_in(&app.http).await;
    app.advance(Duration::from_secs(3_595));
    provider.tell(json!({"clock": 3_600})).await;
    provider.sign_in(&app.http).await;
    assert_eq!((provider.count("document").await, provider.count("keys").await), (2, 1));
    app.advance(Duration::from_secs(6));
    provider.tell(json!({"clock": 3_606})).await;
    provider.sign_in(&app.http).await;
    assert_eq!((provider.count("document").await, provider.count("keys").await), (3, 2));
});
