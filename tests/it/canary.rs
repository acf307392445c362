//! The canaries: a whole story with known secrets, which are then looked for everywhere they must not be.

use crate::cli::run_with_input;
use crate::support::{
    app::{On, PASSWORD, TestApp},
    collector::Collector,
    oidc::{CLIENT_SECRET, Provider},
    process::Process,
    receiver::Receiver,
    request::{Http, Reply},
    smtp::{Pki, SmtpServer},
};
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use gitlab_sim::{Endpoint, Fault};
use mooring::vault::{Keyring, generate_key};
use serde_json::json;
use std::{collections::BTreeMap, fs};

const BACK: &str = "https://app.example.com/connected";
const MAIL_PASSWORD: &str = "canary-of-the-mail-server-0123456789";

/// Everything that came out, by where it came out.
#[derive(Default)]
struct Outputs(BTreeMap<String, Vec<u8>>);

impl Outputs {
    fn add(&mut self, place: &str, bytes: &[u8]) {
        self.0.entry(place.to_owned()).or_default().extend_from_slice(bytes);
    }

    /// A page or an answer that must hold no secret, with its headers but those that set cookies.
    fn page(&mut self, place: &str, reply: &Reply) {
        self.add(place, reply.text.as_bytes());
        for (name, value) in &reply.headers {
            if name != "set-cookie" {
                self.add(place, value.as_bytes());
            }
        }
    }

    fn size(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// The forms in which a secret could get out.
pub(crate) fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let hex = bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"));
    let decimal = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let encoded: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let mut forms =
        vec![secret.to_owned(), hex.to_uppercase(), hex, decimal, encoded, secret.chars().rev().collect()];
    // Inside a longer text, base64 depends on where the secret begins: what stays the same is looked for.
    for lead in 0..3 {
        let shifted = [&vec![b' '; lead][..], bytes].concat();
        let whole = shifted.len() / 3 * 3;
        for text in [
            BASE64_STANDARD_NO_PAD.encode(&shifted[..whole]),
            BASE64_URL_SAFE_NO_PAD.encode(&shifted[..whole]),
        ] {
            forms.push(text[if lead == 0 { 0 } else { 4 }..].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// What stands before it, to find where it came from.
fn before(haystack: &[u8], needle: &[u8]) -> String {
    let at = haystack.windows(needle.len()).position(|w| w == needle).unwrap_or_default();
    String::from_utf8_lossy(&haystack[at.saturating_sub(200)..at]).into_owned()
}

#[test]
fn the_search_finds_every_form() {
    let secret = "glpat-CANARY-0123456789";
    for (n, form) in forms(secret).iter().enumerate() {
        assert!(form.len() >= 16, "form {n} is long enough to mean something");
    }
    for lead in 0..3 {
        let text = BASE64_STANDARD_NO_PAD.encode(format!("{}{secret} and more", "x".repeat(lead)));
        assert!(forms(secret).iter().any(|form| holds(text.as_bytes(), form)), "lead {lead}");
    }
}

/// A token that rotates itself: refused, rotated, and with an answer that broke off. Its tokens are secrets.
async fn rotated_by_itself(app: &TestApp, program: &Http, outputs: &mut Outputs) -> Vec<String> {
    let mint = |scope| app.sim().mint_project(app.world.project, &[scope], 40, None).token;
    let (narrow, old) = (mint("read_api"), mint("api"));
    let new = |token: &str| json!({"name": "rotating", "integration": "gitlab", "token": token, "renewal": "self_rotate"});
    let refused = program.post_json("/api/v1/connections", new(&narrow)).await.expect(422);
    outputs.page("self-rotation refused", &refused);
    outputs.page("rotating", &program.post_json("/api/v1/connections", new(&old)).await.expect(201));
    let renew = async || program.post_json("/api/v1/connections/rotating/renew", json!({})).await;
    outputs.page("rotated", &renew().await.expect(200));
    let held = program.get("/api/v1/connections/rotating/token").await.expect(200).json();
    app.sim().fault(Endpoint::RotateProjectToken, Fault::Truncate);
    outputs.page("rotation in doubt", &renew().await.expect(409));
    vec![narrow, old, held["access_token"].as_str().unwrap().to_owned()]
}

/// Makes a webhook endpoint, and renews its secret: both secrets.
async fn told_by_webhook(to: &Receiver, program: &Http) -> [String; 2] {
    let endpoints = "/api/v1/webhook-endpoints";
    let endpoint = program.post_json(endpoints, json!({"url": to.url})).await.expect(201).json();
    let rotate = format!("{endpoints}/{}/rotate-secret", endpoint["id"].as_str().unwrap());
    let rotated = program.post_json(&rotate, json!({})).await.expect(200).json();
    [endpoint, rotated].map(|made| made["secret"].as_str().unwrap().to_owned())
}

/// A connect session from its link to its connection, and one whose user was another.
async fn connected_in_a_session(app: &TestApp, program: &Http, outputs: &mut Outputs) -> Vec<String> {
    let mut secrets = Vec::new();
    for end_user in ["ada", "mallory"] {
        let new = json!({"tenant": "acme", "end_user": "ada", "return_url": BACK});
        let begun = program.post_json("/api/v1/connect-sessions", new).await.expect(201).json();
        let link = begun["url"].as_str().unwrap().strip_prefix(app.site()).unwrap().to_owned();
        let browser = app.http.stranger();
        outputs.page("somebody else's link", &browser.get(&format!("{link}x")).await.expect(404));
        browser.get(&link).await.expect(200);
        let sent = browser.post_form(&format!("{link}/authorize"), &[]).await.expect(303);
        let back = app.sim().approve(sent.location()).unwrap();
        let back = browser.get(back.strip_prefix(app.site()).unwrap()).await.expect(303);
        let handle = url::Url::parse(back.location()).unwrap();
        let handle = handle.query_pairs().find(|(name, _)| name == "handle").unwrap().1.into_owned();
        let path = format!("/api/v1/connect-sessions/{}", begun["id"].as_str().unwrap());
        let body = json!({"handle": handle, "end_user": end_user});
        outputs.page("waiting", &program.get(&path).await.expect(200));
        outputs.page("completed", &program.post_json(&format!("{path}/complete"), body).await);
        outputs.page("ended", &browser.get(&link).await.expect(409));
        secrets.extend([link.rsplit('/').next().unwrap().to_owned(), handle]);
        secrets.extend(browser.secrets_in_cookies());
    }
    secrets
}

/// Requests through the proxy, with the key in each of its places.
async fn sent_through(app: &TestApp, program: &Http, outputs: &mut Outputs) {
    let key = program.key().expect("a program has a key");
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("git:{key}")));
    for (name, value) in [("private-token", key), ("authorization", basic.as_str())] {
        let call = app.http.stranger().request(http::Method::GET, "/proxy/acme/api/v4/user");
        outputs.page("proxied", &call.header(name, value).send().await);
    }
    for path in ["api/v4/projects?per_page=1", "api/v4/nothing", "acme/web.git/info/refs", "api/%2e%2e/x"] {
        outputs.page("proxied", &program.get(&format!("/proxy/acme/{path}")).await);
    }
}

/// What the pages show once: the link of an invitation, which is used, and the secrets of an endpoint.
async fn made_on_the_pages(to: &Receiver, site: &Http, outputs: &mut Outputs) -> Vec<String> {
    let shown = |page: &Reply| {
        let code =
            page.text.split("id=\"made\"").nth(1).expect("it is shown").split("<code>").nth(1).unwrap();
        code.split('<').next().unwrap().to_owned()
    };
    let invite = [("email", "bob@example.com"), ("role", "viewer")];
    let link = shown(&site.post_form("/settings/people/invite", &invite).await.expect(201));
    let token = link.split("token=").nth(1).unwrap().to_owned();
    let his = site.stranger();
    his.get(&format!("/invite?token={token}")).await.expect(200);
    let password = "canary-password-of-bob-0123456789";
    let accept = [("token", token.as_str()), ("password", password)];
    outputs.page("invitation accepted", &his.post_form("/invite", &accept).await.expect(303));
    outputs.page("invitation again", &his.post_form("/invite", &accept).await.expect(410));
    outputs.page("people of a viewer", &his.get("/settings/people").await.expect(200));
    let endpoint = [("url", to.url.as_str()), ("events", "operator.*")];
    let made = site.post_form("/settings/webhooks", &endpoint).await.expect(201);
    let path = made.text.split("/test\"").next().unwrap().rsplit('"').next().unwrap().to_owned();
    outputs.page("tested", &site.post_form(&format!("{path}/test"), &[]).await.expect(200));
    let overlap = [("overlap_hours", "24")];
    let rotated = site.post_form(&format!("{path}/rotate-secret"), &overlap).await.expect(201);
    outputs.page("endpoint", &site.get(&path).await.expect(200));
    outputs.page("exported", &site.post_form("/audit/export", &[]).await.expect(200));
    outputs.page("mail tested", &site.post_form("/settings/mail/test", &[]).await);
    outputs.page("integration checked", &site.post_form("/settings/integrations/gitlab/check", &[]).await);
    let mut secrets = vec![token, password.to_owned(), shown(&made), shown(&rotated)];
    secrets.extend(his.secrets_in_cookies());
    secrets
}

/// Signs in by single sign-on, and is refused in several ways: what travelled is secret.
async fn signed_in_by_provider(provider: &Provider, site: &Http, outputs: &mut Outputs) -> Vec<String> {
    let mut secrets = vec![CLIENT_SECRET.to_owned()];
    let canary = "canary-of-an-error-page-0123456789";
    let trouble = |status| json!({"token": {"status": status, "body": canary}});
    for told in [
        json!({}),
        json!({"claims": {"nonce": "canary-nonce-of-another-sign-in"}}),
        json!({"sign": "hs256-client-secret"}),
        json!({"user": {"sub": "canary-subject-not-allowed", "email": "x@evil.example", "email_verified": true}}),
        json!({"answers": trouble(200)}),
        json!({"answers": trouble(400)}),
        json!({"answers": trouble(500)}),
    ] {
        provider.tell(json!({"reset": true})).await;
        provider.tell(told).await;
        let browser = site.stranger();
        let back = provider.consent(&browser).await;
        let query: BTreeMap<_, _> =
            url::form_urlencoded::parse(back.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
        secrets.extend([query["code"].clone(), query["state"].clone()]);
        let answered = browser.get(&back).await.expect(303);
        outputs.page("single sign-on", &answered);
        outputs.page("single sign-on", &browser.follow(answered).await);
        outputs.page("single sign-on again", &browser.get(&back).await);
        outputs.page("account after single sign-on", &browser.get("/settings/account").await);
        secrets.extend(browser.secrets_in_cookies());
        let last = provider.last().await;
        secrets.extend(
            ["code_verifier", "nonce", "id_token", "access_token"]
                .map(|name| last[name].as_str().unwrap().to_owned()),
        );
    }
    secrets.extend([
        canary.to_owned(),
        "canary-subject-not-allowed".to_owned(),
        "canary-nonce-of-another-sign-in".to_owned(),
    ]);
    outputs.page("issuer checked", &site.post_form("/settings/sso/check", &[]).await);
    secrets
}

/// Goes through a whole story and keeps what came out and what was secret.
async fn story(app: &TestApp, site: &Http, program: &Http, outputs: &mut Outputs) -> Vec<String> {
    let mut secrets = vec![PASSWORD.to_owned(), app.world.application.client_secret.clone()];
    let pasted = app.sim().mint_personal(app.world.alice, &["api"], None).token;
    let narrow = app.sim().mint_personal(app.world.alice, &["read_user"], None).token;
    secrets.extend([pasted.clone(), narrow.clone()]);

    outputs.page(
        "sign-in refused",
        &site.post_form("/login", &[("email", "x@example.com"), ("password", PASSWORD)]).await,
    );
    app.sign_in().await;
    let begun = site
        .post_form("/connections/authorize", &[("name", "acme"), ("integration", "gitlab")])
        .await
        .expect(303);
    let back = app.sim().approve(begun.location()).unwrap();
    let query: BTreeMap<_, _> = url::Url::parse(&back).unwrap().query_pairs().into_owned().collect();
    secrets.extend([query["code"].clone(), query["state"].clone()]);
    outputs.page("callback", &site.get(back.strip_prefix(app.site()).unwrap()).await.expect(303));
    let exchange = app.sim().last_request(Endpoint::Token).unwrap();
    secrets.push(exchange.form("code_verifier").unwrap());
    secrets.extend(app.sim().live_refresh_tokens());
    outputs.page("callback again", &site.get(back.strip_prefix(app.site()).unwrap()).await);
    outputs
        .page("callback of a stranger", &site.stranger().get(back.strip_prefix(app.site()).unwrap()).await);

    let new = |token: &str| json!({"name": "pasted", "integration": "gitlab", "token": token, "use_cases": ["code-review"]});
    outputs.page("refused", &program.post_json("/api/v1/connections", new(&narrow)).await.expect(422));
    outputs.page("made", &program.post_json("/api/v1/connections", new(&pasted)).await.expect(201));
    outputs.page(
        "wrong type",
        &program.post_json("/api/v1/connections", json!({"name": "x", "token": [pasted]})).await.expect(422),
    );
    outputs.page(
        "wrong field",
        &program.post_json("/api/v1/connections", json!({"token_kind": pasted})).await.expect(422),
    );
    let form = [
        ("name", "again"),
        ("integration", "gitlab"),
        ("token", narrow.as_str()),
        ("use_cases", "code-review"),
    ];
    outputs.page("form refused", &site.post_form("/connections", &form).await.expect(422));
    outputs.page(
        "inspected",
        &program
            .post_json("/api/v1/tokens/inspect", json!({"integration": "gitlab", "token": pasted}))
            .await
            .expect(200),
    );

    let held = program.get("/api/v1/connections/acme/token").await.expect(200).json();
    secrets.push(held["access_token"].as_str().unwrap().to_owned());
    for fault in [Fault::bad_gateway(), Fault::Truncate, Fault::DropBefore] {
        app.sim().fault(Endpoint::Token, fault);
        outputs.page("renewal", &program.post_json("/api/v1/connections/acme/renew", json!({})).await);
        secrets.extend(app.sim().live_refresh_tokens());
    }
    outputs.page("checked", &program.post_json("/api/v1/connections/pasted/check", json!({})).await);
    app.sim().revoke(&pasted);
    outputs.page("found revoked", &program.post_json("/api/v1/connections/pasted/check", json!({})).await);
    outputs.page("dead", &program.get("/api/v1/connections/pasted/token").await.expect(409));
    secrets.extend(rotated_by_itself(app, program, outputs).await);
    secrets.extend(connected_in_a_session(app, program, outputs).await);
    secrets.extend(app.sim().live_refresh_tokens());
    sent_through(app, program, outputs).await;
    let list = program.get("/api/v1/connections").await.expect(200);
    outputs.page("list", &list);
    let mut pages = vec![
        "/".into(),
        "/connections/new".into(),
        "/settings".into(),
        "/audit".into(),
        "/nothing".to_owned(),
    ];
    let sections = ["account", "people", "sso", "api-keys", "webhooks", "mail", "integrations", "encryption"];
    pages.extend(sections.map(|section| format!("/settings/{section}")));
    for connection in list.json()["items"].as_array().unwrap() {
        let id = connection["id"].as_str().unwrap();
        let parts = "/rotate /disconnect /edit /reach /reach?kind=groups /history /usage /use";
        pages.push(format!("/connections/{id}"));
        pages.extend(parts.split(' ').map(|part| format!("/connections/{id}{part}")));
    }
    for page in pages {
        outputs.page(&page, &site.get(&page).await);
    }
    for path in [
        "events",
        "api-keys",
        "webhook-endpoints",
        "integrations",
        "use-cases",
        "connections/acme/renewals",
        "connections/acme/projects",
    ] {
        outputs.page(path, &program.get(&format!("/api/v1/{path}")).await);
    }
    outputs.page("openapi", &program.get("/openapi.json").await.expect(200));
    secrets
}

/// Sealed for another installation, which here nobody can open, and taken back: its tokens are secrets.
async fn exported(app: &TestApp, program: &Http, recipient: &str, outputs: &mut Outputs) -> Vec<String> {
    let id = app.connect_by_oauth("moving").await;
    let held = program.get("/api/v1/connections/moving/token").await.expect(200).json();
    let new = json!({"recipient": recipient, "connections": ["moving"]});
    let export = program.post_json("/api/v1/exports", new).await.expect(200);
    outputs.page("export", &export);
    let body = json!({"export": export.json()["export"]});
    outputs.page("import refused", &program.post_json("/api/v1/imports", body).await.expect(422));
    outputs.page("exported", &program.get("/api/v1/connections/moving").await.expect(200));
    outputs.page("page of what is exported", &app.http.get(&format!("/connections/{id}")).await.expect(200));
    let back = program.post_json("/api/v1/connections/moving/take-back", json!({})).await;
    outputs.page("taken back", &back.expect(200));
    let mut secrets = app.sim().live_refresh_tokens();
    secrets.push(held["access_token"].as_str().unwrap().to_owned());
    secrets
}

/// The commands beside the server. A token or a key stands on standard output where it was asked for, and nowhere
/// else: the secrets.
async fn asked_on_the_command_line(
    app: &TestApp,
    (site, program): (&str, &Http),
    settings: &[(&str, &str)],
    outputs: &mut Outputs,
) -> Vec<String> {
    let key = program.key().expect("a program has a key");
    let client = [("MOORING_URL", site), ("MOORING_API_KEY", key), ("MOORING_CONNECTION", "acme")];
    let vars = app.vars().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let vars: Vec<_> = vars.chain(settings.iter().copied()).chain(client).collect();
    let gitlab = app.sim().url();
    let there = format!("protocol=http\nhost={}\n", gitlab.strip_prefix("http://").unwrap());
    let run = async |arguments: &[&str], input: &str| {
        run_with_input(app.data.path(), arguments, &vars, input).await
    };
    let mut secrets = vec![];
    for arguments in [
        &["doctor"][..],
        &["doctor", "--json"],
        &["reseal"],
        &["reseal", "--dry-run", "--json"],
        &["user", "list"],
        &["api-key", "list", "--json"],
        &["check-config", "--json"],
    ] {
        let said = run(arguments, "").await;
        outputs.add("commands", said.out.as_bytes());
        outputs.add("commands", said.err.as_bytes());
    }
    let held = run(&["token", "acme"], "").await.expect(0);
    secrets.push(held.line().to_owned());
    let answered = run(&["git-credential", "get"], &there).await.expect(0);
    assert!(answered.out.contains(held.line()), "{}", answered.err);
    let refused = format!("{there}password={}\n", held.line());
    let elsewhere = "protocol=https\nhost=elsewhere.example\n";
    for said in [
        run(&["git-credential", "erase"], &refused).await,
        run(&["git-credential", "store"], &refused).await,
        run(&["git-credential", "get"], elsewhere).await,
        run(&["git-credential", "get"], &format!("{refused}nonsense")).await,
        run(&["token", "pasted"], "").await,
        run(&["token", "nobody"], "").await,
    ] {
        outputs.add("commands", said.out.as_bytes());
        outputs.add("commands", said.err.as_bytes());
    }
    let recipient = run(&["recipient"], "").await.expect(0);
    let export = run(&["export", "--to", recipient.line(), "moving"], "").await.expect(0);
    for said in [recipient, run(&["import", "-"], &export.out).await.expect(1), export] {
        outputs.add("commands", said.out.as_bytes());
        outputs.add("commands", said.err.as_bytes());
    }
    outputs.add("commands", held.err.as_bytes());
    outputs.add("commands", answered.err.as_bytes());
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_gets_out_anywhere() {
    let mut app = TestApp::start(On::Sqlite).await;
    let program = app.program(&["admin"]).await;
    app.stop().await;
    let (pki, metrics) = (Pki::new(), format!("127.0.0.1:{}", crate::support::app::free_port()));
    let user = ["--user", "mooring", "--password", MAIL_PASSWORD];
    let mut mail_server = SmtpServer::start(Some(&pki), &[&["--tls", "start"], &user[..]].concat()).await;
    let collector = Collector::start().await;
    let smtp = format!("smtps://mooring:{MAIL_PASSWORD}@localhost:{}", mail_server.port);
    let provider = Provider::start().await;
    provider.serve(app.site()).await;
    let issuer = provider.issuer();
    let elsewhere = Keyring::new(&generate_key(), []).unwrap();
    let recipient = elsewhere.recipient().to_string();
    let settings = [
        ("MOORING_OIDC_ISSUER", issuer.as_str()),
        ("MOORING_OIDC_CLIENT_ID", "mooring"),
        ("MOORING_OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("MOORING_OIDC_ALLOWED", "example.com"),
        ("MOORING_LOG", "trace"),
        ("MOORING_RETURN_URLS", BACK),
        ("MOORING_EXPORT_RECIPIENTS", recipient.as_str()),
        ("MOORING_METRICS_LISTEN", metrics.as_str()),
        ("MOORING_OTLP_ENDPOINT", collector.url.as_str()),
        ("MOORING_SMTP_URL", smtp.as_str()),
        ("MOORING_MAIL_FROM", "mooring@example.com"),
        ("MOORING_MAIL_TO", "ops@example.com"),
        ("MOORING_CA_FILE", &*pki.ca_file().display().to_string()),
    ];
    let process = Process::start(&app, &settings).await;
    let mut outputs = Outputs::default();

    let site = app.http.clone();
    let receiver = Receiver::start().await;
    let mut secrets = vec![MAIL_PASSWORD.to_owned()];
    secrets.extend(told_by_webhook(&receiver, &program).await);
    secrets.extend(story(&app, &site, &program, &mut outputs).await);
    secrets.extend(signed_in_by_provider(&provider, &site, &mut outputs).await);
    secrets.extend(made_on_the_pages(&receiver, &site, &mut outputs).await);
    secrets.extend(exported(&app, &program, &recipient, &mut outputs).await);
    outputs.add("mail", mail_server.mail().await.to_string().as_bytes());
    for notice in receiver.wait_for(10).await {
        outputs.add("webhooks", format!("{:?} {}", notice.headers, notice.body).as_bytes());
    }
    let at = format!("http://{}", process.address());
    secrets.extend(asked_on_the_command_line(&app, (&at, &program), &settings, &mut outputs).await);
    outputs.page("metrics", &Http::new(&format!("http://{metrics}")).get("/metrics").await.expect(200));
    secrets.push(program.key().expect("a program has a key").to_owned());
    secrets.extend(site.secrets_in_cookies());
    for entry in fs::read_dir(app.data.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "key") {
            secrets.push(fs::read_to_string(&path).unwrap().trim().to_owned());
        } else if path.is_file() {
            outputs.add(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
    program.delete("/api/v1/connections/acme").await.expect(204);
    let log = process.stop().await;
    assert!(log.contains("TRACE"), "the log was at its most talkative");
    outputs.add("log", log.as_bytes());
    assert!(collector.spans().len() > 100, "{} spans", collector.spans().len());
    outputs.add("traces", &collector.bytes());
    for entry in fs::read_dir(app.data.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.extension().is_none_or(|e| e != "key") {
            outputs.add(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }

    secrets.sort();
    secrets.dedup();
    assert!(secrets.len() >= 16 && secrets.iter().all(|s| s.len() >= 20), "{} secrets", secrets.len());
    assert!(outputs.size() > 500_000, "{} bytes were looked at", outputs.size());
    for secret in &secrets {
        for (n, form) in forms(secret).iter().enumerate() {
            for (place, bytes) in &outputs.0 {
                assert!(
                    !holds(bytes, form),
                    "form {n} of the secret {}… is in {place}, after {:?}",
                    &secret[..6],
                    before(bytes, form)
                );
            }
        }
    }
}
