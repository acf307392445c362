//! Who may come in: invitations, roles, removal, and one's own sessions, over HTTP.

use crate::{
    support::{
        app::{EMAIL, On, PASSWORD, TestApp, on_both},
        database::{dump, holds, rows, run},
        request::{Http, Reply},
    },
    viewers::{VIEWER, viewer},
};
use http::Method;
use serde_json::Value;
use std::time::Duration;

const BOB: &str = "bob@example.com";
const HIS: &str = "bobs own long password";

/// The path and query of the invitation link that an answer shows.
fn link(app: &TestApp, page: &Reply) -> String {
    let start = format!("{}/invite?token=", app.site());
    let token = page.text.split(&start).nth(1).expect("the link is shown").split('<').next().unwrap();
    format!("/invite?token={token}")
}

async fn invite(app: &TestApp, email: &str, role: &str) -> String {
    let made = app.http.post_form("/settings/people/invite", &[("email", email), ("role", role)]).await;
    link(app, &made.expect(201))
}

async fn accept(browser: &Http, link: &str, password: &str) -> Reply {
    let token = link.strip_prefix("/invite?token=").unwrap();
    browser.post_form("/invite", &[("token", token), ("password", password)]).await
}

async fn id_of(app: &TestApp, email: &str) -> String {
    app.app().state.store.operator_by_email(email).await.unwrap().unwrap().id.to_string()
}

/// The address that ends the other session of this browser's person.
async fn end_of_other(browser: &Http) -> Option<String> {
    let page = browser.get("/settings/account").await.expect(200).text;
    let part =
        page.split("action=\"/settings/sessions/").skip(1).find(|part| !part.starts_with("end-others"))?;
    Some(format!("/settings/sessions/{}", part.split('"').next().unwrap()))
}

on_both!(an_invitation_makes_a_person_with_the_role_it_names, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let link = invite(&app, " Bob@Example.com ", "viewer").await;
    assert!(!holds(&dump(&app).await, link.split('=').nth(1).unwrap()), "kept as a hash");
    let people = app.http.get("/settings/people").await.expect(200).text;
    assert!(people.contains(BOB) && !people.contains("/invite?token="), "shown once");

    let his = app.http.stranger();
    let page = his.get(&link).await.expect(200).text;
    assert!(page.contains(BOB) && page.contains("as a viewer"));
    accept(&his, &link, "short").await.expect(422);
    assert_eq!(accept(&his, &link, HIS).await.expect(303).location(), "/");
    his.get("/settings/people").await.expect(200);
    his.get("/connections/new").await.expect(403);
    his.get(&link).await.expect(410);
    accept(&app.http.stranger(), &link, HIS).await.expect(410);
    let again = app.http.stranger();
    again.post_form("/login", &[("email", BOB), ("password", HIS)]).await.expect(303);
    let taken = app.http.post_form("/settings/people/invite", &[("email", BOB), ("role", "viewer")]).await;
    assert!(taken.expect(422).text.contains("is here already"));
});

on_both!(an_invitation_ends_with_its_time_or_when_it_is_withdrawn, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let link = invite(&app, BOB, "administrator").await;
    app.http.post_form("/settings/people/withdraw", &[("email", BOB)]).await.expect(303);
    app.http.stranger().get(&link).await.expect(410);
    app.http.post_form("/settings/people/withdraw", &[("email", BOB)]).await.expect(404);
    let link = invite(&app, BOB, "administrator").await;
    app.advance(Duration::from_secs(3 * 24 * 3_600 - 1));
    app.http.stranger().get(&link).await.expect(200);
    app.advance(Duration::from_secs(1));
    accept(&app.http.stranger(), &link, HIS).await.expect(410);
    for (email, role) in [("nobody", "viewer"), (BOB, "owner"), ("", "viewer")] {
        app.sign_in().await;
        app.http.post_form("/settings/people/invite", &[("email", email), ("role", role)]).await.expect(422);
    }
});

on_both!(who_is_removed_is_out_at_once, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let his = viewer(&app).await;
    his.get("/").await.expect(200);
    let (he, me) = (id_of(&app, VIEWER).await, id_of(&app, EMAIL).await);
    let refused = app.http.post_form(&format!("/settings/people/{me}/remove"), &[]).await.expect(409);
    assert!(refused.text.contains("last administrator"));
    let demote = [("role", "viewer")];
    app.http.post_form(&format!("/settings/people/{me}/role"), &demote).await.expect(409);

    app.http
        .post_form(&format!("/settings/people/{he}/role"), &[("role", "administrator")])
        .await
        .expect(303);
    his.get("/").await.expect(303);
    his.post_form("/login", &[("email", VIEWER), ("password", PASSWORD)]).await.expect(303);
    his.get("/connections/new").await.expect(200);
    app.http.post_form(&format!("/settings/people/{he}/remove"), &[]).await.expect(303);
    assert!(his.get("/").await.expect(303).location().starts_with("/login"));
    assert_eq!(rows(&app, "sessions").await, 1);
    his.post_form("/login", &[("email", VIEWER), ("password", PASSWORD)]).await.expect(422);
    for path in ["/settings/people/x/remove", "/settings/people/x/role"] {
        app.http.post_form(path, &demote).await.expect(404);
    }
});

on_both!(own_sessions_are_ended_one_by_one_and_all_at_once, async |on: On| {
    let app = TestApp::start(on).await;
    let form = [("email", EMAIL), ("password", PASSWORD)];
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    app.http
        .request(Method::POST, "/login")
        .form(&form)
        .header("user-agent", firefox)
        .send()
        .await
        .expect(303);
    let others: Vec<_> = (0..3).map(|_| app.http.stranger()).collect();
    for other in &others {
        other.post_form("/login", &form).await.expect(303);
    }
    let somebody = viewer(&app).await;
    let page = app.http.get("/settings/account").await.expect(200).text;
    assert!(page.contains("Firefox on Linux") && page.contains("this one") && !page.contains("127.0.0.1"));
    assert_eq!(page.matches("/end\"").count(), 3);
    assert!(app.http.secrets_in_cookies().iter().all(|cookie| !page.contains(cookie.as_str())));

    let end = end_of_other(&app.http).await.expect("there are three");
    somebody.post_form(&end, &[]).await.expect(404);
    assert_eq!(app.http.post_form(&end, &[]).await.expect(303).location(), "/settings/account");
    app.http.post_form(&end, &[]).await.expect(404);
    let mut left = 0;
    for other in &others {
        left += i32::from(other.get("/").await.status == 200);
    }
    assert_eq!(left, 2);
    app.http.post_form("/settings/sessions/end-others", &[]).await.expect(303);
    for other in &others {
        other.get("/").await.expect(303);
    }
    app.http.get("/").await.expect(200);
    somebody.get("/").await.expect(200);
    assert_eq!(end_of_other(&app.http).await, None);
});

on_both!(a_form_whose_session_ended_keeps_what_was_typed, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    app.app().state.store.sweep(app.clock.now() + Duration::from_secs(100_000)).await.unwrap();
    let form = [("name", "a \"name\""), ("integration", "gitlab"), ("token", "glpat-typed-canary")];
    let page = app.http.post_form("/connections", &form).await.expect(403);
    assert!(page.text.contains("Your session has ended") && page.text.contains("value=\"a &#34;name&#34;\""));
    assert!(page.text.contains("action=\"/connections\"") && !page.text.contains("glpat-typed-canary"));
    let nobody = app.http.stranger();
    assert!(
        nobody.post_form("/connections", &form).await.expect(403).text.contains("value=\"a &#34;name&#34;\"")
    );
    assert_eq!(nobody.post_form("/connections", &[]).await.expect(303).location(), "/login");
});

on_both!(the_log_is_narrowed_and_exported, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let program = app.program(&["admin"]).await;
    let page = app.http.get("/audit?kind=api_key.*").await.expect(200).text;
    assert!(
        page.contains("<code>api_key.created</code>") && !page.contains("<code>operator.signed_in</code>")
    );
    app.http.get("/audit?from=2027-13-01").await.expect(422);
    app.http.get("/audit?before=x").await.expect(400);
    let everything = app.http.post_form("/audit/export", &[]).await.expect(200);
    assert_eq!(everything.header("content-type"), "application/x-ndjson; charset=utf-8");
    assert!(everything.header("content-disposition").starts_with("attachment; filename=\"mooring-audit-"));
    let lines: Vec<Value> = everything.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["kind"], "audit.exported", "that it was taken is in it");
    let told = program.get("/api/v1/events?limit=200").await.expect(200).json();
    assert_eq!(told["items"].as_array().unwrap(), &lines, "the same objects as in the API");
    let narrowed = app.http.post_form("/audit/export", &[("kind", "api_key.created")]).await.expect(200);
    assert_eq!(narrowed.text.lines().count(), 1);
    app.http.post_form("/audit/export", &[("to", "soon")]).await.expect(422);
    assert!(app.http.get("/audit").await.expect(200).text.contains("kind api_key.created"));
});

on_both!(an_event_of_a_newer_version_breaks_no_page, async |on: On| {
    let app = TestApp::start(on).await;
    let id = app.connect_by_oauth("acme").await;
    let program = app.program(&["admin"]).await;
    let first = program.get("/api/v1/events?limit=1").await.expect(200).json();
    let newer = format!(
        "insert into events (event_id, at, kind, subject, tenant, actor)
         values ('{}', 1, 'connection.of_tomorrow', '{id}', '', 'mooring')",
        "01890000-0000-7000-8000-000000000000"
    );
    run(&app, &newer).await;
    for path in ["/audit".to_owned(), format!("/audit?subject={id}"), format!("/connections/{id}/history")] {
        assert!(app.http.get(&path).await.expect(200).text.contains("Connected"), "{path}");
    }
    let page = program.get("/api/v1/events?limit=1").await.expect(200).json();
    assert_eq!(page["items"], serde_json::json!([]), "it is passed over");
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = program.get(&format!("/api/v1/events?limit=1&cursor={cursor}")).await.expect(200).json();
    assert_eq!(next["items"], first["items"]);
    let taken = app.http.post_form("/audit/export", &[]).await.expect(200).text;
    assert!(taken.contains("connection.connected") && !taken.contains("of_tomorrow"));
});

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_exported_whole() {
    use mooring::domain::{Actor, Event, EventId, EventKind};
    let app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    for nth in 0..1_200 {
        let event = Event {
            id: EventId::fresh(),
            at: app.clock.now(),
            kind: EventKind::Checked,
            subject: Some(format!("c{nth}")),
            tenant: None,
            actor: Actor::Mooring.to_string(),
            detail: None,
        };
        app.app().state.store.append_event(&event).await.unwrap();
    }
    let taken = app.http.post_form("/audit/export", &[("kind", "connection.checked")]).await.expect(200).text;
    let subjects: Vec<_> =
        taken.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["subject"].clone()).collect();
    let all: Vec<_> = (0..1_200).rev().map(|nth| Value::from(format!("c{nth}"))).collect();
    assert_eq!(subjects, all);
}
