//! Moves connections to another installation, sealed to that one's recipient.
//!
//! Two that renew one credential would kill it. So whoever exports stops renewing first, hands the token out while it
//! lasts, and forgets nothing: should the file be lost, a connection is exported again or taken back.

mod document;

pub use document::{Moved, SealedExport, UnreadableExport};

use crate::{
    domain::{Actor, Clock, Connection, Reason},
    providers::Instances,
    store::{AsOf, ConnectionFilter, Store, StoreError},
    vault::Recipient,
};
use time::Duration;

/// How many connections are marked in one transaction.
const AT_ONCE: usize = 100;
/// How many are read at a time.
const PAGE: i64 = 200;

#[derive(Clone)]
pub struct Transfer {
    pub store: Store,
    pub instances: Instances,
    pub clock: Clock,
}

/// What one export brought.
#[derive(Debug)]
pub struct Export {
    pub sealed: SealedExport,
    pub exported: Vec<Connection>,
    pub left_out: Vec<LeftOut>,
}

/// A connection that stays here, and works here as before.
#[derive(Clone, Debug)]
pub struct LeftOut {
    pub connection: Connection,
    pub why: WhyLeftOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyLeftOut {
    #[error("It is being renewed, or an answer to its renewal is missing. Export it again in some minutes.")]
    RenewalUnderWay,
    #[error("Its token does not open with the encryption keys that are configured here.")]
    TokenUnreadable,
    #[error("It was exported before, and the installation that imported it has renewed its credential.")]
    RenewedElsewhere,
    #[error("It got another token, or was disconnected, in the same moment.")]
    ChangedMeanwhile,
}

impl WhyLeftOut {
    /// Stable; programs go by this.
    pub fn code(self) -> &'static str {
        match self {
            Self::RenewalUnderWay => "renewal_under_way",
            Self::TokenUnreadable => "token_unreadable",
            Self::RenewedElsewhere => "renewed_elsewhere",
            Self::ChangedMeanwhile => "changed_meanwhile",
        }
    }
}

impl Transfer {
    /// Every connection, or every one of a tenant.
    pub async fn all(&self, tenant: Option<&str>) -> Result<Vec<Connection>, StoreError> {
        let tenant = tenant.unwrap_or_default().to_owned();
        let filter = ConnectionFilter { tenant, ..ConnectionFilter::default() };
        let as_of = AsOf { now: self.clock.now(), warn_before: Duration::ZERO };
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = self.store.list_connections(&filter, as_of, before, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            before = Some(last.id);
            found.extend(page);
        }
    }

    /// Seals these connections for a recipient. From here on they are not renewed here.
    pub async fn export(
        &self,
        mut connections: Vec<Connection>,
        recipient: Recipient,
        actor: &Actor,
    ) -> Result<Export, StoreError> {
        connections.sort_by_key(|connection| connection.id);
        connections.dedup_by_key(|connection| connection.id);
        let (mut moved, mut exported, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for some in connections.chunks(AT_ONCE) {
            let detail = format!("To {recipient}.");
            let marked = self.store.mark_exported(some, &detail, self.clock.now(), actor).await?;
            for connection in some {
                match self.open(connection, marked.contains(&connection.id), actor).await? {
                    Ok(one) => {
                        moved.push(one);
                        exported.push(connection.clone());
                    }
                    Err(why) => left_out.push(LeftOut { connection: connection.clone(), why }),
                }
            }
        }
        Ok(Export { sealed: SealedExport::seal(&moved, recipient), exported, left_out })
    }

    async fn open(
        &self,
        connection: &Connection,
        is_marked: bool,
        actor: &Actor,
    ) -> Result<Result<Moved, WhyLeftOut>, StoreError> {
        if !is_marked {
            return Ok(Err(WhyLeftOut::RenewalUnderWay));
        }
        let one = match self.store.open_exported(connection.id).await {
            Ok(one) => one,
            Err(StoreError::Vault(error)) => {
                tracing::error!(connection = %connection.id, %error, "a token cannot be opened and is not exported");
                self.store.take_back(connection, self.clock.now(), actor).await?;
                return Ok(Err(WhyLeftOut::TokenUnreadable));
            }
            Err(error) => return Err(error),
        };
        Ok(match one {
            None => Err(WhyLeftOut::ChangedMeanwhile),
            Some(one) if one.held.connection.credential.stopped == Some(Reason::Exported) => {
                Err(WhyLeftOut::RenewedElsewhere)
            }
            Some(one) => Ok(Moved::of(&one, self.client_id(&one.held.connection))),
        })
    }

    /// The OAuth application that this connection's refresh token is bound to (RFC 6749 section 6).
    fn client_id(&self, connection: &Connection) -> Option<String> {
        let integration = self.instances.integration(connection.integration.as_deref()?)?;
        integration.application.as_ref().map(|application| application.client_id.clone())
    }
}
