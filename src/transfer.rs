//! Moves connections to another installation, sealed to that one's recipient.
//!
//! Two that renew one credential would kill it. So whoever exports stops renewing before anything leaves, hands the token
//! out while it lasts, and forgets nothing: should the file be lost, a connection is exported again to the same recipient,
//! or taken back.

mod document;

pub use document::{Moved, SealedExport, UnreadableExport};

use crate::{
    domain::{Actor, Clock, Connection, Failure, Reason, RenewalKind},
    providers::Instances,
    store::{AsOf, ConnectionFilter, Held, Mark, Store, StoreError},
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
    #[error("It is being renewed just now. Export it again in a minute.")]
    RenewalUnderWay,
    #[error(
        "The answer to a renewal is missing, so nobody knows whether its credential still works. Reauthorize it, or rotate \
         its token, and export it then."
    )]
    RenewalInDoubt,
    #[error(
        "It was exported to another recipient before. Take it back first, if that one did not import it."
    )]
    ExportedElsewhere,
    #[error("It was exported before, and the installation that imported it has renewed its credential.")]
    RenewedElsewhere,
    #[error("Its token does not open with the encryption keys that are configured here.")]
    TokenUnreadable,
    #[error("Its integration has no OAuth application here any more, so nobody can tell which one it needs.")]
    NoApplication,
    #[error("It was changed, taken back or disconnected in the same moment.")]
    ChangedMeanwhile,
}

impl WhyLeftOut {
    /// Stable; programs go by this.
    pub fn code(self) -> &'static str {
        match self {
            Self::RenewalUnderWay => "renewal_under_way",
            Self::RenewalInDoubt => "renewal_in_doubt",
            Self::ExportedElsewhere => "exported_elsewhere",
            Self::RenewedElsewhere => "renewed_elsewhere",
            Self::TokenUnreadable => "token_unreadable",
            Self::NoApplication => "integration_misconfigured",
            Self::ChangedMeanwhile => "changed_meanwhile",
        }
    }

    fn of(mark: Mark) -> Option<Self> {
        match mark {
            Mark::Made => None,
            Mark::UnderWay => Some(Self::RenewalUnderWay),
            Mark::InDoubt => Some(Self::RenewalInDoubt),
            Mark::Elsewhere => Some(Self::ExportedElsewhere),
            Mark::Changed => Some(Self::ChangedMeanwhile),
        }
    }
}

/// Why a connection is not opened.
enum Stays {
    Why(WhyLeftOut),
    Store(StoreError),
}

impl From<WhyLeftOut> for Stays {
    fn from(why: WhyLeftOut) -> Self {
        Self::Why(why)
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
        let at = self.clock.now();
        let (mut leaving, mut left_out) = (Vec::new(), Vec::new());
        for some in connections.chunks(AT_ONCE) {
            let mut opened = Vec::new();
            for connection in some {
                match self.open(connection).await {
                    Ok(held) => opened.push(held),
                    Err(Stays::Why(why)) => left_out.push(LeftOut { connection: connection.clone(), why }),
                    Err(Stays::Store(error)) => return Err(error),
                }
            }
            let read: Vec<_> = opened.iter().map(|held| &held.connection).collect();
            let marks = self.store.mark_exported(&read, recipient, at, actor).await?;
            for (held, mark) in opened.into_iter().zip(marks) {
                match WhyLeftOut::of(mark) {
                    None => leaving.push(held),
                    Some(why) => left_out.push(LeftOut { connection: held.connection, why }),
                }
            }
        }
        let marked = self.store.exported_at(at).await?;
        let (mut moved, mut exported) = (Vec::new(), Vec::new());
        for held in leaving {
            let connection = held.connection.clone();
            // Whoever was taken back or reauthorized while others were read does not leave.
            match marked.get(&connection.id) {
                Some(brought_hash) => {
                    moved.push(Moved::of(held, self.client_id(&connection), brought_hash.clone()));
                    exported.push(connection);
                }
                None => left_out.push(LeftOut { connection, why: WhyLeftOut::ChangedMeanwhile }),
            }
        }
        Ok(Export { sealed: SealedExport::seal(&moved, recipient), exported, left_out })
    }

    async fn open(&self, connection: &Connection) -> Result<Held, Stays> {
        let held = match self.store.open_credential(connection.id).await {
            Ok(held) => held.ok_or(WhyLeftOut::ChangedMeanwhile)?,
            Err(StoreError::Vault(error)) => {
                tracing::error!(connection = %connection.id, %error, "a token cannot be opened and is not exported");
                return Err(WhyLeftOut::TokenUnreadable.into());
            }
            Err(error) => return Err(Stays::Store(error)),
        };
        let facts = &held.connection.credential;
        let lost = |failure: &Failure| failure.code == Reason::RenewalAnswerLost;
        if facts.stopped == Some(Reason::Exported) {
            return Err(WhyLeftOut::RenewedElsewhere.into());
        }
        if facts.stopped.is_none() && facts.failure.as_ref().is_some_and(lost) {
            return Err(WhyLeftOut::RenewalInDoubt.into());
        }
        if facts.renewal == RenewalKind::Refresh && self.client_id(connection).is_none() {
            return Err(WhyLeftOut::NoApplication.into());
        }
        Ok(held)
    }

    /// The OAuth application that this connection's refresh token is bound to (RFC 6749 section 6).
    fn client_id(&self, connection: &Connection) -> Option<String> {
        let integration = self.instances.integration(connection.integration.as_deref()?)?;
        integration.application.as_ref().map(|application| application.client_id.clone())
    }
}
