//! `mooring api-key`: works beside a running server, which hears of it within a second.

use super::{Failure, open, print, say};
use crate::{
    api_key::{KeyRequest, KeyRequestError, create_key},
    config::Config,
    domain::{Actor, Clock, Permission},
};
use clap::Subcommand;
use time::format_description::well_known::Rfc3339;

#[derive(Subcommand)]
pub(super) enum ApiKeyCommand {
    /// Prints the new key, alone, on standard output
    Create {
        /// What the key is for
        #[arg(long)]
        name: String,
        /// Binds the key to one tenant
        #[arg(long)]
        tenant: Option<String>,
        /// `connections:read`, `connections:write`, `tokens:read`, `proxy` or `admin`; may be repeated. Without it the
        /// key reads connections and their tokens
        #[arg(long = "scope", default_values = ["connections:read", "tokens:read"])]
        scopes: Vec<Permission>,
        /// Such as `90d`; without it the key does not expire
        #[arg(long)]
        expires_in: Option<String>,
    },
    /// Lists all keys, without the keys themselves
    List,
    /// Revokes a key, by its id or by the key itself
    Revoke { id: String },
}

pub(super) async fn run(command: ApiKeyCommand, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let now = Clock::default().now();
    match command {
        ApiKeyCommand::Create { name, tenant, scopes, expires_in } => {
            let request = KeyRequest { name, tenant, permissions: scopes, expires_in };
            match create_key(&store, request, now, &Actor::CommandLine).await {
                Ok(made) => print(made.secret.expose()),
                Err(KeyRequestError::Store(error)) => return Err(error.into()),
                Err(error) => return Err(Failure::Usage(error.to_string())),
            }
        }
        ApiKeyCommand::List => {
            for key in store.list_api_keys(None, i64::MAX).await? {
                let scopes = key.permissions.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(",");
                let state = if key.revoked_at.is_some() {
                    "revoked".to_owned()
                } else if key.is_valid(now) {
                    key.expires_at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| "valid".into())
                } else {
                    "expired".to_owned()
                };
                print(&format!(
                    "{}\t{}\t{}\t{scopes}\t{state}",
                    key.id,
                    key.name,
                    key.tenant.unwrap_or_default()
                ));
            }
        }
        ApiKeyCommand::Revoke { id } => {
            let id = crate::vault::parse_api_key(&id).map_or(id, |parts| parts.id);
            if !store.revoke_api_key(&id, now, &Actor::CommandLine).await? {
                return Err(Failure::Usage(format!(
                    "There is no valid API key {id}. See `mooring api-key list`."
                )));
            }
            say("Revoked.");
        }
    }
    store.close().await;
    Ok(())
}
