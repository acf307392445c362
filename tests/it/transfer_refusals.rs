//! What is not exported and not imported: each with its own word, and the rest goes its way.

use crate::{
    api::{connect, id, make_key},
    support::{
        app::{On, on_both},
        database::run,
        request::Http,
    },
    transfers::{ACME, Two, held, names},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use mooring::{
    store::RenewalCause,
    vault::{Keyring, generate_key, seal_to},
};
use serde_json::{Value, json};
use std::time::Duration;

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
        .map(|e| (e["message"].as_str().unwrap().split(':').next().unwrap(), e["code"].as_str().unwrap()))
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
    assert_eq!(refused["code"], "insufficient_permission");
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
    let all = json!({"recipient": two.recipient, "tenant": ""});
    let refused = two.here.post_json("/api/v1/exports", all).await.expect(422).json();
    assert_eq!(refused["errors"][0]["field"], "tenant", "no tenant is not every tenant");
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

on_both!(what_cannot_be_opened_stays_as_it_was, async |on: On| {
    let two = Two::start(on).await;
    let broken = connect(&two.from, &two.here, "broken", json!({})).await;
    let fine = connect(&two.from, &two.here, "fine", json!({})).await;
    two.export(json!({"connections": ["broken"]})).await;
    let sql = format!(
        "update credentials set access_token = (select access_token from credentials where connection_id = '{}')
          where connection_id = '{}'",
        id(&fine),
        id(&broken)
    );
    run(&two.from, &sql).await;
    let export = two.export(json!({})).await;
    assert_eq!(names(&export["exported"]), ["fine"]);
    assert_eq!(export["left_out"][0]["code"], "token_unreadable");
    let broken = two.here.get("/api/v1/connections/broken").await.expect(200).json();
    assert_eq!(broken["reason"], "exported", "what left before has left");
});

on_both!(what_went_to_one_goes_to_no_other, async |on: On| {
    let mut two = Two::start(on).await;
    connect(&two.from, &two.here, "acme", json!({})).await;
    two.export(json!({})).await;
    let other = Keyring::new(&generate_key(), []).unwrap().recipient().to_string();
    two.from.restart_with(&[("MOORING_EXPORT_RECIPIENTS", &format!("{},{other}", two.recipient))]).await;
    let to_other =
        async || two.here.post_json("/api/v1/exports", json!({"recipient": other})).await.expect(200).json();
    let export = to_other().await;
    assert_eq!((names(&export["exported"]), names(&export["left_out"])), (vec![], vec!["acme"]));
    assert_eq!(export["left_out"][0]["code"], "exported_elsewhere");
    two.here.post_json(&format!("{ACME}/take-back"), json!({})).await.expect(200);
    assert_eq!(names(&to_other().await["exported"]), ["acme"]);
});

on_both!(what_comes_back_does_not_meet_what_is_left_of_it, async |on: On| {
    let mut two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    two.moved().await;
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    let home = two.here.get("/api/v1/recipient").await.expect(200).json()["recipient"].clone();
    two.to.restart_with(&[("MOORING_EXPORT_RECIPIENTS", home.as_str().unwrap())]).await;
    let export = two.there.post_json("/api/v1/exports", json!({"recipient": home})).await.expect(200).json();
    let body = json!({"export": export["export"]});
    let refused = two.here.post_json("/api/v1/imports", body.clone()).await.expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "already_here");
    two.here.delete(&format!("{ACME}?revoke=false")).await.expect(204);
    two.here.post_json("/api/v1/imports", body).await.expect(200);
    two.here.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    assert_eq!(held(&two.here).await["generation"], 3);
});

on_both!(what_somebody_made_up_is_refused, async |on: On| {
    let two = Two::start(on).await;
    let good = json!({
        "id": "0199a3c2-9f4e-7c3a-8d1e-2f3a4b5c6d7e", "name": "acme", "description": null, "tenant": null, "tags": {},
        "provider": "gitlab", "base_url": two.from.sim().url(), "client_id": null, "method": "access_token",
        "token_kind": "project", "account": null, "use_cases": [], "checks": [], "last_checked_at": null,
        "created_at": "2026-11-21T12:00:00Z", "generation": 1, "access_token": "glpat-x", "refresh_token": null,
        "scopes": ["api"], "renewal": "manual", "obtained_at": "2026-11-21T12:00:00Z", "expires_at": null,
        "last_renewed_at": null, "stopped": null, "brought_hash": null
    });
    let import = async |documents: &[Value]| {
        let sealed = seal_to(two.recipient.parse().unwrap(), json!(documents).to_string().as_bytes());
        let export = json!({"mooring_export": 1, "recipient": two.recipient,
            "encapsulated": BASE64_STANDARD.encode(sealed.encapsulated), "sealed": BASE64_STANDARD.encode(sealed.ciphertext)});
        two.there.post_json("/api/v1/imports", json!({"export": export, "dry_run": true})).await
    };
    import(std::slice::from_ref(&good)).await.expect(200);
    for (field, wrong) in [
        ("provider", json!("github")),
        ("base_url", json!("https://10.0.0.1")),
        ("base_url", json!("http://gitlab.example.com")),
        ("base_url", json!("nonsense")),
        ("method", json!("oauth")),
        ("renewal", json!("refresh")),
        ("refresh_token", json!("r")),
        ("access_token", json!("")),
        ("access_token", json!("glpat-x\ny")),
        ("access_token", json!("glpat-\u{fc}")),
        ("obtained_at", json!("9999-12-31T23:59:59-23:59")),
        ("created_at", json!("0000-01-01T00:00:00+23:59")),
        ("generation", json!(0)),
        ("generation", json!(i64::MAX)),
        ("stopped", json!("exported")),
        ("name", json!("a/b")),
        ("name", json!("a\u{0}b")),
        ("scopes", json!(["\u{0}"])),
        ("tenant", json!("")),
        ("use_cases", json!(["none"])),
        ("brought_hash", json!("c2hvcnQ=")),
        ("more", json!(1)),
    ] {
        let mut document = good.clone();
        document[field] = wrong.clone();
        let refused = import(&[document]).await.expect(422).json();
        let code = refused["code"].as_str().unwrap();
        assert!(["import_refused", "export_unreadable"].contains(&code), "{field}: {wrong}: {code}");
    }
    let refused = import(&[good.clone(), good]).await.expect(422).json();
    assert_eq!(refused["errors"][0]["message"], "acme: It stands in this export twice.");
});

on_both!(what_got_a_new_token_meanwhile_is_not_taken_for_what_is_here, async |on: On| {
    let two = Two::start(on).await;
    let acme = two.from.connect_by_oauth("acme").await;
    two.moved().await;
    for _ in 0..2 {
        two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    }
    two.from.advance(Duration::from_mins(1));
    let begun = two.from.http.post_form(&format!("/connections/{acme}/reauthorize"), &[]).await.expect(303);
    let back = two.from.sim().approve(begun.location()).unwrap();
    two.from.http.get(back.strip_prefix(two.from.site()).unwrap()).await.expect(303);
    let export = two.export(json!({})).await;
    assert_eq!(names(&export["exported"]), ["acme"]);
    let body = json!({"export": export["export"]});
    let refused = two.there.post_json("/api/v1/imports", body).await.expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "already_here", "a lower generation, and yet the newer token");
});
