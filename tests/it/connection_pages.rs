//! The pages of one connection: what they say, what they ask at GitLab, and that they stay small.

use crate::{
    api::{connect, id},
    support::{
        app::{On, TestApp, on_both},
        database::run,
        request::{Http, Reply},
    },
};
use gitlab_sim::{Endpoint, Fault, Options};
use mooring::{
    api_key::{KeyRequest, create_key},
    domain::{Actor, ConnectionId, Permission, RenewalId},
    store::UsageCount,
};
use serde_json::{Value, json};
use std::time::Duration;

const LARGEST: usize = 100_000;

/// A personal token of somebody with these scopes, connected: the page's address, and a program that governs.
async fn connected(app: &TestApp, scopes: &[&str], fields: Value) -> (String, Http) {
    app.sign_in().await;
    let program = app.program(&["admin"]).await;
    let token = app.sim().mint_personal(app.world.alice, scopes, None).token;
    let mut new = json!({"name": "acme", "integration": "gitlab", "token": token});
    new.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let made = program.post_json("/api/v1/connections", new).await.expect(201).json();
    (format!("/connections/{}", id(&made)), program)
}

/// A key with a name, and how often it got the token so many days ago.
async fn used(app: &TestApp, page: &str, name: &str, days: &[(u64, i64)]) -> String {
    let store = &app.app().state.store;
    let request = KeyRequest {
        name: name.into(),
        tenant: None,
        permissions: vec![Permission::TokensRead],
        allow: vec![],
        expires_in: None,
    };
    let made = create_key(store, request, app.clock.now(), &Actor::CommandLine).await.unwrap();
    let connection: ConnectionId = page.rsplit('/').next().unwrap().parse().unwrap();
    let count = |(days_ago, hand_outs): &(u64, i64)| UsageCount {
        connection,
        api_key_id: made.key.id.clone(),
        hand_outs: *hand_outs,
        last_at: app.clock.now() - Duration::from_hours(24 * days_ago),
    };
    store.add_usage(&days.iter().map(count).collect::<Vec<_>>()).await.unwrap();
    made.key.id
}

/// The text of a page without its tags, with single spaces.
fn text(reply: &Reply) -> String {
    let mut inside = false;
    let visible = reply.text.chars().filter(|c| {
        inside = *c == '<' || (inside && *c != '>');
        !inside && *c != '>'
    });
    visible.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(reply: &Reply, words: &[&str]) {
    let told = text(reply);
    for word in words {
        assert!(told.contains(word), "{word:?} is missing in:\n{told}");
    }
}

on_both!(use_cases_are_told_scope_by_scope_and_role_by_role, async |on: On| {
    let app = TestApp::start(on).await;
    let docs = app.sim().add_project("acme/docs");
    app.sim().add_member_project(docs, app.world.alice, 20);
    let (page, program) = connected(&app, &["api"], json!({"use_cases": ["code-review"]})).await;
    let shown = app.http.get(&page).await.expect(200);
    says(&shown, &["Code review", "Maintainer or higher, but not everywhere", "Too low in", "acme/docs"]);
    let members = format!("{}/acme/docs/-/project_members", app.sim().url());
    assert!(shown.text.contains(&members), "the way to where the role is raised");

    let more = json!({"use_cases": ["read-only", "secret-sync"]});
    program.patch_json("/api/v1/connections/acme", more).await.expect(200);
    let shown = app.http.get(&page).await.expect(200);
    says(
        &shown,
        &["read_api through api", "read_repository is missing", "it is looked at once the scopes are right"],
    );
    says(
        &shown,
        &["Make a token with all of them", "then press “Rotate token”", "Owner for group variables."],
    );
    assert!(shown.text.contains("scopes=api%2Cread_api%2Cread_repository"), "the link asks for all of them");
});

on_both!(projects_are_asked_page_by_page_and_searched_at_gitlab, async |on: On| {
    let app = TestApp::start(on).await;
    for nth in 0..119 {
        let project = app.sim().add_project(&format!("acme/p{nth:03}"));
        app.sim().add_member_project(project, app.world.alice, 30);
    }
    let (page, _) = connected(&app, &["api"], json!({"use_cases": ["code-review"]})).await;
    app.sim().reset_counts();
    let (mut next, mut seen) = (format!("{page}/reach"), Vec::new());
    loop {
        let before = app.sim().count(Endpoint::Any);
        let shown = app.http.get(&next).await.expect(200);
        assert_eq!(app.sim().count(Endpoint::Any), before + 1, "one page at GitLab for one page here");
        seen.push(shown.text.matches("scope=\"row\"").count());
        let Some((before, _)) = shown.text.split_once("\">Next</a>") else { break };
        next = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
    }
    assert_eq!(seen, [50, 50, 20]);
    let first = app.http.get(&format!("{page}/reach")).await.expect(200);
    says(
        &first,
        &["acme/web", "Maintainer", "acme/p000", "Developer", "“Code review” needs the role Maintainer"],
    );
    assert!(first.text.contains("/acme/p000/-/project_members") && first.text.len() < LARGEST);

    let found = app.http.get(&format!("{page}/reach?q=+ACME%2FP11+")).await.expect(200);
    assert_eq!(found.text.matches("scope=\"row\"").count(), 9, "p110 to p118");
    let asked = app.sim().last_request(Endpoint::Projects).unwrap();
    assert!(asked.path_and_query.contains("search=ACME%2FP11"), "{asked:?}");
    let nothing = app.http.get(&format!("{page}/reach?q=%3Cb%3Enothing")).await.expect(200);
    says(&nothing, &["Nothing matches"]);
    assert!(!nothing.text.contains("<b>nothing"));
    app.http.get(&format!("{page}/reach?kind=%22&after=garbage&q=")).await.expect(200);
});

on_both!(groups_are_listed_with_the_role_in_each, async |on: On| {
    let app = TestApp::start(on).await;
    for nth in 0..22 {
        let group = app.sim().add_group(&format!("team{nth:02}/tools"));
        app.sim().add_member_group(group, app.world.alice, if nth == 0 { 50 } else { 20 });
    }
    let (page, _) = connected(&app, &["api"], json!({})).await;
    let shown = app.http.get(&format!("{page}/reach?kind=groups")).await.expect(200);
    assert_eq!(shown.text.matches("scope=\"row\"").count(), 20);
    says(&shown, &["team00/tools", "Owner", "Reporter"]);
    let rest = app.http.get(&format!("{page}/reach?kind=groups&after=page%3D2")).await.expect(200);
    assert_eq!(rest.text.matches("scope=\"row\"").count(), 2);
    assert!(!text(&rest).contains("not told"));
    app.sim().fault_always(Endpoint::GroupMember, Fault::DropBefore);
    let shown = app.http.get(&format!("{page}/reach?kind=groups&q=team01")).await.expect(200);
    says(&shown, &["team01/tools", "not told"]);
});

on_both!(a_list_that_cannot_be_had_says_why_and_what_to_press, async |on: On| {
    let app = TestApp::start(on).await;
    let (page, program) = connected(&app, &["api"], json!({})).await;
    let reach = format!("{page}/reach");
    let fault = |fault| app.sim().fault(Endpoint::Projects, fault);
    fault(Fault::DropBefore);
    says(&app.http.get(&reach).await.expect(200), &["does not answer", "Reload the page"]);
    fault(Fault::Status { status: 502, headers: vec![], body: "<h1>whoops</h1>".into() });
    let broken = app.http.get(&reach).await.expect(200);
    says(&broken, &["answered 502"]);
    assert!(!broken.text.contains("whoops"), "no raw text of a provider");
    fault(Fault::Json { status: 200, body: "{}".into() });
    says(&app.http.get(&reach).await.expect(200), &["does not answer", "base URL"]);

    let narrow = app.sim().mint_personal(app.world.alice, &["read_user"], None).token;
    let new = json!({"name": "narrow", "integration": "gitlab", "token": narrow});
    let made = program.post_json("/api/v1/connections", new).await.expect(201).json();
    let shown = app.http.get(&format!("/connections/{}/reach", id(&made))).await.expect(200);
    says(&shown, &["may not ask which projects it reaches", "read_api"]);

    app.advance(Duration::from_mins(1));
    let token = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    app.sim().revoke(token["access_token"].as_str().unwrap());
    for _ in 0..2 {
        says(&app.http.get(&reach).await.expect(200), &["does not work any more", "press “Rotate token”"]);
    }
});

on_both!(a_token_that_was_just_renewed_elsewhere_is_no_reason_to_fail, async |on: On| {
    let app = TestApp::start(on).await;
    let connection = app.connect_by_oauth("acme").await;
    app.advance(Duration::from_mins(1));
    app.sim().fault(
        Endpoint::Projects,
        Fault::Json {
            status: 401,
            body: r#"{"error":"invalid_token","error_description":"Token was revoked."}"#.into(),
        },
    );
    let shown = app.http.get(&format!("/connections/{connection}/reach")).await.expect(200);
    says(&shown, &["acme/web", "Maintainer"]);
});

on_both!(a_form_from_an_old_page_overwrites_nothing_unseen, async |on: On| {
    let app = TestApp::start(on).await;
    let fields = json!({"tags": {"team": "sec"}, "description": "first", "use_cases": ["code-review"]});
    let (page, program) = connected(&app, &["api"], fields).await;
    let form = app.http.get(&format!("{page}/edit")).await.expect(200);
    let seen = |reply: &Reply| {
        let rest = reply.text.split_once("name=\"seen\" value=\"").expect("the form says what it saw").1;
        rest.split('"').next().unwrap().to_owned()
    };
    let old = seen(&form);
    let change = json!({"description": "by a program", "tags": {"team": "ops"}});
    program.patch_json("/api/v1/connections/acme", change).await.expect(200);
    let mine = |seen: &str| {
        [
            ("seen", seen),
            ("name", "mine"),
            ("description", "typed <b>"),
            ("tag_key", "team"),
            ("tag_value", "dev"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let send = async |seen: &str| {
        let fields = mine(seen);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        app.http.post_form(&format!("{page}/edit"), &fields).await
    };
    let refused = send(&old).await.expect(409);
    says(&refused, &["Somebody else changed this connection", "by a program", "team=ops", "Code review"]);
    assert!(refused.text.contains("value=\"mine\"") && refused.text.contains("typed &#60;b&#62;</textarea>"));
    let now = program.get("/api/v1/connections/acme").await.expect(200).json();
    assert_eq!((&now["description"], &now["tags"]["team"]), (&json!("by a program"), &json!("ops")));

    assert_eq!(send(&seen(&refused)).await.expect(303).location(), page, "seen, and meant");
    let now = program.get("/api/v1/connections/mine").await.expect(200).json();
    assert_eq!((&now["description"], &now["tags"]["team"]), (&json!("typed <b>"), &json!("dev")));
    assert_eq!(now["use_cases"], json!([]), "no box was ticked");

    assert_eq!(send(&seen(&refused)).await.expect(303).location(), page, "a second click saved it already");
    let before = seen(&app.http.get(&format!("{page}/edit")).await.expect(200));
    program.patch_json("/api/v1/connections/mine", json!({"description": "two\nlines"})).await.expect(200);
    let twice = [("seen", &*before), ("name", "mine"), ("tag_key", "a"), ("tag_key", "a")];
    let twice = [&twice[..], &[("tag_value", "1"), ("tag_value", "2")]].concat();
    let refused = app.http.post_form(&format!("{page}/edit"), &twice).await.expect(409);
    says(&refused, &["Somebody else changed this connection", "two lines"]);
    let lines = [("seen", &*seen(&refused)), ("name", "mine"), ("description", "two\r\nlines")];
    app.http.post_form(&format!("{page}/edit"), &lines).await.expect(303);
    let now = program.get("/api/v1/connections/mine").await.expect(200).json();
    assert_eq!(now["description"], "two\nlines", "a browser's line ends are no change");
});

on_both!(a_use_case_that_an_operator_took_out_stops_nobody_from_mending, async |on: On| {
    let own = tempfile::NamedTempFile::new().unwrap();
    let case = "[[use_case]]\nid = \"own\"\ntitle = \"Own\"\nscopes = [\"api\"]\nleast_role = \"reporter\"\n";
    std::fs::write(own.path(), case).unwrap();
    let settings = [("MOORING_USE_CASES_FILE", own.path().to_str().unwrap())];
    let mut app = TestApp::start_with(on, Options::default(), &settings).await;
    let (page, _) =
        connected(&app, &["api", "read_repository"], json!({"use_cases": ["own", "read-only"]})).await;
    app.restart_with(&[("MOORING_USE_CASES_FILE", "")]).await;
    let program = app.program(&["admin"]).await;
    let url = "/api/v1/connections/acme";
    program.patch_json(url, json!({"description": "still here"})).await.expect(200);
    let refused = program.patch_json(url, json!({"use_cases": ["own", "nothing"]})).await.expect(422).json();
    assert_eq!(refused["code"], "unknown_use_case");
    let token = app.sim().mint_personal(app.world.alice, &["api", "read_repository"], None).token;
    let looked = [("connection", page.rsplit('/').next().unwrap()), ("token", &*token)];
    app.http.post_form("/connections/inspect", &looked).await.expect(200);
    let rotated = program.put_json(&format!("{url}/token"), json!({"token": token})).await.expect(200).json();
    assert_eq!((&rotated["generation"], &rotated["use_cases"]), (&json!(2), &json!(["own", "read-only"])));
});

on_both!(an_edit_says_what_the_token_lacks_for_a_new_use_case, async |on: On| {
    let app = TestApp::start(on).await;
    let (page, program) = connected(&app, &["api"], json!({})).await;
    let form = app.http.get(&format!("{page}/edit")).await.expect(200);
    says(&form, &["This token lacks read_repository, write_repository"]);
    let seen = form.text.split_once("name=\"seen\" value=\"").unwrap().1.split('"').next().unwrap();
    let edit = [("seen", seen), ("name", "acme"), ("use_cases", "remediation"), ("use_cases", "code-review")];
    let sent = app.http.post_form(&format!("{page}/edit"), &edit).await.expect(303);
    let shown = app.http.follow(sent).await.expect(200);
    says(
        &shown,
        &[
            "“Code review” works.",
            "“Remediation” needs read_repository, write_repository, which this token does not have.",
        ],
    );
    let now = program.get("/api/v1/connections/acme").await.expect(200).json();
    assert_eq!((&now["status"], &now["reason"]), (&json!("degraded"), &json!("insufficient_scope")));

    let form = app.http.get(&format!("{page}/edit")).await.expect(200);
    let seen = form.text.split_once("name=\"seen\" value=\"").unwrap().1.split('"').next().unwrap();
    let twice = [("tag_key", "a"), ("tag_value", "1"), ("tag_key", "a"), ("tag_value", "2")];
    let edit = [&[("seen", seen), ("name", "acme")], &twice[..]].concat();
    let refused = app.http.post_form(&format!("{page}/edit"), &edit).await.expect(422);
    says(&refused, &["The tag “a” stands twice"]);
    assert_eq!(refused.text.matches("value=\"a\"").count(), 2, "nothing that was typed is lost");
});

on_both!(programs_that_change_different_fields_at_once_lose_nothing, async |on: On| {
    let app = TestApp::start(on).await;
    let (_, program) = connected(&app, &["api"], json!({})).await;
    let url = "/api/v1/connections/acme";
    let (described, tagged) = tokio::join!(
        program.patch_json(url, json!({"description": "described"})),
        program.patch_json(url, json!({"tags": {"team": "sec"}})),
    );
    described.expect(200);
    tagged.expect(200);
    let now = program.get(url).await.expect(200).json();
    assert_eq!((&now["description"], &now["tags"]), (&json!("described"), &json!({"team": "sec"})));
});

on_both!(usage_tells_names_and_days_and_who_is_revoked, async |on: On| {
    let app = TestApp::start(on).await;
    let (page, program) = connected(&app, &["api"], json!({})).await;
    says(
        &app.http.get(&format!("{page}/usage")).await.expect(200),
        &["No program has asked for this token yet"],
    );
    says(&app.http.get(&format!("{page}/disconnect")).await.expect(200), &["No program has ever asked"]);
    used(&app, &page, "nightly <1>", &[(0, 40), (3, 2), (45, 5)]).await;
    let old = used(&app, &page, "deploy", &[(2, 7)]).await;
    program.delete(&format!("/api/v1/api-keys/{old}")).await.expect(204);
    let shown = app.http.get(&format!("{page}/usage")).await.expect(200);
    says(&shown, &["49 tokens handed out", "nightly &#60;1&#62;", "deploy", "revoked"]);
    says(&shown, &["deploy 7", "nightly &#60;1&#62; 40"]);
    assert!(!shown.text.contains(&old), "names and not ids");
    let shown = app.http.get(&format!("{page}/disconnect")).await.expect(200);
    says(
        &shown,
        &[
            "What will stop",
            "nightly &#60;1&#62;, last on",
            "47 times so far",
            "1 more API key asked for it and is revoked",
        ],
    );
    says(&app.http.get(&page).await.expect(200), &["by 2 API keys"]);
});

on_both!(every_page_of_a_busy_connection_stays_small, async |on: On| {
    let app = TestApp::start(on).await;
    for nth in 0..2_000 {
        let project = app.sim().add_project(&format!("acme/a-project-with-quite-a-long-name-{nth}"));
        app.sim().add_member_project(project, app.world.alice, 20);
    }
    let uses = json!({"use_cases": ["code-review", "secret-sync"], "tags": {"team": "sec"}});
    let (page, _) = connected(&app, &["api"], uses).await;
    let connection = page.rsplit('/').next().unwrap();
    let start = app.clock.now().unix_timestamp() * 1_000_000;
    let row = |nth: i64| {
        let (renewal, at) = (RenewalId::fresh(), start - (1_000 - nth) * 7_200_000_000);
        let detail = "gitlab.example.com answered 502. It may be starting or under maintenance.";
        format!(
            "('{renewal}', '{connection}', {nth}, 'refresh', 'due', {at}, {}, 'unavailable', '{detail}')",
            at + 340_000
        )
    };
    let rows: Vec<_> = (0..1_000).map(row).collect();
    let columns =
        "renewal_id, connection_id, generation, renewal, cause, started_at, finished_at, outcome, detail";
    run(&app, &format!("insert into renewals ({columns}) values {}", rows.join(", "))).await;
    let days: Vec<_> = (0..30).map(|day| (day, 1_000 + i64::try_from(day).unwrap())).collect();
    for nth in 0..50 {
        used(&app, &page, &format!("a key with quite a long name, number {nth}"), &days).await;
    }
    for tab in
        ["", "/live", "/reach", "/reach?kind=groups", "/history", "/usage", "/use", "/edit", "/disconnect"]
    {
        let shown = app.http.get(&format!("{page}{tab}")).await.expect(200);
        println!("{} bytes: {tab}", shown.text.len());
        assert!(shown.text.len() < LARGEST, "{tab} has {} bytes", shown.text.len());
        assert!(!shown.text.contains(" style=") && !shown.text.contains("<script>"), "{tab}");
    }
    let (mut next, mut seen) = (format!("{page}/history"), 0);
    loop {
        let shown = app.http.get(&next).await.expect(200);
        seen += shown.text.matches("of generation&nbsp;").count();
        let Some((before, _)) = shown.text.split_once("\">Older</a>") else { break };
        next = before.rsplit_once("href=\"").unwrap().1.to_owned();
    }
    assert_eq!(seen, 1_000, "every renewal is on one of the pages");
    app.http.get(&format!("{page}/history?before=garbage")).await.expect(404);
});

#[tokio::test(flavor = "multi_thread")]
async fn snippets_name_the_connection_its_tenant_and_its_gitlab_and_no_token() {
    let app = TestApp::start(On::Sqlite).await;
    app.sign_in().await;
    let program = app.program(&["admin"]).await;
    let made = connect(&app, &program, "it's \"quoted\"", json!({"tenant": "a'b"})).await;
    let shown = app.http.get(&format!("/connections/{}/use", id(&made))).await.expect(200);
    let url = format!("{}/api/v1/connections/it%27s%20%22quoted%22/token?tenant=a%27b", app.site());
    assert_eq!(shown.text.matches(&url).count(), 4, "in each of the four");
    says(&shown, &["oauth_token=answer.json()", "credential.helper", "/projects?membership=true"]);
    assert!(shown.text.contains(&format!("{}/GROUP/PROJECT.git", app.sim().url())));
    let token = program.get(url.strip_prefix(app.site()).unwrap()).await.expect(200).json();
    assert!(!shown.text.contains(token["access_token"].as_str().unwrap()));
}
