//! Tokens: handed out, rotated by hand, and looked up before anything is stored.

use super::{InTenant, actor, connections::target, find, version::Shown, view::ConnectionView};
use crate::{
    connect::{Inspected, Replacement},
    domain::{Account, CheckOutcome, Permission, Secret, TokenKind, UseCaseCheck},
    handout::{Ask, HandedOut, Warning},
    web::{
        auth::Key,
        error::Problem,
        extract::{JsonBody, Query, Segment},
        state::AppState,
    },
};
use axum::{
    Json,
    extract::State,
    http::header::{CACHE_CONTROL, HeaderName},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::{IntoParams, ToSchema};

pub(super) const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];
/// No caller waits for a token that lives longer than this.
const LONGEST_TTL: i64 = 366 * 86_400;

/// What the caller needs of the token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenQuery {
    /// Seconds that the token must be good for; 60 if not given.
    #[param(minimum = 0, maximum = 31_622_400, default = 60)]
    min_ttl: Option<i64>,
    /// The generation that the caller saw refused with 401.
    newer_than: Option<i64>,
    tenant: Option<String>,
}

/// A valid access token. Never an expired one, never the refresh token.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    #[schema(format = Password)]
    access_token: String,
    token_type: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// Seconds left; null if it does not expire.
    expires_in: Option<i64>,
    scopes: Vec<String>,
    connection_id: String,
    generation: i64,
    base_url: String,
    api_url: String,
    git_username: &'static str,
    warnings: Vec<Warning>,
}

impl TokenView {
    fn of(HandedOut { held, warnings }: HandedOut, state: &AppState) -> Self {
        let (connection, credential) = (&held.connection, &held.credential);
        let api = state.provider.api();
        Self {
            access_token: credential.access_token.expose().to_owned(),
            token_type: "Bearer",
            expires_at: credential.expires_at,
            expires_in: credential.expires_at.map(|end| (end - state.clock.now()).whole_seconds()),
            scopes: credential.scopes.to_vec(),
            connection_id: connection.id.to_string(),
            generation: connection.credential.generation,
            base_url: connection.base_url.to_string(),
            api_url: api.api_url(&connection.base_url),
            git_username: api.git_username(),
            warnings,
        }
    }
}

/// Hands out a valid access token.
#[utoipa::path(get, path = "/api/v1/connections/{ref}/token", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), TokenQuery), responses(
    (status = 200, description = "A token that may be used now", body = TokenView)))]
pub(super) async fn get_token(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    Query(query): Query<TokenQuery>,
) -> Result<impl IntoResponse, Problem> {
    let caller = key.may(Permission::TokensRead)?;
    let min_ttl = query.min_ttl.unwrap_or(60);
    if !(0..=LONGEST_TTL).contains(&min_ttl) {
        return Err(Problem::parameter("min_ttl", "Give a number of seconds from 0 to a year."));
    }
    let ask = Ask {
        reference: &reference,
        tenant: query.tenant.as_deref(),
        min_ttl: Duration::seconds(min_ttl),
        newer_than: query.newer_than,
    };
    let handed_out =
        state.handout.hand_out(&caller, ask).await.map_err(|e| Problem::of_handout(e, &state))?;
    Ok((NO_STORE, Json(TokenView::of(handed_out, &state))))
}

/// A token that takes the place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    #[schema(format = Password, min_length = 1)]
    token: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplaceQuery {
    /// Whether the token may be another account's.
    allow_different_account: Option<bool>,
    tenant: Option<String>,
}

/// Rotates by hand: the new token is verified before the old one is dropped. Where the old one rotated itself
/// the new one must be able to.
#[utoipa::path(put, path = "/api/v1/connections/{ref}/token", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), ReplaceQuery),
    request_body = NewToken, responses(
    (status = 200, description = "The connection with its new token", body = ConnectionView)))]
pub(super) async fn replace_token(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    Query(query): Query<ReplaceQuery>,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<Shown, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let was = find(&state, &caller, &reference, Query(InTenant { tenant: query.tenant })).await?;
    let replacement = Replacement {
        allow_different_account: query.allow_different_account.unwrap_or(false),
        ..Replacement::of(Secret::new(new.token.trim()))
    };
    let rotated = state.connect.replace(&was, replacement, &actor(&caller)).await?;
    Ok(Shown::of(rotated, &state))
}

/// A token to look up. One of `integration` and `base_url` says where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenToInspect {
    integration: Option<String>,
    base_url: Option<String>,
    #[schema(format = Password, min_length = 1)]
    token: String,
    token_kind: Option<TokenKind>,
    /// Report on these alone; on all if none is named.
    #[serde(default)]
    use_cases: Vec<String>,
}

/// What a token turned out to be.
#[derive(Serialize, ToSchema)]
pub(super) struct Inspection {
    kind: TokenKind,
    /// False: the token may not ask who it is, so the kind is a guess.
    kind_is_sure: bool,
    /// The name that the person gave the token.
    name: Option<String>,
    account: Option<Account>,
    scopes: Vec<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    base_url: String,
    /// The use cases that the token is not enough for, and why.
    problems: Vec<UseCaseCheck>,
    /// What each use case found, good or bad.
    use_cases: Vec<UseCaseCheck>,
}

impl From<Inspected> for Inspection {
    fn from(Inspected { instance, found, checks }: Inspected) -> Self {
        let lacking = |check: &&UseCaseCheck| {
            matches!(check.outcome, CheckOutcome::InsufficientScope | CheckOutcome::InsufficientRole)
        };
        Self {
            kind: found.token_kind,
            kind_is_sure: found.kind_is_sure,
            name: found.token_name,
            account: found.account,
            scopes: found.scopes.to_vec(),
            expires_at: found.expires_at,
            base_url: instance.base_url.to_string(),
            problems: checks.iter().filter(lacking).cloned().collect(),
            use_cases: checks,
        }
    }
}

/// Looks a token up and stores nothing.
#[utoipa::path(post, path = "/api/v1/tokens/inspect", tag = "connections", security(("api_key" = [])),
    request_body = TokenToInspect, responses(
    (status = 200, description = "What the token is", body = Inspection)))]
pub(super) async fn inspect_token(
    key: Key,
    State(state): State<AppState>,
    JsonBody(asked): JsonBody<TokenToInspect>,
) -> Result<Json<Inspection>, Problem> {
    key.may(Permission::ConnectionsWrite)?;
    let target = target(asked.integration, asked.base_url)?;
    let token = Secret::new(asked.token.trim());
    let found = state.connect.inspect(&target, &token, asked.token_kind, &asked.use_cases).await?;
    Ok(Json(found.into()))
}
