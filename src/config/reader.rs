//! Reads one setting after the other out of a map of variables and collects what is wrong with them.
//! A value that is wrong is noted and replaced by its default, so that the reading goes on to the end;
//! nothing is started with a configuration that has a problem.

use super::{
    hidden::Hidden,
    problems::{Problem, Problems},
    settings::{nearest, setting, setting_given_by},
};
use std::{collections::BTreeMap, fs};

/// The variables and the problems found so far.
pub(super) struct Reader<'a> {
    pub(super) vars: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vars: &'a BTreeMap<String, String>) -> Self {
        Self { vars, problems: vec![] }
    }

    pub(super) fn problem(&mut self, variable: &str, wants: impl Into<String>) {
        self.problems.push(Problem { variable: variable.to_owned(), wants: wants.into() });
    }

    /// The value, or every problem that was found on the way to it.
    pub(super) fn finish<T>(&mut self, value: T) -> Result<T, Problems> {
        Problems::unless_none(value, self.take_problems())
    }

    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// What was given, without the spaces around it. An empty variable counts as not given: that is how
    /// `docker compose` passes on one that is not set.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        debug_assert!(setting(name).is_some_and(|setting| !setting.secret), "{name} is no plain setting");
        self.vars.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Whether a value was given for this setting, in the variable or in a file.
    pub(super) fn is_given(&self, name: &str) -> bool {
        let by = |variable: &str| self.vars.get(variable).is_some_and(|value| !value.trim().is_empty());
        by(name) || setting(name).is_some_and(|setting| setting.secret) && by(&format!("{name}_FILE"))
    }

    /// A setting without a default: read where it is given, `None` otherwise or where it is wrong.
    pub(super) fn optional<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.given(name)?;
        read(&value).map_err(|wants| self.problem(name, wants)).ok()
    }

    /// A setting with a default, which stands in where the value is missing or wrong.
    pub(super) fn with_default<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> T {
        self.optional(name, read).unwrap_or_else(|| {
            let default = setting(name).and_then(|setting| setting.default);
            read(default.expect("a setting read this way has a default in the table"))
                .unwrap_or_else(|_| unreachable!("a unit test reads every default"))
        })
    }

    /// A secret from its variable or from the file that `NAME_FILE` names, never from both.
    pub(super) fn secret(&mut self, name: &str) -> Option<Hidden> {
        debug_assert!(setting(name).is_some_and(|setting| setting.secret), "{name} is no secret");
        let file = format!("{name}_FILE");
        let get = |variable: &str| self.vars.get(variable).filter(|value| !value.trim().is_empty()).cloned();
        match (get(name), get(&file)) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("is given twice: keep one of {name} and {file}"));
                None
            }
            (Some(value), None) => Some(Hidden::new(value)),
            (None, Some(path)) => self.secret_from_file(&file, path.trim()),
            (None, None) => None,
        }
    }

    fn secret_from_file(&mut self, variable: &str, path: &str) -> Option<Hidden> {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                self.problem(variable, "wants a file with the secret in it; this one is empty");
                None
            }
            Ok(text) => Some(Hidden::new(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => {
                // Not the path: people put the secret itself here.
                self.problem(
                    variable,
                    format!("wants the path of a file that can be read: {}", error.kind()),
                );
                None
            }
        }
    }

    /// Settings that mean something only together. True when all are given; each one that is missing beside
    /// one that is given is a problem of its own.
    pub(super) fn together(&mut self, names: &[&str]) -> bool {
        let Some(present) = names.iter().find(|name| self.is_given(name)) else { return false };
        let missing: Vec<_> = names.iter().filter(|name| !self.is_given(name)).collect();
        for name in &missing {
            self.problem(name, format!("wants a value, because {present} is set"));
        }
        missing.is_empty()
    }

    /// Every variable of ours that no setting has, with the name that was probably meant.
    pub(super) fn refuse_unknown(&mut self) {
        for name in self.vars.keys().filter(|name| name.starts_with("MOORING_")) {
            if setting_given_by(name).is_none() && !self.is_kubernetes_service_link(name) {
                self.problems.push(Problem { variable: name.clone(), wants: unknown(name) });
            }
        }
    }

    /// Kubernetes tells every pod about a Service named `mooring` in variables such as
    /// `MOORING_SERVICE_HOST` and `MOORING_PORT_8080_TCP_ADDR`; nobody typed those.
    fn is_kubernetes_service_link(&self, name: &str) -> bool {
        self.vars.contains_key("KUBERNETES_SERVICE_HOST")
            && (name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.contains("_PORT"))
    }
}

fn unknown(name: &str) -> String {
    if name.starts_with("MOORING_INTEGRATION_") {
        let endings = "PROVIDER, URL, OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, OAUTH_SCOPES or CA_FILE";
        return format!("is not a known setting: after MOORING_INTEGRATION_<ID>_ comes {endings}");
    }
    match nearest(name) {
        Some(known) => format!("is not a known setting; did you mean {known}?"),
        None => "is not a known setting; .env.example lists them all".to_owned(),
    }
}
