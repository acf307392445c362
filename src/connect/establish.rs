//! Where both ways in meet: a known account with a credential becomes a connection.

use super::{Connect, ConnectError, Fields};
use crate::{
    domain::{
        Actor, BaseUrl, CheckOutcome, Connection, ConnectionId, Credential, CredentialFacts, Method, Scopes,
        Secret, UseCaseCheck,
    },
    providers::{Inspection, Instance, check_use_cases},
    store::{NextCredential, StoreError},
};

/// The one provider there is. A second one makes this a field of [`Place`].
pub(super) const PROVIDER: &str = "gitlab";

/// How often a person's credential is tried again where a renewal was faster. Renewals are minutes apart.
pub(super) const MOST_SWAPS: u32 = 5;

/// Where a connection is made.
pub(super) struct Place {
    pub(super) integration: Option<String>,
    pub(super) instance: Instance,
}

impl Place {
    pub(super) fn base_url(&self) -> &BaseUrl {
        &self.instance.base_url
    }
}

impl Connect {
    /// Makes the connection: one insert, one event.
    pub(super) async fn establish(
        &self,
        place: &Place,
        fields: Fields,
        account: Inspected<'_>,
        credential: &Credential,
        actor: &Actor,
    ) -> Result<Connection, ConnectError> {
        let connection = self.connection(place, fields, account, credential);
        match self.store.add_connection(&connection, credential, actor).await {
            Ok(()) => Ok(connection),
            Err(StoreError::NameTaken) => Err(ConnectError::NameTaken(connection.name)),
            Err(error) => Err(error.into()),
        }
    }

    fn connection(
        &self,
        place: &Place,
        fields: Fields,
        account: Inspected<'_>,
        credential: &Credential,
    ) -> Connection {
        let now = self.clock.now();
        Connection {
            id: ConnectionId::fresh(),
            name: fields.name,
            description: fields.description,
            tenant: fields.tenant,
            tags: fields.tags,
            integration: place.integration.clone(),
            provider: PROVIDER.to_owned(),
            base_url: place.base_url().clone(),
            method: account.method,
            token_kind: account.found.token_kind,
            account: account.found.account.clone(),
            use_cases: fields.use_cases,
            checks: account.checks,
            credential: self.facts(1, credential),
            last_checked_at: Some(now),
            last_used_at: None,
            breaker: None,
            created_at: now,
            updated_at: now,
        }
    }

    pub(super) fn facts(&self, generation: i64, credential: &Credential) -> CredentialFacts {
        CredentialFacts {
            generation,
            scopes: credential.scopes.clone(),
            renewal: credential.renewal.kind(),
            obtained_at: credential.obtained_at,
            expires_at: credential.expires_at,
            renew_at: self.tending.renew_at(credential, rand::random()),
            last_renewed_at: None,
            stopped: None,
            failure: None,
            rejections: 0,
            exported_at: None,
        }
    }

    /// Swaps the credential of a connection for one of the same account. `ChangedMeanwhile`: it has another
    /// generation by now, or is gone.
    pub(super) async fn swap(
        &self,
        was: &Connection,
        account: Inspected<'_>,
        credential: &Credential,
        (kind, actor): (crate::domain::EventKind, &Actor),
    ) -> Result<Connection, ConnectError> {
        let now = self.clock.now();
        let facts = self.facts(was.credential.generation + 1, credential);
        let next = Connection {
            token_kind: account.found.token_kind,
            account: account.found.account.clone(),
            checks: account.checks,
            credential: CredentialFacts { last_renewed_at: was.credential.last_renewed_at, ..facts },
            last_checked_at: Some(now),
            updated_at: now,
            ..was.clone()
        };
        let swapped = NextCredential { credential, renew_at: next.credential.renew_at };
        match self.store.replace_credential(was, &next, swapped, kind, actor).await? {
            Some(_) => Ok(next),
            None => Err(ConnectError::ChangedMeanwhile),
        }
    }

    /// Checks a token against the use cases that are known here, and refuses what is too little.
    pub(super) async fn checked(
        &self,
        place: &Place,
        token: &Secret,
        found: &Inspection,
        use_cases: &[String],
        name: &str,
    ) -> Result<Vec<UseCaseCheck>, ConnectError> {
        let known = self.known(use_cases);
        let api = self.provider.api();
        let checks = check_use_cases(api, &place.instance, token, found, &known).await?;
        let needed = self.use_cases.scopes_for(use_cases, found.token_kind);
        let mend_at = || api.token_form_url(place.base_url(), found.token_kind, name, &needed);
        match checks.iter().find(|c| refuses(c)) {
            None => Ok(checks),
            Some(check) if check.outcome == CheckOutcome::InsufficientScope => {
                Err(ConnectError::InsufficientScope {
                    use_case: check.use_case.clone(),
                    missing: all_missing(&checks),
                    held: found.scopes.to_vec(),
                    mend_at: mend_at(),
                })
            }
            Some(check) => Err(ConnectError::InsufficientRole {
                use_case: check.use_case.clone(),
                least_role: check.least_role.clone(),
                mend_at: mend_at(),
            }),
        }
    }
}

/// What the provider said of a token, and by which door it came.
pub(super) struct Inspected<'a> {
    pub(super) found: &'a Inspection,
    pub(super) checks: Vec<UseCaseCheck>,
    pub(super) method: Method,
}

fn refuses(check: &UseCaseCheck) -> bool {
    matches!(check.outcome, CheckOutcome::InsufficientScope | CheckOutcome::InsufficientRole)
}

/// The missing scopes of all use cases, each once, so that one new token mends everything.
fn all_missing(checks: &[UseCaseCheck]) -> Vec<String> {
    checks.iter().flat_map(|c| c.missing_scopes.iter().cloned()).collect::<Scopes>().to_vec()
}
