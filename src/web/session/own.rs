//! The sessions of one operator, as their owner sees them.

use super::{ADDRESS, AGENT, BEGAN, SEEN, SignedIn};
use crate::{store::StoreError, web::state::AppState};
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// One browser in which somebody is signed in.
#[derive(Clone, Debug)]
pub struct OwnSession {
    /// Under what it is kept. It opens nothing: the cookie holds what this is a hash of.
    pub key: Vec<u8>,
    /// Whether it is the one that asks.
    pub is_this: bool,
    pub agent: String,
    pub address: Option<String>,
    pub began: OffsetDateTime,
    /// Up to ten minutes ago.
    pub seen: OffsetDateTime,
}

/// All sessions of who asks: this one first, then as they were used last.
pub async fn own_sessions(state: &AppState, who: &SignedIn) -> Result<Vec<OwnSession>, StoreError> {
    let stored = state.store.list_sessions(who.operator.id, state.clock.now()).await?;
    let read = |session: crate::store::StoredSession| {
        let data: Map<String, Value> = serde_json::from_str(&session.data).unwrap_or_default();
        let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        let instant = |name: &str| data.get(name).and_then(Value::as_i64).and_then(at);
        OwnSession {
            is_this: session.id_hash == who.session_key,
            key: session.id_hash,
            agent: text(AGENT).unwrap_or_default(),
            address: text(ADDRESS),
            began: instant(BEGAN).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            seen: instant(SEEN).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    };
    let mut all: Vec<_> = stored.into_iter().map(read).collect();
    all.sort_by_key(|session| (!session.is_this, std::cmp::Reverse(session.seen)));
    Ok(all)
}

fn at(seconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}
