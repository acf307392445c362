//! From the configuration to the parts, each given values and not settings.

use super::{
    key::{KEEP_A_COPY, file_in, generate_missing_key, own_key},
    notices::mailer,
};
use crate::{
    config::{Config, Database, IntegrationConfig},
    connect::Connect,
    disconnect::Disconnect,
    domain::{BaseUrl, Clock, Integration, OAuthApplication, Secret, Tending, UseCases},
    handout::{Handout, Memory, Usage},
    health::{Health, Pace},
    notify::WebhookEndpoints,
    outbound::{CaBundle, Options, Outbound, Policy},
    providers::{GitLab, Instances, Provider},
    proxy::Proxy,
    reach::Reach,
    renewal::{Renewals, Spool},
    sso::{Allowed, Client, Issuer, Sso},
    store::{Location, Schema, Store},
    transfer::Transfer,
    vault::{Keyring, NotARecipient, Recipient},
    web::{AppState, Followers, KeySource, Parts, Trust},
};
use anyhow::Context;
use std::{fs, path::Path, sync::Arc};
use time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;
use zeroize::Zeroizing;

/// How long one call of a webhook endpoint may take.
const WEBHOOK_LIMIT: std::time::Duration = std::time::Duration::from_secs(15);
/// How long one call of the issuer may take. A person is waiting, for three of them at most.
const ISSUER_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Opens the database that the configuration names, with its keys.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    if let Some(file) = generate_missing_key(config)? {
        tracing::warn!(file = %file.display(), "{KEEP_A_COPY}");
    }
    let keyring = keyring(config)?;
    Store::open(&location(config), keyring).await.context("the database could not be opened")
}

/// Opens the database as it is, without making or changing anything.
pub async fn look_at_store(config: &Config) -> anyhow::Result<(Store, Schema)> {
    let keyring = keyring(config)?;
    Store::look(&location(config), keyring).await.context("the database could not be opened")
}

fn keyring(config: &Config) -> anyhow::Result<Arc<Keyring>> {
    let active = match &config.encryption_key {
        Some(key) => Zeroizing::new(key.expose().to_owned()),
        None => own_key(&config.data_dir)?,
    };
    let retired = config.retired_keys.iter().map(crate::config::Hidden::expose);
    Ok(Arc::new(Keyring::new(&active, retired).context("MOORING_ENCRYPTION_KEY")?))
}

fn location(config: &Config) -> Location {
    match &config.database {
        Database::Sqlite(file) => Location::Sqlite(file.clone()),
        Database::Postgres(url) => Location::Postgres(url.expose().to_owned()),
    }
}

pub(super) async fn state(
    config: &Config,
    clock: Clock,
    tracker: TaskTracker,
    stopping: CancellationToken,
) -> anyhow::Result<AppState> {
    let store = open_store(config).await?;
    let connect = connect(config, &store, &clock, tracker)?;
    let Connect { provider, instances, use_cases, .. } = connect.clone();
    let warn_before = Duration::try_from(config.warn_before.first().copied().unwrap_or_default())?;
    let pace = Pace::new(Duration::try_from(config.check_every)?, stopping.clone());
    let (memory, usage) = (Memory::default(), Usage::default());
    let renewals = renewals(config, &connect, stopping.clone());
    let handout = Handout {
        store: store.clone(),
        renewals: renewals.clone(),
        clock: clock.clone(),
        memory: memory.clone(),
        usage,
        warn_before,
    };
    Ok(AppState::new(Parts {
        site_url: config.site_url.as_str().to_owned(),
        is_https: config.site_url.is_https(),
        connect,
        transfer: transfer(config, &store, &clock)?,
        export_recipients: recipients(config)?,
        keep_events: config.keep_events.map(Duration::try_from).transpose()?,
        disconnect: Disconnect {
            store: store.clone(),
            provider: provider.clone(),
            instances: instances.clone(),
            clock: clock.clone(),
        },
        health: Health {
            store: store.clone(),
            provider: provider.clone(),
            instances: instances.clone(),
            use_cases: Arc::clone(&use_cases),
            renewals: renewals.clone(),
            clock: clock.clone(),
            pace,
        },
        proxy: Proxy { handout: handout.clone(), provider: provider.clone(), instances: instances.clone() },
        handout,
        reach: Reach { provider: provider.clone(), instances: instances.clone(), renewals: renewals.clone() },
        webhook_endpoints: WebhookEndpoints {
            store: store.clone(),
            http: webhooks_out(config)?,
            clock: clock.clone(),
        },
        sso: sso(config, &store, &clock)?,
        followers: Followers::default(),
        mailer: mailer(config, clock.clone())?,
        key_source: key_source(config),
        trust: trust(config),
        clock,
        store,
        provider,
        instances,
        use_cases,
        renewals,
        memory,
        warn_before,
        draining: CancellationToken::new(),
        stopping,
    }))
}

/// The ways in, which do without anything else of a server.
pub fn connect(
    config: &Config,
    store: &Store,
    clock: &Clock,
    tracker: TaskTracker,
) -> anyhow::Result<Connect> {
    Ok(Connect {
        store: store.clone(),
        provider: Provider::new(GitLab),
        instances: instances(config)?,
        use_cases: Arc::new(use_cases(config)?),
        clock: clock.clone(),
        tending: Tending { before: Duration::try_from(config.renew_before)? },
        return_urls: config.return_urls.clone().into(),
        tracker,
    })
}

/// The engine, for what came in by one of these ways.
pub fn renewals(config: &Config, connect: &Connect, stopping: CancellationToken) -> Renewals {
    Renewals::new(
        connect.store.clone(),
        (connect.provider.clone(), connect.instances.clone()),
        connect.clock.clone(),
        (connect.tending, Spool::new(config.data_dir.join("spool"))),
        (connect.tracker.clone(), stopping),
    )
}

/// Who other installations export to, so that this one can import. Opens no database.
pub fn recipient(config: &Config) -> anyhow::Result<Recipient> {
    Ok(keyring(config)?.recipient())
}

/// The way to another installation.
pub fn transfer(config: &Config, store: &Store, clock: &Clock) -> anyhow::Result<Transfer> {
    Ok(Transfer { store: store.clone(), instances: instances(config)?, clock: clock.clone() })
}

/// Whom the API may export to.
pub(super) fn recipients(config: &Config) -> Result<Vec<Recipient>, NotARecipient> {
    config.export_recipients.iter().map(|text| text.parse()).collect()
}

fn key_source(config: &Config) -> KeySource {
    match &config.encryption_key {
        Some(_) => KeySource::Setting,
        None => KeySource::Generated(file_in(&config.data_dir).display().to_string()),
    }
}

fn trust(config: &Config) -> Trust {
    let own = config.integrations.iter().filter(|one| one.ca_file.is_some());
    Trust { common: config.ca_file.is_some(), own: own.map(|one| one.id.clone()).collect() }
}

pub(super) fn use_cases(config: &Config) -> anyhow::Result<UseCases> {
    let Some(file) = &config.use_cases_file else { return Ok(UseCases::shipped()) };
    let text =
        fs::read_to_string(file).with_context(|| format!("MOORING_USE_CASES_FILE: {}", file.display()))?;
    UseCases::with_file(&text).with_context(|| format!("MOORING_USE_CASES_FILE: {}", file.display()))
}

/// The way to webhook endpoints, which users type as well. Plain http only to hosts that the operator names,
/// and to this machine while Mooring itself is tried out on it.
fn webhooks_out(config: &Config) -> anyhow::Result<Outbound> {
    let common = ca_bundle(config.ca_file.as_deref(), "MOORING_CA_FILE")?;
    let named = Policy::parse(&config.outbound_allow).context("MOORING_OUTBOUND_ALLOW")?;
    let policy = Policy { http: true, loopback: config.site_url.is_loopback(), ..named };
    let options = Options { total: WEBHOOK_LIMIT, ..Options::default() };
    Ok(Outbound::guarded_with(policy, &common, options)?)
}

/// Single sign-on. The issuer is asked when somebody comes, and never waited for at the start.
fn sso(config: &Config, store: &Store, clock: &Clock) -> anyhow::Result<Option<Sso>> {
    let (Some(oidc), Some(issuer)) = (&config.oidc, issuer(config, clock)?) else { return Ok(None) };
    if !oidc.issuer.starts_with("https") {
        tracing::warn!("MOORING_OIDC_ISSUER is http: for a try on this machine alone");
    }
    let client = Client {
        id: oidc.client_id.clone(),
        secret: Secret::new(oidc.client_secret.expose()),
        redirect_uri: format!("{}/login/sso/callback", config.site_url.as_str()),
    };
    Ok(Some(Sso {
        issuer: Arc::new(issuer),
        client: Arc::new(client),
        allowed: Arc::new(Allowed::new(oidc.allowed.clone())),
        store: store.clone(),
        clock: clock.clone(),
    }))
}

/// The issuer of single sign-on, if one is configured.
pub fn issuer(config: &Config, clock: &Clock) -> anyhow::Result<Option<Issuer>> {
    let Some(oidc) = &config.oidc else { return Ok(None) };
    let origin = Url::parse(&oidc.issuer).context("MOORING_OIDC_ISSUER")?;
    let common = ca_bundle(config.ca_file.as_deref(), "MOORING_CA_FILE")?;
    let options = Options { total: ISSUER_LIMIT, ..Options::default() };
    let http = Outbound::trusted_with(&common, options)?;
    Ok(Some(Issuer::new(oidc.issuer.clone(), origin, http, clock.clone())))
}

/// The integrations with their own trust, and the way to instances that users type, if that is allowed.
pub fn instances(config: &Config) -> anyhow::Result<Instances> {
    let common = ca_bundle(config.ca_file.as_deref(), "MOORING_CA_FILE")?;
    let configured = config
        .integrations
        .iter()
        .map(|one| integration(config, one, &common))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let typed = if config.allow_custom_base_url {
        let policy = Policy::parse(&config.outbound_allow).context("MOORING_OUTBOUND_ALLOW")?;
        Some(Outbound::guarded(policy, &common)?)
    } else {
        None
    };
    Ok(Instances::new(configured, typed))
}

fn integration(
    config: &Config,
    one: &IntegrationConfig,
    common: &CaBundle,
) -> anyhow::Result<(Integration, Outbound)> {
    let base_url = BaseUrl::parse_configured(&one.base_url)
        .with_context(|| format!("the base URL of the integration {}", one.id))?;
    if !base_url.is_https() && !base_url.is_loopback() {
        tracing::warn!(
            integration = one.id,
            "tokens travel in the clear: this integration's base URL is http"
        );
    }
    let redirect_uri = format!("{}/oauth/{}/callback", config.site_url.as_str(), one.id);
    let application = one.oauth.as_ref().map(|oauth| OAuthApplication {
        client_id: oauth.client_id.clone(),
        client_secret: Secret::new(oauth.client_secret.expose()),
        redirect_uri: redirect_uri.clone(),
        scopes: one.scopes.iter().cloned().collect(),
    });
    let own = ca_bundle(one.ca_file.as_deref(), "the CA file of an integration")?;
    let http = Outbound::trusted(&common.merge(&own))?;
    let integration = Integration {
        id: one.id.clone(),
        provider: one.provider.clone(),
        base_url,
        application,
        redirect_uri,
    };
    Ok((integration, http))
}

pub(super) fn ca_bundle(file: Option<&Path>, what: &str) -> anyhow::Result<CaBundle> {
    let Some(file) = file else { return Ok(CaBundle::default()) };
    let pem = fs::read(file).with_context(|| format!("{what}: {}", file.display()))?;
    CaBundle::from_pem(&pem).with_context(|| format!("{what}: {}", file.display()))
}
