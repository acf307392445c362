//! Installations of a provider: the one called `gitlab`, and any number of further ones that are known by
//! the names of their variables, `MOORING_INTEGRATION_<ID>_…`.

use super::{
    hidden::Hidden,
    reader::Reader,
    settings::integration_id,
    values::{self, readable_file},
};
use std::{collections::BTreeSet, path::PathBuf};

/// One installation of a provider, as configured.
#[derive(Debug, Clone)]
pub struct IntegrationConfig {
    /// Lower case, stands in the redirect URI: `gitlab`, `acme-eu`.
    pub id: String,
    /// The kind of service: `gitlab`.
    pub provider: String,
    /// Begins with `http://` or `https://`; nothing else about it is checked here.
    pub base_url: String,
    /// Without one, only access tokens can be connected.
    pub oauth: Option<OAuthApplicationConfig>,
    /// Scopes asked for when no use case says more; never empty.
    pub scopes: Vec<String>,
    /// PEM bundle for this integration alone.
    pub ca_file: Option<PathBuf>,
}

/// Our registration at an integration.
#[derive(Debug, Clone)]
pub struct OAuthApplicationConfig {
    /// The application id that the provider shows.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Hidden,
}

const BUILT_IN: &str = "gitlab";

/// `gitlab` first, then the others by id.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<IntegrationConfig> {
    let mut all = vec![read_gitlab(reader)];
    for id in upper_case_ids(reader) {
        all.extend(read_further(reader, &id));
    }
    all
}

fn read_gitlab(reader: &mut Reader<'_>) -> IntegrationConfig {
    IntegrationConfig {
        id: BUILT_IN.to_owned(),
        provider: BUILT_IN.to_owned(),
        base_url: reader.with_default("MOORING_GITLAB_URL", values::base_url),
        oauth: read_application(reader, "MOORING_GITLAB"),
        scopes: reader.with_default("MOORING_GITLAB_OAUTH_SCOPES", values::scopes),
        ca_file: None,
    }
}

fn upper_case_ids(reader: &Reader<'_>) -> BTreeSet<String> {
    let given = reader.vars.iter().filter(|(_, value)| !value.trim().is_empty());
    given.filter_map(|(name, _)| integration_id(name)).map(str::to_owned).collect()
}

fn read_further(reader: &mut Reader<'_>, upper_case_id: &str) -> Option<IntegrationConfig> {
    let prefix = format!("MOORING_INTEGRATION_{upper_case_id}");
    let url = format!("{prefix}_URL");
    let id = read_id(reader, upper_case_id, &prefix);
    let provider = reader.with_default(&format!("{prefix}_PROVIDER"), values::provider);
    let oauth = read_application(reader, &prefix);
    let scopes = reader.with_default(&format!("{prefix}_OAUTH_SCOPES"), values::scopes);
    let ca_file = reader.optional(&format!("{prefix}_CA_FILE"), readable_file);
    if !reader.is_given(&url) {
        reader.problem(&url, "wants the base URL of this integration, such as https://gitlab.example.com");
    }
    let base_url = reader.optional(&url, values::base_url)?;
    Some(IntegrationConfig { id: id?, provider, base_url, oauth, scopes, ca_file })
}

/// The id stands in redirect URIs and file names, so it is short and plain.
fn read_id(reader: &mut Reader<'_>, upper_case_id: &str, prefix: &str) -> Option<String> {
    let is_letter = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let is_plain = upper_case_id.starts_with(|first: char| first.is_ascii_uppercase())
        && upper_case_id.chars().all(is_letter)
        && upper_case_id.len() <= 63;
    if !is_plain {
        let wants = "wants an id of A to Z, 0 to 9 and _, beginning with a letter, 63 at most";
        reader.problem(&format!("{prefix}_*"), wants);
        return None;
    }
    let id = upper_case_id.to_ascii_lowercase().replace('_', "-");
    if id == BUILT_IN {
        let wants =
            "wants another id: the integration gitlab has MOORING_GITLAB_URL and MOORING_GITLAB_OAUTH_*";
        reader.problem(&format!("{prefix}_*"), wants);
        return None;
    }
    Some(id)
}

fn read_application(reader: &mut Reader<'_>, prefix: &str) -> Option<OAuthApplicationConfig> {
    let (id, secret) = (format!("{prefix}_OAUTH_CLIENT_ID"), format!("{prefix}_OAUTH_CLIENT_SECRET"));
    reader.together(&[&id, &secret]);
    let client_id = reader.given(&id);
    let client_secret = reader.secret(&secret);
    Some(OAuthApplicationConfig { client_id: client_id?, client_secret: client_secret? })
}
