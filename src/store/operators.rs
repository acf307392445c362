//! The people who sign in to the pages, and the one-time link that makes the first of them.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    rows::{Reader, micros},
};
use crate::{
    domain::{Actor, EventKind, OperatorId, Role},
    vault::Digest,
};
use std::fmt;
use time::OffsetDateTime;

/// A person who signs in to the pages.
#[derive(Clone)]
pub struct Operator {
    pub id: OperatorId,
    pub email: String,
    /// `None`: they sign in by single sign-on alone.
    pub password_hash: Option<String>,
    pub role: Role,
}

/// A hash of a password is worth a guess.
impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, email, role, .. } = self;
        let mut shown = f.debug_struct("Operator");
        shown.field("id", id).field("email", email).field("role", role).finish_non_exhaustive()
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct OperatorRow {
    operator_id: String,
    email: String,
    password_hash: String,
    role: String,
}

impl TryFrom<OperatorRow> for Operator {
    type Error = StoreError;

    fn try_from(row: OperatorRow) -> Result<Self, StoreError> {
        let read = Reader { table: "operators", row: &row.operator_id };
        let (id, role) = (read.word(&row.operator_id)?, read.word(&row.role)?);
        // The column takes no null, and older versions read it: an empty hash is the password of nobody.
        let password_hash = Some(row.password_hash).filter(|hash| !hash.is_empty());
        Ok(Self { id, email: row.email, password_hash, role })
    }
}

/// Adds an operator in a transaction; how many rows that made: none where the address is taken.
macro_rules! insert_operator {
    ($tx:expr, $operator:expr, $at:expr) => {
        sqlx::query(
            "insert into operators (operator_id, email, password_hash, role, created_at)
             values ($1, $2, $3, $4, $5)
             on conflict do nothing",
        )
        .bind($operator.id.to_string())
        .bind(&$operator.email)
        .bind($operator.password_hash.as_deref().unwrap_or_default())
        .bind($operator.role.as_str())
        .bind($crate::store::rows::micros($at))
        .execute(&mut *$tx)
        .await?
        .rows_affected()
    };
}
pub(super) use insert_operator;

/// An invitation to this address is not good any more: who has it is here, or was removed.
macro_rules! forget_invitation {
    ($tx:expr, $email:expr) => {
        sqlx::query("delete from invitations where email = $1").bind($email).execute(&mut *$tx).await?
    };
}
pub(super) use forget_invitation;

impl Store {
    pub async fn count_operators(&self) -> Result<i64, StoreError> {
        Ok(on!(self.db, read, |pool| sqlx::query_scalar("select count(*) from operators")
            .fetch_one(pool)
            .await?))
    }

    /// Adds an operator; `false` if the address is taken.
    pub async fn add_operator(
        &self,
        operator: &Operator,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::OperatorAdded, at, &operator.email, None, actor);
        Ok(in_transaction!(self.db, |tx| {
            let added = insert_operator!(tx, operator, at);
            if added == 1 {
                forget_invitation!(tx, &operator.email);
                append_event!(tx, &told);
            }
            added == 1
        }))
    }

    /// Replaces a password and ends every session of its owner; `false` if nobody has that address.
    pub async fn reset_password(
        &self,
        email: &str,
        password_hash: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        self.replace_password((email, ""), password_hash, at, actor).await
    }

    /// The same by its owner, who knew the password of this hash. `false`: it is another one by now.
    pub async fn change_password(
        &self,
        owner: &Operator,
        password_hash: &str,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let Some(old) = &owner.password_hash else { return Ok(false) };
        let actor = Actor::Operator(owner.email.clone());
        self.replace_password((&owner.email, old), password_hash, at, &actor).await
    }

    /// Any password is replaced where the old hash is empty.
    async fn replace_password(
        &self,
        (email, old): (&str, &str),
        password_hash: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::PasswordReset, at, email, None, actor);
        Ok(in_transaction!(self.db, |tx| {
            let changed = sqlx::query(
                "update operators set password_hash = $2 where email = $1 and ($3 = '' or password_hash = $3)",
            )
            .bind(email)
            .bind(password_hash)
            .bind(old)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed == 1 {
                // A process of an older version did not say whose its sessions are.
                sqlx::query(
                    "delete from sessions
                      where operator_id is null
                         or operator_id = (select o.operator_id from operators o where o.email = $1)",
                )
                .bind(email)
                .execute(&mut *tx)
                .await?;
                append_event!(tx, &told);
            }
            changed == 1
        }))
    }

    pub async fn operator_by_email(&self, email: &str) -> Result<Option<Operator>, StoreError> {
        let row: Option<OperatorRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select operator_id, email, password_hash, role from operators where email = $1"
        )
        .bind(email)
        .fetch_optional(pool)
        .await?);
        row.map(Operator::try_from).transpose()
    }

    pub async fn operator(&self, id: OperatorId) -> Result<Option<Operator>, StoreError> {
        let row: Option<OperatorRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select operator_id, email, password_hash, role from operators where operator_id = $1"
        )
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?);
        row.map(Operator::try_from).transpose()
    }

    pub async fn add_setup_link(&self, token: &Digest, at: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "insert into setup_links (token_hash, created_at) values ($1, $2)"
        )
        .bind(token)
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    pub async fn is_setup_link(&self, token: &Digest) -> Result<bool, StoreError> {
        let found: i64 = on!(self.db, read, |pool| sqlx::query_scalar(
            "select count(*) from setup_links where token_hash = $1"
        )
        .bind(token)
        .fetch_one(pool)
        .await?);
        Ok(found == 1)
    }

    /// Spends a setup link on the first operator. `false`: the link is not good, or somebody was first.
    pub async fn finish_setup(
        &self,
        token: &Digest,
        operator: &Operator,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let told = event(
            EventKind::OperatorAdded,
            at,
            &operator.email,
            None,
            &Actor::Operator(operator.email.clone()),
        );
        Ok(in_transaction!(self.db, |tx| {
            let spent = sqlx::query("delete from setup_links where token_hash = $1")
                .bind(token)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let there: i64 = sqlx::query_scalar("select count(*) from operators").fetch_one(&mut *tx).await?;
            let first = spent == 1 && there == 0;
            if first {
                insert_operator!(tx, operator, at);
                sqlx::query("delete from setup_links").execute(&mut *tx).await?;
                append_event!(tx, &told);
            }
            first
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password_hash() {
        let operator = Operator {
            id: OperatorId::fresh(),
            email: "o@example.com".into(),
            password_hash: Some("canary".into()),
            role: Role::Viewer,
        };
        let shown = format!("{operator:?}");
        assert!(shown.contains("o@example.com") && !shown.contains("canary"), "{shown}");
    }
}
