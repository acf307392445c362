//! The configuration: every setting from the environment, checked, with its relations to the others.
//! Nothing starts with a problem, and all problems are told at once, one line each, without any secret.
//! This module is the only reader of the environment, and `app` and `cli` are the only readers of `Config`:
//! every other module receives values. Names nothing of ours, so it holds plain values.

mod client;
mod database;
mod environment;
mod hidden;
mod integrations;
mod otlp;
mod people;
mod problems;
mod reader;
mod settings;
mod site;
#[cfg(test)]
mod tests;
mod values;

pub use self::{
    client::ClientConfig,
    database::Database,
    hidden::Hidden,
    integrations::{IntegrationConfig, OAuthApplicationConfig},
    otlp::Otlp,
    people::{FirstAdministrator, Mail, Oidc},
    problems::{Problem, Problems},
    settings::{ID, SETTINGS, Setting},
    site::SiteUrl,
};

use self::{
    database::{read_database, read_keys},
    reader::Reader,
};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that an operator decides. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The public origin.
    pub site_url: SiteUrl,
    /// Directory of files of our own; made at the start where it is missing.
    pub data_dir: PathBuf,
    /// Where connections are kept.
    pub database: Database,
    /// Thirty-two bytes in standard base64. `None` only where one may be generated into the data directory.
    pub encryption_key: Option<Hidden>,
    /// Older keys in the same form, none of them twice and none of them the active one.
    pub retired_keys: Vec<Hidden>,
    /// `gitlab` first; ids are unique.
    pub integrations: Vec<IntegrationConfig>,
    /// PEM bundle for every integration; the file could be opened.
    pub ca_file: Option<PathBuf>,
    /// Hosts and CIDRs, comma-separated and each of them well-formed; may be empty.
    pub outbound_allow: String,
    /// Whether users may connect an instance that is not configured.
    pub allow_custom_base_url: bool,
    /// Thirty seconds to one hour.
    pub renew_before: Duration,
    /// Longest first, never empty.
    pub warn_before: Vec<Duration>,
    /// Five minutes to thirty days.
    pub check_every: Duration,
    /// `None`: for ever.
    pub keep_events: Option<Duration>,
    /// Notices by e-mail.
    pub mail: Option<Mail>,
    /// Compared exactly with what a connect session names.
    pub return_urls: Vec<String>,
    pub export_recipients: Vec<String>,
    /// TOML with more use cases; the file could be opened.
    pub use_cases_file: Option<PathBuf>,
    /// Made where there is no user yet.
    pub first_administrator: Option<FirstAdministrator>,
    /// A filter that `tracing_subscriber::EnvFilter` takes.
    pub log: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// A listener of its own for metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Traces; `None` in a build that has none.
    pub otlp: Option<Otlp>,
    /// Single sign-on.
    pub oidc: Option<Oidc>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// From the process environment over `.env` in the working directory.
    pub fn from_env() -> Result<Self, Problems> {
        let (config, problems) = Self::draft_from_env();
        Problems::unless_none(config, problems)
    }

    /// From a map of variables alone, plus the files that they name.
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let (config, problems) = Self::draft(vars, &[]);
        Problems::unless_none(config, problems)
    }

    /// The same as [`Config::from_env`], with the problems beside it: a check tries what the rest names, so
    /// that a person hears of everything at once. Nothing is started with a problem.
    pub fn draft_from_env() -> (Self, Vec<Problem>) {
        let variables = environment::both();
        Self::draft(&variables.values, &variables.problems)
    }

    fn draft(vars: &BTreeMap<String, String>, found: &[Problem]) -> (Self, Vec<Problem>) {
        let mut reader = Reader::new(vars);
        for problem in found {
            reader.problem(&problem.variable, &problem.wants);
        }
        let reader = &mut reader;
        let listen = reader.with_default("MOORING_LISTEN", values::address);
        let site_url = site::read(reader);
        let data_dir = reader.with_default("MOORING_DATA_DIR", |path| Ok(PathBuf::from(path)));
        let database = read_database(reader, &data_dir);
        let exposed = refuse_an_exposed_default_site(reader, listen);
        let keys = read_keys(reader, why_a_key_is_required(&database, &site_url, exposed));
        let config = Self {
            listen,
            site_url,
            data_dir,
            database,
            encryption_key: keys.active,
            retired_keys: keys.retired,
            integrations: integrations::read(reader),
            ca_file: reader.optional("MOORING_CA_FILE", values::readable_file),
            outbound_allow: reader
                .optional("MOORING_OUTBOUND_ALLOW", values::outbound_allow)
                .unwrap_or_default(),
            allow_custom_base_url: reader.with_default("MOORING_ALLOW_CUSTOM_BASE_URL", values::switch),
            renew_before: reader.with_default("MOORING_RENEW_BEFORE", values::renew_before),
            warn_before: reader.with_default("MOORING_WARN_BEFORE", values::warn_before),
            keep_events: reader.optional("MOORING_KEEP_EVENTS", values::keep_events),
            check_every: reader.with_default("MOORING_CHECK_EVERY", values::check_every),
            mail: people::read_mail(reader),
            export_recipients: reader
                .optional("MOORING_EXPORT_RECIPIENTS", |value| {
                    Ok(values::items(value).map(str::to_owned).collect())
                })
                .unwrap_or_default(),
            return_urls: reader.optional("MOORING_RETURN_URLS", values::return_urls).unwrap_or_default(),
            use_cases_file: reader.optional("MOORING_USE_CASES_FILE", values::readable_file),
            first_administrator: people::read_first_administrator(reader),
            log: reader.with_default("MOORING_LOG", values::log_filter),
            log_format: reader.with_default("MOORING_LOG_FORMAT", log_format),
            metrics_listen: reader.optional("MOORING_METRICS_LISTEN", values::address),
            otlp: otlp::read(reader, cfg!(feature = "otlp")),
            oidc: people::read_oidc(reader),
        };
        reader.refuse_unknown();
        (config, reader.take_problems())
    }
}

/// A server that other machines reach does not run on the defaults of a first try.
fn refuse_an_exposed_default_site(reader: &mut Reader<'_>, listen: SocketAddr) -> bool {
    let exposed = !listen.ip().is_loopback() && !reader.is_given("MOORING_SITE_URL");
    if exposed {
        let why = "because MOORING_LISTEN is an address that other machines reach";
        reader.problem("MOORING_SITE_URL", format!("wants the public https URL, {why}"));
    }
    exposed
}

fn why_a_key_is_required(database: &Database, site_url: &SiteUrl, exposed: bool) -> Option<&'static str> {
    if !database.is_sqlite() {
        Some("replicas on PostgreSQL share it")
    } else if !site_url.is_loopback() {
        Some("MOORING_SITE_URL is not loopback")
    } else if exposed {
        Some("MOORING_LISTEN is an address that other machines reach")
    } else {
        None
    }
}

fn log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("wants text or json".to_owned()),
    }
}
