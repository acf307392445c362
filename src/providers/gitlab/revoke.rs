//! `DELETE /personal_access_tokens/self` (GitLab docs, "Personal access token API"): a token revokes itself.
//! Project and group tokens do it there as well.
//!
//! Only a JSON body is GitLab's own word. A proxy or a sign-in page in front of it says nothing of the token.

use super::call::Call;
use crate::providers::{RevokeError, answer::read_object};
use http::{Method, StatusCode};

/// A token that is dead already is what was asked for.
pub(super) async fn revoke(call: &Call<'_>) -> Result<(), RevokeError> {
    let host = call.instance.base_url.host();
    let answer = call.send(Method::DELETE, "api/v4/personal_access_tokens/self", &[]).await.map_err(|e| {
        let message = format!("{host} could not be reached ({}).", e.step());
        RevokeError::Unavailable { message, retry_after: None }
    })?;
    match (answer.status, read_object(&answer.body).is_some()) {
        (status, _) if status.is_success() => Ok(()),
        (StatusCode::UNAUTHORIZED, true) => Ok(()),
        (
            StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED,
            true,
        ) => {
            let message = format!("{host} does not let this token revoke itself.");
            Err(RevokeError::Refused { message })
        }
        (status, _) => Err(RevokeError::Unavailable {
            message: format!("{host} answered {}.", status.as_u16()),
            retry_after: answer.retry_after(),
        }),
    }
}
