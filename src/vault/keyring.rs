//! XChaCha20-Poly1305 under a ring of keys: one seals, all open.
//!
//! Layout: version (1 byte), key id (4), nonce (24), ciphertext with tag (16 more). The associated data
//! holds version, key id and what the ciphertext is bound to, so that a row that was swapped, moved to
//! another base URL or rolled back to an older generation does not open.

use super::recipient::{Identity, Recipient, SealedTo};
use crate::domain::Secret;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use std::{collections::BTreeMap, fmt};
use zeroize::Zeroizing;

/// The length of an encryption key.
const KEY_BYTES: usize = 32;

const VERSION: u8 = 1;
const ID_END: usize = 5;
const HEAD: usize = ID_END + 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("an encryption key is 32 bytes in base64")]
    Key,
    #[error("sealed under a key that is not in the keyring; add it to MOORING_ENCRYPTION_KEYS_RETIRED")]
    UnknownKey,
    #[error("a sealed value is damaged, or belongs to another row")]
    Open,
    #[error(
        "sealed for another installation, or under an encryption key that is not in the keyring any more"
    )]
    OtherRecipient,
}

/// What a ciphertext belongs to. It opens only where it was put.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    pub table: &'static str,
    pub row: &'a str,
    pub field: &'static str,
    pub base_url: &'a str,
    pub generation: i64,
}

/// Names a key; made from it, and one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// The id in the head of a sealed value, cut out of it.
    pub fn from_head(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As it stands in a head.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// All keys, of which one is active.
pub struct Keyring {
    active: [u8; 4],
    keys: BTreeMap<[u8; 4], Key>,
}

struct Key {
    cipher: XChaCha20Poly1305,
    identity: Identity,
}

/// A new encryption key, in base64.
pub fn generate_key() -> Zeroizing<String> {
    let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
    Zeroizing::new(BASE64_STANDARD.encode(key.as_slice()))
}

impl Keyring {
    /// Builds the ring from keys in base64: the active one, and those that only open.
    pub fn new<'a>(active: &str, retired: impl IntoIterator<Item = &'a str>) -> Result<Self, VaultError> {
        let mut keys = BTreeMap::new();
        let mut add = |text: &str| {
            let (id, key) = derive(text)?;
            keys.insert(id, key);
            Ok(id)
        };
        for key in retired {
            add(key)?;
        }
        let active = add(active)?;
        Ok(Self { active, keys })
    }

    pub fn seal(&self, plain: &[u8], binding: Binding<'_>) -> Vec<u8> {
        let nonce = XNonce::generate();
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.active);
        let aad = binding.associated_data(&sealed);
        sealed.extend_from_slice(&nonce);
        let ciphertext = self.keys[&self.active]
            .cipher
            .encrypt(&nonce, Payload { msg: plain, aad: &aad })
            .expect("a token is far below the cipher's limit of 256 GiB");
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    pub fn open(&self, sealed: &[u8], binding: Binding<'_>) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (head, ciphertext) = sealed.split_at_checked(HEAD).ok_or(VaultError::Open)?;
        let id: [u8; 4] = head[1..ID_END].try_into().map_err(|_| VaultError::Open)?;
        let nonce: &XNonce = head[ID_END..].try_into().map_err(|_| VaultError::Open)?;
        if head[0] != VERSION {
            return Err(VaultError::Open);
        }
        let key = self.keys.get(&id).ok_or(VaultError::UnknownKey)?;
        let aad = binding.associated_data(&head[..ID_END]);
        key.cipher
            .decrypt(nonce, Payload { msg: ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Open)
    }

    /// Opens what was text.
    pub fn open_secret(&self, sealed: &[u8], binding: Binding<'_>) -> Result<Secret, VaultError> {
        let plain = self.open(sealed, binding)?;
        std::str::from_utf8(&plain).map(Secret::new).map_err(|_| VaultError::Open)
    }

    /// The id of the active key, and those of the retired ones. An id tells nothing of its key.
    pub fn ids(&self) -> (KeyId, Vec<KeyId>) {
        let retired = self.keys.keys().filter(|id| **id != self.active);
        (KeyId(self.active), retired.copied().map(KeyId).collect())
    }

    /// Who others seal to, so that this installation can open it. It changes with the active key.
    pub fn recipient(&self) -> Recipient {
        self.keys[&self.active].identity.recipient
    }

    /// Opens what another installation sealed to one of these keys.
    pub fn open_sealed_to(&self, sealed: &SealedTo) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let mut identities = self.keys.values().map(|key| &key.identity);
        let own = identities.find(|own| own.recipient == sealed.recipient);
        own.ok_or(VaultError::OtherRecipient)?.open(sealed)
    }

    /// Whether this was sealed under the active key.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.get(1..ID_END).is_some_and(|id| id == self.active)
    }
}

/// One key's id and what is made of it. The id comes from the key itself, so nobody has to number keys.
fn derive(text: &str) -> Result<([u8; 4], Key), VaultError> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).map_err(|_| VaultError::Key)?);
    if bytes.len() != KEY_BYTES {
        return Err(VaultError::Key);
    }
    let hkdf = Hkdf::<Sha256>::new(Some(b"mooring/1"), &bytes);
    let (mut id, mut key, mut private) =
        ([0; 4], Zeroizing::new([0; KEY_BYTES]), Zeroizing::new([0; KEY_BYTES]));
    hkdf.expand(b"key id", &mut id).expect("4 bytes are a valid length");
    hkdf.expand(b"seal", &mut *key).expect("32 bytes are a valid length");
    hkdf.expand(b"recipient", &mut *private).expect("32 bytes are a valid length");
    Ok((id, Key { cipher: XChaCha20Poly1305::new((&*key).into()), identity: Identity::new(&private) }))
}

impl Binding<'_> {
    /// Every part with its length before it, so that no two bindings read the same.
    fn associated_data(&self, head: &[u8]) -> Vec<u8> {
        let generation = self.generation.to_be_bytes();
        let parts: [&[u8]; 6] = [
            head,
            self.table.as_bytes(),
            self.row.as_bytes(),
            self.field.as_bytes(),
            self.base_url.as_bytes(),
            &generation,
        ];
        let mut data = Vec::new();
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Binding<'static> = Binding {
        table: "credentials",
        row: "c1",
        field: "access_token",
        base_url: "https://gitlab.com",
        generation: 3,
    };

    fn ring() -> Keyring {
        Keyring::new(&generate_key(), []).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_where_it_was_put() {
        let ring = ring();
        let sealed = ring.seal(b"glpat-1", BOUND);
        assert_eq!(&*ring.open(&sealed, BOUND).unwrap(), b"glpat-1");
        assert_ne!(sealed, ring.seal(b"glpat-1", BOUND), "nonces differ");
    }

    #[test]
    fn a_ciphertext_opens_nowhere_else() {
        let ring = ring();
        let sealed = ring.seal(b"glpat-1", BOUND);
        let elsewhere = [
            Binding { table: "revocations", ..BOUND },
            Binding { row: "c2", ..BOUND },
            Binding { field: "refresh_token", ..BOUND },
            Binding { base_url: "https://evil.example", ..BOUND },
            Binding { generation: 2, ..BOUND },
        ];
        for other in elsewhere {
            assert_eq!(ring.open(&sealed, other).unwrap_err(), VaultError::Open, "{other:?}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let ring = ring();
        let sealed = ring.seal(b"secret", BOUND);
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open(&bad, BOUND).is_err(), "bit {bit}");
        }
        for cut in 0..sealed.len() {
            assert!(ring.open(&sealed[..cut], BOUND).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_retired_key_opens_and_the_active_one_seals() {
        let (old, new) = (generate_key(), generate_key());
        let sealed = Keyring::new(&old, []).unwrap().seal(b"x", BOUND);
        let both = Keyring::new(&new, [old.as_str()]).unwrap();
        assert_eq!(&*both.open(&sealed, BOUND).unwrap(), b"x");
        assert!(!both.is_current(&sealed) && both.is_current(&both.seal(b"x", BOUND)));
        let alone = Keyring::new(&new, []).unwrap();
        assert_eq!(alone.open(&sealed, BOUND).unwrap_err(), VaultError::UnknownKey);
    }

    #[test]
    fn what_others_seal_to_it_opens_also_after_its_key_retired() {
        let (old, new) = (generate_key(), generate_key());
        let before = Keyring::new(&old, []).unwrap();
        let sealed = crate::vault::seal_to(before.recipient(), b"x");
        let both = Keyring::new(&new, [old.as_str()]).unwrap();
        assert_ne!(both.recipient(), before.recipient());
        assert_eq!(&*both.open_sealed_to(&sealed).unwrap(), b"x");
        let alone = Keyring::new(&new, []).unwrap();
        assert_eq!(alone.open_sealed_to(&sealed).unwrap_err(), VaultError::OtherRecipient);
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(Keyring::new("c2hvcnQ=", []).unwrap_err(), VaultError::Key);
    }
}
