//! The REST half: tokens and rotation, scopes, states, roles, paging, hooks.
#![expect(clippy::disallowed_methods, reason = "the client under test here is the test's own")]
#![allow(unreachable_pub, dead_code, reason = "each test file uses a part of the support module")]

mod support;

use std::time::Duration;

use gitlab_sim::{Endpoint, Options, ServiceOwner, UserState, Version};
use serde_json::json;
use support::World;

const SELF: &str = "/api/v4/personal_access_tokens/self";
const ROTATE: &str = "/api/v4/personal_access_tokens/self/rotate";

#[tokio::test]
async fn rotation_gives_a_successor_and_reuse_revokes_the_family() {
    let world = World::new().await;
    let expires_at = Some(world.sim.now().date() + time::Duration::days(30));
    let old = world.sim.mint_personal(world.user, &["self_rotate"], expires_at);
    let wanted = (world.sim.now().date() + time::Duration::days(60)).to_string();
    let rotated = world.post(ROTATE, &old.token, &[("expires_at", &wanted)]).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let new = rotated.json();
    assert_eq!((&new["expires_at"], &new["user_id"]), (&json!(wanted), &json!(old.user_id)));
    let successor = new["token"].as_str().unwrap();
    // The dead token elsewhere does no harm, on the rotate path it kills the successor.
    assert_eq!(world.get(SELF, &old.token).await.error(), (401, "invalid_token".into()));
    assert!(world.sim.is_live(successor));
    assert_eq!(world.post(ROTATE, &old.token, &[]).await.status, 401);
    assert!(!world.sim.is_live(successor));
    let counts = world.sim.counts();
    assert_eq!((counts.rotations, counts.families_revoked), (1, 1));
}

#[tokio::test]
async fn rotation_without_a_date_gives_a_week_and_a_date_too_far_is_refused() {
    let world = World::new().await;
    let today = world.sim.now().date();
    let token = world.sim.mint_personal(world.user, &["api"], Some(today + time::Duration::days(9))).token;
    let far = (today + time::Duration::days(500)).to_string();
    let refused = world.post(ROTATE, &token, &[("expires_at", &far)]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("400 Bad request - Expiration date must be before"));
    let rotated = world.post(ROTATE, &token, &[]).await.json();
    assert_eq!(rotated["expires_at"], (today + time::Duration::WEEK).to_string());
    let oauth = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    assert_eq!(world.post(ROTATE, &oauth.access, &[]).await.status, 405);
}

#[tokio::test]
async fn a_bot_token_is_rotated_at_its_own_resource_only() {
    let world = World::new().await;
    let (web, api) = (world.sim.add_project("acme/web"), world.sim.add_project("acme/api"));
    let bot = world.sim.mint_project(web, &["api", "self_rotate"], 30, None);
    let path = |project: i64| format!("/api/v4/projects/{project}/access_tokens/self/rotate");
    assert_eq!(world.post(&path(api), &bot.token, &[]).await.status, 401);
    let rotated = world.post(&path(web), &bot.token, &[]).await.json();
    assert_eq!(rotated["resource_type"], "project");
    assert_eq!((&rotated["resource_id"], &rotated["access_level"]), (&json!(web), &json!(30)));
    let human = world.sim.mint_personal(world.user, &["api"], None);
    assert_eq!(world.post(&path(web), &human.token, &[]).await.status, 405);
}

#[tokio::test]
async fn group_and_service_tokens_rotate_too_and_an_instance_limits_their_life() {
    let world = World::new().await;
    let group = world.sim.add_group("acme");
    let bot = world.sim.mint_group(group, &["api"], 40, None);
    let path = format!("/api/v4/groups/{group}/access_tokens/self/rotate");
    let rotated = world.post(&path, &bot.token, &[]).await.json();
    assert_eq!((&rotated["resource_type"], &rotated["expires_at"]), (&json!("group"), &json!(null)));
    // The personal path takes every kind.
    assert_eq!(world.post(ROTATE, rotated["token"].as_str().unwrap(), &[]).await.status, 200);
    let service = world.sim.mint_service_account(ServiceOwner::Instance, None, &["self_rotate"], None);
    world.sim.set_longest_token_life(20);
    let day = |days| (world.sim.now().date() + time::Duration::days(days)).to_string();
    let refused = world.post(ROTATE, &service.token, &[("expires_at", &day(21))]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains(&format!("must be before {}", day(20))), "{}", refused.text);
    assert!(world.sim.is_live(&service.token), "nothing was rotated");
    let rotated = world.post(ROTATE, &service.token, &[("expires_at", &day(20))]).await.json();
    assert_eq!(rotated["expires_at"], day(20));
    let counts = world.sim.counts();
    assert_eq!((counts.rotations, counts.families_revoked), (3, 0));
}

#[tokio::test]
async fn older_versions_lack_the_paths_of_rotation() {
    for (version, personal, project) in
        [(Version::V16_9, 404, 404), (Version::V16_11, 200, 404), (Version::V17_11, 200, 200)]
    {
        let world = World::with(Options { version, ..Options::default() }).await;
        let web = world.sim.add_project("acme/web");
        let mint = || world.sim.mint_project(web, &["api"], 40, None).token;
        assert_eq!(world.post(ROTATE, &mint(), &[]).await.status, personal, "{version:?}");
        let path = format!("/api/v4/projects/{web}/access_tokens/self/rotate");
        assert_eq!(world.post(&path, &mint(), &[]).await.status, project, "{version:?}");
    }
}

#[tokio::test]
async fn a_scope_that_does_not_reach_is_named_in_the_403() {
    let world = World::new().await;
    let token = world.sim.mint_personal(world.user, &["read_repository"], None).token;
    let refused = world.get("/api/v4/projects", &token).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.text,
        "{\"error\":\"insufficient_scope\",\"error_description\":\"The request requires higher privileges \
         than provided by the access token.\",\"scope\":\"api read_api\"}"
    );
    assert!(refused.header("www-authenticate").is_empty());
    assert_eq!(world.get("/api/v4/user", &token).await.json()["scope"], "read_user api read_api");
    assert_eq!(world.get(SELF, &token).await.status, 200);
}

#[tokio::test]
async fn a_fine_grained_token_reaches_only_what_it_was_given() {
    let world = World::new().await;
    let token = world.sim.mint_granular(world.user, &[Endpoint::TokenSelf], None).token;
    let shown = world.get(SELF, &token).await.json();
    assert_eq!((&shown["granular"], &shown["scopes"]), (&json!(true), &json!(["granular"])));
    let refused = world.get("/api/v4/user", &token).await;
    assert_eq!(refused.error(), (403, "insufficient_granular_scope".into()));
    assert!(refused.text.contains("the following user permissions: [User: Read]."));
}

#[tokio::test]
async fn a_users_state_shuts_out_but_kills_nothing() {
    let world = World::new().await;
    let token = world.sim.mint_personal(world.user, &["read_repository"], None).token;
    let table = [
        (UserState::Blocked, "Your account has been blocked."),
        (UserState::PendingApproval, "Your account is pending approval"),
        (UserState::Deactivated, "Your account has been deactivated by your administrator."),
        (UserState::TermsNotAccepted, "You (@alice) must accept the Terms of Service"),
        (UserState::Unconfirmed, "Your primary email address is not confirmed."),
        (UserState::PasswordExpired, "Your password expired."),
        (UserState::Internal, "This action cannot be performed by internal users"),
    ];
    for (state, reason) in table {
        world.sim.set_user_state(world.user, state);
        // Looked at before the scope, which would be too small here.
        let refused = world.get("/api/v4/projects", &token).await;
        assert_eq!(refused.status, 403);
        let start = format!("403 Forbidden - {reason}");
        assert!(refused.json()["message"].as_str().unwrap().starts_with(&start), "{}", refused.text);
    }
    world.sim.set_user_state(world.user, UserState::Active);
    assert_eq!(world.get(SELF, &token).await.status, 200);
}

#[tokio::test]
async fn dead_and_unknown_tokens_are_told_apart() {
    let world = World::new().await;
    let tomorrow = world.sim.now().date() + time::Duration::DAY;
    let token = world.sim.mint_personal(world.user, &["api"], Some(tomorrow)).token;
    let unknown = world.get(SELF, "glpat-nothing").await;
    assert_eq!((unknown.status, unknown.text.as_str()), (401, "{\"message\":\"401 Unauthorized\"}"));
    assert!(unknown.header("www-authenticate").is_empty());
    world.sim.advance(Duration::from_hours(24));
    let expired = world.get(SELF, &token).await;
    assert!(expired.text.contains("Token is expired. You can either do re-authorization or token refresh."));
    assert_eq!(world.sim.counts().unauthorized, 2);
}

#[tokio::test]
async fn every_kind_shows_itself_by_its_user() {
    let world = World::new().await;
    let (group, project) = (world.sim.add_group("acme"), world.sim.add_project("acme/web"));
    let table = [
        (world.sim.mint_personal(world.user, &["api"], None), "alice".to_owned(), false),
        (world.sim.mint_project(project, &["api"], 40, None), format!("project_{project}_bot_"), true),
        (world.sim.mint_group(group, &["api"], 40, None), format!("group_{group}_bot_"), true),
        (
            world.sim.mint_service_account(ServiceOwner::Group(group), None, &["api"], None),
            format!("service_account_group_{group}_"),
            true,
        ),
    ];
    for (minted, username, bot) in table {
        let user = world.get("/api/v4/user", &minted.token).await.json();
        assert!(user["username"].as_str().unwrap().starts_with(&username), "{user}");
        assert_eq!((&user["bot"], &user["id"]), (&json!(bot), &json!(minted.user_id)));
        assert_eq!(world.get(SELF, &minted.token).await.json()["user_id"], minted.user_id);
    }
    let oauth = world.sim.mint_oauth(world.user, &world.app, &["api"]);
    let refused = world.get(SELF, &oauth.access).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("requires token type to be a personal access token"));
}

#[tokio::test]
async fn versions_differ_in_their_keys() {
    for (version, recent) in [(Version::V17_11, false), (Version::V19_1, true)] {
        let world = World::with(Options { version, ..Options::default() }).await;
        let token = world.sim.mint_personal(world.user, &["api"], None).token;
        let (shown, user) =
            (world.get(SELF, &token).await.json(), world.get("/api/v4/user", &token).await.json());
        assert_eq!(shown.get("granular").is_some(), recent);
        assert_eq!(shown.get("last_used_ips").is_some(), recent);
        assert_eq!(user.get("skype").is_none(), recent);
        assert_eq!(world.get("/api/v4/version", &token).await.json()["version"], version.number());
    }
}

#[tokio::test]
async fn projects_are_paged_by_offset_and_by_keyset_below_a_subpath() {
    let options = Options {
        base_path: "/gitlab".into(),
        external_url: Some("https://other.example.com/gitlab".into()),
        ..Options::default()
    };
    let world = World::with(options).await;
    let ids: Vec<i64> = (0..5).map(|n| world.sim.add_project(&format!("acme/p{n}"))).collect();
    world.sim.add_member_group(world.sim.add_group("acme"), world.user, 40);
    let token = world.sim.mint_personal(world.user, &["read_api"], None).token;
    let page =
        world.get("/api/v4/projects?membership=true&per_page=2&page=3&order_by=id&sort=asc", &token).await;
    assert_eq!(page.json()[0]["id"], ids[4]);
    assert_eq!((page.header("x-total"), page.header("x-next-page")), ("5", ""));
    assert!(page.header("link").starts_with("<https://other.example.com/gitlab/api/v4/projects?"));
    assert_eq!(page.json()[0]["permissions"]["group_access"]["access_level"], 40);

    let (mut path, mut seen) =
        ("/api/v4/projects?pagination=keyset&order_by=id&sort=asc&per_page=2".to_owned(), vec![]);
    loop {
        let page = world.get(&path, &token).await;
        seen.extend(page.json().as_array().unwrap().iter().map(|project| project["id"].as_i64().unwrap()));
        assert!(page.header("x-total").is_empty());
        let Some((_, rest)) = page.header("link").split_once("/gitlab") else { break };
        rest.split_once('>').unwrap().0.clone_into(&mut path);
    }
    assert_eq!(seen, ids);
    let none = world.get("/api/v4/projects?min_access_level=50", &token).await;
    assert_eq!(none.text, "[]");
    assert_eq!(world.get("/api/v4/projects/acme%2Fp1", &token).await.json()["id"], ids[1]);
}

#[tokio::test]
async fn what_is_not_seen_is_not_found_and_a_small_role_is_forbidden() {
    let world = World::new().await;
    let project = world.sim.add_project("acme/sub/web");
    let token = world.sim.mint_personal(world.user, &["api"], None).token;
    let (show, hooks) = (format!("/api/v4/projects/{project}"), format!("/api/v4/projects/{project}/hooks"));
    let hidden = world.get(&show, &token).await;
    assert_eq!((hidden.status, hidden.text.as_str()), (404, "{\"message\":\"404 Project Not Found\"}"));
    world.sim.add_member_project(project, world.user, 30);
    assert_eq!(world.get(&show, &token).await.status, 200);
    assert_eq!(world.post(&hooks, &token, &[("url", "https://b.example.com")]).await.status, 403);
    world.sim.add_member_group(world.sim.add_group("acme"), world.user, 40);
    let member = world.get(&format!("{show}/members/all/{}", world.user), &token).await.json();
    assert_eq!(member["access_level"], 40);
    let created = world.post(&hooks, &token, &[("url", "https://b.example.com"), ("token", "s")]).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["token_present"], true);
    assert_eq!(created.json()["signing_token_present"], false);
    let listed = world.get(&hooks, &token).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let hook = format!("{}{hooks}/{}", world.sim.url(), listed[0]["id"]);
    let gone = world.client.delete(hook).bearer_auth(&token).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(world.get("/api/v4/groups", &token).await.json().as_array().unwrap().len(), 2);
}
