//! Notices by mail, to a real mail server.

use crate::support::{
    app::{On, TestApp, on_both},
    smtp::{Pki, SmtpServer, mails},
};
use mooring::{
    config::Config,
    domain::Clock,
    notify::{Kinds, MailError, Mailer, MailerOptions, Notice, NoticeConnection, NoticeData},
    outbound::{ConnectReason, TlsReason},
};
use serde_json::{Value, json};
use std::net::TcpListener;
use time::{OffsetDateTime, macros::datetime};

const SITE: &str = "https://mooring.example";
const USER: &str = "mooring@mail.example";
const PASSWORD: &str = "correct horse & battery+staple";
/// The same as a URL has them.
const SIGN_IN: &str = "mooring%40mail.example:correct%20horse%20%26%20battery+staple";
const ASKS_FOR_PASSWORD: [&str; 4] = ["--user", USER, "--password", PASSWORD];
const NOW: OffsetDateTime = datetime!(2027-01-24 0:00:30 UTC);

fn connection(name: &str) -> NoticeConnection {
    NoticeConnection {
        id: "0199".into(),
        name: name.into(),
        integration: Some("gitlab".into()),
        base_url: "https://gitlab.example.com/sub".into(),
        account: Some("alice".into()),
        status: "action_required".into(),
        reason: Some("token_revoked".into()),
        action: Some("rotate".into()),
        url: format!("{SITE}/connections/0199"),
        action_url: Some(format!("{SITE}/connections/0199/rotate")),
        expires_at: Some(datetime!(2027-01-31 0:00 UTC)),
        generation: 3,
    }
}

fn notice(kind: &str, connection: NoticeConnection) -> Notice {
    Notice {
        kind: kind.into(),
        timestamp: NOW,
        data: NoticeData {
            event_id: format!("event-{}", connection.name.len()),
            subject: Some(connection.name.clone()),
            tenant: Some("acme".into()),
            actor: "mooring".into(),
            detail: Some("glpat-CANARY said the provider".into()),
            connection: Some(connection),
        },
    }
}

fn revoked() -> Notice {
    notice("connection.action_required", connection("acme-review"))
}

fn mailer(url: &str, pki: Option<&Pki>, to: &[&str]) -> Mailer {
    let to: Vec<_> = to.iter().map(|to| (*to).to_owned()).collect();
    let options = MailerOptions {
        smtp_url: url,
        from: "mooring@example.com",
        to: &to,
        ca_pem: pki.map(|pki| pki.ca_pem.as_bytes()),
        site_url: SITE,
    };
    Mailer::new(&options, Clock::default()).expect("these are options")
}

fn to_ops(url: &str, pki: Option<&Pki>) -> Mailer {
    mailer(url, pki, &["ops@example.com"])
}

fn text<'a>(mail: &'a Value, kind: &str) -> &'a str {
    mail["parts"][kind].as_str().unwrap_or_else(|| panic!("no {kind} in {mail}"))
}

/// Sends these notices to a plain server on this machine: the one mail that it took.
async fn sent(notices: &[Notice]) -> Value {
    let server = SmtpServer::start(None, &[]).await;
    to_ops(&format!("smtp://localhost:{}", server.port), None).send(notices).await.unwrap();
    let said = server.stop().await;
    let mails = mails(&said);
    assert_eq!(mails.len(), 1, "{said:?}");
    mails[0].clone()
}

async fn fails(url: &str, pki: Option<&Pki>) -> MailError {
    let error = to_ops(url, pki).send(&[revoked()]).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("staple") && !told.contains("alice"), "{told}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_over_starttls_with_a_password() {
    let pki = Pki::new();
    let server =
        SmtpServer::start(Some(&pki), &[&["--tls", "starttls"], &ASKS_FOR_PASSWORD[..]].concat()).await;
    let url = format!("smtp://{SIGN_IN}@localhost:{}?tls=required", server.port);
    mailer(&url, Some(&pki), &["ops@example.com", "dev@example.com"]).send(&[revoked()]).await.unwrap();
    let said = server.stop().await;
    let mail = mails(&said)[0];
    assert_eq!(mail["sender"], "mooring@example.com");
    assert_eq!(mail["receivers"], json!(["ops@example.com", "dev@example.com"]));
    assert_eq!((&mail["encrypted"], &mail["signed_in"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(said.iter().filter(|one| one["event"] == "sign_in").all(|one| one["encrypted"] == true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_over_tls_from_the_start() {
    let pki = Pki::new();
    let server = SmtpServer::start(Some(&pki), &["--tls", "start"]).await;
    to_ops(&format!("smtps://localhost:{}", server.port), Some(&pki)).send(&[revoked()]).await.unwrap();
    let said = server.stop().await;
    assert_eq!(mails(&said)[0]["encrypted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_says_what_happened_and_what_to_press() {
    let mail = sent(&[revoked()]).await;
    let headers = &mail["headers"];
    assert_eq!(headers["subject"], "Mooring: acme-review needs you: the token was revoked");
    assert_eq!(headers["from"], "Mooring <mooring@example.com>");
    assert_eq!(headers["to"], "ops@example.com");
    assert_eq!(headers["auto-submitted"], "auto-generated");
    assert_eq!(headers["message-id"], "<event-11.event-11.1@example.com>");
    assert!(headers["date"].is_string() && headers["content-type"].as_str().unwrap().contains("alternative"));
    let (plain, html) = (text(&mail, "text/plain"), text(&mail, "text/html"));
    for told in [plain, html] {
        for part in [
            "gitlab.example.com/sub does not accept the token any more",
            "Programs that use this connection get no token",
            "press “Rotate token” and paste it",
            "https://mooring.example/connections/0199/rotate",
            "https://gitlab.example.com/sub",
            "Account: alice",
            "Token ends: 31 January 2027 00:00 UTC",
            "Tenant: acme",
        ] {
            assert!(told.contains(part), "{part} is not in:\n{told}");
        }
        assert!(!told.contains("CANARY"), "the event's detail may hold a provider's words:\n{told}");
    }
    assert!(!html.contains("<img") && !html.contains("src=") && !html.contains("url("), "{html}");
    let links = html.matches("href=\"").count();
    assert_eq!(html.matches("href=\"https://mooring.example/").count(), links, "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_notices_are_one_mail() {
    let mut notices: Vec<_> =
        (0..40).map(|nth| notice("connection.expiring", connection(&format!("acme-{nth}")))).collect();
    let mut well = notice("integration.recovered", connection("well"));
    well.data.connection = None;
    notices.insert(0, well);
    let mail = sent(&notices).await;
    assert_eq!(mail["headers"]["subject"], "Mooring: 40 connections need you");
    let same = [revoked(), revoked()];
    assert_eq!(sent(&same).await["headers"]["subject"], "Mooring: 1 connection needs you");
    for told in [text(&mail, "text/plain"), text(&mail, "text/html")] {
        assert_eq!(told.matches("needs you: its token ends in 7 days").count(), 25);
        assert!(told.contains("And 16 more.") && !told.contains("works again"), "{told}");
        assert!(told.contains("https://mooring.example/"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_has_its_subject() {
    let mut gone = notice("connection.revocation_failed", connection("x"));
    gone.data.connection = None;
    let mut endpoint = notice("webhook_endpoint.disabled", connection("x"));
    (endpoint.data.connection, endpoint.data.detail) = (None, Some("It answered 410.".into()));
    let mut integration = notice("integration.failing", connection("gitlab"));
    (integration.data.connection, integration.data.detail) = (None, None);
    let told = [
        (notice("connection.expiring", connection("a")), "Mooring: a needs you: its token ends in 7 days"),
        (notice("connection.expired", connection("a")), "Mooring: a needs you: its token has expired"),
        (gone, "Mooring: a token of a disconnected connection could not be revoked"),
        (integration, "Mooring: the integration gitlab is failing"),
        (endpoint, "Mooring: a webhook endpoint was switched off"),
    ];
    let server = SmtpServer::start(None, &[]).await;
    let mailer = to_ops(&format!("smtp://localhost:{}", server.port), None);
    for (notice, _) in &told {
        assert!(Kinds::by_mail().include(&notice.kind), "{}", notice.kind);
        mailer.send(std::slice::from_ref(notice)).await.unwrap();
    }
    mailer.send(&[]).await.unwrap();
    let said = server.stop().await;
    let subjects: Vec<_> = mails(&said).iter().map(|mail| mail["headers"]["subject"].clone()).collect();
    assert_eq!(subjects, told.map(|(_, subject)| subject));
    let plain = |nth: usize| text(mails(&said)[nth], "text/plain");
    assert!(plain(4).contains("It answered 410."));
    assert!(plain(0).contains("Rotate token: https://mooring.example/connections/0199/rotate"));
    for kind in [
        "connection.degraded",
        "connection.recovered",
        "connection.renewed",
        "connection.checked",
        "operator.signed_in",
        "x",
    ] {
        assert!(!Kinds::by_mail().include(kind), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_writes_a_header_or_a_link() {
    let mut evil =
        connection("a\r\nBcc: evil@example.com\r\n\r\n<a href=\"https://evil.example\">Grüße \u{202E}</a>");
    evil.account = Some("x\nSubject: y<script>".into());
    evil.action_url = Some("https://mooring.example.evil.example/x".into());
    evil.url = "javascript:alert(1)".into();
    let mail = sent(&[notice("connection.action_required", evil)]).await;
    assert_eq!(mail["receivers"], json!(["ops@example.com"]));
    let headers = mail["headers"].as_object().unwrap();
    let mut names: Vec<_> = headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected =
        ["auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"];
    assert_eq!(names, expected);
    let subject = headers["subject"].as_str().unwrap();
    assert!(
        subject.starts_with("Mooring: a Bcc: evil@example.com") && subject.contains("Grüße </a>"),
        "{subject}"
    );
    let html = text(&mail, "text/html");
    assert!(!html.contains("<a href=\"https://evil") && !html.contains("<script"), "{html}");
    for told in [html, text(&mail, "text/plain")] {
        assert!(!told.contains("mooring.example.evil") && !told.contains("javascript"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_not_repeated() {
    let pki = Pki::new();
    let server =
        SmtpServer::start(Some(&pki), &[&["--tls", "starttls"], &ASKS_FOR_PASSWORD[..]].concat()).await;
    let error = fails(&format!("smtp://u:staple@localhost:{}?tls=required", server.port), Some(&pki)).await;
    assert_eq!(error, MailError::SignIn { host: "localhost".into(), code: "535".into() });
    assert!(!error.is_permanent(), "a person can mend it");
    assert_eq!(mails(&server.stop().await).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_and_one_for_now_are_told_apart() {
    let refuse = async |answer: &str| {
        let server = SmtpServer::start(None, &["--refuse", answer]).await;
        let error = fails(&format!("smtp://localhost:{}", server.port), None).await;
        assert_eq!(mails(&server.stop().await).len(), 0);
        error
    };
    let (host, code) = ("localhost".to_owned(), "550".to_owned());
    let error = refuse("550 no such person, staple").await;
    assert!(!error.is_permanent(), "a person can correct the address, and the mail waits for it");
    assert_eq!(error, MailError::Refused { host: host.clone(), code });
    let error = refuse("451 come back later").await;
    assert!(!error.is_permanent());
    assert_eq!(error, MailError::Busy { host, code: "451".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_address_does_not_keep_the_mail_from_the_others() {
    let refused = ["--refuse", "550 no such person", "--refuse-only", "gone@example.com"];
    let server = SmtpServer::start(None, &refused).await;
    let url = format!("smtp://localhost:{}", server.port);
    mailer(&url, None, &["gone@example.com", "ops@example.com"]).send(&[revoked()]).await.unwrap();
    let error = mailer(&url, None, &["gone@example.com"]).send(&[revoked()]).await.unwrap_err();
    assert!(matches!(error, MailError::Refused { .. }), "{error}");
    let said = server.stop().await;
    let mails = mails(&said);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0]["receivers"], json!(["ops@example.com"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_ca_ends_it_before_anything_is_sent() {
    let (pki, other) = (Pki::new(), Pki::new());
    let unknown = MailError::Tls { host: "localhost".into(), reason: TlsReason::UnknownIssuer };
    for (tls, scheme, query) in [("starttls", "smtp", "?tls=required"), ("start", "smtps", "")] {
        let server = SmtpServer::start(Some(&pki), &[&["--tls", tls], &ASKS_FOR_PASSWORD[..]].concat()).await;
        let url = format!("{scheme}://{SIGN_IN}@localhost:{}{query}", server.port);
        assert_eq!(fails(&url, Some(&other)).await, unknown);
        assert_eq!(fails(&url, None).await, unknown);
        let url = url.replace("localhost", "127.0.0.1");
        let wrong = MailError::Tls { host: "127.0.0.1".into(), reason: TlsReason::WrongHostName };
        assert_eq!(fails(&url, Some(&pki)).await, wrong);
        assert_eq!(server.stop().await, Vec::<Value>::new(), "no password, no address, no mail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_shown_nothing() {
    let server = SmtpServer::start(None, &ASKS_FOR_PASSWORD).await;
    let error = fails(&format!("smtp://{SIGN_IN}@localhost:{}?tls=required", server.port), None).await;
    assert_eq!(error, MailError::NoTls { host: "localhost".into() });
    let error = fails(&format!("smtps://{SIGN_IN}@localhost:{}", server.port), None).await;
    assert_eq!(error, MailError::Tls { host: "localhost".into(), reason: TlsReason::NotTls });
    assert_eq!(server.stop().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_or_no_mail_server_is_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fails(&format!("smtp://127.0.0.1:{port}"), None).await;
    let refused = MailError::Connect { host: "127.0.0.1".into(), reason: ConnectReason::Refused };
    assert_eq!(error, refused);
    let error = fails("smtp://nobody.invalid:25", None).await;
    assert_eq!(error, MailError::NotFound { host: "nobody.invalid".into() });
    let server = SmtpServer::start(None, &[]).await;
    let error = fails(&format!("smtp://u:staple@localhost:{}", server.port), None).await;
    assert_eq!(error, MailError::NoSignIn { host: "localhost".into() });
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_in_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = fails(&format!("smtp://{}", silent.local_addr().unwrap()), None).await;
    assert_eq!(error, MailError::TimedOut { host: "127.0.0.1".into() });
}

#[test]
fn a_url_that_cannot_be_used_is_a_problem_of_the_settings() {
    let vars = [
        ("MOORING_SMTP_URL", "smtp://u:staple@mail.example?tls=none"),
        ("MOORING_MAIL_FROM", "mooring@example.com"),
        ("MOORING_MAIL_TO", "ops@example.com"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let problems = mooring::app::check(&Config::from_vars(&vars).unwrap());
    let told = "MOORING_SMTP_URL: The mail server's URL cannot be used: its tls is neither required nor opportunistic.";
    assert_eq!(problems, [told]);
}

// From the settings and the event to the server: the CA file of the whole server counts for mail as well.
on_both!(a_revoked_token_reaches_its_owner_by_mail, async |on: On| {
    let pki = Pki::new();
    let mut server =
        SmtpServer::start(Some(&pki), &[&["--tls", "start"], &ASKS_FOR_PASSWORD[..]].concat()).await;
    let settings = [
        ("MOORING_SMTP_URL", &*format!("smtps://{SIGN_IN}@localhost:{}", server.port)),
        ("MOORING_MAIL_FROM", "mooring@example.com"),
        ("MOORING_MAIL_TO", "ops@example.com, dev@example.com"),
        ("MOORING_CA_FILE", &*pki.ca_file().display().to_string()),
    ];
    let app = TestApp::start_with(on, gitlab_sim::Options::default(), &settings).await;
    let admin = app.program(&["admin"]).await;
    let minted = app.sim().mint_project(app.world.project, &["api"], 40, None);
    let new = json!({"name": "acme-review", "integration": "gitlab", "token": minted.token});
    let connection = admin.post_json("/api/v1/connections", new).await.expect(201).json();
    app.sim().revoke(&minted.token);
    admin.post_json("/api/v1/connections/acme-review/check", json!({})).await.expect(200);
    let mail = server.mail().await;
    assert_eq!(mail["receivers"], json!(["ops@example.com", "dev@example.com"]));
    let subject = mail["headers"]["subject"].as_str().unwrap();
    assert!(subject.starts_with("Mooring: acme-review needs you: "), "{subject}");
    let (told, id) = (text(&mail, "text/plain"), connection["id"].as_str().unwrap());
    assert!(told.contains(&format!("Rotate token: {}/connections/{id}/rotate", app.site())), "{told}");
    assert!(told.contains(&format!("All connections: {}/", app.site())), "{told}");
    assert_eq!(mails(&server.stop().await).len(), 0, "one notice, one mail");
});
