//! What a provider tells of a token: whose it is, what it may do, and where.

use crate::domain::{AccessLevel, Account, ResourceKind, Scopes, TokenKind};
use time::OffsetDateTime;

/// What a token turned out to be.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub token_kind: TokenKind,
    /// `false`: the token may not ask who it is, so the kind is a guess that a person may correct.
    pub kind_is_sure: bool,
    pub account: Option<Account>,
    /// The name that the person gave the token.
    pub token_name: Option<String>,
    pub scopes: Scopes,
    pub expires_at: Option<OffsetDateTime>,
}

/// Where a bot's token belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The full path of its project or group, such as `acme/web`.
    pub path: String,
    /// The bot's role there; `None` where the provider does not say.
    pub role: Option<AccessLevel>,
    /// Where people make and revoke its tokens.
    pub tokens_url: String,
}

/// A project or group that a token reaches.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Project)]
pub struct Place {
    pub id: i64,
    /// The full path, such as `acme/web`.
    pub path: String,
    pub name: String,
    pub web_url: String,
    /// The token's role there; null where the provider does not say.
    pub access_level: Option<AccessLevel>,
}

/// Some projects or groups, and where the next ones are.
#[derive(Clone, Debug)]
pub struct PlacePage {
    pub places: Vec<Place>,
    pub next: Option<String>,
}

/// Which part of the projects or groups that a token reaches is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    pub kind: ResourceKind,
    /// Part of the name or path, as a person types it; empty for all.
    pub search: &'a str,
    /// The `next` of the page before.
    pub cursor: Option<&'a str>,
    pub limit: usize,
}

impl Listing<'_> {
    /// The first ones of that kind.
    pub fn first(kind: ResourceKind, limit: usize) -> Self {
        Self { kind, search: "", cursor: None, limit }
    }
}
