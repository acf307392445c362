//! What `mooring token` and `mooring git-credential` need: a server to ask and a key to ask with.
//! Git runs the credential helper inside any directory, also one that a stranger filled, so a `.env` there
//! may choose the connection but never where our key goes, and never which file is read as a key.

use super::{
    environment::{self, Variables},
    hidden::Hidden,
    problems::Problems,
    reader::Reader,
    values,
};
use std::{collections::BTreeMap, path::PathBuf};

/// Settings of the commands that ask a Mooring server.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The server, without a slash at the end.
    pub url: String,
    /// Our key at it.
    pub api_key: Hidden,
    /// Id or name of a connection, or, for `mooring git-credential`, several with where each is for.
    pub connection: Option<String>,
    /// PEM bundle that is trusted beside the system's roots; the file could be opened.
    pub ca_file: Option<PathBuf>,
}

const URL: &str = "MOORING_URL";
const API_KEY: &str = "MOORING_API_KEY";
const API_KEY_FILE: &str = "MOORING_API_KEY_FILE";
const CA_FILE: &str = "MOORING_CA_FILE";

impl ClientConfig {
    /// From the environment over `.env`. The URL, the key and whom to trust come from the same one of the two.
    pub fn from_env() -> Result<Self, Problems> {
        Self::from_vars(&without_strangers(environment::process(), environment::dot_env()).values)
    }

    /// From a map of variables. Other variables in it are left alone: they belong to a server.
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut reader = Reader::new(vars);
        for (name, wants) in [
            (URL, "wants the URL of a Mooring server, such as https://mooring.example.com"),
            (API_KEY, "wants an API key with the scope tokens:read"),
        ] {
            if !reader.is_given(name) {
                reader.problem(name, wants);
            }
        }
        let url = reader.optional(URL, values::server_url).unwrap_or_default();
        let api_key = reader.secret(API_KEY).unwrap_or_else(|| Hidden::new(String::new()));
        let connection = reader.given("MOORING_CONNECTION");
        let api_key = Hidden::new(api_key.expose().trim().to_owned());
        let ca_file = reader.optional(CA_FILE, values::readable_file);
        reader.finish(Self { url, api_key, connection, ca_file })
    }
}

fn without_strangers(mut process: Variables, mut file: Variables) -> Variables {
    let is_ours = [URL, API_KEY, API_KEY_FILE].iter().any(|name| process.values.contains_key(*name));
    let is_theirs = |name: &str| is_ours && [URL, API_KEY, CA_FILE].contains(&name);
    file.values.retain(|name, _| name != API_KEY_FILE && !is_theirs(name));
    file.values.append(&mut process.values);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn merged(process: &[(&str, &str)], file: &[(&str, &str)]) -> Result<ClientConfig, Problems> {
        let variables = |pairs| Variables { values: vars(pairs), problems: vec![] };
        ClientConfig::from_vars(&without_strangers(variables(process), variables(file)).values)
    }

    #[test]
    fn all_three_are_read_and_the_key_is_not_shown() {
        let given = [(URL, "http://localhost:8080/"), (API_KEY, "moor_a_b"), ("MOORING_CONNECTION", "acme")];
        let config = ClientConfig::from_vars(&vars(&given)).unwrap();
        assert_eq!((config.url.as_str(), config.api_key.expose()), ("http://localhost:8080", "moor_a_b"));
        assert_eq!(config.connection.as_deref(), Some("acme"));
        assert!(!format!("{config:?}").contains("moor_a_b"));
    }

    #[test]
    fn what_is_missing_is_named_at_once() {
        let problems = ClientConfig::from_vars(&BTreeMap::new()).unwrap_err().to_string();
        assert!(problems.contains("MOORING_URL: ") && problems.contains("MOORING_API_KEY: "), "{problems}");
    }

    #[test]
    fn a_key_never_travels_in_clear_to_another_machine() {
        let given = [(URL, "http://mooring.example.com"), (API_KEY, "moor_a_b")];
        assert!(ClientConfig::from_vars(&vars(&given)).is_err());
    }

    #[test]
    fn a_strangers_file_cannot_send_our_key_elsewhere() {
        let stranger = [(URL, "https://evil.example"), ("MOORING_CONNECTION", "acme")];
        assert!(merged(&[(API_KEY, "moor_a_b")], &stranger).is_err());
        let ours = [(API_KEY, "moor_a_b"), (URL, "https://mooring.example.com")];
        let config = merged(&ours, &stranger).unwrap();
        assert_eq!(config.url, "https://mooring.example.com");
        assert_eq!(config.connection.as_deref(), Some("acme"), "which connection, a project may say");
    }

    #[test]
    fn a_strangers_file_cannot_say_whom_our_server_is_believed_to_be() {
        let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let ours = [(API_KEY, "moor_a_b"), (URL, "https://mooring.example.com")];
        assert_eq!(merged(&ours, &[(CA_FILE, bundle)]).unwrap().ca_file, None);
        let all_theirs = [ours[0], ours[1], (CA_FILE, bundle)];
        assert!(merged(&[], &all_theirs).unwrap().ca_file.is_some());
        assert!(merged(&all_theirs, &[]).unwrap().ca_file.is_some());
    }

    #[test]
    fn a_file_alone_is_enough_but_names_no_other_file() {
        assert!(merged(&[], &[(URL, "https://m.example"), (API_KEY, "moor_a_b")]).is_ok());
        let own_file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(merged(&[], &[(URL, "https://m.example"), (API_KEY_FILE, own_file)]).is_err());
    }
}
