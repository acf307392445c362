//! Credentials that a provider gave and the database would not take yet. Their answers are in the spool, so they
//! may be handed out: the ones that the database still has are dead.

use crate::{
    domain::{ConnectionId, Credential},
    store::Held,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// Clones share what is kept.
#[derive(Clone, Default)]
pub(super) struct Uncommitted {
    kept: Arc<Mutex<HashMap<ConnectionId, Arc<Held>>>>,
    more: Arc<Notify>,
}

impl Uncommitted {
    pub(super) fn keep(&self, was: &Held, next: &Credential) {
        let mut connection = was.connection.clone();
        let facts = &mut connection.credential;
        facts.generation += 1;
        (facts.obtained_at, facts.expires_at) = (next.obtained_at, next.expires_at);
        (facts.stopped, facts.failure) = (None, None);
        facts.scopes = next.scopes.clone();
        let held = Arc::new(Held { connection, credential: next.clone() });
        self.kept.lock().expect("nothing panics under this lock").insert(held.connection.id, held);
        self.more.notify_waiters();
    }

    pub(super) fn forget(&self, id: ConnectionId) {
        self.kept.lock().expect("nothing panics under this lock").remove(&id);
    }

    /// Waits until there is one for this connection that will do.
    pub(super) async fn wait(&self, id: ConnectionId, will_do: impl Fn(&Held) -> bool) -> Arc<Held> {
        loop {
            let more = self.more.notified();
            let kept = self.kept.lock().expect("nothing panics under this lock").get(&id).cloned();
            if let Some(held) = kept.filter(|held| will_do(held)) {
                return held;
            }
            more.await;
        }
    }

    pub(super) fn find(&self, reference: &str, tenant: Option<&str>) -> Option<Arc<Held>> {
        let kept = self.kept.lock().expect("nothing panics under this lock");
        let mut fitting = kept.values().filter(|held| {
            let connection = &held.connection;
            let named = connection.name == reference || connection.id.to_string() == reference;
            named && tenant.is_none_or(|t| connection.tenant.as_deref().unwrap_or_default() == t)
        });
        fitting.next().filter(|_| fitting.next().is_none()).cloned()
    }
}
