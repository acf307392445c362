//! Who may do what on the pages: a list of the operators, their roles, and their removal.
//!
//! The rule it guards: there is always an administrator. Whoever takes the role from somebody holds the rows of
//! all administrators first, so that two who do it at once see each other.

use super::{
    Store, StoreError,
    db::{in_transaction, on},
    events::{append_event, event},
    identities::keep_out,
    operators::forget_invitation,
    rows::{Reader, micros},
};
use crate::domain::{Actor, EventKind, OperatorId, Role};
use time::OffsetDateTime;

/// An operator as the list shows one.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: OperatorId,
    pub email: String,
    pub role: Role,
    pub created_at: OffsetDateTime,
    pub last_signed_in_at: Option<OffsetDateTime>,
    /// Whether they may sign in with a password, and with whom by single sign-on.
    pub has_password: bool,
    pub issuer: Option<String>,
}

/// What became of a change of somebody's role, or of their removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Yes,
    /// Nobody has that id, or the role is theirs already.
    Nothing,
    /// They are the last administrator.
    LastAdministrator,
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    operator_id: String,
    email: String,
    role: String,
    created_at: i64,
    last_signed_in_at: Option<i64>,
    password_hash: String,
    issuer: Option<String>,
}

impl TryFrom<PersonRow> for Person {
    type Error = StoreError;

    fn try_from(row: PersonRow) -> Result<Self, StoreError> {
        let read = Reader { table: "operators", row: &row.operator_id };
        Ok(Self {
            id: read.word(&row.operator_id)?,
            role: read.word(&row.role)?,
            created_at: read.instant(row.created_at)?,
            last_signed_in_at: read.instant_if_any(row.last_signed_in_at)?,
            has_password: !row.password_hash.is_empty(),
            issuer: row.issuer,
            email: row.email,
        })
    }
}

/// Holds the rows of all administrators until the transaction ends, and counts them.
macro_rules! administrators {
    ($tx:expr) => {{
        sqlx::query("update operators set role = role where role = 'administrator'")
            .execute(&mut *$tx)
            .await?;
        let count: i64 = sqlx::query_scalar("select count(*) from operators where role = 'administrator'")
            .fetch_one(&mut *$tx)
            .await?;
        count
    }};
}

/// The address and the role of an operator.
macro_rules! held {
    ($tx:expr, $id:expr) => {{
        let held: Option<(String, String)> =
            sqlx::query_as("select email, role from operators where operator_id = $1")
                .bind($id.to_string())
                .fetch_optional(&mut *$tx)
                .await?;
        held
    }};
}

impl Store {
    /// All operators, by their addresses.
    pub async fn list_operators(&self) -> Result<Vec<Person>, StoreError> {
        let rows: Vec<PersonRow> = on!(self.db, read, |pool| sqlx::query_as(
            "select operator_id, email, role, created_at, last_signed_in_at, password_hash, issuer
               from operators
              order by email"
        )
        .fetch_all(pool)
        .await?);
        rows.into_iter().map(Person::try_from).collect()
    }

    /// Notes that somebody came in.
    pub async fn note_sign_in(&self, id: OperatorId, at: OffsetDateTime) -> Result<(), StoreError> {
        on!(self.db, write, |pool| sqlx::query(
            "update operators set last_signed_in_at = $2 where operator_id = $1"
        )
        .bind(id.to_string())
        .bind(micros(at))
        .execute(pool)
        .await?
        .rows_affected());
        Ok(())
    }

    /// Gives somebody a role. They sign in anew, and who is no administrator any more has no open invitations.
    pub async fn change_role(
        &self,
        id: OperatorId,
        role: Role,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<Changed, StoreError> {
        Ok(in_transaction!(self.db, |tx| {
            let administrators = administrators!(tx);
            match held!(tx, id) {
                None => Changed::Nothing,
                Some((_, was)) if was == role.as_str() => Changed::Nothing,
                Some((_, was)) if was == "administrator" && administrators < 2 => Changed::LastAdministrator,
                Some((email, was)) => {
                    sqlx::query("update operators set role = $2 where operator_id = $1")
                        .bind(id.to_string())
                        .bind(role.as_str())
                        .execute(&mut *tx)
                        .await?;
                    sqlx::query("delete from sessions where operator_id = $1")
                        .bind(id.to_string())
                        .execute(&mut *tx)
                        .await?;
                    if !role.may_change() {
                        sqlx::query("delete from invitations where invited_by = $1")
                            .bind(id.to_string())
                            .execute(&mut *tx)
                            .await?;
                    }
                    let mut told = event(EventKind::OperatorRoleChanged, at, email, None, actor);
                    told.detail = Some(format!("from {was} to {role}"));
                    append_event!(tx, &told);
                    Changed::Yes
                }
            }
        }))
    }

    /// Removes somebody, with their sessions, the open invitations that they made, and one that leads back. Single
    /// sign-on does not let them in anew.
    pub async fn remove_operator(
        &self,
        id: OperatorId,
        at: OffsetDateTime,
        actor: &Actor,
    ) -> Result<Changed, StoreError> {
        Ok(in_transaction!(self.db, |tx| {
            let administrators = administrators!(tx);
            match held!(tx, id) {
                None => Changed::Nothing,
                Some((_, was)) if was == "administrator" && administrators < 2 => Changed::LastAdministrator,
                Some((email, _)) => {
                    keep_out!(tx, id, at);
                    sqlx::query("delete from operators where operator_id = $1")
                        .bind(id.to_string())
                        .execute(&mut *tx)
                        .await?;
                    forget_invitation!(tx, &email);
                    append_event!(tx, &event(EventKind::OperatorRemoved, at, email, None, actor));
                    Changed::Yes
                }
            }
        }))
    }
}
