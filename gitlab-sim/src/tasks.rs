//! The one place that starts tasks.

use tokio::task::JoinHandle;

/// Runs a future on its own, so that it ends whatever its caller does.
#[expect(clippy::disallowed_methods, reason = "the simulator's only place that spawns")]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}
