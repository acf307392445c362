//! stub
pub(super) fn router() -> axum::Router<super::state::AppState> { axum::Router::new() }
