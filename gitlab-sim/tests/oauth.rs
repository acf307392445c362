//! The OAuth half: consent, the order of the checks, the hard rotation, revocation.
#![expect(clippy::disallowed_methods, reason = "the client under test here is the test's own")]
#![allow(unreachable_pub, dead_code, reason = "each test file uses a part of the support module")]

mod support;

use std::time::Duration;

use support::{CALLBACK, VERIFIER, World, query, read};

fn exchange<'a>(world: &'a World, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", &world.app.client_id),
        ("client_secret", &world.app.client_secret),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

fn without<'a>(form: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    form.iter().filter(|(known, _)| *known != name).copied().collect()
}

fn with<'a>(form: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut form = without(form, name);
    form.push((name, value));
    form
}

#[tokio::test]
async fn a_code_becomes_a_pair_in_the_shape_of_the_real_answer() {
    let world = World::new().await;
    let code = world.code();
    let answer = world.token(&exchange(&world, &code)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.starts_with("{\"access_token\":\""));
    let at = |name: &str| answer.text.find(&format!("\"{name}\"")).unwrap();
    assert!(at("token_type") < at("expires_in") && at("refresh_token") < at("scope"));
    assert_eq!(answer.json()["scope"], "api read_user");
    assert_eq!(answer.json()["expires_in"], 7200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let again = world.token(&exchange(&world, &code)).await;
    assert_eq!(again.error(), (400, "invalid_grant".into()));
    assert!(world.sim.is_live(answer.json()["access_token"].as_str().unwrap()));
    assert_eq!(world.sim.counts().codes_exchanged, 1);
}

#[tokio::test]
async fn a_code_exchange_is_checked_in_gitlabs_order_and_a_failed_check_leaves_the_code_alive() {
    let world = World::new().await;
    let code = world.code();
    let good = exchange(&world, &code);
    let table = [
        (without(&good, "grant_type"), 400, "invalid_request"),
        (with(&good, "grant_type", "password"), 400, "unsupported_grant_type"),
        (without(&good, "code"), 400, "invalid_request"),
        (with(&without(&good, "code_verifier"), "client_secret", "wrong"), 400, "invalid_request"),
        (with(&without(&good, "redirect_uri"), "client_secret", "wrong"), 400, "invalid_request"),
        (with(&with(&good, "client_secret", "wrong"), "code", "unknown"), 401, "invalid_client"),
        (with(&good, "client_id", "unknown"), 401, "invalid_client"),
        (without(&good, "client_secret"), 401, "invalid_client"),
        (with(&good, "code", "unknown"), 400, "invalid_grant"),
        (with(&good, "redirect_uri", "https://broker.example.com/other"), 400, "invalid_grant"),
        (with(&good, "code_verifier", "wrong"), 400, "invalid_grant"),
    ];
    for (form, status, error) in table {
        let answer = world.token(&form).await;
        assert_eq!(answer.error(), (status, error.to_owned()), "{form:?}");
        let challenge = format!("Bearer realm=\"Doorkeeper\", error=\"{error}\"");
        assert!(answer.header("www-authenticate").starts_with(&challenge));
    }
    assert_eq!(world.token(&good).await.status, 200);
}

#[tokio::test]
async fn a_code_dies_after_ten_minutes() {
    let world = World::new().await;
    let code = world.code();
    world.sim.advance(Duration::from_secs(601));
    assert_eq!(world.token(&exchange(&world, &code)).await.error(), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn a_refresh_kills_both_old_tokens_in_its_commit() {
    let world = World::new().await;
    let old = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let new = world.refresh(&old.refresh).await.json();
    let dead = world.get("/api/v4/user", &old.access).await;
    assert_eq!(dead.status, 401);
    assert_eq!(
        dead.text,
        "{\"error\":\"invalid_token\",\"error_description\":\"Token was revoked. You have to re-authorize from the user.\"}"
    );
    assert!(dead.header("www-authenticate").starts_with("Bearer realm=\"Protected by OAuth 2.0\""));
    assert_eq!(world.sim.live_refresh_tokens(), [new["refresh_token"].as_str().unwrap()]);
    assert_eq!(world.get("/api/v4/user", new["access_token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_spent_refresh_token_is_denied_and_counted_and_hurts_nobody() {
    let world = World::new().await;
    let old = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let new = world.refresh(&old.refresh).await.json();
    let denied = world.refresh(&old.refresh).await;
    assert_eq!(denied.error(), (400, "invalid_grant".into()));
    assert!(world.sim.is_live(new["access_token"].as_str().unwrap()));
    let counts = world.sim.counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 1));
    assert_eq!(counts.refresh_tokens_presented_twice, 1);
}

#[tokio::test]
async fn a_chain_tells_what_became_of_a_grant() {
    let world = World::new().await;
    let first = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let second = world.refresh(&first.refresh).await.json();
    world.refresh(&first.refresh).await;
    let chain = world.sim.chain(&first.refresh);
    assert_eq!(chain.len(), 2);
    assert_eq!((chain[0].live, chain[0].presented_spent), (false, 1));
    assert_eq!((chain[1].live, chain[1].presented_spent), (true, 0));
    assert_eq!(second["refresh_token"], chain[1].pair.refresh);
}

#[tokio::test]
async fn token_requests_under_way_at_once_are_counted() {
    let world = World::new().await;
    let pairs = [(); 2].map(|()| world.sim.mint_oauth(world.user, &world.app, &["api"]).refresh);
    world.refresh("unknown").await;
    assert_eq!(world.sim.counts().token_requests_at_once_most, 1);
    let gate = world.sim.hold(gitlab_sim::Endpoint::Token);
    let both = async {
        gate.reached().await;
        world.refresh(&pairs[1]).await;
        gate.release();
    };
    tokio::join!(world.refresh(&pairs[0]), both);
    assert_eq!(world.sim.counts().token_requests_at_once_most, 2);
}

#[tokio::test]
async fn a_refresh_is_checked_in_gitlabs_order() {
    let world = World::new().await;
    let other = world.sim.add_application(CALLBACK, &["api"]);
    let live = world.sim.mint_oauth(world.user, &world.app, &["api"]).refresh;
    let dead = world.sim.mint_oauth(world.user, &world.app, &["api"]).refresh;
    world.sim.revoke(&dead);
    let good = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", live.as_str()),
        ("client_id", &world.app.client_id),
        ("client_secret", &world.app.client_secret),
    ];
    let wrong = with(&good, "client_secret", "wrong");
    let no_client = without(&without(&good, "client_id"), "client_secret");
    let others = with(&with(&good, "client_id", &other.client_id), "client_secret", &other.client_secret);
    let table = [
        (without(&wrong, "refresh_token"), 400, "invalid_request"),
        (with(&wrong, "refresh_token", &dead), 400, "invalid_grant"),
        (wrong, 401, "invalid_client"),
        (no_client, 400, "invalid_grant"),
        (others, 400, "invalid_grant"),
        (with(&good, "scope", "api sudo"), 400, "invalid_scope"),
    ];
    for (form, status, error) in table {
        assert_eq!(world.token(&form).await.error(), (status, error.to_owned()), "{form:?}");
    }
    world.sim.renew_secret(&world.app.client_id);
    assert_eq!(world.refresh(&live).await.error(), (401, "invalid_client".into()));
    world.sim.delete_application(&world.app.client_id);
    assert_eq!(world.refresh(&live).await.error(), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn a_client_authenticates_in_one_way_only() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let url = format!("{}/oauth/token", world.sim.url());
    let form = [("grant_type", "refresh_token"), ("refresh_token", &pair.refresh)];
    let basic = || world.client.post(&url).basic_auth(&world.app.client_id, Some(&world.app.client_secret));
    let twice = with(&form, "client_secret", &world.app.client_secret);
    let refused = read(basic().form(&twice).send().await.unwrap()).await;
    assert_eq!(refused.error(), (400, "invalid_request".into()));
    assert_eq!(read(basic().form(&form).send().await.unwrap()).await.status, 200);
}

#[tokio::test]
async fn revocation_follows_the_hint_and_ignores_an_expired_access_token() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let client = [("client_id", world.app.client_id.as_str()), ("client_secret", &world.app.client_secret)];
    world.sim.expire(&pair.access);
    let revoke = |form: Vec<(&'static str, String)>| {
        let url = format!("{}/oauth/revoke", world.sim.url());
        let request = world.client.post(url).form(&form);
        async move { read(request.send().await.unwrap()).await }
    };
    let authenticated = |token: &str, hint: &str| {
        let mut form: Vec<(&'static str, String)> =
            client.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        form.extend([("token", token.to_owned()), ("token_type_hint", hint.to_owned())]);
        form
    };
    assert_eq!(revoke(authenticated(&pair.access, "")).await.text, "{}");
    assert_eq!(world.sim.live_refresh_tokens().len(), 1);
    let stranger = revoke(vec![("token", pair.refresh.clone())]).await;
    assert_eq!(stranger.error(), (403, "unauthorized_client".into()));
    assert_eq!(revoke(authenticated(&pair.refresh, "refresh_token")).await.status, 200);
    assert!(world.sim.live_refresh_tokens().is_empty());
    assert_eq!(world.sim.counts().revocations, 1);
}

#[tokio::test]
async fn the_consent_page_posts_below_the_base_path_and_redirects() {
    let options = gitlab_sim::Options { base_path: "/gitlab".into(), ..Default::default() };
    let world = World::with(options).await;
    let url = world.authorize_url("api");
    let page = read(world.client.get(&url).send().await.unwrap()).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("action=\"/gitlab/oauth/authorize\""), "{}", page.text);
    let bob = world.sim.add_user("bob").to_string();
    let (target, query_text) = url.split_once('?').unwrap();
    let mut form: Vec<(String, String)> =
        url::form_urlencoded::parse(query_text.as_bytes()).into_owned().collect();
    form.push(("user".into(), bob));
    let granted = read(world.client.post(target).form(&form).send().await.unwrap()).await;
    assert_eq!(granted.status, 302);
    assert_eq!(query(granted.header("location"), "state"), "s1");
    assert_eq!(query(granted.header("location"), "code").len(), 64);
    form.push(("_method".into(), "delete".into()));
    let denied = read(world.client.post(target).form(&form).send().await.unwrap()).await;
    assert_eq!(query(denied.header("location"), "error"), "access_denied");
}

#[tokio::test]
async fn a_bad_authorization_request_never_redirects() {
    let world = World::new().await;
    let good = world.authorize_url("api");
    for bad in [
        good.replace("scope=api", "scope=sudo"),
        good.replace("response_type=code", "response_type=token"),
        good.replace("/callback", "/elsewhere"),
        good.replace("client_id=", "client_id=0"),
        good.replace("&code_challenge_method=S256", ""),
    ] {
        let page = read(world.client.get(&bad).send().await.unwrap()).await;
        assert!(page.header("location").is_empty(), "{bad}");
        assert!(page.text.contains("An error has occurred"), "{bad}");
        assert!(world.sim.approve(&bad).is_err());
    }
}

#[tokio::test]
async fn a_trusted_application_is_sent_on_by_script() {
    let world = World::new().await;
    let trusted = world.sim.add_trusted_application(CALLBACK, &["api"]);
    let url = world.authorize_url("api").replace(&world.app.client_id, &trusted.client_id);
    let page = read(world.client.get(&url).send().await.unwrap()).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("window.location.replace(\"https://broker.example.com/callback?code="));
}

#[tokio::test]
async fn token_info_knows_oauth_tokens_only() {
    let world = World::new().await;
    let pair = world.sim.mint_oauth(world.user, &world.app, &["api", "read_user"]);
    let info = world.get("/oauth/token/info", &pair.access).await.json();
    assert_eq!(info["scope"], serde_json::json!(["api", "read_user"]));
    assert_eq!(info["application"]["uid"], world.app.client_id.as_str());
    let personal = world.sim.mint_personal(world.user, &["api"], None).token;
    let refused = world.get("/oauth/token/info", &personal).await;
    assert_eq!(refused.error(), (401, "invalid_token".into()));
}
