//! What travels: connections with their credentials, as JSON, sealed whole.

use crate::{
    domain::{
        Account, ConnectionId, Method, Reason, Renewal, RenewalKind, Scopes, Secret, TokenKind, UseCaseCheck,
    },
    store::Held,
    vault::{Digest, Recipient, SealedTo, VaultError, seal_to},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::{OffsetDateTime, serde::rfc3339};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// The format that this version writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// Connections that only one installation can open.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedExport {
    /// The format: 1.
    mooring_export: u32,
    /// For which installation.
    recipient: String,
    /// The ephemeral public key (`enc` in RFC 9180), in base64.
    encapsulated: String,
    /// In base64.
    sealed: String,
}

/// One connection with its credential, as its installation had it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    pub id: ConnectionId,
    pub name: String,
    pub description: Option<String>,
    pub tenant: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub provider: String,
    pub base_url: String,
    /// Of the OAuth application that its refresh token is bound to. `None`: it has none, or nobody knows.
    pub client_id: Option<String>,
    pub method: Method,
    pub token_kind: TokenKind,
    pub account: Option<Account>,
    pub use_cases: Vec<String>,
    pub checks: Vec<UseCaseCheck>,
    #[serde(with = "rfc3339::option")]
    pub last_checked_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    pub generation: i64,
    #[serde(with = "secret")]
    pub access_token: Secret,
    #[serde(with = "secret::option")]
    pub refresh_token: Option<Secret>,
    pub scopes: Scopes,
    pub renewal: RenewalKind,
    #[serde(with = "rfc3339")]
    pub obtained_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    pub last_renewed_at: Option<OffsetDateTime>,
    pub stopped: Option<Reason>,
    /// The SHA-256 of the access token that somebody brought last, in base64.
    pub brought_hash: Option<String>,
}

impl Moved {
    pub(super) fn of(held: Held, client_id: Option<String>, brought_hash: Option<Digest>) -> Self {
        let (c, credential) = (held.connection, held.credential);
        let refresh_token = match &credential.renewal {
            Renewal::Refresh(token) => Some(token.clone()),
            Renewal::SelfRotate | Renewal::Manual => None,
        };
        Self {
            id: c.id,
            name: c.name,
            description: c.description,
            tenant: c.tenant,
            tags: c.tags,
            provider: c.provider,
            base_url: c.base_url.to_string(),
            client_id,
            method: c.method,
            token_kind: c.token_kind,
            account: c.account,
            use_cases: c.use_cases,
            checks: c.checks,
            last_checked_at: c.last_checked_at,
            created_at: c.created_at,
            generation: c.credential.generation,
            renewal: credential.renewal.kind(),
            access_token: credential.access_token,
            refresh_token,
            scopes: credential.scopes,
            obtained_at: credential.obtained_at,
            expires_at: credential.expires_at,
            last_renewed_at: c.credential.last_renewed_at,
            stopped: c.credential.stopped,
            brought_hash: brought_hash.map(|hash| BASE64_STANDARD.encode(hash)),
        }
    }
}

impl SealedExport {
    pub(super) fn seal(moved: &[Moved], recipient: Recipient) -> Self {
        let plain = Zeroizing::new(serde_json::to_vec(moved).expect("its keys are text"));
        let sealed = seal_to(recipient, &plain);
        Self {
            mooring_export: FORMAT,
            recipient: recipient.to_string(),
            encapsulated: BASE64_STANDARD.encode(sealed.encapsulated),
            sealed: BASE64_STANDARD.encode(sealed.ciphertext),
        }
    }

    /// Opens it with `open`, which has this installation's private key.
    pub fn open(
        &self,
        open: impl FnOnce(&SealedTo) -> Result<Zeroizing<Vec<u8>>, VaultError>,
    ) -> Result<Vec<Moved>, UnreadableExport> {
        if self.mooring_export != FORMAT {
            return Err(UnreadableExport::Format(self.mooring_export));
        }
        let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| UnreadableExport::Damaged);
        let sealed = SealedTo {
            recipient: self.recipient.parse().map_err(|_| UnreadableExport::Damaged)?,
            encapsulated: bytes(&self.encapsulated)?,
            ciphertext: bytes(&self.sealed)?,
        };
        let plain = open(&sealed).map_err(|error| match error {
            VaultError::OtherRecipient => UnreadableExport::OtherRecipient,
            _ => UnreadableExport::Damaged,
        })?;
        // PostgreSQL keeps no text with a null character.
        if plain.windows(6).any(|part| part == br"\u0000") {
            return Err(UnreadableExport::Inside);
        }
        serde_json::from_slice(&plain).map_err(|_| UnreadableExport::Inside)
    }
}

/// Why an export cannot be read. None of them tells what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableExport {
    #[error(
        "This is format {0}, and this version reads {FORMAT}. Import it with the version that made it, or a newer one."
    )]
    Format(u32),
    #[error(
        "This was sealed for another installation, or for an encryption key that is not in use here any more. Export again, \
         to what `mooring recipient` prints here."
    )]
    OtherRecipient,
    #[error("This export is damaged. Copy it again, whole.")]
    Damaged,
    #[error("This export holds what this version does not know. Upgrade this installation first.")]
    Inside,
}

/// A secret as text: only here, where all of it is sealed at once.
mod secret {
    use crate::domain::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }

    pub(super) mod option {
        use super::{Deserialize, Deserializer, Secret, Serializer};
        use serde::Serialize;

        #[expect(clippy::ref_option, reason = "serde calls it so")]
        pub(in crate::transfer) fn serialize<S: Serializer>(
            secret: &Option<Secret>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            secret.as_ref().map(Secret::expose).serialize(serializer)
        }

        pub(in crate::transfer) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Secret>, D::Error> {
            Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
        }
    }
}
