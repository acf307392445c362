//! `GET /version`, which GitLab refuses without a token, and in JSON: that is an answer too.

use super::call::Call;
use crate::{
    domain::Secret,
    outbound::ANSWER_LIMIT,
    providers::{InspectError, Instance},
};
use http::{HeaderValue, Method, header::ACCEPT};
use serde::Deserialize;

const VERSION: &str = "api/v4/version";

#[derive(Deserialize)]
struct Version {
    version: String,
}

pub(super) async fn greet(
    instance: &Instance,
    token: Option<&Secret>,
) -> Result<Option<String>, InspectError> {
    match token {
        Some(token) => known(&Call { instance, token }).await,
        None => stranger(instance).await,
    }
}

async fn known(call: &Call<'_>) -> Result<Option<String>, InspectError> {
    match call.get::<Version>(VERSION, &[]).await {
        Ok(told) => Ok(tellable(told.version)),
        Err(refused) => knew_us_not(refused),
    }
}

async fn stranger(instance: &Instance) -> Result<Option<String>, InspectError> {
    let nobody = Secret::new("");
    let call = Call { instance, token: &nobody };
    let mut request = reqwest::Request::new(Method::GET, instance.base_url.join(VERSION));
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = instance.send(request, ANSWER_LIMIT).await.map_err(|error| call.unreachable(&error))?;
    if answer.status.is_success() {
        return Ok(tellable(call.read::<Version>(&answer)?.version));
    }
    knew_us_not(call.refusal(&answer))
}

/// A refusal of the token in GitLab's own words says that GitLab is there.
fn knew_us_not(refused: InspectError) -> Result<Option<String>, InspectError> {
    match refused {
        InspectError::TokenInvalid { .. }
        | InspectError::TokenExpired
        | InspectError::TokenRevoked
        | InspectError::AccountBlocked { .. }
        | InspectError::Denied => Ok(None),
        other => Err(other),
    }
}

/// A version number is short and plain; anything else is not shown to anybody.
fn tellable(version: String) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    Some(version).filter(|text| !text.is_empty() && text.len() <= 40 && text.chars().all(is_plain))
}
