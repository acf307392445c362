use super::*;

const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const OTHER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn read(pairs: Pairs<'_>) -> Result<Config, Problems> {
    Config::from_vars(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn config(pairs: Pairs<'_>) -> Config {
    read(pairs).unwrap_or_else(|problems| panic!("{pairs:?}\n{problems}"))
}

fn problems(pairs: Pairs<'_>) -> Vec<String> {
    let problems = read(pairs).expect_err("these variables have a problem");
    problems.iter().map(Problem::to_string).collect()
}

/// Single sign-on, whole.
const fn sso<'a>(issuer: &'a str, allowed: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("MOORING_OIDC_ISSUER", issuer),
        ("MOORING_OIDC_CLIENT_ID", "mooring"),
        ("MOORING_OIDC_CLIENT_SECRET", "s"),
        ("MOORING_OIDC_ALLOWED", allowed),
    ]
}

#[test]
fn nothing_at_all_is_a_configuration_for_this_machine() {
    let config = config(&[]);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.site_url.as_str(), "http://localhost:8080");
    assert!(matches!(&config.database, Database::Sqlite(path) if path.ends_with("data/mooring.db")));
    assert!(config.encryption_key.is_none() && config.retired_keys.is_empty());
    assert_eq!(config.integrations.len(), 1);
    let gitlab = &config.integrations[0];
    assert_eq!((gitlab.id.as_str(), gitlab.base_url.as_str()), ("gitlab", "https://gitlab.com"));
    assert_eq!(gitlab.scopes, ["api"]);
    assert!(gitlab.oauth.is_none() && config.allow_custom_base_url);
    assert_eq!(config.renew_before, Duration::from_mins(10));
    assert_eq!(config.check_every, Duration::from_hours(24));
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(config.warn_before, [days(30), days(7), days(1)]);
    assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Text));
    assert!(config.mail.is_none() && config.oidc.is_none() && config.first_administrator.is_none());
}

#[test]
fn each_wrong_value_is_one_line_that_says_what_is_wanted() {
    for (name, value, says) in [
        ("MOORING_LISTEN", "8080", "wants an address and a port such as 127.0.0.1:8080"),
        ("MOORING_SITE_URL", "mooring", "wants a URL"),
        ("MOORING_DATABASE_URL", "sqlite:", "wants the path of a file"),
        ("MOORING_DATABASE_URL", "sqlite::memory:", "wants the path of a file"),
        ("MOORING_DATABASE_URL", "sqlite:x.db?mode=rwc", "wants a plain path"),
        ("MOORING_DATABASE_URL", "mysql://db/m", "wants sqlite:PATH or postgres://"),
        ("MOORING_ENCRYPTION_KEY", "c2hvcnQ=", "wants 32 bytes in base64"),
        ("MOORING_ENCRYPTION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "wants random bytes"),
        ("MOORING_ENCRYPTION_KEYS_RETIRED", "c2hvcnQ=", "key 1 wants 32 bytes in base64"),
        ("MOORING_GITLAB_URL", "gitlab.com", "wants a URL"),
        ("MOORING_GITLAB_OAUTH_SCOPES", "\"api\"", "wants scopes"),
        ("MOORING_CA_FILE", "/nonexistent", "wants the path of a file that can be read"),
        ("MOORING_CA_FILE", "/", "wants the path of a file"),
        ("MOORING_OUTBOUND_ALLOW", "10.0.0.0/99", "wants hosts or CIDRs"),
        ("MOORING_OUTBOUND_ALLOW", "https://gitlab.corp", "wants hosts or CIDRs"),
        ("MOORING_OUTBOUND_ALLOW", "*.corp", "wants hosts or CIDRs"),
        ("MOORING_ALLOW_CUSTOM_BASE_URL", "maybe", "wants true or false"),
        ("MOORING_RENEW_BEFORE", "10", "wants a time between 30s and 1h"),
        ("MOORING_RENEW_BEFORE", "29s", "wants a time between 30s and 1h"),
        ("MOORING_RENEW_BEFORE", "61m", "wants a time between 30s and 1h"),
        ("MOORING_CHECK_EVERY", "4m", "wants a time between 5m and 30d"),
        ("MOORING_CHECK_EVERY", "31d", "wants a time between 5m and 30d"),
        ("MOORING_KEEP_EVENTS", "29d", "wants a time of 30d or more"),
        ("MOORING_WARN_BEFORE", ",", "wants times"),
        ("MOORING_WARN_BEFORE", "7d,0s", "wants times"),
        ("MOORING_RETURN_URLS", "http://app.example/back", "wants absolute https URLs"),
        ("MOORING_RETURN_URLS", "/back", "wants absolute https URLs"),
        ("MOORING_USE_CASES_FILE", "/nonexistent", "wants the path of a file that can be read"),
        ("MOORING_LOG", "mooring=loud", "wants a level"),
        ("MOORING_LOG_FORMAT", "xml", "wants text or json"),
        ("MOORING_METRICS_LISTEN", "localhost", "wants an address and a port"),
        ("MOORING_OTLP_ENDPOINT", "collector:4318", "wants a URL such as http://collector:4318"),
        (
            "MOORING_OTLP_ENDPOINT",
            "http://me:secret@collector:4318",
            "wants a URL such as http://collector:4318",
        ),
        (
            "MOORING_OTLP_ENDPOINT",
            "http://collector:4318?key=secret",
            "wants a URL such as http://collector:4318",
        ),
        ("MOORING_GITLAB_OAUTH_CLIENT_ID_FILE", "/x", "is not a known setting"),
        ("MOORING_LISTN", "x", "is not a known setting; did you mean MOORING_LISTEN?"),
        ("MOORING_PORT", "9000", "is not a known setting; .env.example"),
        ("MOORING_INTEGRATION_ACME_COLOUR", "red", "is not a known setting: after MOORING_INTEGRATION_<ID>_"),
    ] {
        let lines = problems(&[(name, value)]);
        assert_eq!(lines.len(), 1, "{name}={value}: {lines:#?}");
        assert!(lines[0].starts_with(&format!("{name}: {says}")), "{name}={value}: {lines:#?}");
    }
}

#[test]
fn settings_that_depend_on_each_other_are_checked_together() {
    let cases: &[(Pairs<'_>, &[&str])] = &[
        (&[("MOORING_SITE_URL", "https://m.example")], &["MOORING_ENCRYPTION_KEY: "]),
        (&[("MOORING_DATABASE_URL", "postgres://u:p@db/m")], &["MOORING_ENCRYPTION_KEY: "]),
        (&[("MOORING_LISTEN", "0.0.0.0:8080")], &["MOORING_SITE_URL: ", "MOORING_ENCRYPTION_KEY: "]),
        (&[("MOORING_SITE_URL", "http://m.example")], &["MOORING_SITE_URL: ", "MOORING_ENCRYPTION_KEY: "]),
        (&[("MOORING_GITLAB_OAUTH_CLIENT_ID", "x")], &["MOORING_GITLAB_OAUTH_CLIENT_SECRET: "]),
        (&[("MOORING_GITLAB_OAUTH_CLIENT_SECRET", "x")], &["MOORING_GITLAB_OAUTH_CLIENT_ID: "]),
        (&[("MOORING_ADMIN_EMAIL", "a@b.c")], &["MOORING_ADMIN_PASSWORD: "]),
        (&[("MOORING_ADMIN_PASSWORD", "long enough indeed")], &["MOORING_ADMIN_EMAIL: "]),
        (
            &[("MOORING_ADMIN_EMAIL", "nobody"), ("MOORING_ADMIN_PASSWORD", "short")],
            &["MOORING_ADMIN_EMAIL: ", "MOORING_ADMIN_PASSWORD: "],
        ),
        (&[("MOORING_SMTP_URL", "smtp://localhost")], &["MOORING_MAIL_FROM: ", "MOORING_MAIL_TO: "]),
        (&[("MOORING_MAIL_TO", "a@b.c")], &["MOORING_SMTP_URL: ", "MOORING_MAIL_FROM: "]),
        (
            &[("MOORING_OIDC_ISSUER", "https://id.example")],
            &["MOORING_OIDC_CLIENT_ID: ", "MOORING_OIDC_CLIENT_SECRET: ", "MOORING_OIDC_ALLOWED: "],
        ),
        (&sso("id.example", "a@b.c"), &["MOORING_OIDC_ISSUER: wants the issuer's URL"]),
        (&sso("ftp://id.example", "a@b.c"), &["MOORING_OIDC_ISSUER: wants the issuer's URL"]),
        (&sso("http://id.example", "a@b.c"), &["MOORING_OIDC_ISSUER: wants https"]),
        (&sso("https://u:p@id.example", "a@b.c"), &["MOORING_OIDC_ISSUER: wants no user"]),
        (&sso("https://id.example?x=1", "a@b.c"), &["MOORING_OIDC_ISSUER: wants no ?"]),
        (&sso("https://id.example/#x", "a@b.c"), &["MOORING_OIDC_ISSUER: wants no ?"]),
        (&sso("https://id.example", "not an address"), &["MOORING_OIDC_ALLOWED: "]),
        (&sso("https://id.example", ","), &["MOORING_OIDC_ALLOWED: "]),
        (
            &[("MOORING_ENCRYPTION_KEY", KEY), ("MOORING_ENCRYPTION_KEYS_RETIRED", KEY)],
            &["MOORING_ENCRYPTION_KEYS_RETIRED: key 1 is the active key"],
        ),
        (
            &[("MOORING_INTEGRATION_ACME_OAUTH_CLIENT_ID", "x")],
            &["MOORING_INTEGRATION_ACME_OAUTH_CLIENT_SECRET: ", "MOORING_INTEGRATION_ACME_URL: "],
        ),
        (&[("MOORING_INTEGRATION_GITLAB_URL", "https://g.example")], &["MOORING_INTEGRATION_GITLAB_*: "]),
        (&[("MOORING_INTEGRATION_acme_URL", "https://g.example")], &["MOORING_INTEGRATION_acme_*: "]),
        (&[("MOORING_INTEGRATION_1ST_URL", "https://g.example")], &["MOORING_INTEGRATION_1ST_*: "]),
    ];
    for (pairs, wanted) in cases {
        let lines = problems(pairs);
        assert_eq!(lines.len(), wanted.len(), "{pairs:?}: {lines:#?}");
        for (line, wanted) in lines.iter().zip(*wanted) {
            assert!(line.starts_with(wanted), "{pairs:?}: {lines:#?}");
        }
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let lines =
        problems(&[("MOORING_LISTEN", "x"), ("MOORING_LOG_FORMAT", "x"), ("MOORING_RENEW_BEFORE", "x")]);
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[test]
fn a_whole_configuration_is_read() {
    let config = config(&[
        ("MOORING_LISTEN", "0.0.0.0:80"),
        ("MOORING_SITE_URL", "https://mooring.example.com/"),
        ("MOORING_DATABASE_URL", "postgresql://m:p%40ss@db/mooring"),
        ("MOORING_ENCRYPTION_KEY", KEY),
        ("MOORING_ENCRYPTION_KEYS_RETIRED", OTHER_KEY),
        ("MOORING_INTEGRATION_ACME_EU_URL", "https://gitlab.acme.example/gitlab"),
        ("MOORING_INTEGRATION_ACME_EU_OAUTH_CLIENT_ID", "id"),
        ("MOORING_INTEGRATION_ACME_EU_OAUTH_CLIENT_SECRET", "secret"),
        ("MOORING_INTEGRATION_ACME_EU_OAUTH_SCOPES", "read_api, read_repository"),
        ("MOORING_INTEGRATION_ACME_EU_CA_FILE", FILE),
        ("MOORING_OUTBOUND_ALLOW", "gitlab.corp.example, 10.0.0.0/8, fd00::/8, 192.168.1.1"),
        ("MOORING_WARN_BEFORE", "1d,14d,1d"),
        ("MOORING_SMTP_URL", "smtps://u:p@mail.example:465"),
        ("MOORING_MAIL_FROM", "mooring@example.com"),
        ("MOORING_MAIL_TO", "a@example.com, b@example.com"),
        ("MOORING_RETURN_URLS", "https://app.example/back,http://localhost:3000/back?x=1"),
        ("MOORING_ADMIN_EMAIL", "a@example.com"),
        ("MOORING_ADMIN_PASSWORD", "correct horse battery"),
        ("MOORING_OIDC_ISSUER", "https://id.example.com/"),
        ("MOORING_OIDC_CLIENT_ID", "mooring"),
        ("MOORING_OIDC_CLIENT_SECRET", "s"),
        ("MOORING_OIDC_ALLOWED", "Ops@Example.com, example.org"),
        ("MOORING_URL", "http://other"),
        ("UNRELATED", "x"),
    ]);
    let acme = &config.integrations[1];
    assert_eq!((acme.id.as_str(), acme.provider.as_str()), ("acme-eu", "gitlab"));
    assert_eq!(acme.base_url, "https://gitlab.acme.example/gitlab");
    assert_eq!(acme.scopes, ["read_api", "read_repository"]);
    assert!(acme.oauth.is_some() && acme.ca_file.is_some());
    assert_eq!(config.warn_before.len(), 2);
    assert_eq!(config.return_urls[1], "http://localhost:3000/back?x=1");
    assert_eq!(config.mail.unwrap().to, ["a@example.com", "b@example.com"]);
    assert_eq!(config.oidc.unwrap().allowed, ["ops@example.com", "example.org"]);
}

#[test]
fn a_container_may_listen_everywhere_when_its_url_is_said_to_be_local() {
    let config = config(&[("MOORING_LISTEN", "0.0.0.0:8080"), ("MOORING_SITE_URL", "http://localhost:8080")]);
    assert!(config.encryption_key.is_none());
}

#[test]
fn sqlite_paths_come_in_three_spellings() {
    for (url, path) in [
        ("sqlite:some/m.db", "some/m.db"),
        ("sqlite://some/m.db", "some/m.db"),
        ("sqlite:///var/lib/m.db", "/var/lib/m.db"),
    ] {
        let Database::Sqlite(read) = config(&[("MOORING_DATABASE_URL", url)]).database else {
            panic!("{url}")
        };
        assert_eq!(read, PathBuf::from(path), "{url}");
    }
}

#[test]
fn a_key_is_taken_in_any_base64_and_kept_in_one() {
    let unpadded = "/////+////////////////////////////////+/AAA";
    for spelled in ["_____-________________________________-_AAA=", unpadded] {
        let config = config(&[("MOORING_ENCRYPTION_KEY", spelled)]);
        assert_eq!(config.encryption_key.unwrap().expose(), "/////+////////////////////////////////+/AAA=");
    }
}

#[test]
fn an_empty_variable_counts_as_not_given() {
    config(&[
        ("MOORING_LISTEN", ""),
        ("MOORING_GITLAB_OAUTH_CLIENT_ID", " "),
        ("MOORING_ADMIN_PASSWORD", ""),
        ("MOORING_INTEGRATION_ACME_URL", ""),
    ]);
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "correct horse battery\n").unwrap();
    let path = path.to_str().unwrap();
    let mail = ("MOORING_ADMIN_EMAIL", "a@example.com");
    let config = config(&[mail, ("MOORING_ADMIN_PASSWORD_FILE", path)]);
    assert_eq!(config.first_administrator.unwrap().password.expose(), "correct horse battery");

    let twice = problems(&[mail, ("MOORING_ADMIN_PASSWORD_FILE", path), ("MOORING_ADMIN_PASSWORD", "x")]);
    assert_eq!(twice.len(), 1, "{twice:#?}");
    assert!(twice[0].starts_with("MOORING_ADMIN_PASSWORD: is given twice"), "{twice:#?}");

    let missing = problems(&[mail, ("MOORING_ADMIN_PASSWORD_FILE", "/nonexistent/CANARY")]);
    assert!(missing[0].starts_with("MOORING_ADMIN_PASSWORD_FILE: wants the path"), "{missing:#?}");
    assert!(!missing[0].contains("CANARY"), "a secret in the wrong variable stays unseen: {missing:#?}");
}

#[test]
fn what_kubernetes_sets_for_a_service_is_left_alone() {
    let link = ("MOORING_PORT_8080_TCP_ADDR", "10.0.0.1");
    assert!(read(&[link]).is_err());
    config(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("MOORING_PORT", "tcp://10.0.0.1:8080"), link]);
}

/// A value that no message may repeat, good and bad, in every secret of the table.
#[test]
fn no_secret_is_ever_shown() {
    const CANARY: &str = "CANARY";
    let secrets = SETTINGS.iter().filter(|setting| setting.secret);
    for name in secrets.map(|setting| setting.name.replace(ID, "ACME")) {
        for value in
            [CANARY.to_owned(), format!("postgres://u:{CANARY}@db/m"), format!("{CANARY}-long-enough-for-12")]
        {
            for name in [name.clone(), format!("{name}_FILE")] {
                let shown = match read(&[(&name, &value)]) {
                    Ok(config) => format!("{config:?} {config:#?}"),
                    Err(problems) => format!("{problems} {problems:?}"),
                };
                assert!(!shown.contains(CANARY), "{name}: {shown}");
            }
        }
    }
    let config = config(&[
        ("MOORING_DATABASE_URL", "postgres://u:CANARY@db/m"),
        ("MOORING_ENCRYPTION_KEY", KEY),
        ("MOORING_ENCRYPTION_KEYS_RETIRED", OTHER_KEY),
        ("MOORING_GITLAB_OAUTH_CLIENT_ID", "id"),
        ("MOORING_GITLAB_OAUTH_CLIENT_SECRET", "CANARY"),
        ("MOORING_SMTP_URL", "smtp://u:CANARY@mail"),
        ("MOORING_MAIL_FROM", "a@b.c"),
        ("MOORING_MAIL_TO", "a@b.c"),
        ("MOORING_ADMIN_EMAIL", "a@b.c"),
        ("MOORING_ADMIN_PASSWORD", "CANARY-CANARY"),
    ]);
    let shown = format!("{config:?}");
    assert!(shown.contains("[hidden]"));
    for secret in [CANARY, KEY, OTHER_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
