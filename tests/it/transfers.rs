//! Connections move from one installation to another, on the other database: renewed by one of them, and lost by none.

use crate::{
    api::{connect, id, make_key},
    cli::{Said, run_with_input},
    support::{
        app::{On, TestApp, on_both},
        database::{dump, holds},
        request::Http,
    },
};
use gitlab_sim::{Endpoint, Options};
use mooring::{renewal::Worker, store::RenewalCause};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::task::TaskTracker;

const ACME: &str = "/api/v1/connections/acme";
const TWO_HOURS: Duration = Duration::from_secs(7_200);

/// Two installations, each with a program that may do all.
struct Two {
    from: TestApp,
    to: TestApp,
    here: Http,
    there: Http,
    /// Whom the first may export to: the second.
    recipient: String,
}

impl Two {
    /// The second one knows the same GitLab and the same OAuth application.
    async fn start(on: On) -> Self {
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

    async fn export(&self, more: Value) -> Value {
        let mut body = json!({"recipient": self.recipient});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.here.post_json("/api/v1/exports", body).await.expect(200).json()
    }

    /// Exports all and imports it.
    async fn moved(&self) -> Value {
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

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

async fn held(program: &Http) -> Value {
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

on_both!(a_connection_moves_whole_and_is_renewed_by_one_of_the_two, async |on: On| {
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

    two.advance(Duration::from_mins(118));
    assert_eq!(worker(&two.from).try_once().await.unwrap(), 0, "it is nothing of the first's to renew");
    worker(&two.to).try_once().await.unwrap();
    assert_eq!(two.from.sim().counts().refreshes_granted, 1);
    let renewed = held(&two.there).await;
    assert_eq!(renewed["generation"], 2);
    assert!(two.from.sim().is_live(renewed["access_token"].as_str().unwrap()));

    let refused = two.here.get(&format!("{ACME}/token?newer_than=1")).await.expect(409).json();
    assert_eq!((&refused["code"], &refused["reason"]), (&json!("action_required"), &json!("exported")));
    assert_eq!(refused["action"], "reauthorize");
    let asked = two.from.sim().count(Endpoint::Any);
    two.here.get(&format!("{ACME}/token")).await.expect(409);
    let refused = two.here.post_json(&format!("{ACME}/renew"), json!({})).await.expect(409).json();
    assert_eq!(refused["reason"], "exported");
    let refused = two.here.post_json(&format!("{ACME}/take-back"), json!({})).await.expect(409).json();
    assert_eq!(refused["code"], "renewed_elsewhere");
    let again = two.export(json!({})).await;
    assert_eq!(again["left_out"][0]["code"], "renewed_elsewhere", "it would bring nobody anything");
    assert_eq!(
        two.from.sim().count(Endpoint::Any),
        asked,
        "GitLab is not asked about a token that is known to be dead"
    );

    let refused = two.here.delete(ACME).await.expect(409).json();
    assert_eq!(refused["code"], "exported", "its token is the other one's");
    two.here.delete(&format!("{ACME}?revoke=false")).await.expect(204);
    two.from.app().state.disconnect.try_once().await.unwrap();
    assert!(two.from.sim().is_live(renewed["access_token"].as_str().unwrap()));
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
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
    let expected = ["renewed", "taken_back", "exported", "exported", "connected"];
    assert!(
        expected.iter().map(|kind| format!("connection.{kind}")).all(|kind| kinds.contains(&kind.as_str())),
        "{kinds:?}"
    );

    two.export(json!({})).await;
    two.advance(TWO_HOURS);
    let refused = two.here.get(&format!("{ACME}/token")).await.expect(409).json();
    assert_eq!(refused["reason"], "exported", "it has ended, and is not renewed here");
    two.here.post_json(&format!("{ACME}/take-back"), json!({})).await.expect(200);
    assert_eq!(held(&two.here).await["generation"], 3);
});

on_both!(only_its_recipient_reads_an_export, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    let token = held(&two.here).await["access_token"].as_str().unwrap().to_owned();
    let own =
        two.here.get("/api/v1/recipient").await.expect(200).json()["recipient"].as_str().unwrap().to_owned();
    assert_ne!(own, two.recipient);
    for (recipient, status, code) in [
        (own.as_str(), 403, "recipient_not_allowed"),
        (&two.recipient[..two.recipient.len() - 1], 422, "invalid_field"),
        ("age1qqqq", 422, "invalid_field"),
    ] {
        let refused = two.here.post_json("/api/v1/exports", json!({"recipient": recipient})).await;
        assert_eq!(refused.expect(status).json()["code"], code);
    }
    assert_eq!(two.here.get(ACME).await.expect(200).json()["status"], "active", "nothing was exported");
    let unknown = json!({"recipient": two.recipient, "connections": ["acme", "none"]});
    two.here.post_json("/api/v1/exports", unknown).await.expect(404);
    assert_eq!(two.here.get(ACME).await.expect(200).json()["status"], "active");

    let export = two.export(json!({})).await["export"].clone();
    assert!(!export.to_string().contains(&token) && !export.to_string().contains("acme"));
    let unreadable = async |program: &Http, export: &Value| {
        let refused =
            program.post_json("/api/v1/imports", json!({"export": export})).await.expect(422).json();
        assert_eq!(refused["code"], "export_unreadable");
        refused["detail"].as_str().unwrap().to_owned()
    };
    assert!(unreadable(&two.here, &export).await.contains("another installation"));
    let mut damaged = export.clone();
    let sealed = export["sealed"].as_str().unwrap();
    damaged["sealed"] = json!(format!("{}AAAA{}", &sealed[..40], &sealed[44..]));
    assert!(unreadable(&two.there, &damaged).await.contains("damaged"));
    let mut newer = export.clone();
    newer["mooring_export"] = json!(2);
    assert!(unreadable(&two.there, &newer).await.contains("format 2"));
    assert_eq!(two.there.get("/api/v1/connections").await.expect(200).json()["items"], json!([]));
});

on_both!(an_import_is_whole_or_nothing_and_names_all_that_is_wrong, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("by-oauth").await;
    connect(&two.from, &two.here, "taken", json!({})).await;
    connect(&two.from, &two.here, "fine", json!({"tenant": "acme"})).await;
    connect(&two.from, &two.there, "taken", json!({})).await;
    let mut to = two.to;
    to.restart_with(&[("MOORING_GITLAB_OAUTH_CLIENT_ID", "another")]).await;
    let there = to.program(&["admin"]).await;
    let export =
        two.here.post_json("/api/v1/exports", json!({"recipient": two.recipient})).await.expect(200).json();
    assert_eq!(export["exported"].as_array().unwrap().len(), 3);
    let body = json!({"export": export["export"]});

    let refused = there.post_json("/api/v1/imports", body.clone()).await.expect(422).json();
    assert_eq!(refused["code"], "import_refused");
    let mut errors: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["field"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    errors.sort_unstable();
    assert_eq!(errors, [("by-oauth", "unknown_integration"), ("taken", "name_taken")]);
    let list = there.get("/api/v1/connections").await.expect(200).json();
    assert_eq!(names(&list["items"]), ["taken"], "the good one did not come in either");

    let client_id = two.from.world.application.client_id.clone();
    to.restart_with(&[("MOORING_GITLAB_OAUTH_CLIENT_ID", &client_id)]).await;
    there.patch_json("/api/v1/connections/taken", json!({"name": "older"})).await.expect(200);
    let tried = json!({"export": export["export"], "dry_run": true});
    let would = there.post_json("/api/v1/imports", tried).await.expect(200).json();
    assert_eq!(would["imported"].as_array().unwrap().len(), 3);
    there.get("/api/v1/connections/fine").await.expect(404);
    there.post_json("/api/v1/imports", body.clone()).await.expect(200);
    let again = there.post_json("/api/v1/imports", body).await.expect(200).json();
    assert_eq!(
        (names(&again["imported"]).len(), names(&again["present"]).len()),
        (0, 3),
        "it may be sent twice"
    );

    let (_, bound) = make_key(&there, json!({"name": "x", "scopes": ["admin"], "tenant": "acme"})).await;
    let bound = there.with_key(&bound);
    let refused =
        bound.post_json("/api/v1/imports", json!({"export": export["export"]})).await.expect(403).json();
    assert_eq!(refused["code"], "tenant_forbidden");
});

on_both!(a_key_of_a_tenant_exports_what_it_sees, async |on: On| {
    let two = Two::start(on).await;
    connect(&two.from, &two.here, "own", json!({"tenant": "acme"})).await;
    let foreign = connect(&two.from, &two.here, "foreign", json!({"tenant": "other"})).await;
    let bound = two.from.program_of(Some("acme"), &["admin"]).await;
    let export =
        bound.post_json("/api/v1/exports", json!({"recipient": two.recipient, "tenant": "other"})).await;
    assert_eq!(names(&export.expect(200).json()["exported"]), ["own"]);
    let body = json!({"recipient": two.recipient, "connections": [id(&foreign)]});
    bound.post_json("/api/v1/exports", body).await.expect(404);
});

on_both!(what_is_being_renewed_stays_and_the_rest_moves, async |on: On| {
    let two = Two::start(on).await;
    let busy = two.from.connect_by_oauth("busy").await;
    two.from.connect_by_oauth("idle").await;
    let store = &two.from.app().state.store;
    let connection = store.connection(busy.parse().unwrap()).await.unwrap().unwrap();
    store.begin_renewal(&connection, RenewalCause::Due, two.from.clock.now()).await.unwrap();

    let export = two.export(json!({})).await;
    assert_eq!((names(&export["exported"]), names(&export["left_out"])), (vec!["idle"], vec!["busy"]));
    assert_eq!(export["left_out"][0]["code"], "renewal_under_way");
    two.here.post_json("/api/v1/connections/busy/renew", json!({})).await.expect(200);
    let export = two.export(json!({"connections": ["busy"]})).await;
    assert_eq!((names(&export["exported"]), names(&export["left_out"])), (vec!["busy"], vec![]));
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

async fn mooring(app: &TestApp, arguments: &[&str], input: &str) -> Said {
    let vars: Vec<_> = app.vars().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    run_with_input(app.data.path(), arguments, &vars, input).await
}

on_both!(an_operator_moves_connections_beside_running_servers, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    connect(&two.from, &two.here, "pasted", json!({"tenant": "acme"})).await;
    let recipient = mooring(&two.to, &["recipient"], "").await.expect(0).line().to_owned();
    assert_eq!(recipient, two.recipient);

    let refused = mooring(&two.from, &["export", "--to", "moor-recipient_x"], "").await.expect(2);
    assert!(refused.err.contains("mooring recipient"), "{}", refused.err);
    mooring(&two.from, &["export", "--to", &recipient, "none"], "").await.expect(2);
    let export = mooring(&two.from, &["export", "--to", &recipient], "").await.expect(0);
    assert!(export.err.contains("Exported: 2 connections."), "{}", export.err);
    for text in [&export.out, &export.err] {
        assert!(!text.contains("glpat-") && !text.contains("pasted"), "{text}");
    }

    let refused = mooring(&two.from, &["import", "-"], &export.out).await.expect(1);
    assert!(refused.err.contains("another installation"), "{}", refused.err);
    let half = &export.out[..export.out.len() / 2];
    assert!(mooring(&two.to, &["import", "-"], half).await.expect(2).err.contains("not all of it"));
    let would = mooring(&two.to, &["import", "--dry-run", "-"], &export.out).await.expect(0);
    assert_eq!(would.line(), "Would be imported: 2 connections.");
    let done = mooring(&two.to, &["import", "--json", "-"], &export.out).await.expect(0);
    let done: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(done["imported"].as_array().unwrap().len(), 2);
    let again = mooring(&two.to, &["import", "-"], &export.out).await.expect(0);
    assert!(again.out.contains("left as they are: 2 connections"), "{}", again.out);

    assert_eq!(held(&two.there).await["generation"], 1);
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    let token = held(&two.there).await["access_token"].as_str().unwrap().to_owned();
    assert!(!holds(&dump(&two.to).await, &token), "it is sealed there too");
});
