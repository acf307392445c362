//! A request's body: kept where it is small, so that the request can be sent again; else passed on as it comes.

use super::ProxyError;
use crate::outbound::Chunks;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long is waited for a body that is kept. One that is slower is passed on as it comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest body that is kept, in bytes.
pub(super) const KEPT: usize = 64 * 1024;

pub(super) enum Outgoing {
    /// There is none, which is not the same as an empty one.
    None,
    Kept(Bytes),
    Streamed(Chunks),
}

impl Outgoing {
    /// Reads as much as may be kept. What is longer is passed on with what was read before it.
    pub(super) async fn read(body: Option<Chunks>, announced: Option<u64>) -> Result<Self, ProxyError> {
        let Some(mut body) = body else { return Ok(Self::None) };
        if announced.is_some_and(|length| length > KEPT as u64) {
            return Ok(Self::Streamed(body));
        }
        let until = Instant::now() + PATIENCE;
        let mut kept = BytesMut::new();
        while kept.len() <= KEPT {
            match timeout_at(until, body.next()).await {
                Ok(Some(chunk)) => kept.extend_from_slice(&chunk.map_err(|_| ProxyError::Body)?),
                Ok(None) => return Ok(Self::Kept(kept.freeze())),
                Err(_) => break,
            }
        }
        let first = stream::once(async move { Ok(kept.freeze()) });
        Ok(Self::Streamed(first.chain(body).boxed()))
    }

    /// The same body for another attempt. `None`: it is gone with the first.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::None => Some(Self::None),
            Self::Kept(bytes) => Some(Self::Kept(bytes.clone())),
            Self::Streamed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(sizes: &[usize]) -> Chunks {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size]))).collect();
        stream::iter(chunks).boxed()
    }

    async fn length(outgoing: Outgoing) -> usize {
        match outgoing {
            Outgoing::None => 0,
            Outgoing::Kept(bytes) => bytes.len(),
            Outgoing::Streamed(body) => body.fold(0, async |sum, chunk| sum + chunk.unwrap().len()).await,
        }
    }

    #[tokio::test]
    async fn a_small_body_can_be_sent_again_and_a_large_one_not() {
        let kept = Outgoing::read(Some(chunks(&[KEPT / 2, KEPT / 2])), None).await.unwrap();
        assert!(kept.again().is_some());
        assert_eq!(length(kept).await, KEPT);
        for announced in [None, Some(KEPT as u64 + 10)] {
            let streamed = Outgoing::read(Some(chunks(&[KEPT, 5, 5])), announced).await.unwrap();
            assert!(streamed.again().is_none());
            assert_eq!(length(streamed).await, KEPT + 10, "nothing is lost of it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_takes_its_time_is_passed_on() {
        let first = stream::iter([Ok(Bytes::from_static(b"x"))]);
        let slow = Outgoing::read(Some(first.chain(stream::pending()).boxed()), None).await.unwrap();
        let Outgoing::Streamed(mut body) = slow else { panic!("it was waited for") };
        assert_eq!(body.next().await.unwrap().unwrap(), "x");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_sent() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err("gone".into())]).boxed();
        assert!(matches!(Outgoing::read(Some(broken), None).await, Err(ProxyError::Body)));
    }
}
