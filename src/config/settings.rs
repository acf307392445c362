//! The table of every setting. Reading takes its defaults from here, `.env.example` is compared with it by
//! `tests/settings.rs`, and a variable that does not stand here is a problem: a typing error never passes unseen.

/// One environment variable that Mooring reads.
#[derive(Debug)]
pub struct Setting {
    /// The variable's name; `<ID>` stands for an integration's id in upper case.
    pub name: &'static str,
    /// A secret may also come from a file that `NAME_FILE` names, and is never shown.
    pub secret: bool,
    /// The value that counts where none is given.
    pub default: Option<&'static str>,
    /// One line for a person who fills in `.env`.
    pub meaning: &'static str,
}

/// What stands for an integration's id in a name of the table.
pub const ID: &str = "<ID>";

/// Every setting, in the order of `.env.example`.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    plain("MOORING_LISTEN", "127.0.0.1:8080", "Address and port that the server listens on."),
    plain("MOORING_SITE_URL", "http://localhost:8080", "Public URL without a path; every redirect URI is built from it."),
    plain("MOORING_DATA_DIR", "./data", "Directory of the SQLite file, the generated key and the spool."),
    secret("MOORING_DATABASE_URL", "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME; without it mooring.db in the data directory."),
    secret("MOORING_ENCRYPTION_KEY", "32 bytes in base64; generated only for SQLite with a loopback site URL, required everywhere else."),
    secret("MOORING_ENCRYPTION_KEYS_RETIRED", "Older keys, comma-separated: they open what was sealed under them and seal nothing new."),
    plain("MOORING_GITLAB_URL", "https://gitlab.com", "Base URL of the integration `gitlab`; a subpath is allowed."),
    unset("MOORING_GITLAB_OAUTH_CLIENT_ID", "Application ID of the OAuth application; without it the integration takes access tokens only."),
    secret("MOORING_GITLAB_OAUTH_CLIENT_SECRET", "Secret of that OAuth application."),
    plain("MOORING_GITLAB_OAUTH_SCOPES", "api", "Scopes asked for when no use case says more, separated by spaces or commas."),
    plain("MOORING_INTEGRATION_<ID>_PROVIDER", "gitlab", "Provider of a further integration; the id is in upper case with _ for -."),
    unset("MOORING_INTEGRATION_<ID>_URL", "Base URL of that integration; required when any other of its settings is given."),
    unset("MOORING_INTEGRATION_<ID>_OAUTH_CLIENT_ID", "Application ID of that integration's OAuth application."),
    secret("MOORING_INTEGRATION_<ID>_OAUTH_CLIENT_SECRET", "Secret of that integration's OAuth application."),
    plain("MOORING_INTEGRATION_<ID>_OAUTH_SCOPES", "api", "Scopes asked for at that integration when no use case says more."),
    unset("MOORING_INTEGRATION_<ID>_CA_FILE", "PEM bundle trusted for that integration beside the system's roots."),
    unset("MOORING_CA_FILE", "PEM bundle trusted for every integration beside the system's roots."),
    unset("MOORING_OUTBOUND_ALLOW", "Hosts or CIDRs, comma-separated, that a base URL typed by a user, or a webhook, may reach although they are private."),
    plain("MOORING_ALLOW_CUSTOM_BASE_URL", "true", "Whether users may connect, by access token, an instance that is not configured here."),
    plain("MOORING_RENEW_BEFORE", "10m", "An OAuth credential is renewed in the background when less than this is left (30s to 1h)."),
    plain("MOORING_WARN_BEFORE", "30d,7d,1d", "When to warn that a credential nobody can renew is about to expire."),
    plain("MOORING_CHECK_EVERY", "24h", "How often a connection is looked at in the background (5m to 30d)."),
    unset("MOORING_KEEP_EVENTS", "How long the audit log is kept (30d or more, such as 400d); without it for ever."),
    secret("MOORING_SMTP_URL", "Mail server for notices: smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT."),
    unset("MOORING_MAIL_FROM", "Sender of notices; required with a mail server."),
    unset("MOORING_MAIL_TO", "Receivers of notices, comma-separated; required with a mail server."),
    unset("MOORING_RETURN_URLS", "Return URLs that connect sessions may name, comma-separated, matched exactly."),
    unset("MOORING_EXPORT_RECIPIENTS", "Recipients, comma-separated, that the API may export connections to; `mooring export` needs none."),
    unset("MOORING_USE_CASES_FILE", "TOML file with more use cases."),
    unset("MOORING_ADMIN_EMAIL", "Makes the first administrator without the setup link; needs the password too."),
    secret("MOORING_ADMIN_PASSWORD", "Password of the first administrator, 12 characters or more."),
    plain("MOORING_LOG", "info", "What is logged: error, warn, info, debug, trace, or a filter such as info,mooring=debug."),
    plain("MOORING_LOG_FORMAT", "text", "How it is logged: text or json."),
    unset("MOORING_METRICS_LISTEN", "Address and port of a listener of its own for Prometheus metrics."),
    unset("MOORING_OTLP_ENDPOINT", "Base URL of an OpenTelemetry collector that takes traces over HTTP; for a build with `--features otlp`."),
    secret("MOORING_OTLP_HEADERS", "Headers for that collector: NAME=VALUE, several of them separated by commas."),
    unset("MOORING_OIDC_ISSUER", "Issuer for single sign-on to the web pages; needs the three settings below."),
    unset("MOORING_OIDC_CLIENT_ID", "Client id at that issuer."),
    secret("MOORING_OIDC_CLIENT_SECRET", "Client secret at that issuer."),
    unset("MOORING_OIDC_ALLOWED", "E-mail addresses or domains that may sign in, comma-separated."),
    unset("MOORING_URL", "For `mooring token` and `mooring git-credential`: URL of the Mooring server to ask."),
    secret("MOORING_API_KEY", "For the same two commands: an API key with the scope tokens:read."),
    unset("MOORING_CONNECTION", "For the same two: id or name of a connection; for git also several, as HOST/PATH=NAME,HOST=NAME."),
];

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, secret: false, default: Some(default), meaning }
}

const fn unset(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, secret: false, default: None, meaning }
}

const fn secret(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, secret: true, default: None, meaning }
}

/// The setting that a variable of this name is, be it one integration's.
pub(super) fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name || integration_part(setting, name).is_some())
}

/// The setting that a variable gives a value to: by its own name, or as `NAME_FILE` of a secret.
pub(super) fn setting_given_by(variable: &str) -> Option<&'static Setting> {
    let by_file = || variable.strip_suffix("_FILE").and_then(setting).filter(|setting| setting.secret);
    setting(variable).or_else(by_file)
}

/// The `<ID>` in a variable's name, where the variable belongs to a further integration.
pub(super) fn integration_id(variable: &str) -> Option<&str> {
    let setting = setting_given_by(variable)?;
    integration_part(setting, variable)
        .or_else(|| variable.strip_suffix("_FILE").and_then(|name| integration_part(setting, name)))
}

fn integration_part<'a>(setting: &Setting, name: &'a str) -> Option<&'a str> {
    let (prefix, suffix) = setting.name.split_once(ID)?;
    name.strip_prefix(prefix)?.strip_suffix(suffix).filter(|id| !id.is_empty())
}

/// The known name that a person most likely meant; none where nothing comes near.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let rest = |name: &str| name.trim_start_matches("MOORING_").len();
    SETTINGS
        .iter()
        .filter(|setting| !setting.name.contains(ID))
        .map(|setting| (distance(name, setting.name), setting.name))
        .min()
        .filter(|(distance, _)| distance * 3 <= rest(name) * 2)
        .map(|(_, name)| name)
}

/// How many letters must be put in or taken out to make one name of the other. Replacing one counts as both,
/// so that a word left out weighs less than another word in its place.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = corner + if x == y { 0 } else { 2 };
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_the_name_that_was_meant() {
        for (typed, meant) in [
            ("MOORING_LISTN", Some("MOORING_LISTEN")),
            ("MOORING_SITEURL", Some("MOORING_SITE_URL")),
            ("MOORING_GITLAB_CLIENT_ID", Some("MOORING_GITLAB_OAUTH_CLIENT_ID")),
            ("MOORING_WARNBEFORE", Some("MOORING_WARN_BEFORE")),
            ("MOORING_URK", Some("MOORING_URL")),
            ("MOORING_PORT", None),
            ("MOORING_", None),
        ] {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
    }

    #[test]
    fn an_integration_is_known_by_its_ending() {
        for (variable, id) in [
            ("MOORING_INTEGRATION_ACME_URL", Some("ACME")),
            ("MOORING_INTEGRATION_ACME_EU_OAUTH_CLIENT_SECRET", Some("ACME_EU")),
            ("MOORING_INTEGRATION_ACME_OAUTH_CLIENT_SECRET_FILE", Some("ACME")),
            ("MOORING_INTEGRATION_ACME_CA_FILE", Some("ACME")),
            ("MOORING_INTEGRATION_ACME_URL_FILE", None),
            ("MOORING_INTEGRATION_ACME_COLOUR", None),
            ("MOORING_INTEGRATION_URL", None),
            ("MOORING_LISTEN", None),
        ] {
            assert_eq!(integration_id(variable), id, "{variable}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let names: std::collections::BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
