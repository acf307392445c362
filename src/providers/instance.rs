//! Where and how to speak to one installation, and which ones there are.

use crate::{
    domain::{BaseUrl, Connection, Integration, OAuthApplication, quoted_id},
    outbound::{Answer, Outbound, OutboundError},
};
use std::collections::BTreeMap;

/// Everything that a provider call needs besides the credential.
#[derive(Clone)]
pub struct Instance {
    pub base_url: BaseUrl,
    pub http: Outbound,
    pub application: Option<OAuthApplication>,
}

impl Instance {
    /// Sends `request` and reads an answer of at most `limit` bytes. Why there is none is told to the log here,
    /// once: what a person reads names the step that failed and not its cause.
    pub(super) async fn send(
        &self,
        request: reqwest::Request,
        limit: usize,
    ) -> Result<Answer, OutboundError> {
        let sent = self.http.send_with_limit(request, limit).await;
        if let Err(error) = &sent {
            let host = self.base_url.host();
            tracing::warn!(host, step = error.step(), %error, cause = error.detail(), "a call failed");
        }
        sent
    }
}

/// The installations that may be spoken to: those that the operator configured, each with its own trust,
/// and, behind the address guard, those that a user typed.
#[derive(Clone)]
pub struct Instances {
    configured: BTreeMap<String, (Integration, Outbound)>,
    typed: Option<Outbound>,
}

/// Why there is nowhere to speak to.
#[derive(Debug, thiserror::Error)]
pub enum UnknownInstance {
    #[error("There is no integration {}. The configured ones are listed at /api/v1/integrations.", quoted_id(.0))]
    Integration(String),
    #[error(
        "Connecting instances that are not configured is switched off here (MOORING_ALLOW_CUSTOM_BASE_URL)."
    )]
    TypedForbidden,
    #[error("The integration {0:?} of this connection is no longer configured.")]
    Gone(String),
    #[error("The integration {0:?} now has another base URL than this connection was made with.")]
    Moved(String),
}

impl Instances {
    /// `typed`: how to reach what a user typed; `None` where that is switched off.
    pub fn new(
        configured: impl IntoIterator<Item = (Integration, Outbound)>,
        typed: Option<Outbound>,
    ) -> Self {
        let configured = configured.into_iter().map(|(i, http)| (i.id.clone(), (i, http))).collect();
        Self { configured, typed }
    }

    pub fn integrations(&self) -> impl Iterator<Item = &Integration> {
        self.configured.values().map(|(integration, _)| integration)
    }

    pub fn integration(&self, id: &str) -> Option<&Integration> {
        self.configured.get(id).map(|(integration, _)| integration)
    }

    /// The integration that has this base URL, if the operator configured one.
    pub fn integration_at(&self, base_url: &BaseUrl) -> Option<&Integration> {
        self.integrations().find(|i| i.base_url == *base_url)
    }

    pub fn takes_typed(&self) -> bool {
        self.typed.is_some()
    }

    pub fn configured(&self, id: &str) -> Result<Instance, UnknownInstance> {
        let (integration, http) =
            self.configured.get(id).ok_or_else(|| UnknownInstance::Integration(id.to_owned()))?;
        Ok(Instance {
            base_url: integration.base_url.clone(),
            http: http.clone(),
            application: integration.application.clone(),
        })
    }

    pub fn typed(&self, base_url: BaseUrl) -> Result<Instance, UnknownInstance> {
        let http = self.typed.clone().ok_or(UnknownInstance::TypedForbidden)?;
        Ok(Instance { base_url, http, application: None })
    }

    /// Where a connection's credential may go: nowhere but where it came from.
    pub fn of(&self, connection: &Connection) -> Result<Instance, UnknownInstance> {
        self.at(connection.integration.as_deref(), &connection.base_url)
    }

    /// The same, from a connection's parts.
    pub fn at(&self, integration: Option<&str>, base_url: &BaseUrl) -> Result<Instance, UnknownInstance> {
        let Some(id) = integration else { return self.typed(base_url.clone()) };
        let instance = self.configured(id).map_err(|_| UnknownInstance::Gone(id.to_owned()))?;
        if instance.base_url != *base_url {
            return Err(UnknownInstance::Moved(id.to_owned()));
        }
        Ok(instance)
    }
}
