//! Connections to and from another installation.

use super::{
    InTenant, actor, find, renewals::renewal_problem, tokens::NO_STORE, version::Shown, view::ConnectionView,
};
use crate::{
    domain::{Caller, Connection, Permission},
    renewal::TakeBackError,
    transfer::{LeftOut, SealedExport},
    vault::Recipient,
    web::{
        auth::{Governor, Key},
        error::Problem,
        extract::{JsonBody, Query, Segment},
        state::AppState,
    },
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::HeaderName},
};
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use utoipa::ToSchema;

/// The largest import, in bytes: some 25,000 connections.
pub(super) const LARGEST_IMPORT: usize = 32 * 1024 * 1024;

/// Whom others export to.
#[derive(Serialize, ToSchema)]
#[schema(as = Recipient)]
pub(super) struct RecipientView {
    /// A public key. It changes with the encryption key; what was sealed to an earlier one opens while that one is
    /// retired.
    recipient: String,
}

/// This installation's recipient: what another one exports to, so that this one can import.
#[utoipa::path(get, path = "/api/v1/recipient", tag = "administration", security(("api_key" = [])), responses(
    (status = 200, description = "The recipient", body = RecipientView)))]
pub(super) async fn get_recipient(
    key: Key,
    State(state): State<AppState>,
) -> Result<Json<RecipientView>, Problem> {
    key.may(Permission::Admin)?;
    Ok(Json(RecipientView { recipient: state.store.recipient().to_string() }))
}

/// What to export.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewExport {
    /// The `recipient` of the installation that is to import; one of `MOORING_EXPORT_RECIPIENTS` here.
    recipient: String,
    /// Ids or names. Without it every connection that the key may see.
    connections: Option<Vec<String>>,
    /// Only those of one tenant.
    tenant: Option<String>,
}

/// An export, which only its recipient can open.
#[derive(Serialize, ToSchema)]
#[schema(as = Export)]
pub(super) struct ExportView {
    export: SealedExport,
    exported: Vec<MovedView>,
    /// They stay, and are renewed here as before.
    left_out: Vec<LeftOutView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MovedConnection)]
pub(super) struct MovedView {
    id: String,
    name: String,
    tenant: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LeftOutConnection)]
pub(super) struct LeftOutView {
    id: String,
    name: String,
    tenant: Option<String>,
    /// `renewal_under_way`, `renewal_in_doubt`, `exported_elsewhere`, `renewed_elsewhere`, `token_unreadable`,
    /// `integration_misconfigured` or `changed_meanwhile`.
    code: &'static str,
    message: String,
}

impl MovedView {
    fn all(connections: Vec<Connection>) -> Vec<Self> {
        let view = |c: Connection| Self { id: c.id.to_string(), name: c.name, tenant: c.tenant };
        connections.into_iter().map(view).collect()
    }
}

impl LeftOutView {
    fn of(LeftOut { connection: c, why }: LeftOut) -> Self {
        let (code, message) = (why.code(), why.to_string());
        Self { id: c.id.to_string(), name: c.name, tenant: c.tenant, code, message }
    }
}

/// Seals connections with their credentials for another installation. From then on they are handed out here to the end of
/// their tokens, and not renewed: two that renew one credential kill it. An export may be made again, should it be lost.
#[utoipa::path(post, path = "/api/v1/exports", tag = "administration", security(("api_key" = [])),
    request_body = NewExport, responses(
    (status = 200, description = "The export", body = ExportView)))]
pub(super) async fn export_connections(
    key: Key,
    State(state): State<AppState>,
    JsonBody(new): JsonBody<NewExport>,
) -> Result<([(HeaderName, &'static str); 1], Json<ExportView>), Problem> {
    let caller = key.may(Permission::Admin)?;
    if new.tenant.as_deref() == Some("") {
        return Err(Problem::field("tenant", "Name the tenant, or leave it out for all of them."));
    }
    let recipient = new.recipient.parse().map_err(|e| Problem::field("recipient", format!("{e}")))?;
    allowed(&state, recipient)?;
    let chosen = match &new.connections {
        Some(references) => named(&state, &caller, references, new.tenant.as_ref()).await?,
        None => state.transfer.all(caller.tenant.as_deref().or(new.tenant.as_deref())).await?,
    };
    // A caller that hangs up leaves nothing half marked.
    let (transfer, actor) = (state.transfer.clone(), actor(&caller));
    let work = async move { transfer.export(chosen, recipient, &actor).await };
    let made = state.connect.tracker.spawn(work.in_current_span()).await;
    let made = made.map_err(|error| Problem::internal(&error))??;
    let view = ExportView {
        export: made.sealed,
        exported: MovedView::all(made.exported),
        left_out: made.left_out.into_iter().map(LeftOutView::of).collect(),
    };
    Ok((NO_STORE, Json(view)))
}

/// Whoever has an administrator's key may move connections where the operator says, and nowhere else.
fn allowed(state: &AppState, recipient: Recipient) -> Result<(), Problem> {
    if state.export_recipients.contains(&recipient) {
        return Ok(());
    }
    let detail = "The operator of this installation must name this recipient in MOORING_EXPORT_RECIPIENTS first, or run \
                  `mooring export` on the server.";
    Err(Problem::new(StatusCode::FORBIDDEN, "recipient_not_allowed", detail))
}

async fn named(
    state: &AppState,
    caller: &Caller,
    references: &[String],
    tenant: Option<&String>,
) -> Result<Vec<Connection>, Problem> {
    let mut found = Vec::with_capacity(references.len());
    for reference in references {
        found.push(find(state, caller, reference, Query(InTenant { tenant: tenant.cloned() })).await?);
    }
    Ok(found)
}

/// What to import.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewImport {
    /// The `export` of another installation's answer, or what its `mooring export` printed.
    export: SealedExport,
    /// Only says what would be imported, and stores nothing.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Import)]
pub(super) struct ImportView {
    imported: Vec<MovedView>,
    /// They were here already, and stay as they are.
    present: Vec<MovedView>,
}

/// Takes in what another installation exported to this one, with the ids that connections had there: all of it, or
/// nothing. It may be imported again; what is here already stays as it is.
#[utoipa::path(post, path = "/api/v1/imports", tag = "administration", security(("api_key" = [])),
    request_body = NewImport, responses(
    (status = 200, description = "What was imported", body = ImportView)))]
pub(super) async fn import_connections(
    Governor(caller): Governor,
    State(state): State<AppState>,
    JsonBody(new): JsonBody<NewImport>,
) -> Result<Json<ImportView>, Problem> {
    let made = state.connect.import(&new.export, new.dry_run, &actor(&caller)).await?;
    let view = ImportView { imported: MovedView::all(made.imported), present: MovedView::all(made.present) };
    Ok(Json(view))
}

/// Renews an exported connection here again, if the installation that it went to did not import it. A token that GitLab
/// refuses was renewed there: 409 `renewed_elsewhere`.
#[utoipa::path(post, path = "/api/v1/connections/{ref}/take-back", tag = "connections", security(("api_key" = [])),
    params(("ref" = String, Path, description = "Id or name"), InTenant), responses(
    (status = 200, description = "The connection, renewed here", body = ConnectionView)))]
pub(super) async fn take_back_connection(
    key: Key,
    State(state): State<AppState>,
    Segment(reference): Segment,
    tenant: Query<InTenant>,
) -> Result<Shown, Problem> {
    let caller = key.may(Permission::ConnectionsWrite)?;
    let was = find(&state, &caller, &reference, tenant).await?;
    let taken_back = state.renewals.take_back(was.id, &actor(&caller)).await;
    match taken_back {
        Ok(connection) => Ok(Shown::of(connection, &state)),
        Err(TakeBackError::Renewal(error)) => Err(renewal_problem(error, &was, &state)),
        Err(error @ TakeBackError::NotExported) => {
            Err(Problem::new(StatusCode::CONFLICT, "not_exported", error.to_string()))
        }
        Err(error @ TakeBackError::RenewedElsewhere) => {
            Err(Problem::new(StatusCode::CONFLICT, "renewed_elsewhere", error.to_string()))
        }
    }
}
