//! The encryption keys: which is active, where it comes from, and what still depends on older ones. Never a key.

use super::frame;
use crate::{
    store::SealedCounts,
    vault::KeyId,
    web::{
        KeySource,
        pages::{Frame, ok, problem::Failure},
        session::SignedIn,
        state::AppState,
    },
};
use askama::Template;
use axum::{extract::State, response::Response};

#[derive(Template)]
#[template(path = "settings/encryption.html")]
struct EncryptionPage {
    frame: Frame,
    notice: Option<String>,
    source: KeySource,
    keys: Vec<KeyView>,
    /// Whether something is sealed under a key that is not here: it cannot be opened.
    is_missing_one: bool,
}

struct KeyView {
    id: String,
    state: KeyState,
    sealed: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Active,
    Retired,
    Missing,
}

pub(super) async fn show(State(state): State<AppState>, who: SignedIn) -> Result<Response, Failure> {
    let keys = keys(state.store.key_ids(), &state.store.sealed_counts().await?);
    Ok(ok(EncryptionPage {
        frame: frame(&who, "encryption"),
        notice: None,
        source: state.key_source.clone(),
        is_missing_one: keys.iter().any(|key| key.state == KeyState::Missing),
        keys,
    }))
}

/// The active key, the retired ones, and those that something is sealed under although they are not here.
fn keys((active, retired): (KeyId, Vec<KeyId>), counts: &SealedCounts) -> Vec<KeyView> {
    let view = |id: &KeyId, state| KeyView {
        id: id.to_string(),
        state,
        sealed: counts.get(id).copied().unwrap_or_default(),
    };
    let missing = counts.keys().filter(|id| **id != active && !retired.contains(id));
    let mut keys = vec![view(&active, KeyState::Active)];
    keys.extend(retired.iter().map(|id| view(id, KeyState::Retired)));
    keys.extend(missing.map(|id| view(id, KeyState::Missing)));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_here_is_told() {
        let id = |byte| KeyId::from_head(&[byte; 4]).unwrap();
        let counts = SealedCounts::from([(id(1), 5), (id(3), 2)]);
        let keys = keys((id(1), vec![id(2)]), &counts);
        assert_eq!(keys.iter().map(|key| key.sealed).collect::<Vec<_>>(), [5, 0, 2]);
        let page = EncryptionPage {
            frame: Frame::sample(),
            notice: None,
            source: KeySource::Generated("/data/encryption.key".into()),
            keys,
            is_missing_one: true,
        };
        let html = page.render().unwrap();
        assert!(html.contains("03030303") && html.contains("cannot be opened"));
        assert!(html.contains("/data/encryption.key") && html.contains("02020202"));
    }
}
