//! Operators by what an issuer calls them: admitted, joined to somebody who is here, parted, and kept out.
//!
//! The rule it guards: an operator is known by issuer and subject, never by an e-mail address that an issuer tells.

use super::{
    Operator, Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    operators::{OperatorRow, forget_invitation, insert_operator},
    rows::Reader,
};
use crate::domain::{Actor, EventKind, OperatorId, Role};
use time::OffsetDateTime;

/// Whom an issuer means: its own word for one person, which is never given to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
}

/// What became of somebody who came by single sign-on.
#[derive(Debug)]
pub enum Admitted {
    Known(Operator),
    /// Made just now: a viewer, or an administrator where there was none.
    New(Operator),
    /// Somebody here has that address and signs in otherwise.
    EmailTaken,
    /// They were removed.
    KeptOut,
}

/// Somebody who was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOut {
    pub email: String,
    pub removed_at: OffsetDateTime,
}

impl Store {
    /// The operator whom an issuer means.
    pub async fn operator_by_identity(&self, identity: &Identity) -> Result<Option<Operator>, StoreError> {
        let row: Option<OperatorRow> = on!(self.db, read, |pool| {
            sqlx::query_as(
            "select operator_id, email, password_hash, role from operators where issuer = $1 and subject = $2"
        )
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .fetch_optional(pool)
        .await?
        });
        row.map(Operator::try_from).transpose()
    }

    /// The operator whom an issuer means, made now if there is none and nothing is against it. Whether the address
    /// is one that may come in is judged before.
    pub async fn admit(
        &self,
        identity: &Identity,
        email: &str,
        at: OffsetDateTime,
    ) -> Result<Admitted, StoreError> {
        if let Some(known) = self.operator_by_identity(identity).await? {
            return Ok(Admitted::Known(known));
        }
        let actor = Actor::Operator(email.to_owned());
        let mut new = Operator {
            id: OperatorId::fresh(),
            email: email.into(),
            password_hash: None,
            role: Role::Viewer,
        };
        let admitted = in_transaction!(self.db, |tx| {
            // Held until the end: of two first ones who come at once, one is the administrator.
            sqlx::query("update vault_canary set canary_id = canary_id").execute(&mut *tx).await?;
            let administrators: i64 =
                sqlx::query_scalar("select count(*) from operators where role = 'administrator'")
                    .fetch_one(&mut *tx)
                    .await?;
            let removed: i64 = sqlx::query_scalar(
                "select count(*) from kept_out where email = $1 or issuer = $2 and subject = $3",
            )
            .bind(email)
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .fetch_one(&mut *tx)
            .await?;
            new.role = if administrators == 0 { Role::Administrator } else { Role::Viewer };
            let added = if removed == 0 { insert_operator!(tx, new, at) } else { 0 };
            if added == 1 {
                sqlx::query("update operators set issuer = $2, subject = $3 where operator_id = $1")
                    .bind(new.id.to_string())
                    .bind(&identity.issuer)
                    .bind(&identity.subject)
                    .execute(&mut *tx)
                    .await?;
                forget_invitation!(tx, email);
                sqlx::query("delete from setup_links").execute(&mut *tx).await?;
                let mut told = event(EventKind::OperatorAdded, at, email, None, &actor);
                told.detail = Some(format!("by single sign-on, as {}", new.role));
                append_event!(tx, &told);
            }
            (added, removed)
        });
        match admitted {
            (1, _) => Ok(Admitted::New(new)),
            _ => self.not_added(identity, email).await,
        }
    }

    /// Why nobody was made: they were made a moment ago, the address is somebody's, or they were removed.
    async fn not_added(&self, identity: &Identity, email: &str) -> Result<Admitted, StoreError> {
        if let Some(known) = self.operator_by_identity(identity).await? {
            return Ok(Admitted::Known(known));
        }
        let taken = self.operator_by_email(email).await?.is_some();
        Ok(if taken { Admitted::EmailTaken } else { Admitted::KeptOut })
    }

    /// With which issuer an operator signs in, if they do.
    pub async fn issuer_of(&self, id: OperatorId) -> Result<Option<String>, StoreError> {
        let issuer: Option<Option<String>> = on!(self.db, read, |pool| sqlx::query_scalar(
            "select issuer from operators where operator_id = $1"
        )
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?);
        Ok(issuer.flatten())
    }

    /// Lets an operator sign in by single sign-on from now on, in place of another identity that they had. `false`:
    /// it is somebody else's.
    pub async fn join_identity(
        &self,
        id: OperatorId,
        identity: &Identity,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(in_transaction!(self.db, |tx| {
            let email: Option<String> = sqlx::query_scalar(
                "update operators set issuer = $2, subject = $3
                  where operator_id = $1
                    and not exists (select 1 from operators o
                                     where o.issuer = $2 and o.subject = $3 and o.operator_id <> $1)
                 returning email",
            )
            .bind(id.to_string())
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(email) = &email {
                let actor = Actor::Operator(email.clone());
                append_event!(tx, &event(EventKind::IdentityJoined, at, email, None, &actor));
            }
            email.is_some()
        }))
    }

    /// Ends single sign-on for an operator who has a password. `false`: they have none, or never signed in so.
    pub async fn part_identity(&self, id: OperatorId, at: OffsetDateTime) -> Result<bool, StoreError> {
        Ok(in_transaction!(self.db, |tx| {
            let email: Option<String> = sqlx::query_scalar(
                "update operators set issuer = null, subject = null
                  where operator_id = $1 and issuer is not null and password_hash <> ''
                 returning email",
            )
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(email) = &email {
                let actor = Actor::Operator(email.clone());
                append_event!(tx, &event(EventKind::IdentityParted, at, email, None, &actor));
            }
            email.is_some()
        }))
    }

    /// Who was removed and is not here again, by their addresses.
    pub async fn list_kept_out(&self) -> Result<Vec<KeptOut>, StoreError> {
        let rows: Vec<(String, i64)> = on!(self.db, read, |pool| sqlx::query_as(
            "select k.email, k.removed_at
               from kept_out k
              where not exists (select 1 from operators o where o.email = k.email)
              order by k.email"
        )
        .fetch_all(pool)
        .await?);
        let read = |(email, at): (String, i64)| {
            let removed_at = Reader { table: "kept_out", row: &email }.instant(at)?;
            Ok(KeptOut { email, removed_at })
        };
        rows.into_iter().map(read).collect()
    }

    /// Lets somebody who was removed come in anew. `false`: nobody of that address is kept out.
    pub async fn let_in_again(
        &self,
        email: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::LetInAgain, at, email, None, actor);
        Ok(in_transaction!(self.db, |tx| {
            let gone = sqlx::query("delete from kept_out where email = $1")
                .bind(email)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if gone == 1 {
                append_event!(tx, &told);
            }
            gone == 1
        }))
    }
}

/// Notes, in the transaction of a removal, that an operator does not come in anew by themselves.
macro_rules! keep_out {
    ($tx:expr, $id:expr, $at:expr) => {
        sqlx::query(
            "insert into kept_out (email, issuer, subject, removed_at)
             select email, issuer, subject, $2 from operators where operator_id = $1
             on conflict (email) do update
                set issuer = excluded.issuer, subject = excluded.subject, removed_at = excluded.removed_at",
        )
        .bind($id.to_string())
        .bind($crate::store::rows::micros($at))
        .execute(&mut *$tx)
        .await?
    };
}
pub(super) use keep_out;
