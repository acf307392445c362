//! Sign-ins at the issuer under way: `state`, which browser began, the nonce as a hash, and the code verifier, sealed.
//!
//! One is taken by a single delete, so that of any number of callbacks one goes on.

use super::{
    Store, StoreError,
    authorizations::hex,
    db::on,
    rows::{Reader, micros},
};
use crate::{
    domain::{OperatorId, Secret},
    vault::{Binding, Digest},
};
use time::OffsetDateTime;

/// So many may be under way at once: beginning one costs nothing, and anybody may.
const MOST: i64 = 10_000;

/// A sign-in to begin.
pub struct NewSingleSignOn {
    pub state: Digest,
    pub binder: Digest,
    pub issuer: String,
    pub nonce: Digest,
    pub code_verifier: Secret,
    /// The path to go on to.
    pub next: String,
    /// Who is signed in and wants to sign in this way from now on.
    pub operator: Option<OperatorId>,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// A sign-in that a callback named. It has no `Debug`: its hashes tell of a browser.
pub struct SingleSignOn {
    pub binder: Digest,
    pub issuer: String,
    pub nonce: Digest,
    pub code_verifier: Secret,
    pub next: String,
    pub operator: Option<OperatorId>,
    pub expires_at: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct SingleSignOnRow {
    binder_hash: Vec<u8>,
    issuer: String,
    nonce_hash: Vec<u8>,
    code_verifier: Vec<u8>,
    next: String,
    operator_id: Option<String>,
    expires_at: i64,
}

impl Store {
    /// Keeps a sign-in that begins. `false`: too many are under way.
    pub async fn begin_single_sign_on(&self, new: &NewSingleSignOn) -> Result<bool, StoreError> {
        let sealed =
            self.keyring.seal(new.code_verifier.expose().as_bytes(), verifier(&hex(&new.state), &new.issuer));
        let kept = on!(self.db, write, |pool| {
            sqlx::query(
            "insert into single_sign_ons (state_hash, binder_hash, issuer, nonce_hash, code_verifier, next,
                                          operator_id, created_at, expires_at)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9
              where (select count(*) from single_sign_ons s where s.expires_at > $8) < $10",
        )
        .bind(&new.state)
        .bind(&new.binder)
        .bind(&new.issuer)
        .bind(&new.nonce)
        .bind(sealed)
        .bind(&new.next)
        .bind(new.operator.map(|id| id.to_string()))
        .bind(micros(new.created_at))
        .bind(micros(new.expires_at))
        .bind(MOST)
        .execute(pool)
        .await?
        .rows_affected()
        });
        Ok(kept == 1)
    }

    /// Takes a sign-in, once. `None`: it was taken before, or there never was one.
    pub async fn take_single_sign_on(&self, state: &Digest) -> Result<Option<SingleSignOn>, StoreError> {
        let row: Option<SingleSignOnRow> = on!(self.db, write, |pool| sqlx::query_as(
            "delete from single_sign_ons
              where state_hash = $1
             returning binder_hash, issuer, nonce_hash, code_verifier, next, operator_id, expires_at",
        )
        .bind(state)
        .fetch_optional(pool)
        .await?);
        row.map(|row| self.opened(state, row)).transpose()
    }

    fn opened(&self, state: &Digest, row: SingleSignOnRow) -> Result<SingleSignOn, StoreError> {
        let read = Reader { table: "single_sign_ons", row: "of that state" };
        let code_verifier =
            self.keyring.open_secret(&row.code_verifier, verifier(&hex(state), &row.issuer))?;
        Ok(SingleSignOn {
            code_verifier,
            operator: row.operator_id.map(|id| read.word(&id)).transpose()?,
            expires_at: read.instant(row.expires_at)?,
            binder: row.binder_hash,
            issuer: row.issuer,
            nonce: row.nonce_hash,
            next: row.next,
        })
    }
}

fn verifier<'a>(row: &'a str, issuer: &'a str) -> Binding<'a> {
    Binding { table: "single_sign_ons", row, field: "code_verifier", base_url: issuer, generation: 1 }
}
