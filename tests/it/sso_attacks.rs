//! Single sign-on under attack: ID tokens, documents and keys that must not be believed, and callbacks of strangers.
//! Nothing of it signs anybody in, and each costs the issuer what is counted here.

use crate::support::log::Log as _;
use crate::support::{
    app::{On, PASSWORD, TestApp, on_both},
    database::rows,
    oidc::{Provider, refusal},
    process::Process,
    request::Http,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

const MARKER: &str = "canary-4711";

async fn nobody_came_in(app: &TestApp) {
    assert_eq!((rows(app, "operators").await, rows(app, "sessions").await), (1, 0));
}

on_both!(an_id_token_that_is_not_for_this_sign_in_is_refused, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    provider
        .tell(json!({"document": {"id_token_signing_alg_values_supported":
        ["none", "HS256", "RS256", "ES256"]}}))
        .await;
    let attacks = [
        json!({"claims": {"iss": "https://evil.example"}}),
        json!({"claims": {"iss": format!("{}/", provider.issuer())}}),
        json!({"claims": {"iss": null}}),
        json!({"claims": {"aud": "another-client"}}),
        json!({"claims": {"aud": ["mooring", "another-client"]}}),
        json!({"claims": {"aud": ["mooring", "another-client"], "azp": "another-client"}}),
        json!({"claims": {"aud": null}}),
        json!({"claims": {"azp": "another-client"}}),
        json!({"claims": {"exp": "-70"}}),
        json!({"claims": {"exp": null}}),
        json!({"claims": {"iat": "-700"}}),
        json!({"claims": {"iat": "+120"}}),
        json!({"claims": {"iat": null}}),
        json!({"claims": {"nonce": "another-nonce"}}),
        json!({"claims": {"nonce": null}}),
        json!({"claims": {"sub": null}}),
        json!({"claims": {"sub": ""}}),
        json!({"claims": {"sub": "x".repeat(256)}}),
        json!({"sign": "none"}),
        json!({"sign": "hs256-public-key"}),
        json!({"sign": "hs256-client-secret"}),
        json!({"sign": "another-key"}),
        json!({"header": {"alg": "ES256"}}),
        json!({"header": {"alg": "RS512"}}),
        json!({"header": {"kid": "unknown"}}),
        json!({"header": {"typ": "at+jwt"}}),
        json!({"header": {"crit": ["b64"], "b64": false}}),
        json!({"header": {"kid": "unknown", "jku": "https://evil.example/keys"}}),
    ];
    for (n, attack) in attacks.iter().enumerate() {
        provider.tell(json!({"claims": {}, "header": {}, "sign": "good"})).await;
        provider.tell(attack.clone()).await;
        assert_eq!(provider.refused(&app.http).await, "sso_untrusted", "{attack}");
        assert_eq!(provider.count("token").await, i64::try_from(n).unwrap() + 1, "one token request each");
    }
    nobody_came_in(&app).await;
    assert_eq!(provider.count("keys").await, 1, "an unknown key id asks no more than once a minute");
    provider.tell(json!({"claims": {}, "header": {}, "sign": "good"})).await;
    provider.sign_in(&app.http).await;
});

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_with_a_public_key_is_taken() {
    let provider = Provider::start().await;
    let app = provider.app(On::Sqlite, &[]).await;
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        provider.tell(json!({"new_key": algorithm})).await;
        app.advance(Duration::from_secs(60));
        provider
            .tell(json!({"clock": (app.clock.now() - time::OffsetDateTime::now_utc()).whole_seconds()}))
            .await;
        assert_eq!(provider.sign_in(&app.http.stranger()).await.location(), "/", "{algorithm}");
    }
    provider.tell(json!({"header": {"kid": null}})).await;
    assert_eq!(provider.sign_in(&app.http.stranger()).await.location(), "/", "there is one key");
    provider.tell(json!({"document": {"id_token_signing_alg_values_supported": ["RS256"]}})).await;
    app.advance(Duration::from_secs(3_600));
    provider
        .tell(json!({"clock": (app.clock.now() - time::OffsetDateTime::now_utc()).whole_seconds()}))
        .await;
    assert_eq!(provider.refused(&app.http.stranger()).await, "sso_untrusted", "it does not name EdDSA");
}

on_both!(new_keys_are_fetched_once_a_minute_at_most, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    provider.sign_in(&app.http.stranger()).await;
    assert_eq!(provider.count("keys").await, 1);
    provider.tell(json!({"new_key": "RS256"})).await;
    assert_eq!(provider.refused(&app.http.stranger()).await, "sso_untrusted", "within the minute");
    app.advance(Duration::from_secs(60));
    provider.tell(json!({"clock": 60})).await;
    provider.sign_in(&app.http.stranger()).await;
    assert_eq!(provider.count("keys").await, 2);
    app.advance(Duration::from_secs(60));
    provider.tell(json!({"clock": 120, "header": {"kid": "made-up"}})).await;
    for _ in 0..5 {
        assert_eq!(provider.refused(&app.http.stranger()).await, "sso_untrusted");
    }
    assert_eq!(provider.count("keys").await, 3, "five tokens with unknown keys");
    provider.tell(json!({"header": {}})).await;
    provider.sign_in(&app.http.stranger()).await;
});

/// O11. What each document names is not asked, and no redirect is followed.
#[tokio::test(flavor = "multi_thread")]
async fn poisoned_documents_are_refused_and_lead_nowhere() {
    let (provider, evil) = (Provider::start().await, Provider::start().await);
    let app = provider.app(On::Sqlite, &[]).await;
    let there = evil.issuer();
    let host = provider.issuer().replace("http://", "");
    let redirect = |to: &str| json!({"answers": {"document": {"status": 302, "headers": {"location": to}}}});
    let document = |changes: Value| json!({ "document": changes });
    let raw = |body: &str| json!({"answers": {"document": {"body": body}}});
    let poisoned = [
        document(json!({"issuer": there})),
        document(json!({"issuer": format!("{}/", provider.issuer())})),
        document(json!({"issuer": null})),
        document(json!({"authorization_endpoint": format!("{there}/authorize")})),
        document(json!({"token_endpoint": format!("{there}/token")})),
        document(json!({"jwks_uri": format!("{there}/keys")})),
        document(json!({"token_endpoint": format!("https://{host}/token")})),
        document(json!({"token_endpoint": format!("http://user@{host}/token")})),
        document(json!({"token_endpoint": format!("http://:password@{host}/token")})),
        document(json!({"jwks_uri": format!("http://{host}/keys#fragment")})),
        document(json!({"token_endpoint": "/token"})),
        document(json!({"token_endpoint": null})),
        document(json!({"id_token_signing_alg_values_supported": ["none", "HS256"]})),
        document(json!({"token_endpoint_auth_methods_supported": ["none"]})),
        redirect(&format!("{there}/.well-known/openid-configuration")),
        redirect("/realm/.well-known/openid-configuration"),
        raw("<!doctype html><p>Sign in to the network"),
        raw(&format!("{{\"issuer\":\"{}\"}}", provider.issuer())),
        raw(&" ".repeat(70_000)),
        json!({"answers": {"document": {"status": 404}}}),
    ];
    for one in poisoned {
        provider.tell(json!({"reset": true})).await;
        provider.tell(one.clone()).await;
        app.advance(Duration::from_secs(6));
        let reply = app.http.post_form("/login/sso", &[]).await.expect(303);
        assert_eq!(refusal(&app.http, &reply).await, "sso_untrusted", "{one}");
    }
    for what in ["document", "keys", "authorize", "token", "elsewhere"] {
        assert_eq!(evil.count(what).await, 0, "{what}");
    }
    assert_eq!(provider.count("token").await + provider.count("keys").await, 0);
    nobody_came_in(&app).await;
    app.sign_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_keys_are_refused() {
    let provider = Provider::start().await;
    let app = provider.app(On::Sqlite, &[]).await;
    let many = json!({"keys": vec![json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}); 51]}).to_string();
    for (answer, code) in [
        (json!({"body": many}), "sso_untrusted"),
        (json!({"body": " ".repeat(70_000)}), "sso_untrusted"),
        (json!({"body": "<html>"}), "sso_untrusted"),
        (json!({"body": "{\"keys\": []}"}), "sso_untrusted"),
        (json!({"status": 302, "headers": {"location": "/realm/keys"}}), "sso_untrusted"),
        (json!({"status": 500}), "sso_unreachable"),
        (json!({"drop": true}), "sso_unreachable"),
    ] {
        provider.tell(json!({"answers": {"keys": answer}})).await;
        app.advance(Duration::from_secs(61));
        provider
            .tell(json!({"clock": (app.clock.now() - time::OffsetDateTime::now_utc()).whole_seconds()}))
            .await;
        assert_eq!(provider.refused(&app.http).await, code, "{answer}");
    }
    nobody_came_in(&app).await;
}

on_both!(a_token_endpoint_in_trouble_is_told_apart, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let canary = "{\"error\":\"server_error\",\"error_description\":\"canary\"}";
    for (answer, code) in [
        (json!({"status": 500, "body": "canary", "kind": "text/html"}), "sso_unreachable"),
        (json!({"status": 503, "body": canary}), "sso_unreachable"),
        (json!({"status": 429}), "sso_unreachable"),
        (json!({"drop": true}), "sso_unreachable"),
        (json!({"status": 200, "body": "<html>canary", "kind": "text/html"}), "sso_untrusted"),
        (
            json!({"status": 200, "body": "{\"access_token\":\"canary\",\"token_type\":\"Bearer\"}"}),
            "sso_untrusted",
        ),
        (
            json!({"status": 200, "body": "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"id_token\":\"canary\"}"}),
            "sso_untrusted",
        ),
        (json!({"status": 200, "body": "x".repeat(70_000)}), "sso_untrusted"),
        (json!({"status": 302, "headers": {"location": "/realm/token"}}), "sso_untrusted"),
        (json!({"status": 400, "body": canary}), "sso_refused"),
        (json!({"status": 400, "body": "{\"error\":\"invalid_grant\"}"}), "sso_refused"),
        (json!({"status": 401, "body": "{\"error\":\"invalid_client\"}"}), "sso_misconfigured"),
    ] {
        provider.tell(json!({"answers": {"token": answer}})).await;
        let asked = provider.count("token").await;
        assert_eq!(provider.refused(&app.http).await, code, "{answer}");
        assert_eq!(provider.count("token").await, asked + 1, "a code is sent once: {answer}");
    }
    nobody_came_in(&app).await;
    provider.tell(json!({"answers": {}, "document": {"token_endpoint_auth_methods_supported": ["client_secret_post"]}})).await;
    assert_eq!(provider.refused(&app.http).await, "sso_misconfigured", "the document is known for an hour");
    app.advance(Duration::from_secs(3_600));
    provider.tell(json!({"clock": 3_600})).await;
    provider.sign_in(&app.http).await;
    assert_eq!(provider.last().await["method"], "client_secret_post");
});

on_both!(a_callback_is_of_the_browser_that_began_and_works_once, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let back = provider.consent(&app.http).await;
    let stranger = app.http.stranger();
    let taken = stranger.get(&back).await.expect(303);
    assert_eq!(refusal(&stranger, &taken).await, "sso_wrong_browser");
    let late = app.http.get(&back).await.expect(303);
    assert_eq!(refusal(&app.http, &late).await, "sso_attempt_expired", "whoever holds it has no use of it");
    assert_eq!(provider.count("token").await, 0);

    let other = app.http.stranger();
    provider.consent(&other).await;
    let mine = provider.consent(&app.http).await;
    let injected = other.get(&mine).await.expect(303);
    assert_eq!(refusal(&other, &injected).await, "sso_wrong_browser", "a browser with a cookie of its own");

    let back = provider.consent(&app.http).await;
    app.advance(Duration::from_secs(600));
    let over = app.http.get(&back).await.expect(303);
    assert_eq!(refusal(&app.http, &over).await, "sso_attempt_expired");
    assert_eq!(provider.count("token").await, 0);
    nobody_came_in(&app).await;

    provider.tell(json!({"clock": 600})).await;
    let back = provider.consent(&app.http).await;
    let replies = join_all((0..20).map(|_| app.http.get(&back))).await;
    let locations: Vec<_> = replies.iter().map(|reply| reply.location().to_owned()).collect();
    assert_eq!(locations.iter().filter(|location| *location == "/").count(), 1, "{locations:?}");
    assert!(locations.iter().all(|location| location == "/" || location.ends_with("sso_attempt_expired")));
    assert_eq!(provider.count("token").await, 1);
});

on_both!(an_answer_names_the_issuer_or_nobody, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    provider.tell(json!({"iss": provider.issuer()})).await;
    provider.sign_in(&app.http.stranger()).await;
    provider.tell(json!({"iss": "https://evil.example"})).await;
    assert_eq!(provider.refused(&app.http).await, "sso_untrusted");
    provider
        .tell(json!({"iss": null, "document": {"authorization_response_iss_parameter_supported": true}}))
        .await;
    app.advance(Duration::from_secs(3_600));
    provider.tell(json!({"clock": 3_600})).await;
    assert_eq!(
        provider.refused(&app.http).await,
        "sso_untrusted",
        "it says that it names itself, and did not"
    );
    assert_eq!(provider.count("token").await, 1);
});

// What an issuer says goes to no page, and to no log.
on_both!(a_refusal_of_the_provider_is_told_in_our_words, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let process = Process::start(&app, &[("MOORING_LISTEN", "127.0.0.1:0"), ("MOORING_LOG", "trace")]).await;
    for (error, code) in [
        ("access_denied", "sso_denied"),
        ("login_required", "sso_refused"),
        ("temporarily_unavailable", "sso_unreachable"),
        (MARKER, "sso_refused"),
    ] {
        provider.tell(json!({"denied": error})).await;
        assert_eq!(provider.refused(&process.http).await, code, "{error}");
    }
    assert_eq!(provider.count("token").await, 0);
    let log = process.stop().await;
    assert!(log.contains("sso_denied") && !log.contains("canary-of") && !log.contains(MARKER), "{log}");
    let told = app.app().state.store.list_events(None, None, 9).await.unwrap();
    assert!(told.iter().all(|one| !format!("{one:?}").contains("canary")));
});

/// Queries that no issuer makes, around a code and a state that are good.
fn malformed(good: &str) -> Vec<String> {
    let long = "a".repeat(5_000);
    let mut queries: Vec<_> =
        ["", "code=a", "state=a", "code=&state=a", "code=a&state=", "x=1"].map(str::to_owned).into();
    for more in
        ["code=b", "state=b", "code=", "state=", "error=access_denied", "iss=a&iss=b", "x=1&x=2", "%63ode=b"]
    {
        queries.push(format!("{good}&{more}"));
    }
    for bytes in
        ["%00", "%0d%0aSet-Cookie:%20evil=1", "%0a", "%09", "%1b[31m", "%7f", "%ff", "%c0%af", "%ed%a0%80"]
    {
        queries.extend([
            format!("{good}{bytes}"),
            format!("{good}&error_description={bytes}"),
            format!("{good}&{bytes}=1"),
        ]);
    }
    queries.extend([format!("{good}&x={long}"), format!("{good}&{long}=1"), format!("{good}{long}")]);
    queries.push((0..21).fold(good.to_owned(), |query, n| format!("{query}&p{n}=1")));
    queries
}

on_both!(what_no_issuer_sends_is_refused_whole, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    let back = provider.consent(&app.http).await;
    let (path, good) = back.split_once('?').unwrap();
    let queries = malformed(good);
    assert!(queries.len() >= 30);
    for query in &queries {
        let refused = app.http.get(&format!("{path}?m={MARKER}%3Cscript%3E&{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text.contains("This answer cannot be read"));
        for shown in [MARKER, "<script>", "evil=1", "canary-code"] {
            assert!(!refused.text.contains(shown), "{query} shows {shown}");
            assert!(refused.headers.values().all(|v| !String::from_utf8_lossy(v.as_bytes()).contains(shown)));
        }
    }
    assert_eq!(provider.count("token").await, 0);
    assert_eq!(app.http.get(&back).await.expect(303).location(), "/", "the good answer is as good as before");
});

on_both!(after_it_nobody_leaves_this_site, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    for (next, to) in [
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/audit?x=1", "/audit?x=1"),
    ] {
        let begun = app.http.post_form("/login/sso", &[("next", next)]).await.expect(303);
        let back = provider.consented(begun.location()).await;
        let there = format!("{back}&next=https%3A%2F%2Fevil.example&return_to=%2F%2Fevil.example");
        assert_eq!(app.http.get(&there).await.expect(303).location(), to);
    }
});

on_both!(a_session_that_was_there_before_is_worth_nothing, async |on: On| {
    let provider = Provider::start().await;
    let app = provider.app(on, &[]).await;
    app.sign_in().await;
    let before = app.http.secrets_in_cookies();
    provider.sign_in(&app.http).await;
    let after = app.http.secrets_in_cookies();
    assert!(after.iter().filter(|cookie| before.contains(cookie)).count() <= 1, "the browser's own stays");
    let account = app.http.get("/settings/account").await.expect(200).text;
    assert!(account.contains("ada@example.com") && !account.contains("ops@example.com"));
});

/// A page of another site cannot begin it in somebody's browser, and a link cannot either.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_begun_by_this_sites_own_button() {
    let provider = Provider::start().await;
    let app = provider.app(On::Sqlite, &[]).await;
    app.http.get("/login/sso").await.expect(405);
    let foreign = app.http.request(http::Method::POST, "/login/sso").header("origin", "https://evil.example");
    foreign.header("sec-fetch-site", "cross-site").form(&[("next", "/")]).send().await.expect(403);
    assert_eq!(rows(&app, "single_sign_ons").await, 0);
    let app_signed_in: &Http = &app.http;
    app.sign_in().await;
    let guessed = app_signed_in.post_form("/settings/account/sso/join", &[("join_password", PASSWORD)]).await;
    assert!(guessed.expect(303).location().starts_with(&provider.issuer()));
}
