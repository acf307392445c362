//! Whether a token may rotate itself, asked when a person chooses it and not when it is due.

use crate::{
    domain::TokenKind,
    providers::{InspectError, Inspection, RotationRefusal, gitlab::call::Call},
};
use serde::Deserialize;

/// Since 17.9. Before that, and beside it, `api` is enough.
const SCOPE: &str = "self_rotate";
const WIDER: &str = "api";

/// The first version with `personal_access_tokens/self/rotate`.
const SINCE: (u32, u32) = (16, 10);

pub(in crate::providers::gitlab) async fn may_rotate(
    call: &Call<'_>,
    found: &Inspection,
) -> Result<(), RotationRefusal> {
    let unsupported = |message: &str| Err(RotationRefusal::Unsupported { message: message.to_owned() });
    if found.token_kind == TokenKind::OAuth {
        return unsupported(
            "An OAuth access token cannot rotate itself. Connect by OAuth: then it renews itself.",
        );
    }
    if found.scopes.holds("granular") {
        return unsupported(
            "A fine-grained token does not tell whether it may rotate itself. Rotate it by hand, or use a token \
             with the scope self_rotate.",
        );
    }
    if !found.scopes.holds(SCOPE) && !found.scopes.holds(WIDER) {
        return Err(RotationRefusal::InsufficientScope { scope: SCOPE, wider: WIDER });
    }
    match version(call).await? {
        Some(version) if version < SINCE => {
            let (host, (major, minor)) = (call.host(), version);
            unsupported(&format!(
                "{host} is GitLab {major}.{minor}, and tokens rotate themselves from 16.10 on. Rotate it by hand."
            ))
        }
        _ => Ok(()),
    }
}

/// `GET /version`. `None`: the token may not ask, or the number is not readable. That is no reason to refuse.
async fn version(call: &Call<'_>) -> Result<Option<(u32, u32)>, InspectError> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    match call.get::<Version>("api/v4/version", &[]).await {
        Ok(told) => Ok(major_and_minor(&told.version)),
        Err(InspectError::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_whatever_follows_it() {
        assert_eq!(major_and_minor("19.1.1-ee"), Some((19, 1)));
        assert_eq!(major_and_minor("19.0.0-pre"), Some((19, 0)));
        assert_eq!(major_and_minor("16.9"), Some((16, 9)));
        assert_eq!(major_and_minor("17.0-rc42-ee"), Some((17, 0)));
        assert_eq!(major_and_minor("unknown"), None);
        assert!(major_and_minor("16.9.11").unwrap() < SINCE && (16, 10) >= SINCE);
    }
}
