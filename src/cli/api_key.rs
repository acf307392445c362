//! `mooring api-key`: works beside a running server, which hears of it within a second.

use super::{Failure, open, print, print_json, say};
use crate::{
    api_key::{KeyRequest, KeyRequestError, create_key},
    config::Config,
    domain::{Actor, Clock, Permission},
    store::{ApiKey, Store},
};
use clap::Subcommand;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
        /// Narrows a key with the scope `proxy` to requests such as `GET /api/v4/projects/**`; may be repeated
        #[arg(long)]
        allow: Vec<String>,
        /// Such as `90d`; without it the key does not expire
        #[arg(long)]
        expires_in: Option<String>,
        /// Prints the key with its id, scopes and end as JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists all keys, without the keys themselves
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key, by its id or by the key itself
    Revoke {
        id: String,
        /// Prints what was revoked as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: ApiKeyCommand, config: &Config) -> Result<(), Failure> {
    let store = open(config).await?;
    let now = Clock::default().now();
    match command {
        ApiKeyCommand::Create { name, tenant, scopes, allow, expires_in, json } => {
            let request = KeyRequest { name, tenant, permissions: scopes, allow, expires_in };
            create(&store, request, now, json).await?;
        }
        ApiKeyCommand::List { json } => list(&store, now, json).await?,
        ApiKeyCommand::Revoke { id, json } => revoke(&store, id, now, json).await?,
    }
    store.close().await;
    Ok(())
}

async fn create(store: &Store, request: KeyRequest, now: OffsetDateTime, json: bool) -> Result<(), Failure> {
    let made = create_key(store, request, now, &Actor::CommandLine).await.map_err(|error| match error {
        KeyRequestError::Store(error) => error.into(),
        error @ KeyRequestError::Field { .. } => Failure::Usage(error.to_string()),
    })?;
    let secret = made.secret.expose();
    if json {
        return print_json(&KeyLine { key: Some(secret), ..KeyLine::of(&made.key, now) });
    }
    print(secret);
    Ok(())
}

async fn list(store: &Store, now: OffsetDateTime, json: bool) -> Result<(), Failure> {
    let keys = store.list_api_keys(None, i64::MAX).await?;
    let lines: Vec<_> = keys.iter().map(|key| KeyLine::of(key, now)).collect();
    if json {
        return print_json(&lines);
    }
    for line in lines {
        let end = line.expires_at.filter(|_| line.state == "valid").and_then(|at| at.format(&Rfc3339).ok());
        let state = end.as_deref().unwrap_or(line.state);
        let (tenant, scopes) = (line.tenant.unwrap_or_default(), line.scopes.join(","));
        let allow = line.allow.join(", ");
        print(&format!("{}\t{}\t{tenant}\t{scopes}\t{state}\t{allow}", line.id, line.name));
    }
    Ok(())
}

async fn revoke(store: &Store, id: String, now: OffsetDateTime, json: bool) -> Result<(), Failure> {
    let id = crate::vault::parse_api_key(&id).map_or(id, |parts| parts.id);
    if !store.revoke_api_key(&id, now, &Actor::CommandLine).await? {
        return Err(Failure::Usage(format!("There is no valid API key {id}. See `mooring api-key list`.")));
    }
    if json {
        return print_json(&serde_json::json!({ "id": id, "state": "revoked" }));
    }
    say("Revoked.");
    Ok(())
}

/// A key as it is listed. The key itself stands in it once, when it was just made.
#[derive(Serialize)]
struct KeyLine<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    name: &'a str,
    tenant: Option<&'a str>,
    scopes: Vec<&'static str>,
    /// The requests that it is narrowed to. Empty: it is not narrowed.
    allow: Vec<String>,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
}

impl<'a> KeyLine<'a> {
    fn of(key: &'a ApiKey, now: OffsetDateTime) -> Self {
        let state = match key.revoked_at {
            Some(_) => "revoked",
            None if key.is_valid(now) => "valid",
            None => "expired",
        };
        Self {
            id: &key.id,
            key: None,
            name: &key.name,
            tenant: key.tenant.as_deref(),
            scopes: key.permissions.iter().map(|permission| permission.as_str()).collect(),
            allow: key.allow.iter().map(ToString::to_string).collect(),
            state,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}
