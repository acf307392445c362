//! What stands in for traces in a build without the feature `otlp`: nothing.

use super::MoreLayers;
use http::HeaderMap;
use tracing::Span;

/// Nowhere.
#[derive(Default)]
pub struct Traces;

impl Traces {
    pub fn layer(&self) -> MoreLayers {
        None
    }

    #[expect(clippy::unused_async, reason = "with traces, this waits")]
    pub async fn stop(self) {}
}

pub fn take_up(_span: &Span, _headers: &HeaderMap) {}
