//! stub
pub(super) fn router(_s: &super::state::AppState) -> axum::Router<super::state::AppState> { axum::Router::new() }
