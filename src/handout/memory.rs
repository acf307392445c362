//! What hand-outs remember: opened credentials and API keys, until a change makes them stale.

use crate::{
    domain::{Change, ConnectionId},
    store::{ApiKey, Held},
};
use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

/// Beyond this everything is forgotten and read anew. Memory stays bounded without counting ages.
const MOST: usize = 50_000;

/// Clones share what is remembered.
#[derive(Clone, Default)]
pub struct Memory(Arc<RwLock<Remembered>>);

#[derive(Default)]
struct Remembered {
    /// Raised by every change, so that what was read before a change is not kept after it.
    generation: u64,
    held: HashMap<ConnectionId, Arc<Held>>,
    /// By reference and tenant, as they were asked for.
    ids: HashMap<(String, Option<String>), ConnectionId>,
    keys: HashMap<String, Arc<ApiKey>>,
}

impl Memory {
    /// Remember this before reading, and give it to `keep` after.
    pub fn generation(&self) -> u64 {
        self.read(|r| r.generation)
    }

    /// The opened credential behind a reference, if it is remembered.
    pub fn held(&self, reference: &str, tenant: Option<&str>) -> Option<Arc<Held>> {
        self.read(|r| {
            let id = r.ids.get(&(reference.to_owned(), tenant.map(str::to_owned)))?;
            r.held.get(id).cloned()
        })
    }

    pub fn keep(&self, reference: &str, tenant: Option<&str>, held: &Arc<Held>, read_at: u64) {
        self.write(read_at, |r| {
            let id = held.connection.id;
            r.ids.insert((reference.to_owned(), tenant.map(str::to_owned)), id);
            r.held.insert(id, Arc::clone(held));
        });
    }

    pub fn key(&self, id: &str) -> Option<Arc<ApiKey>> {
        self.read(|r| r.keys.get(id).cloned())
    }

    pub fn keep_key(&self, key: &Arc<ApiKey>, read_at: u64) {
        self.write(read_at, |r| {
            r.keys.insert(key.id.clone(), Arc::clone(key));
        });
    }

    /// Forgets what a change makes stale. A name that was looked up in all tenants goes too: the connection that
    /// changed may have that name now, and then it means no one connection any more.
    pub fn forget(&self, change: &Change) {
        let mut r = self.0.write().expect("nothing panics under this lock");
        r.generation += 1;
        match change {
            Change::Connection(id) => {
                r.held.remove(id);
                r.ids.retain(|(reference, tenant), known| {
                    known != id && (tenant.is_some() || *reference == known.to_string())
                });
            }
            Change::Circuit => r.held.clear(),
            Change::ApiKey(id) => {
                r.keys.remove(id);
            }
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Remembered) -> T) -> T {
        look(&self.0.read().expect("nothing panics under this lock"))
    }

    fn write(&self, read_at: u64, keep: impl FnOnce(&mut Remembered)) {
        let mut r = self.0.write().expect("nothing panics under this lock");
        if r.generation != read_at {
            return;
        }
        if r.ids.len() >= MOST || r.keys.len() >= MOST {
            let generation = r.generation;
            *r = Remembered { generation, ..Remembered::default() };
        }
        keep(&mut r);
    }
}
