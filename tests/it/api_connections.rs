//! Connections over the API: made, changed, ended; and what is told of the installation itself.

use crate::{
    api::{connect, id},
    support::app::{On, TestApp, on_both},
};
use gitlab_sim::{Endpoint, Fault, Sim};
use mooring::{
    domain::{BaseUrl, OAuthApplication, Scopes, Secret},
    outbound::{CaBundle, Outbound},
    providers::{GitLab, Instance, Provider, ProviderApi, RevokeError},
};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/connections/acme";

on_both!(a_connection_is_where_its_location_says, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let new = json!({"name": " acme ", "integration": "gitlab", "token": format!(" {}\n", minted.token)});
    let reply = program.post_json("/api/v1/connections", new).await.expect(201);
    let made = reply.json();
    assert_eq!(reply.location(), format!("/api/v1/connections/{}", id(&made)));
    assert_eq!(made["name"], "acme");
    assert!(!reply.text.contains(&minted.token));
    let found = program.get(reply.location()).await.expect(200).json();
    assert_eq!(found, made);
    assert_eq!(program.get(PATH).await.expect(200).json(), made, "by its name too");

    let token = program.get(&format!("{PATH}/token")).await.expect(200);
    assert_eq!(token.header("cache-control"), "no-store");
    assert_eq!(token.json()["access_token"], minted.token);
    let again = json!({"name": "acme", "integration": "gitlab", "token": minted.token});
    let refused = program.post_json("/api/v1/connections", again).await.expect(409).json();
    assert_eq!(refused["code"], "name_taken");
});

on_both!(a_change_changes_what_it_names, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    let fields = json!({"description": "first", "tags": {"team": "sec"}, "use_cases": ["code-review"]});
    let made = connect(&app, &program, "acme", fields).await;
    let expect = |changes: Value| {
        let mut expected = made.clone();
        expected.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        expected
    };
    let change = async |body: Value| {
        let mut now =
            program.patch_json(&format!("/api/v1/connections/{}", id(&made)), body).await.expect(200).json();
        assert!(now["updated_at"].as_str() >= made["updated_at"].as_str());
        now["updated_at"] = made["updated_at"].clone();
        now
    };
    assert_eq!(change(json!({})).await, made);
    assert_eq!(change(json!({"description": null})).await, expect(json!({"description": null})));
    assert_eq!(change(json!({"description": "second"})).await, expect(json!({"description": "second"})));
    assert_eq!(change(json!({"description": " "})).await, expect(json!({"description": null})));
    assert_eq!(
        change(json!({"tags": {"a": "b"}})).await["tags"],
        json!({"a": "b"}),
        "tags are replaced whole"
    );
    assert_eq!(change(json!({"tags": {}})).await["tags"], json!({}));
    assert_eq!(change(json!({"use_cases": []})).await["use_cases"], json!([]));
    let now = change(json!({"use_cases": ["read-only", "code-review", "read-only"]})).await;
    assert_eq!(now["use_cases"], json!(["read-only", "code-review"]));
    assert_eq!(change(json!({"renewal": "manual"})).await["renewal"], "manual");
    assert_eq!(change(json!({"name": "renamed"})).await["name"], "renamed");
    program.get(PATH).await.expect(404);
    program.get("/api/v1/connections/renamed").await.expect(200);
    assert_eq!(change(json!({"name": "renamed"})).await["name"], "renamed", "its own name is not taken");
});

on_both!(a_change_that_cannot_be_changes_nothing, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    connect(&app, &program, "taken", json!({})).await;
    connect(&app, &program, "free", json!({"tenant": "other"})).await;
    let made = connect(&app, &program, "acme", json!({"description": "first"})).await;
    let refused = [
        (json!({"name": "taken"}), 409, "name_taken"),
        (json!({"use_cases": ["no-such-use-case"]}), 422, "unknown_use_case"),
        (json!({"renewal": "refresh"}), 422, "invalid_field"),
        (json!({"name": ""}), 422, "invalid_field"),
        (json!({"description": "x".repeat(1_001)}), 422, "invalid_field"),
        (json!({"base_url": "https://evil.example.com"}), 422, "invalid_field"),
        (json!({"token": "glpat-x"}), 422, "invalid_field"),
        (json!({"tenant": "other"}), 422, "invalid_field"),
    ];
    for (mut change, status, code) in refused {
        change["tags"] = json!({"changed": "yes"});
        let problem = program.patch_json(PATH, change).await.expect(status).json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(program.get(PATH).await.expect(200).json(), made);
    }
    program.patch_json(PATH, json!({"name": "free"})).await.expect(200);
});

on_both!(a_disconnect_revokes_unless_told_not_to, async |on: On| {
    let mut app = TestApp::start(on).await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let mut tokens = Vec::new();
    for (name, query) in [("kept", "?revoke=false"), ("by-default", ""), ("asked", "?revoke=true")] {
        connect(&app, &program, name, json!({})).await;
        let path = format!("/api/v1/connections/{name}");
        let token = program.get(&format!("{path}/token")).await.expect(200).json();
        tokens.push(token["access_token"].as_str().unwrap().to_owned());
        program.delete(&format!("{path}{query}")).await.expect(204);
        program.get(&format!("{path}/token")).await.expect(404);
        program.delete(&path).await.expect(404);
    }
    app.app().state.disconnect.try_once().await.unwrap();
    // The worker in the background may have taken some first: stopping waits for it.
    app.stop().await;
    let live: Vec<_> = tokens.iter().map(|token| app.sim().is_live(token)).collect();
    assert_eq!(live, [true, false, false]);
    assert_eq!(app.sim().counts().revocations, 2);
});

/// GitLab as the provider's calls see it, without the app.
fn instance(sim: &Sim, application: &gitlab_sim::App) -> Instance {
    Instance {
        base_url: BaseUrl::parse_configured(&sim.url()).expect("a base URL"),
        http: Outbound::trusted(&CaBundle::default()).expect("a client"),
        application: Some(OAuthApplication {
            client_id: application.client_id.clone(),
            client_secret: Secret::new(&*application.client_secret),
            redirect_uri: "http://localhost/callback".into(),
            scopes: Scopes::parse("api"),
        }),
    }
}

/// Whether an owed revocation is struck off, as refused or as done; otherwise it is tried again.
fn is_settled(outcome: &Result<(), RevokeError>) -> &'static str {
    match outcome {
        Ok(()) => "revoked",
        Err(RevokeError::Refused { .. }) => "refused",
        Err(RevokeError::Unavailable { .. }) => "later",
    }
}

fn told(status: u16, error: &str) -> Fault {
    Fault::Json { status, body: json!({"error": error}).to_string() }
}

#[tokio::test]
async fn a_grant_is_owed_its_revocation_until_gitlab_itself_refuses_it() {
    let sim = Sim::start(gitlab_sim::Options::default()).await;
    let alice = sim.add_user("alice");
    let application = sim.add_application("http://localhost/callback", &["api"]);
    let token = Secret::new(sim.mint_oauth(alice, &application, &["api"]).refresh);
    let (provider, here) = (Provider::new(GitLab), instance(&sim, &application));
    for (fault, expected) in [
        (told(403, "unauthorized_client"), "refused"),
        (told(400, "unsupported_token_type"), "refused"),
        (told(400, "invalid_client"), "later"),
        (told(401, "invalid_client"), "later"),
        (told(403, "forbidden"), "later"),
        (Fault::status(400, "<html>"), "later"),
        (Fault::status(403, "<html>"), "later"),
        (Fault::status(404, "<html>"), "later"),
        (Fault::bad_gateway(), "later"),
        (Fault::DropBefore, "later"),
    ] {
        sim.fault(Endpoint::Revoke, fault.clone());
        let outcome = provider.revoke_refresh_token(&here, &token).await;
        assert_eq!(is_settled(&outcome), expected, "{fault:?}: {outcome:?}");
    }
    let unconfigured = Instance { application: None, ..here.clone() };
    assert_eq!(is_settled(&provider.revoke_refresh_token(&unconfigured, &token).await), "later");
    assert_eq!(is_settled(&provider.revoke_refresh_token(&here, &token).await), "revoked");
    assert_eq!(sim.live_refresh_tokens(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pasted_token_is_owed_its_revocation_until_gitlab_itself_answers() {
    let sim = Sim::start(gitlab_sim::Options::default()).await;
    let alice = sim.add_user("alice");
    let application = sim.add_application("http://localhost/callback", &["api"]);
    let token = Secret::new(sim.mint_personal(alice, &["api"], None).token);
    let here = instance(&sim, &application);
    for (status, error, html) in [
        (400, "refused", "later"),
        (401, "revoked", "later"),
        (403, "refused", "later"),
        (404, "refused", "later"),
        (405, "refused", "later"),
        (503, "later", "later"),
    ] {
        for (fault, expected) in [(told(status, "x"), error), (Fault::status(status, "<html>"), html)] {
            sim.fault(Endpoint::RevokeSelf, fault.clone());
            let outcome = GitLab.revoke_access_token(&here, &token).await;
            assert_eq!(is_settled(&outcome), expected, "{fault:?}: {outcome:?}");
        }
    }
    assert_eq!(is_settled(&GitLab.revoke_access_token(&here, &token).await), "revoked");
    assert!(!sim.is_live(token.expose()));
    assert_eq!(is_settled(&GitLab.revoke_access_token(&here, &token).await), "revoked", "it is dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_tells_what_can_be_connected_and_for_what() {
    let settings = [
        ("MOORING_INTEGRATION_ACME_PROVIDER", "gitlab"),
        ("MOORING_INTEGRATION_ACME_URL", "https://gitlab.acme.example/sub/"),
    ];
    let app = TestApp::start_with(On::Sqlite, gitlab_sim::Options::default(), &settings).await;
    let program = app.program(&["connections:read"]).await;
    let found = program.get("/api/v1/integrations").await.expect(200).json();
    let callback = |id: &str| format!("{}/oauth/{id}/callback", app.site());
    let acme = json!({"id": "acme", "provider": "gitlab", "base_url": "https://gitlab.acme.example/sub",
                      "methods": ["access_token"], "redirect_uri": callback("acme")});
    let gitlab = json!({"id": "gitlab", "provider": "gitlab", "base_url": app.sim().url(),
                        "methods": ["oauth", "access_token"], "redirect_uri": callback("gitlab")});
    assert_eq!(found, json!({"items": [acme, gitlab], "next_cursor": null}));

    let found = program.get("/api/v1/use-cases").await.expect(200).json();
    let scanning = found["items"].as_array().unwrap().iter().find(|u| u["id"] == "secret-scanning").unwrap();
    assert_eq!(scanning["scopes"]["project"], json!(["api", "read_repository"]));
    assert_eq!(scanning["scopes"]["group"], json!(["api"]));
    assert_eq!(scanning["least_role"]["personal"], "Maintainer");
}
