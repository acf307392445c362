//! Calls with an `Idempotency-Key`: claimed before they are made, and answered again for a day.
//!
//! An answer may hold a secret that is shown once, so it is sealed, for this call alone.

use super::{
    Store, StoreError,
    db::on,
    rows::{Reader, micros},
};
use crate::{
    domain::Secret,
    vault::{Binding, Digest},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use time::{Duration, OffsetDateTime};

/// How long a call is known again.
const KEPT: Duration = Duration::DAY;

/// One call of one API key.
#[derive(Clone, Debug)]
pub struct IdempotentCall {
    pub api_key_id: String,
    /// The hash of what the caller named it.
    pub key: Digest,
    /// The hash of the whole request.
    pub request: Digest,
    pub at: OffsetDateTime,
}

/// What a call with a name turns out to be.
#[derive(Debug)]
pub enum Claim {
    /// The first of its name: it is to be made now.
    Mine,
    /// This name was used for another request.
    Reused,
    /// Made and answered before.
    Answered(Secret),
    /// Begun before, at that moment, and not answered.
    Begun(OffsetDateTime),
}

#[derive(sqlx::FromRow)]
struct CallRow {
    request_hash: Vec<u8>,
    claimed_at: i64,
    answer: Option<Vec<u8>>,
}

impl Store {
    /// Claims a call. Of any number that come with one name, at any process, one is `Mine`.
    pub async fn claim_call(&self, call: &IdempotentCall) -> Result<Claim, StoreError> {
        let claimed = on!(self.db, write, |pool| sqlx::query(
            "insert into idempotent_calls (call_id, request_hash, claimed_at)
             values ($1, $2, $3)
                 on conflict (call_id) do update
                set request_hash = excluded.request_hash, claimed_at = excluded.claimed_at, answer = null
              where idempotent_calls.claimed_at <= $4",
        )
        .bind(call_id(call))
        .bind(&call.request)
        .bind(micros(call.at))
        .bind(micros(call.at - KEPT))
        .execute(pool)
        .await?
        .rows_affected());
        if claimed == 1 { Ok(Claim::Mine) } else { self.claimed_before(call).await }
    }

    async fn claimed_before(&self, call: &IdempotentCall) -> Result<Claim, StoreError> {
        let row: Option<CallRow> = on!(self.db, read, |pool| {
            sqlx::query_as("select request_hash, claimed_at, answer from idempotent_calls where call_id = $1")
                .bind(call_id(call))
                .fetch_optional(pool)
                .await?
        });
        // It was given up in this moment: whoever asks again makes it.
        let Some(row) = row else { return Ok(Claim::Begun(call.at)) };
        let read = Reader { table: "idempotent_calls", row: &call.api_key_id };
        match row.answer {
            _ if row.request_hash != call.request => Ok(Claim::Reused),
            None => Ok(Claim::Begun(read.instant(row.claimed_at)?)),
            Some(sealed) => {
                let at = read.instant(row.claimed_at)?;
                Ok(Claim::Answered(self.keyring.open_secret(&sealed, binding(&call_id(call), at))?))
            }
        }
    }

    /// Keeps the answer of a call that was claimed, sealed. `false`: the claim is gone.
    pub async fn answer_call(&self, call: &IdempotentCall, answer: &Secret) -> Result<bool, StoreError> {
        let sealed = self.keyring.seal(answer.expose().as_bytes(), binding(&call_id(call), call.at));
        let kept = on!(self.db, write, |pool| sqlx::query(
            "update idempotent_calls set answer = $3 where call_id = $1 and claimed_at = $2",
        )
        .bind(call_id(call))
        .bind(micros(call.at))
        .bind(sealed)
        .execute(pool)
        .await?
        .rows_affected());
        Ok(kept == 1)
    }

    /// Gives up the claim of a call that came to nothing, so that it may be made again.
    pub async fn give_up_call(&self, call: &IdempotentCall) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "delete from idempotent_calls
              where call_id = $1 and claimed_at = $2 and answer is null",
        )
        .bind(call_id(call))
        .bind(micros(call.at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Forgets calls after their day; how many.
    pub async fn sweep_calls(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        Ok(on!(self.db, write, |pool| sqlx::query("delete from idempotent_calls where claimed_at <= $1")
            .bind(micros(now - KEPT))
            .execute(pool)
            .await?
            .rows_affected()))
    }
}

fn call_id(call: &IdempotentCall) -> String {
    format!("{} {}", call.api_key_id, BASE64_URL_SAFE_NO_PAD.encode(&call.key))
}

fn binding(call_id: &str, at: OffsetDateTime) -> Binding<'_> {
    Binding { table: "idempotent_calls", row: call_id, field: "answer", base_url: "", generation: micros(at) }
}
