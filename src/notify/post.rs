//! One call of an endpoint, and what its answer means.
//!
//! The rule it guards: nothing of an answer is kept but its status, and no error names the URL, which may
//! hold a secret of the receiver's.

use super::signature::sign;
use crate::{
    outbound::{Answer, Outbound, OutboundError, Refused},
    store::WebhookTarget,
};
use http::{Method, StatusCode, header::CONTENT_TYPE};
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// Far above what an endpoint has to say; more is not read.
const ANSWER_LIMIT: usize = 16 * 1024;

/// What is sent, under the id that stays the same over all attempts.
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) body: &'a str,
}

/// How an endpoint answered.
pub(super) struct Answered {
    pub(super) status: Option<StatusCode>,
    /// `None`: it was taken.
    pub(super) error: Option<String>,
    /// How long it wants to be left alone.
    pub(super) retry_after: Duration,
}

impl Answered {
    fn with(status: StatusCode, retry_after: Option<Duration>) -> Self {
        let error = (!status.is_success()).then(|| refusal(status));
        let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = retry_after.filter(|_| busy).unwrap_or_default();
        Self { status: Some(status), error, retry_after }
    }

    fn not(error: String) -> Self {
        Self { status: None, error: Some(error), retry_after: Duration::ZERO }
    }
}

/// Sends one message, signed, once.
pub(super) async fn post(
    http: &Outbound,
    target: &WebhookTarget,
    message: &Message<'_>,
    now: OffsetDateTime,
) -> Answered {
    let Ok(url) = Url::parse(&target.url) else {
        return Answered::not("The endpoint's URL cannot be read.".into());
    };
    let timestamp = now.unix_timestamp();
    let request = http
        .request(Method::POST, url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", sign(&target.secrets, message.id, timestamp, message.body))
        .body(message.body.to_owned())
        .build();
    let Ok(request) = request else { return Answered::not("The request could not be built.".into()) };
    answered(http.send_with_limit(request, ANSWER_LIMIT).await)
}

/// A body that is too long or breaks off changes nothing: the status says it all.
fn answered(result: Result<Answer, OutboundError>) -> Answered {
    match result {
        Ok(answer) => Answered::with(answer.status, answer.retry_after()),
        Err(OutboundError::TooLarge { status, .. } | OutboundError::Interrupted { status, .. }) => {
            Answered::with(status, None)
        }
        Err(OutboundError::Forbidden(Refused::Scheme)) => {
            Answered::not("Plain http is not allowed to this host any more.".into())
        }
        Err(error) => Answered::not(error.to_string()),
    }
}

fn refusal(status: StatusCode) -> String {
    if status.is_redirection() {
        return format!("The endpoint answered {}, and redirects are not followed.", status.as_u16());
    }
    format!("The endpoint answered {}.", status.as_u16())
}
