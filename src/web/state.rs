//! What every handler may reach: the verbs, the store for lists, and a few values of the configuration.

use super::follow::Followers;
use crate::{
    connect::Connect,
    disconnect::Disconnect,
    domain::{Clock, Connection, Standing, UseCases},
    handout::{Handout, Memory},
    health::Health,
    notify::{Mailer, WebhookEndpoints},
    providers::{Instances, Provider},
    proxy::Proxy,
    reach::Reach,
    renewal::Renewals,
    sso::Sso,
    store::{AsOf, Store},
    transfer::Transfer,
    vault::Recipient,
};
use std::{ops::Deref, sync::Arc};
use time::Duration;
use tokio_util::sync::CancellationToken;

/// Clones share everything.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// Where the encryption key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `MOORING_ENCRYPTION_KEY`, or the file that `MOORING_ENCRYPTION_KEY_FILE` names.
    Setting,
    /// The file that was generated into the data directory.
    Generated(String),
}

/// Which CA files are set.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// `MOORING_CA_FILE`.
    pub common: bool,
    /// The ids of integrations with a file of their own.
    pub own: Vec<String>,
}

pub struct Parts {
    /// The public URL, without a trailing slash. Every address that leaves is built from it alone.
    pub site_url: String,
    /// Whether the site URL is https: cookies are `Secure` with the `__Host-` prefix exactly then.
    pub is_https: bool,
    pub clock: Clock,
    pub store: Store,
    pub provider: Provider,
    pub instances: Instances,
    pub use_cases: Arc<UseCases>,
    pub connect: Connect,
    pub disconnect: Disconnect,
    pub transfer: Transfer,
    /// Whom the API may export to.
    pub export_recipients: Vec<Recipient>,
    pub handout: Handout,
    pub proxy: Proxy,
    pub health: Health,
    pub reach: Reach,
    pub renewals: Renewals,
    pub memory: Memory,
    pub webhook_endpoints: WebhookEndpoints,
    /// Single sign-on, if it is configured.
    pub sso: Option<Sso>,
    /// The pages that are open and follow what changes.
    pub followers: Followers,
    /// Where mail goes, if it does.
    pub mailer: Option<Mailer>,
    /// Where the encryption key comes from, for people: never the key.
    pub key_source: KeySource,
    /// The integrations that trust a CA of their own, and whether all trust one beside the system's.
    pub trust: Trust,
    /// How long the audit log is kept. `None`: for ever.
    pub keep_events: Option<Duration>,
    /// When warnings start before the end of what nobody renews.
    pub warn_before: Duration,
    /// Cancelled when requests should go elsewhere. They are answered until the stop.
    pub draining: CancellationToken,
    /// Cancelled when the process begins to stop.
    pub stopping: CancellationToken,
}

impl AppState {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// How a connection stands now.
    pub fn standing(&self, connection: &Connection) -> Standing {
        let AsOf { now, warn_before } = self.as_of();
        connection.standing(now, warn_before)
    }

    /// Now, for what asks the database how connections stand.
    pub fn as_of(&self) -> AsOf {
        AsOf { now: self.clock.now(), warn_before: self.warn_before }
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
