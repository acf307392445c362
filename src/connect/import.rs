//! Connections of another installation come in, with the credentials that they had there.
//!
//! The provider is not asked: what it says of them, their next check tells. Whoever knows the recipient can make an export,
//! so what stands in it is checked like what a caller sends.

use super::{Connect, ConnectError, Fields, Target, establish::PROVIDER};
use crate::{
    domain::{
        Actor, BaseUrl, Connection, ConnectionId, Credential, CredentialFacts, Integration, Method, Reason,
        Renewal, RenewalKind, TokenKind,
    },
    store::{AllNames, Held, ImportedConnection, StoreError},
    transfer::{Moved, SealedExport, UnreadableExport},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::{collections::BTreeSet, ops::Range};

/// More than any credential ever has, and far from where counting ends.
const MOST_GENERATIONS: i64 = 1_000_000_000_000;

/// In which instants lie that can be told anywhere.
const YEARS: Range<i32> = 2000..9000;

/// What an import brought, or would bring.
#[derive(Debug)]
pub struct Import {
    pub imported: Vec<Connection>,
    /// They are here already: this export, or a part of it, was imported before.
    pub present: Vec<Connection>,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Unreadable(#[from] UnreadableExport),
    /// Every connection that cannot be taken in, each with the first thing that is wrong. Nothing was stored.
    #[error("{} of these connections cannot be imported, so none was.", .0.len())]
    Refused(Vec<RefusedConnection>),
    #[error("Connections of this export came in at the same moment. Import it again.")]
    ChangedMeanwhile,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A connection that cannot be taken in.
#[derive(Clone, Debug)]
pub struct RefusedConnection {
    pub id: ConnectionId,
    pub name: String,
    pub tenant: Option<String>,
    pub code: &'static str,
    pub message: String,
}

impl Connect {
    /// Takes in what another installation exported to this one: all of it or nothing. What is here already stays as it
    /// is, so that an import may be made again. A dry run stores nothing.
    pub async fn import(
        &self,
        export: &SealedExport,
        dry_run: bool,
        actor: &Actor,
    ) -> Result<Import, ImportError> {
        let all = export.open(|sealed| self.store.open_sealed_to(sealed))?;
        let here = self.store.all_names().await?;
        let (mut new, mut present, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for moved in &all {
            if !ids.insert(moved.id) {
                refused.push(refusal(moved, &ConnectError::field("id", "It stands in this export twice.")));
                continue;
            }
            if !names.insert((&moved.tenant, &moved.name)) {
                refused.push(refusal(moved, &ConnectError::NameTaken(moved.name.clone())));
                continue;
            }
            match self.take_in(moved, &here).await {
                Ok(Taken::Present(connection)) => present.push(*connection),
                Ok(Taken::New(one)) => new.push(*one),
                Err(ConnectError::Store(error)) => return Err(error.into()),
                Err(error) => refused.push(refusal(moved, &error)),
            }
        }
        if !refused.is_empty() {
            return Err(ImportError::Refused(refused));
        }
        if !dry_run {
            match self.store.import_connections(&new, self.clock.now(), actor).await {
                // The same import, or somebody else, was faster.
                Err(StoreError::NameTaken) => return Err(ImportError::ChangedMeanwhile),
                done => done?,
            }
        }
        let imported = new.into_iter().map(|one| one.held.connection).collect();
        Ok(Import { imported, present })
    }

    async fn take_in(&self, moved: &Moved, here: &AllNames) -> Result<Taken, ConnectError> {
        if here.has_id(moved.id)
            && let Some(there) = self.store.connection(moved.id).await?
        {
            if !is_as_good(&there.credential, moved) {
                return Err(ConnectError::AlreadyHere);
            }
            return Ok(Taken::Present(Box::new(there)));
        }
        let fields = fields(moved).checked()?;
        self.chosen(&fields.use_cases)?;
        let (integration, base_url) = self.home_of(moved)?;
        let credential = credential(moved)?;
        for token in [Some(&moved.access_token), moved.refresh_token.as_ref()].into_iter().flatten() {
            self.provider.api().presentable(token)?;
        }
        if here.has_name(&fields.name, fields.tenant.as_deref()) {
            return Err(ConnectError::NameTaken(fields.name));
        }
        let connection = self.moved_connection(moved, fields, (integration, base_url), &credential);
        let held = Held { connection, credential };
        Ok(Taken::New(Box::new(ImportedConnection { held, brought_hash: brought_hash(moved)? })))
    }

    /// Where its credential may go here. A refresh token is bound to its OAuth application.
    fn home_of(&self, moved: &Moved) -> Result<(Option<String>, BaseUrl), ConnectError> {
        if moved.provider != PROVIDER {
            return Err(ConnectError::field("provider", "This version does not know its provider."));
        }
        if moved.method == Method::AccessToken {
            let place = self.place(&Target::BaseUrl(moved.base_url.clone()))?;
            return Ok((place.integration, place.instance.base_url));
        }
        let base_url = BaseUrl::parse_configured(&moved.base_url)?;
        let is_same = |one: &&Integration| one.base_url == base_url && has_application(one, moved);
        let Some(found) = self.instances.integrations().find(is_same) else {
            let client_id = moved.client_id.clone().unwrap_or_default();
            return Err(ConnectError::NoSuchApplication { base_url: base_url.to_string(), client_id });
        };
        Ok((Some(found.id.clone()), base_url))
    }

    fn moved_connection(
        &self,
        moved: &Moved,
        fields: Fields,
        (integration, base_url): (Option<String>, BaseUrl),
        credential: &Credential,
    ) -> Connection {
        let facts = CredentialFacts {
            last_renewed_at: moved.last_renewed_at,
            stopped: moved.stopped,
            ..self.facts(moved.generation, credential)
        };
        Connection {
            id: moved.id,
            name: fields.name,
            description: fields.description,
            tenant: fields.tenant,
            tags: fields.tags,
            integration,
            provider: PROVIDER.to_owned(),
            base_url,
            method: moved.method,
            token_kind: moved.token_kind,
            account: moved.account.clone(),
            use_cases: fields.use_cases,
            checks: moved.checks.clone(),
            credential: facts,
            last_checked_at: moved.last_checked_at,
            last_used_at: None,
            breaker: None,
            created_at: moved.created_at,
            updated_at: moved.created_at,
        }
    }
}

enum Taken {
    New(Box<ImportedConnection>),
    Present(Box<Connection>),
}

fn refusal(moved: &Moved, error: &ConnectError) -> RefusedConnection {
    RefusedConnection {
        id: moved.id,
        name: moved.name.clone(),
        tenant: moved.tenant.clone(),
        code: error.code(),
        message: error.to_string(),
    }
}

fn fields(moved: &Moved) -> Fields {
    Fields {
        name: moved.name.clone(),
        description: moved.description.clone(),
        tenant: moved.tenant.clone(),
        tags: moved.tags.clone(),
        use_cases: moved.use_cases.clone(),
    }
}

/// Whether what is here is what is moved, or came after it. Generations alone do not tell: each side may have got a
/// credential of its own since.
fn is_as_good(here: &CredentialFacts, moved: &Moved) -> bool {
    let is_later = here.generation >= moved.generation && here.obtained_at >= moved.obtained_at;
    let works = here.stopped.is_none() || moved.stopped.is_some();
    is_later && works && here.exported_at.is_none()
}

/// Without a refresh token any application will do: people reauthorize with it.
fn has_application(integration: &Integration, moved: &Moved) -> bool {
    let application = integration.application.as_ref();
    application
        .is_some_and(|own| moved.refresh_token.is_none() || moved.client_id.as_ref() == Some(&own.client_id))
}

fn credential(moved: &Moved) -> Result<Credential, ConnectError> {
    let wrong = |message| ConnectError::field("credential", message);
    let renewal = match (moved.renewal, &moved.refresh_token) {
        (RenewalKind::Refresh, Some(token)) => Renewal::Refresh(token.clone()),
        (RenewalKind::SelfRotate, None) => Renewal::SelfRotate,
        (RenewalKind::Manual, None) => Renewal::Manual,
        _ => return Err(wrong("Its refresh token does not fit how it is renewed.")),
    };
    let fits = match moved.renewal {
        RenewalKind::Refresh => moved.method == Method::OAuth,
        RenewalKind::SelfRotate => moved.method == Method::AccessToken,
        RenewalKind::Manual => true,
    };
    let is_consented = moved.method == Method::OAuth;
    if !fits
        || is_consented && moved.token_kind != TokenKind::OAuth
        || moved.stopped == Some(Reason::Exported)
    {
        return Err(wrong("Its renewal does not fit how it was made."));
    }
    let instants = [Some(moved.created_at), Some(moved.obtained_at), moved.expires_at, moved.last_renewed_at];
    let mut instants = instants.into_iter().chain([moved.last_checked_at]).flatten();
    if !instants.all(|at| YEARS.contains(&at.year())) {
        return Err(wrong("It has an instant that no token has."));
    }
    if !(1..=MOST_GENERATIONS).contains(&moved.generation) {
        return Err(wrong("Its generation is none."));
    }
    Ok(Credential {
        access_token: moved.access_token.clone(),
        obtained_at: moved.obtained_at,
        expires_at: moved.expires_at,
        scopes: moved.scopes.clone(),
        renewal,
    })
}

fn brought_hash(moved: &Moved) -> Result<Option<Vec<u8>>, ConnectError> {
    let Some(text) = &moved.brought_hash else { return Ok(None) };
    let hash = BASE64_STANDARD.decode(text).ok().filter(|hash| hash.len() == 32);
    hash.map(Some).ok_or_else(|| ConnectError::field("credential", "The hash of its token is none."))
}
