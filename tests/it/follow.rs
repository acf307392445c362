//! Pages that follow what changes: what they are told, and when that ends.

use crate::{
    api::{connect, id},
    support::{
        app::{On, PASSWORD, TestApp, on_both},
        request::Http,
    },
};
use futures_util::future::join_all;
use mooring::{
    domain::{Actor, Role},
    operator::new_operator,
    web::{MOST_FOLLOWERS, MOST_FOLLOWERS_OF_ONE},
};
use reqwest::{Client, Response};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

/// A page that is open, as far as the server knows.
struct Page {
    response: Response,
    heard: String,
}

impl Page {
    async fn open(app: &TestApp) -> Self {
        Self::open_in(app, &app.http).await
    }

    async fn open_in(app: &TestApp, browser: &Http) -> Self {
        let response = ask_in(app, browser).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut page = Self { response, heard: String::new() };
        page.next().await.expect("it begins at once");
        page
    }

    /// The next event, as it is written; `None` when the stream has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.heard.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.heard = rest;
                return Some(event);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("something comes, or the end");
            self.heard += std::str::from_utf8(&chunk.ok()??).expect("text");
        }
    }

    /// What changed next.
    async fn change(&mut self) -> Option<String> {
        loop {
            if let Some(data) = self.next().await?.strip_prefix("event: changed\ndata: ") {
                return Some(data.to_owned());
            }
        }
    }
}

async fn ask(app: &TestApp) -> Response {
    ask_in(app, &app.http).await
}

async fn ask_in(app: &TestApp, browser: &Http) -> Response {
    let client = Client::builder().no_proxy().tls_certs_only([]).build().expect("a plain client");
    let cookie = format!("mooring={}", browser.cookie("mooring").expect("signed in"));
    let asked = client.get(format!("{}/live", app.site())).header("cookie", cookie).send().await;
    asked.expect("an answer")
}

async fn rename(program: &Http, id: &str, name: &str) {
    program.patch_json(&format!("/api/v1/connections/{id}"), json!({"name": name})).await.expect(200);
}

on_both!(who_follows_is_told_which_connections_changed, async |on: On| {
    let app = TestApp::start(on).await;
    app.sign_in().await;
    let program = app.program(&["connections:write"]).await;
    let mut page = Page::open(&app).await;
    let made = connect(&app, &program, "acme", json!({})).await;
    assert_eq!(page.change().await.as_deref(), Some(id(&made)));
    rename(&program, id(&made), "other").await;
    while page.change().await.as_deref() != Some(id(&made)) {}
    program.delete(&format!("/api/v1/connections/{}", id(&made))).await.expect(204);
    assert_eq!(page.change().await.as_deref(), Some(id(&made)));
});

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_hears_of_other_replicas() {
    let app = TestApp::start(On::Postgres).await;
    app.sign_in().await;
    let program = app.program(&["connections:write"]).await;
    let made = connect(&app, &program, "acme", json!({})).await;
    let (replica, there) = app.replica().await;
    let mut page = Page::open(&app).await;
    rename(&there.with_key_of(&program), id(&made), "other").await;
    assert_eq!(page.change().await.as_deref(), Some(id(&made)));
    replica.stop().await;
}

on_both!(a_stream_ends_with_its_session, async |on: On| {
    let app = TestApp::start(on).await;
    let program = app.program(&["connections:write"]).await;
    for way in ["signed out", "not used", "too long"] {
        app.sign_in().await;
        let mut page = Page::open(&app).await;
        match way {
            "signed out" => {
                app.http.post_form("/logout", &[]).await.expect(303);
                app.advance(Duration::from_secs(10));
            }
            "not used" => app.advance(13 * HOUR),
            _ => app.advance(8 * 24 * HOUR),
        }
        connect(&app, &program, way, json!({})).await;
        assert_eq!(page.change().await, None, "{way}");
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn nobody_follows_without_a_session() {
    let app = TestApp::start(On::Sqlite).await;
    for path in ["/live", "/live/rows?ids=a", "/live/summary"] {
        let reply = app.http.get(path).await.expect(303);
        assert!(reply.location().starts_with("/login"), "{path} leads to {}", reply.location());
    }
    let program = app.program(&["admin"]).await;
    program.get("/live").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_stream() {
    let mut app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let mut pages = [Page::open(&app).await, Page::open(&app).await];
    timeout(Duration::from_secs(10), app.stop()).await.expect("it stops");
    for page in &mut pages {
        assert_eq!(page.next().await, None);
    }
}

/// A viewer who is signed in.
async fn somebody(app: &TestApp, email: &str) -> Http {
    let operator = new_operator(email.into(), PASSWORD.into(), Role::Viewer).await;
    app.app().state.store.add_operator(&operator, app.clock.now(), &Actor::CommandLine).await.unwrap();
    let browser = app.http.stranger();
    browser.post_form("/login", &[("email", email), ("password", PASSWORD)]).await.expect(303);
    browser
}

/// As many as there may be, none of which takes anything from the others.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many_streams() {
    let app = TestApp::start(On::Postgres).await;
    app.sign_in().await;
    let program = app.program(&["connections:write"]).await;
    let mut pages = Vec::new();
    for nth in 0..MOST_FOLLOWERS / MOST_FOLLOWERS_OF_ONE {
        let browser = somebody(&app, &format!("n{nth}@example.com")).await;
        pages.extend(join_all((0..MOST_FOLLOWERS_OF_ONE).map(|_| Page::open_in(&app, &browser))).await);
        assert_eq!(ask_in(&app, &browser).await.status(), 503, "nobody takes the room of the others");
        browser.get("/").await.expect(200);
    }
    assert_eq!(app.app().state.followers.count(), MOST_FOLLOWERS);
    assert_eq!(ask(&app).await.status(), 503);
    app.http.get("/").await.expect(200);
    let made = connect(&app, &program, "acme", json!({})).await;
    let told = join_all(pages.iter_mut().map(Page::change)).await;
    assert!(told.iter().all(|change| change.as_deref() == Some(id(&made))));

    pages.truncate(10);
    let freed = async {
        while ask(&app).await.status() == 503 {
            rename(&program, id(&made), "again").await;
        }
    };
    timeout(PATIENCE, freed).await.expect("closed streams make room");
}
