//! Connections move from one installation to another, on the other database: renewed by one of them, and lost by none.

use crate::{
    api::connect,
    support::{
        app::{On, TestApp, on_both},
        request::Http,
    },
};
use gitlab_sim::{Endpoint, Options};
use mooring::renewal::Worker;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::task::TaskTracker;

pub(crate) const ACME: &str = "/api/v1/connections/acme";
const TWO_HOURS: Duration = Duration::from_secs(7_200);

/// Two installations, each with a program that may do all.
pub(crate) struct Two {
    pub(crate) from: TestApp,
    pub(crate) to: TestApp,
    pub(crate) here: Http,
    pub(crate) there: Http,
    /// Whom the first may export to: the second.
    pub(crate) recipient: String,
}

impl Two {
    /// The second one knows the same GitLab and the same OAuth application.
    pub(crate) async fn start(on: On) -> Self {
        let mut from = TestApp::start(on).await;
        let world = &from.world;
        let settings = [
            ("MOORING_GITLAB_URL", world.sim.url()),
            ("MOORING_GITLAB_OAUTH_CLIENT_ID", world.application.client_id.clone()),
            ("MOORING_GITLAB_OAUTH_CLIENT_SECRET", world.application.client_secret.clone()),
        ];
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let other = if on == On::Sqlite { On::Postgres } else { On::Sqlite };
        let to = TestApp::start_with(other, Options::default(), &settings).await;
        let there = to.program(&["admin"]).await;
        let recipient = there.get("/api/v1/recipient").await.expect(200).json()["recipient"].clone();
        let recipient = recipient.as_str().unwrap().to_owned();
        from.restart_with(&[("MOORING_EXPORT_RECIPIENTS", &recipient)]).await;
        let here = from.program(&["admin"]).await;
        Self { from, to, here, there, recipient }
    }

    pub(crate) async fn export(&self, more: Value) -> Value {
        let mut body = json!({"recipient": self.recipient});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.here.post_json("/api/v1/exports", body).await.expect(200).json()
    }

    /// Exports all and imports it.
    pub(crate) async fn moved(&self) -> Value {
        let export = self.export(json!({})).await;
        let body = json!({"export": export["export"]});
        self.there.post_json("/api/v1/imports", body).await.expect(200).json()
    }

    fn advance(&self, by: Duration) {
        self.from.advance(by);
        self.to.clock.advance(by);
    }
}

fn worker(app: &TestApp) -> Worker {
    let state = &app.app().state;
    Worker::new(state.store.clone(), state.renewals.clone(), state.clock.clone(), TaskTracker::new())
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

pub(crate) async fn held(program: &Http) -> Value {
    program.get(&format!("{ACME}/token")).await.expect(200).json()
}

/// What the contract says of a connection, without what each installation knows for itself.
fn moving(connection: &Value) -> Value {
    let mut connection = connection.clone();
    let fields = connection.as_object_mut().unwrap();
    for own in ["status", "reason", "action", "renew_at", "last_used_at", "updated_at"] {
        fields.remove(own);
    }
    connection
}

on_both!(a_connection_moves_whole_and_both_hand_its_token_out, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    let change = json!({"description": "Reviews", "tags": {"team": "sec"}, "use_cases": ["code-review"]});
    let was = two.here.patch_json(ACME, change).await.expect(200).json();
    let (token, generation) = (held(&two.here).await["access_token"].clone(), was["generation"].clone());

    let moved = two.moved().await;
    assert_eq!((names(&moved["imported"]), names(&moved["present"])), (vec!["acme"], vec![]));
    let (here, there) =
        (two.here.get(ACME).await.expect(200).json(), two.there.get(ACME).await.expect(200).json());
    assert_eq!(moving(&there), moving(&was), "it is the same, with its id");
    assert_eq!(there["status"], "active");
    assert_eq!(
        (&here["status"], &here["reason"], &here["action"], &here["generation"]),
        (&json!("degraded"), &json!("exported"), &Value::Null, &generation)
    );
    assert!(here["renew_at"].is_null() && there["renew_at"].is_string());
    for program in [&two.here, &two.there] {
        let held = held(program).await;
        assert_eq!((&held["access_token"], &held["generation"]), (&token, &generation), "both hand it out");
    }
    assert_eq!(held(&two.here).await["warnings"][0]["code"], "exported");
    assert_eq!(two.from.sim().count(Endpoint::Token), 1, "the first exchange and nothing since");
});

on_both!(one_of_the_two_renews_and_the_other_lets_go, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    two.moved().await;
    two.advance(Duration::from_mins(118));
    assert_eq!(worker(&two.from).try_once().await.unwrap(), 0, "it is nothing of the first's to renew");
    worker(&two.to).try_once().await.unwrap();
    assert_eq!(two.from.sim().counts().refreshes_granted, 1);
    let renewed = held(&two.there).await;
    assert_eq!(renewed["generation"], 2);
    let lives = || two.from.sim().is_live(renewed["access_token"].as_str().unwrap());
    assert!(lives());

    let post =
        async |what: &str| two.here.post_json(&format!("{ACME}/{what}"), json!({})).await.expect(409).json();
    assert_eq!(post("take-back").await["code"], "renewed_elsewhere", "GitLab refuses a token before its end");
    let asked = two.from.sim().count(Endpoint::Any);
    assert_eq!(post("take-back").await["code"], "renewed_elsewhere");
    assert_eq!(post("renew").await["reason"], "exported");
    for path in [format!("{ACME}/token"), format!("{ACME}/token?newer_than=1")] {
        let refused = two.here.get(&path).await.expect(409).json();
        assert_eq!(refused["code"], "action_required");
        assert_eq!((&refused["reason"], &refused["action"]), (&json!("exported"), &json!("reauthorize")));
    }
    let again = two.export(json!({})).await;
    assert_eq!(again["left_out"][0]["code"], "renewed_elsewhere", "it would bring nobody anything");
    assert_eq!(two.from.sim().count(Endpoint::Any), asked, "a token that is known to be dead is not shown");

    assert_eq!(
        two.here.delete(ACME).await.expect(409).json()["code"],
        "exported",
        "the token is the other one's"
    );
    two.here.delete(&format!("{ACME}?revoke=false")).await.expect(204);
    two.from.app().state.disconnect.try_once().await.unwrap();
    assert!(lives());
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
});

on_both!(who_still_asks_the_first_is_told_where_the_token_went, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    two.moved().await;
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    let refused = two.here.get(&format!("{ACME}/token?newer_than=1")).await.expect(409).json();
    assert_eq!(refused["reason"], "exported");
    let shown = two.here.get(ACME).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("action_required"), &json!("exported")));
});

on_both!(an_export_that_nobody_imported_is_taken_back, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    let refused = two.here.post_json(&format!("{ACME}/take-back"), json!({})).await.expect(409).json();
    assert_eq!(refused["code"], "not_exported");
    two.export(json!({"connections": ["acme"]})).await;
    two.export(json!({"connections": ["acme", "acme"]})).await;
    two.here.post_json(&format!("{ACME}/renew"), json!({})).await.expect(409);

    let back = two.here.post_json(&format!("{ACME}/take-back"), json!({})).await.expect(200).json();
    assert_eq!((&back["status"], &back["reason"]), (&json!("active"), &Value::Null));
    two.here.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    let events = two.here.get("/api/v1/events").await.expect(200).json();
    let kinds: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    let count =
        |kind: &str| kinds.iter().filter(|told| told.strip_prefix("connection.") == Some(kind)).count();
    assert_eq!(["taken_back", "exported", "renewed"].map(count), [1, 2, 1], "{kinds:?}");

    two.export(json!({})).await;
    two.advance(TWO_HOURS);
    for path in [format!("{ACME}/token"), format!("{ACME}/token?newer_than=2")] {
        let refused = two.here.get(&path).await.expect(409).json();
        assert_eq!(refused["reason"], "exported", "it has ended, and is not renewed here");
    }
    two.here.post_json(&format!("{ACME}/take-back"), json!({})).await.expect(200);
    assert_eq!(held(&two.here).await["generation"], 3);
});

on_both!(a_desired_connection_is_as_desired_where_it_moved_to, async |on: On| {
    let two = Two::start(on).await;
    let token = two.from.sim().mint_project(two.from.world.project, &["api", "self_rotate"], 40, None).token;
    let path = "/api/v1/connections/by-name/acme";
    let body = json!({"integration": "gitlab", "token": token, "renewal": "self_rotate"});
    two.here.put_json(path, body.clone()).await.expect(201);
    two.here.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    two.moved().await;
    let asked = two.from.sim().count(Endpoint::Any);
    let same = two.there.put_json(path, body).await.expect(200).json();
    assert_eq!((&same["generation"], two.from.sim().count(Endpoint::Any)), (&json!(2), asked));
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    assert!(two.from.sim().is_live(held(&two.there).await["access_token"].as_str().unwrap()));
});

on_both!(who_reauthorizes_after_an_export_kills_nothing_elsewhere, async |on: On| {
    let two = Two::start(on).await;
    let acme = two.from.connect_by_oauth("acme").await;
    two.moved().await;
    let begun = two.from.http.post_form(&format!("/connections/{acme}/reauthorize"), &[]).await.expect(303);
    let back = two.from.sim().approve(begun.location()).unwrap();
    two.from.http.get(back.strip_prefix(two.from.site()).unwrap()).await.expect(303);
    two.from.app().state.disconnect.try_once().await.unwrap();
    assert_eq!(two.here.get(ACME).await.expect(200).json()["status"], "active", "it has a token of its own");
    for program in [&two.here, &two.there] {
        program.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
        assert!(two.from.sim().is_live(held(program).await["access_token"].as_str().unwrap()));
    }
});

on_both!(the_page_of_an_exported_connection_says_what_to_press, async |on: On| {
    let two = Two::start(on).await;
    let acme = two.from.connect_by_oauth("acme").await;
    two.moved().await;
    let (browser, page) = (&two.from.http, format!("/connections/{acme}"));
    let html = browser.get(&page).await.expect(200).text;
    assert!(html.contains("Exported to another installation") && html.contains("Take back"));
    assert!(html.contains("Token ends") && !html.contains("Renews"), "not here");
    let html = browser.get(&format!("{page}/disconnect")).await.expect(200).text;
    assert!(html.contains("lives on in another installation") && !html.contains("name=\"revoke\""));
    browser.post_form(&format!("{page}/disconnect"), &[("revoke", "yes")]).await.expect(409);
    browser.post_form(&format!("{page}/take-back"), &[]).await.expect(303);
    let html = browser.get(&page).await.expect(200).text;
    assert!(html.contains("it is renewed here again") && !html.contains("Take back"));
    let again = browser.post_form(&format!("{page}/take-back"), &[]).await.expect(409);
    assert!(again.text.contains("was not exported"), "{}", again.text);
});

on_both!(the_token_that_was_exported_is_no_new_one, async |on: On| {
    let two = Two::start(on).await;
    let made = connect(&two.from, &two.here, "acme", json!({})).await;
    let token = held(&two.here).await["access_token"].clone();
    two.moved().await;
    let refused =
        two.here.put_json(&format!("{ACME}/token"), json!({"token": token})).await.expect(409).json();
    assert_eq!((&made["renewal"], &refused["code"]), (&json!("manual"), &json!("exported")));
    let own = two.from.sim().mint_project(two.from.world.project, &["api"], 40, None).token;
    let path = format!("{ACME}/token?allow_different_account=true");
    assert_eq!(two.here.put_json(&path, json!({"token": own})).await.expect(200).json()["status"], "active");
});

on_both!(a_pasted_token_that_is_revoked_is_told_as_such, async |on: On| {
    let two = Two::start(on).await;
    connect(&two.from, &two.here, "acme", json!({})).await;
    two.moved().await;
    two.from.sim().revoke(held(&two.here).await["access_token"].as_str().unwrap());
    for program in [&two.here, &two.there] {
        let refused = program.get(&format!("{ACME}/token?newer_than=1")).await.expect(409).json();
        assert_eq!(refused["reason"], "token_revoked", "nobody renews it, so nobody has renewed it");
    }
});
