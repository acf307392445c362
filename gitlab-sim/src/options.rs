//! What a simulator is started with: where it lives, which GitLab it plays, how long tokens last.

use std::str::FromStr;
use std::time::Duration;

/// How the simulated instance is set up. `Options::default()` is a GitLab 19.1 at the root of its host.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sub-path of the installation: `""` or for example `"/gitlab"`, without a trailing slash.
    pub base_path: String,
    /// The version whose answers are given.
    pub version: Version,
    /// Life of an OAuth access token; GitLab's is two hours.
    pub access_token_life: Duration,
    /// The address that GitLab puts into links. `None` means the address it listens on; set another one to
    /// play an instance whose `external_url` is wrong, or one behind a TLS proxy.
    pub external_url: Option<String>,
    /// Sends `RateLimit-*` headers on every answer, as gitlab.com does.
    pub rate_limit_headers: bool,
    /// What personal, project, group and service-account tokens start with.
    pub token_prefix: String,
    /// The longest life in days that a rotation gives; GitLab's is 365, and administrators may set less.
    pub longest_token_life: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            version: Version::V19_1,
            access_token_life: Duration::from_hours(2),
            external_url: None,
            rate_limit_headers: false,
            token_prefix: "glpat-".to_owned(),
            longest_token_life: 365,
        }
    }
}

/// The GitLab releases whose differences are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 16.9.11: a token cannot rotate itself.
    V16_9,
    /// 16.11.10: `personal_access_tokens/self/rotate` is there, its kin of projects and groups are not.
    V16_11,
    /// 17.11.7: no fine-grained tokens, no `last_used_ips`, `/user` still has `skype`.
    V17_11,
    /// 18.11.5: `granular` and `last_used_ips` are there; two ways of client authentication at once are refused.
    V18_11,
    /// 19.1.1: webhooks know `signing_token`.
    V19_1,
}

impl Version {
    /// The full number as `/version` prints it.
    pub fn number(self) -> &'static str {
        match self {
            Self::V16_9 => "16.9.11-ee",
            Self::V16_11 => "16.11.10-ee",
            Self::V17_11 => "17.11.7-ee",
            Self::V18_11 => "18.11.5-ee",
            Self::V19_1 => "19.1.1-ee",
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "16.9" => Ok(Self::V16_9),
            "16.11" => Ok(Self::V16_11),
            "17.11" => Ok(Self::V17_11),
            "18.11" => Ok(Self::V18_11),
            "19.1" => Ok(Self::V19_1),
            other => Err(format!("{other} is not played; choose 16.9, 16.11, 17.11, 18.11 or 19.1")),
        }
    }
}
