//! A whole answer, read up to a limit, or as much of one as arrived.
//!
//! The rule it guards: no host decides how much memory we use, no answer shows its body in a log, and what
//! did arrive of an answer is not thrown away, because it may hold a token that exists nowhere else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{DATE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use zeroize::Zeroizing;

use super::error::OutboundError;
use super::patience::Patience;

/// What the host answered, whatever the status.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(super) async fn read(
        mut response: Response,
        limit: usize,
        patience: &mut Patience,
    ) -> Result<Self, OutboundError> {
        let status = response.status();
        let announced = response.content_length().map_or(0, |l| usize::try_from(l).unwrap_or(usize::MAX));
        // A wrong length is no reason to leave what is there unread, so nothing is refused by its length alone.
        let mut body = Zeroizing::new(Vec::with_capacity(announced.min(limit)));
        let error = loop {
            let Some(chunk) = patience.wait(response.chunk()).await else {
                if announced > limit {
                    break None;
                }
                return Err(OutboundError::too_slow(status, Arrived::new(body)));
            };
            match chunk {
                Ok(Some(chunk)) => {
                    let room = limit - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break None;
                    }
                }
                Ok(None) => {
                    return Ok(Self { status, headers: std::mem::take(response.headers_mut()), body });
                }
                Err(error) => break Some(error).filter(|_| announced <= limit),
            }
        };
        let arrived = Arrived::new(body);
        Err(match error {
            Some(error) => OutboundError::after_headers(status, error, arrived),
            None => OutboundError::TooLarge { status, limit, arrived },
        })
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

/// The beginning of a body whose end never came. Clones share the bytes; they are wiped with the last one.
#[derive(Clone, Default)]
pub struct Arrived(Arc<Zeroizing<Vec<u8>>>);

impl Arrived {
    fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Arc::new(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Two errors are the same whatever had arrived: secrets are not compared.
impl PartialEq for Arrived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Arrived {}

/// The bytes can hold tokens, so they are only counted.
impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrived({} bytes)", self.0.len())
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
            let answer =
                Answer { status: StatusCode::OK, headers: headers.collect(), body: Zeroizing::default() };
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
