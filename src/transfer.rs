//! Moves connections to another installation, sealed to that one's recipient.
//!
//! Two that renew one credential would kill it. So whoever exports stops renewing before anything leaves, hands the token
//! out while it lasts, and forgets nothing: should the file be lost, a connection is exported again to the same recipient,
//! or taken back.

mod document;

pub use document::{Moved, SealedExport, UnreadableExport};

use crate::{
    domain::{Actor, Clock, Connection, Reason, RenewalKind},
    providers::Instances,
    store::{AsOf, ConnectionFilter, Mark, Store, StoreError, WholeConnection},
    vault::Recipient,
};
use std::collections::HashSet;
use time::{Duration, OffsetDateTime};

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
        let (mut moved, mut left_out) = (Vec::new(), Vec::new());
        for some in connections.chunks(AT_ONCE) {
            let (mut opened, mut readable) = (Vec::new(), Vec::new());
            for connection in some {
                match self.open(connection).await? {
                    Ok(one) => opened.push((one, connection)),
                    Err(why) => left_out.push(LeftOut { connection: connection.clone(), why }),
                }
            }
            readable.extend(opened.iter().map(|(one, _)| &one.held.connection));
            let marks = self.store.mark_exported(&readable, recipient, at, actor).await?;
            for ((one, connection), mark) in opened.into_iter().zip(marks) {
                match WhyLeftOut::of(mark) {
                    None => moved.push(Moved::of(&one, self.client_id(&one.held.connection))),
                    Some(why) => left_out.push(LeftOut { connection: connection.clone(), why }),
                }
            }
        }
        self.finish(connections, moved, left_out, (at, recipient)).await
    }

    /// Whoever was taken back, reauthorized or disconnected while others were read does not leave.
    async fn finish(
        &self,
        mut connections: Vec<Connection>,
        mut moved: Vec<Moved>,
        mut left_out: Vec<LeftOut>,
        (at, recipient): (OffsetDateTime, Recipient),
    ) -> Result<Export, StoreError> {
        let marked = self.store.exported_at(at).await?;
        moved.retain(|one| marked.contains(&one.id));
        let leave: HashSet<_> = moved.iter().map(|one| one.id).collect();
        let told: HashSet<_> = left_out.iter().map(|one| one.connection.id).collect();
        connections.retain(|connection| {
            let is_missing = !leave.contains(&connection.id) && !told.contains(&connection.id);
            if is_missing {
                let why = WhyLeftOut::ChangedMeanwhile;
                left_out.push(LeftOut { connection: connection.clone(), why });
            }
            leave.contains(&connection.id)
        });
        Ok(Export { sealed: SealedExport::seal(&moved, recipient), exported: connections, left_out })
    }

    async fn open(&self, connection: &Connection) -> Result<Result<WholeConnection, WhyLeftOut>, StoreError> {
        let one = match self.store.open_whole(connection.id).await {
            Ok(Some(one)) => one,
            Ok(None) => return Ok(Err(WhyLeftOut::ChangedMeanwhile)),
            Err(StoreError::Vault(error)) => {
                tracing::error!(connection = %connection.id, %error, "a token cannot be opened and is not exported");
                return Ok(Err(WhyLeftOut::TokenUnreadable));
            }
            Err(error) => return Err(error),
        };
        let facts = &one.held.connection.credential;
        let is_lost = facts.failure.as_ref().is_some_and(|f| f.code == Reason::RenewalAnswerLost);
        Ok(if facts.stopped == Some(Reason::Exported) {
            Err(WhyLeftOut::RenewedElsewhere)
        } else if facts.stopped.is_none() && is_lost {
            Err(WhyLeftOut::RenewalInDoubt)
        } else if facts.renewal == RenewalKind::Refresh && self.client_id(&one.held.connection).is_none() {
            Err(WhyLeftOut::NoApplication)
        } else {
            Ok(one)
        })
    }

    /// The OAuth application that this connection's refresh token is bound to (RFC 6749 section 6).
    fn client_id(&self, connection: &Connection) -> Option<String> {
        let integration = self.instances.integration(connection.integration.as_deref()?)?;
        integration.application.as_ref().map(|application| application.client_id.clone())
    }
}
