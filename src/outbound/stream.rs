//! A request whose bodies are of any length, both ways: nothing is gathered, and nothing may stand still for long.

use super::{Outbound, OutboundError};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use http::{HeaderMap, StatusCode};
use reqwest::{Body, Request};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};

/// As long may nothing move, neither up nor down.
const STILL: Duration = Duration::from_mins(5);

/// Why a body broke off, in the words of whoever reads it.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body as it comes.
pub type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

/// The beginning of an answer, with its body still to come.
pub struct Streamed {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Chunks,
}

impl Outbound {
    /// Sends `request` once, with this body in place of its own if there is one. Ends when nothing has moved for five
    /// minutes; dropping the answer's body ends the call.
    pub async fn stream(
        &self,
        mut request: Request,
        body: Option<Chunks>,
    ) -> Result<Streamed, OutboundError> {
        self.guard.check_literal(request.url())?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let movement = Movement::default();
        if let Some(body) = body {
            let moving = movement.clone();
            *request.body_mut() = Some(Body::wrap_stream(body.inspect(move |_| moving.moved())));
        }
        let response = tokio::select! {
            biased;
            answered = self.execute(request) => answered?,
            () = movement.stands_still() => return Err(OutboundError::Timeout),
        };
        if !self.guard.allows_peer(&host, response.remote_addr()) {
            return Err(OutboundError::WrongPeer);
        }
        Ok(Streamed {
            status: response.status(),
            headers: response.headers().clone(),
            body: patient(response.bytes_stream().map(|chunk| chunk.map_err(BodyError::from)).boxed()),
        })
    }
}

/// Breaks off where nothing comes for too long.
fn patient(body: Chunks) -> Chunks {
    let next = async |mut body: Chunks| {
        let chunk = timeout(STILL, body.next()).await;
        chunk.unwrap_or_else(|_| Some(Err("nothing came for five minutes".into()))).map(|chunk| (chunk, body))
    };
    futures_util::stream::unfold(body, next).boxed()
}

/// When something moved last.
#[derive(Clone)]
struct Movement(Arc<Mutex<Instant>>);

impl Default for Movement {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Movement {
    fn moved(&self) {
        *self.0.lock().expect("nothing panics under this lock") = Instant::now();
    }

    async fn stands_still(&self) {
        loop {
            let until = *self.0.lock().expect("nothing panics under this lock") + STILL;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_waited_for() {
        let movement = Movement::default();
        for _ in 0..3 {
            advance(STILL / 2).await;
            movement.moved();
        }
        let began = Instant::now();
        movement.stands_still().await;
        assert_eq!(began.elapsed(), STILL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_breaks_off() {
        let first = stream::iter([Ok(Bytes::from_static(b"x"))]);
        let mut body = patient(first.chain(stream::pending()).boxed());
        assert_eq!(body.next().await.unwrap().unwrap(), "x");
        assert!(body.next().await.unwrap().is_err());
    }
}
