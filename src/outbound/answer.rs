//! A whole answer, read up to a limit.
//!
//! The rule it guards: no host decides how much memory we use, and no answer shows its body in a log.

use std::fmt;

use http::{HeaderMap, StatusCode};
use reqwest::Response;

use super::error::OutboundError;

/// What the host answered, whatever the status.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) async fn read(mut response: Response, limit: usize) -> Result<Self, OutboundError> {
        let status = response.status();
        let too_large = OutboundError::TooLarge { status, limit };
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large);
        }
        let mut body = Vec::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) =
            response.chunk().await.map_err(|error| OutboundError::after_headers(status, error))?
        {
            if chunk.len() > limit - body.len() {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, headers: std::mem::take(response.headers_mut()), body })
    }
}

/// Headers can hold cookies and the body tokens, so both are only counted.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
