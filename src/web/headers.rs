//! stub
use super::state::AppState;
pub(super) fn layer(_s: &AppState) -> tower::layer::util::Identity { tower::layer::util::Identity::new() }
