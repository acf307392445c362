//! Tries what a configuration names, and tells every problem: one line for each variable.

use super::{
    build::{recipients, use_cases},
    notices::mailer,
};
use crate::{
    config::Config,
    domain::{BaseUrl, Clock},
    outbound::{CaBundle, Outbound, Policy},
};
use std::{fmt, fs, path::Path};

/// Every problem of what the configuration names, in the order of the settings; empty where all is good.
pub fn check(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    for one in &config.integrations {
        let url = BaseUrl::parse_configured(&one.base_url).err();
        problems.extend(url.map(|error| line(&variable(&one.id, "URL"), &error)));
        problems.extend(wrong_ca(&variable(&one.id, "CA_FILE"), one.ca_file.as_deref()));
    }
    problems.extend(wrong_ca("MOORING_CA_FILE", config.ca_file.as_deref()));
    let allow = Policy::parse(&config.outbound_allow).err();
    problems.extend(allow.map(|error| line("MOORING_OUTBOUND_ALLOW", &error)));
    problems.extend(recipients(config).err().map(|error| line("MOORING_EXPORT_RECIPIENTS", &error)));
    if problems.iter().all(|problem| !problem.starts_with("MOORING_CA_FILE")) {
        let mail = mailer(config, Clock::default()).err();
        problems.extend(mail.map(|error| format!("{}", OneLine(format!("{error:#}")))));
    }
    problems.extend(use_cases(config).err().map(|error| format!("{}", OneLine(format!("{error:#}")))));
    problems
}

/// A setting of an integration, as it is typed.
fn variable(id: &str, what: &str) -> String {
    match id {
        "gitlab" => format!("MOORING_GITLAB_{what}"),
        id => format!("MOORING_INTEGRATION_{}_{what}", id.to_ascii_uppercase().replace('-', "_")),
    }
}

fn wrong_ca(variable: &str, file: Option<&Path>) -> Option<String> {
    let file = file?;
    let read = || -> anyhow::Result<()> {
        let bundle = CaBundle::from_pem(&fs::read(file)?)?;
        Outbound::trusted(&bundle)?;
        Ok(())
    };
    let error = read().err()?;
    Some(line(variable, &format_args!("{}: {error:#}", file.display())))
}

fn line(variable: &str, problem: &dyn fmt::Display) -> String {
    format!("{variable}: {}", OneLine(problem.to_string()))
}

/// A parser's message without the lines that draw where it is.
struct OneLine(String);

impl fmt::Display for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.0.lines().map(str::trim);
        let told: Vec<_> = told.filter(|line| !line.is_empty() && !is_drawing(line)).collect();
        f.write_str(&told.join(": "))
    }
}

fn is_drawing(line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsers_message_becomes_one_line() {
        let told = "file: TOML parse error at line 1, column 3\n  |\n1 | a b\n  |   ^\nexpected `=`\n";
        let line = OneLine(told.to_owned()).to_string();
        assert_eq!(line, "file: TOML parse error at line 1, column 3: expected `=`");
    }

    #[test]
    fn a_setting_has_the_name_that_a_person_types() {
        assert_eq!(variable("gitlab", "URL"), "MOORING_GITLAB_URL");
        assert_eq!(variable("acme-eu", "CA_FILE"), "MOORING_INTEGRATION_ACME_EU_CA_FILE");
    }
}
