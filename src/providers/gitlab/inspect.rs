//! What a token is, found by asking: `personal_access_tokens/self`, then `user`; for an OAuth access token
//! `oauth/token/info`.
//!
//! A token with repository scopes alone, or a fine-grained one, may be refused every question (403) and
//! still be good: it is recognised, not refused.

use super::{
    account::{User, token_kind},
    call::Call,
};
use crate::{
    domain::{Account, AccountKind, Scopes, Secret, TokenKind},
    outbound::Answer,
    providers::{InspectError, Inspection},
};
use http::{Method, StatusCode};
use serde::Deserialize;
use time::{Date, Duration, OffsetDateTime, macros::format_description};

/// Prefixes of GitLab's other secrets (GitLab docs, "Token overview"), for a helpful word. A prefix never
/// proves that something *is* an access token.
const OTHER_SECRETS: [(&str, &str); 8] = [
    ("glrt-", "a runner authentication token"),
    ("glrtr-", "a runner authentication token"),
    ("gldt-", "a deploy token"),
    ("glptt-", "a pipeline trigger token"),
    ("glcbt-", "a CI/CD job token"),
    ("gloas-", "an OAuth application's secret"),
    ("glft-", "a feed token"),
    ("glagent-", "an agent token"),
];

pub(super) const SELF: &str = "api/v4/personal_access_tokens/self";

pub(super) fn presentable(token: &Secret) -> Result<(), InspectError> {
    let text = token.expose();
    let refuse = |message: &str| Err(InspectError::TokenInvalid { message: message.to_owned() });
    if text.is_empty() {
        return refuse("Paste the access token.");
    }
    if text.len() > 4_096 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse(
            "This is not an access token: it is too long, or has spaces or other characters no token has.",
        );
    }
    match OTHER_SECRETS.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        Some((_, what)) => refuse(&format!(
            "This looks like {what}. Mooring needs a personal, project or group access token."
        )),
        None => Ok(()),
    }
}

pub(super) async fn inspect(
    call: &Call<'_>,
    believed: Option<TokenKind>,
    now: OffsetDateTime,
) -> Result<Inspection, InspectError> {
    presentable(call.token)?;
    let answer = call.send(Method::GET, SELF, &[]).await.map_err(|e| call.unreachable(&e))?;
    let found = match answer.status {
        status if status.is_success() => of_access_token(call, call.read(&answer)?, believed).await?,
        StatusCode::BAD_REQUEST => of_oauth_token(call, now).await?,
        _ => match call.refusal(&answer) {
            InspectError::Denied if knows_the_token(&answer) => of_silent_token(call, believed).await?,
            InspectError::Denied => return Err(call.not_gitlab("answered what GitLab would not")),
            refusal => return Err(refusal),
        },
    };
    match believed {
        Some(believed) if found.kind_is_sure && believed != found.token_kind => {
            Err(InspectError::WrongKind { believed, found: found.token_kind })
        }
        _ => Ok(found),
    }
}

/// A token that may not ask this is told so by this name. Other JSON APIs answer 403 and 404 as well.
pub(super) fn knows_the_token(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal = serde_json::from_slice::<Refusal>(&answer.body);
    let named = |r: Refusal| matches!(&*r.error, "insufficient_granular_scope" | "insufficient_scope");
    answer.status == StatusCode::FORBIDDEN && refusal.is_ok_and(named)
}

/// `GET /user`. Every scope of an OAuth application that Mooring asks for may ask this.
pub(super) async fn identify(call: &Call<'_>) -> Result<Account, InspectError> {
    Ok(call.get::<User>("api/v4/user", &[]).await?.into_account())
}

/// Whether the token is alive. An OAuth access token is told 400 here, a narrow one 403: both were let in.
pub(super) async fn probe(call: &Call<'_>) -> Result<(), InspectError> {
    let answer = call.send(Method::GET, SELF, &[]).await.map_err(|e| call.unreachable(&e))?;
    if answer.status.is_success() || answer.status == StatusCode::BAD_REQUEST {
        return Ok(());
    }
    match call.refusal(&answer) {
        InspectError::Denied => Ok(()),
        refusal => Err(refusal),
    }
}

/// `GET /personal_access_tokens/self`: the same for personal, project, group and service-account tokens.
#[derive(Deserialize)]
struct AccessToken {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    user_id: i64,
    #[serde(default)]
    expires_at: Option<String>,
}

async fn of_access_token(
    call: &Call<'_>,
    token: AccessToken,
    believed: Option<TokenKind>,
) -> Result<Inspection, InspectError> {
    let account = who(call).await?;
    Ok(Inspection {
        token_kind: account.as_ref().map(token_kind).or(believed).unwrap_or(TokenKind::Personal),
        kind_is_sure: account.is_some(),
        account: Some(account.unwrap_or_else(|| only_id(token.user_id, believed))),
        token_name: token.name,
        scopes: token.scopes.into_iter().collect(),
        expires_at: token.expires_at.as_deref().map(|date| ends(call, date)).transpose()?,
    })
}

/// `GET /oauth/token/info` at the instance's root: what an OAuth access token may do, and for how long.
#[derive(Deserialize)]
struct TokenInfo {
    #[serde(default)]
    scope: Vec<String>,
    #[serde(alias = "expires_in_seconds", default)]
    expires_in: Option<i64>,
    resource_owner_id: i64,
}

async fn of_oauth_token(call: &Call<'_>, now: OffsetDateTime) -> Result<Inspection, InspectError> {
    let answer = call.ask("oauth/token/info", &[]).await.map_err(|error| match error {
        InspectError::Denied => call.not_gitlab("does not know GitLab's OAuth endpoints"),
        error => error,
    })?;
    let mut fields: serde_json::Map<String, serde_json::Value> = call.read(&answer)?;
    fields.remove("expires_in_seconds");
    let info: TokenInfo = serde_json::from_value(fields.into())
        .map_err(|_| call.not_gitlab("answered something else than GitLab's JSON"))?;
    let account = who(call).await?;
    Ok(Inspection {
        token_kind: TokenKind::OAuth,
        kind_is_sure: true,
        account: Some(account.unwrap_or_else(|| only_id(info.resource_owner_id, None))),
        token_name: None,
        scopes: info.scope.into_iter().collect(),
        expires_at: info.expires_in.and_then(|seconds| now.checked_add(Duration::seconds(seconds.max(0)))),
    })
}

/// A fine-grained token may be refused its own record. That GitLab knows it shows in the 403.
async fn of_silent_token(call: &Call<'_>, believed: Option<TokenKind>) -> Result<Inspection, InspectError> {
    let account = who(call).await?;
    Ok(Inspection {
        token_kind: account.as_ref().map(token_kind).or(believed).unwrap_or(TokenKind::Personal),
        kind_is_sure: account.is_some(),
        account,
        token_name: None,
        scopes: Scopes::parse("granular"),
        expires_at: None,
    })
}

/// `GET /user`; `None` where the token may not ask.
async fn who(call: &Call<'_>) -> Result<Option<Account>, InspectError> {
    match call.get::<User>("api/v4/user", &[]).await {
        Ok(user) => Ok(Some(user.into_account())),
        Err(InspectError::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An account that may not be asked for. Its kind follows from what a person said the token is.
fn only_id(id: i64, believed: Option<TokenKind>) -> Account {
    let kind = match believed {
        Some(TokenKind::Project) => AccountKind::ProjectBot,
        Some(TokenKind::Group) => AccountKind::GroupBot,
        _ => AccountKind::User,
    };
    Account { id, username: None, name: None, kind, web_url: None, resource: None }
}

fn ends(call: &Call<'_>, date: &str) -> Result<OffsetDateTime, InspectError> {
    midnight(date).ok_or_else(|| call.not_gitlab("answered with an end of the token that is no date"))
}

/// A token dies at 00:00 UTC at the start of its `expires_at` date. `None`: that is no date, or one before computers.
pub(super) fn midnight(date: &str) -> Option<OffsetDateTime> {
    let date = Date::parse(date, format_description!("[year]-[month]-[day]")).ok()?;
    (date.year() >= 1970).then(|| date.midnight().assume_utc())
}
