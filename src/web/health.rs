//! Whether the process lives, and whether it can do its work.

use super::{error::Problem, state::AppState};
use axum::{extract::State, http::StatusCode};

/// Lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Can do its work: the database answers, and no stop is ahead.
pub(super) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    let not_ready = |detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail);
    if state.draining.is_cancelled() {
        return Err(not_ready("This process is stopping."));
    }
    state.store.ping().await.map_err(|cause| {
        tracing::warn!(%cause, "the database does not answer");
        not_ready("The database does not answer.")
    })?;
    Ok("ready\n")
}
