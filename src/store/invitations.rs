//! Invitations: one-time links that make a further operator. The link is kept as a hash.

use super::{
    Operator, Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    operators::insert_operator,
    rows::{Reader, micros},
};
use crate::{
    domain::{Actor, EventKind, OperatorId, Role},
    vault::Digest,
};
use time::OffsetDateTime;

/// Who is invited, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub email: String,
    pub role: Role,
    pub expires_at: OffsetDateTime,
}

/// What became of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invited {
    Yes,
    /// Somebody with that address is here.
    IsHere,
    /// Who invites is no administrator, or not any more.
    ByNoAdministrator,
}

#[derive(sqlx::FromRow)]
struct InvitationRow {
    email: String,
    role: String,
    expires_at: i64,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        let read = Reader { table: "invitations", row: &row.email };
        let (role, expires_at) = (read.word(&row.role)?, read.instant(row.expires_at)?);
        Ok(Self { email: row.email, role, expires_at })
    }
}

macro_rules! is_administrator {
    ($tx:expr, $id:expr) => {{
        let found: i64 = sqlx::query_scalar(
            "select count(*) from operators where operator_id = $1 and role = 'administrator'",
        )
        .bind($id.to_string())
        .fetch_one(&mut *$tx)
        .await?;
        found == 1
    }};
}

impl Store {
    /// Keeps an invitation, in place of an older one to the same address.
    pub async fn invite(
        &self,
        token: &Digest,
        invitation: &Invitation,
        by: OperatorId,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<Invited, StoreError> {
        let mut told = event(EventKind::OperatorInvited, at, &invitation.email, None, actor);
        told.detail = Some(format!("as {}", invitation.role));
        Ok(in_transaction!(self.db, |tx| {
            let kept = sqlx::query(
                "insert into invitations (token_hash, email, role, invited_by, created_at, expires_at)
                 select $1, $2, $3, o.operator_id, $5, $6
                   from operators o
                  where o.operator_id = $4 and o.role = 'administrator'
                    and not exists (select 1 from operators p where p.email = $2)
                 on conflict (email) do update
                    set token_hash = excluded.token_hash, role = excluded.role, invited_by = excluded.invited_by,
                        created_at = excluded.created_at, expires_at = excluded.expires_at",
            )
            .bind(token)
            .bind(&invitation.email)
            .bind(invitation.role.as_str())
            .bind(by.to_string())
            .bind(micros(at))
            .bind(micros(invitation.expires_at))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if kept == 1 {
                append_event!(tx, &told);
                Invited::Yes
            } else if is_administrator!(tx, by) {
                Invited::IsHere
            } else {
                Invited::ByNoAdministrator
            }
        }))
    }

    /// The invitation behind a link that is still good: one that was made while its maker lost the role is not.
    pub async fn invitation(
        &self,
        token: &Digest,
        now: OffsetDateTime,
    ) -> Result<Option<Invitation>, StoreError> {
        let row: Option<InvitationRow> = on!(self.db, read, |pool| {
            sqlx::query_as(
            "select email, role, expires_at
               from invitations
              where token_hash = $1 and expires_at > $2
                and exists (select 1 from operators o where o.operator_id = invited_by and o.role = 'administrator')"
        )
        .bind(token)
        .bind(micros(now))
        .fetch_optional(pool)
        .await?
        });
        row.map(Invitation::try_from).transpose()
    }

    /// The invitations that nobody has used, also those whose time is over, by their addresses.
    pub async fn list_invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let rows: Vec<InvitationRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select email, role, expires_at from invitations order by email"
        )
        .fetch_all(pool)
        .await?);
        rows.into_iter().map(Invitation::try_from).collect()
    }

    /// Takes an invitation back. `false`: there is none to that address.
    pub async fn withdraw_invitation(
        &self,
        email: &str,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let told = event(EventKind::InvitationWithdrawn, at, email, None, actor);
        Ok(in_transaction!(self.db, |tx| {
            let gone = sqlx::query("delete from invitations where email = $1")
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

    /// Spends an invitation: the operator gets the role and the address that it names. `false`: it is not good
    /// any more, or somebody has that address.
    pub async fn accept_invitation(
        &self,
        token: &Digest,
        operator: &Operator,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let actor = Actor::Operator(operator.email.clone());
        let mut told = event(EventKind::OperatorAdded, at, &operator.email, None, &actor);
        told.detail = Some(format!("by invitation, as {}", operator.role));
        Ok(in_transaction!(self.db, |tx| {
            let spent = sqlx::query(
                "delete from invitations
                  where token_hash = $1 and expires_at > $2 and email = $3 and role = $4
                    and exists (select 1 from operators o
                                 where o.operator_id = invited_by and o.role = 'administrator')",
            )
            .bind(token)
            .bind(micros(at))
            .bind(&operator.email)
            .bind(operator.role.as_str())
            .execute(&mut *tx)
            .await?
            .rows_affected();
            let added = if spent == 1 { insert_operator!(tx, operator, at) } else { 0 };
            if added == 1 {
                append_event!(tx, &told);
            }
            added == 1
        }))
    }
}
