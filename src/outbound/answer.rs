//! A whole answer, read up to a limit.
//!
//! The rule it guards: no host decides how much memory we use, and no answer shows its body in a log.

use std::fmt;
use std::time::Duration;

use http::header::{DATE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

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

    /// `Retry-After` in both forms (RFC 9110 section 10.2.3), one hour at most.
    pub fn retry_after(&self) -> Option<Duration> {
        const MOST: u64 = 3_600;
        let text = self.text(&RETRY_AFTER)?.trim();
        let seconds = text.parse::<u64>().ok().or_else(|| {
            let when = OffsetDateTime::parse(text, &Rfc2822).ok()?;
            let sent = OffsetDateTime::parse(self.text(&DATE)?, &Rfc2822).ok()?;
            u64::try_from((when - sent).whole_seconds()).ok()
        })?;
        Some(Duration::from_secs(seconds.min(MOST)))
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_comes_in_two_forms_and_has_a_limit() {
        let of = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, v)| (HeaderName::from_static(name), v.parse().unwrap()));
            let answer = Answer { status: StatusCode::OK, headers: headers.collect(), body: vec![] };
            answer.retry_after().map(|d| d.as_secs())
        };
        assert_eq!(of(&[("retry-after", "30")]), Some(30));
        assert_eq!(of(&[("retry-after", "999999")]), Some(3_600));
        assert_eq!(of(&[("retry-after", "-1")]), None);
        let dates =
            [("date", "Sat, 21 Nov 2026 10:00:00 GMT"), ("retry-after", "Sat, 21 Nov 2026 10:02:00 GMT")];
        assert_eq!(of(&dates), Some(120));
        assert_eq!(of(&[]), None);
    }
}
