//! `POST …/self/rotate` (GitLab docs, "Personal access token API: rotate"): a token replaces itself.
//!
//! The old token dies in that moment, and a revoked token that is presented for rotation takes its whole
//! family with it, the newest included. So a token first proves that it lives, by a question that does no harm,
//! and then one request is sent. Another one follows only where GitLab clearly said that nothing was done.

mod life;
mod permission;
mod refusal;
mod successor;

pub(super) use permission::may_rotate;
pub(super) use successor::replayed;

use super::{call::Call, inspect::SELF};
use crate::{
    domain::{Account, Credential, Resource, ResourceKind},
    outbound::OutboundError,
    providers::{KeepAnswer, RenewError},
};
use life::Living;
use refusal::NotRotated;
use serde_json::{Value, json};
use time::{Date, OffsetDateTime};

const PERSONAL: &str = "api/v4/personal_access_tokens/self/rotate";

/// Everything about one rotation that stays the same from request to request.
pub(super) struct Rotation<'a> {
    pub(super) call: Call<'a>,
    pub(super) old: &'a Credential,
    pub(super) keep: &'a dyn KeepAnswer,
    pub(super) now: OffsetDateTime,
}

impl Rotation<'_> {
    pub(super) async fn run(&self, account: Option<&Account>) -> Result<Credential, RenewError> {
        let living = self.prove_alive().await?;
        let today = self.now.date();
        let mut path = path_for(account);
        let mut end = living.next_end(self.old, today);
        let mut may_shorten = true;
        loop {
            match self.once(&path, end).await {
                Ok(next) => return Ok(next),
                Err(NotRotated::NoSuchRoute) if path != PERSONAL => PERSONAL.clone_into(&mut path),
                Err(NotRotated::EndRefused { limit }) if may_shorten => {
                    may_shorten = false;
                    end = Some(life::within(limit, today));
                }
                Err(refused) => return Err(refused.for_good(&self.call)),
            }
        }
    }

    /// A dead token must not come near a rotate path. This question is safe to ask with any token.
    async fn prove_alive(&self) -> Result<Living, RenewError> {
        self.call.get(SELF, &[]).await.map_err(|error| refusal::of_question(&error))
    }

    /// The one request that spends the token.
    async fn once(&self, path: &str, end: Option<Date>) -> Result<Credential, NotRotated> {
        let answer = match self.call.post(path, &body(end)).await {
            Ok(answer) => answer,
            Err(error) => return self.rescue(&error, end).await,
        };
        if !answer.status.is_success() {
            return Err(refusal::of(&self.call, &answer));
        }
        self.receive(&answer.body, end).await
    }

    /// An answer that broke off may hold the whole token.
    async fn rescue(&self, error: &OutboundError, end: Option<Date>) -> Result<Credential, NotRotated> {
        match error.arrived() {
            Some((status, body)) if status.is_success() => self.receive(body, end).await,
            _ => Err(refusal::unanswered(&self.call, error)),
        }
    }

    /// The old token is dead by now: what came is made durable before it is read.
    async fn receive(&self, body: &[u8], asked: Option<Date>) -> Result<Credential, NotRotated> {
        self.keep.keep(body).await;
        successor::read(self.old, body, asked, self.now)
            .ok_or_else(|| refusal::uncertain(&self.call, "answered something that was not understood"))
    }
}

/// A bot's token is rotated at its project or group; versions before 17 have the personal path alone.
fn path_for(account: Option<&Account>) -> String {
    match account.and_then(|a| a.resource.as_ref()) {
        Some(Resource { kind: ResourceKind::Project, id }) => {
            format!("api/v4/projects/{id}/access_tokens/self/rotate")
        }
        Some(Resource { kind: ResourceKind::Group, id }) => {
            format!("api/v4/groups/{id}/access_tokens/self/rotate")
        }
        None => PERSONAL.to_owned(),
    }
}

/// Without a date GitLab gives a week, unless tokens need not end there.
fn body(end: Option<Date>) -> Value {
    end.map_or_else(|| json!({}), |date| json!({ "expires_at": date.to_string() }))
}
