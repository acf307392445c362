//! Seals to another installation, which alone can open it: HPKE in base mode (RFC 9180) with X25519, HKDF-SHA256 and
//! ChaCha20-Poly1305.
//!
//! A key pair comes out of each encryption key, so that there is nothing more to keep, and every replica has it.

use super::VaultError;
use aws_lc_rs::agreement::{PrivateKey, X25519};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use std::{fmt, str::FromStr};
use tokio_rustls::rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use zeroize::Zeroizing;

const PREFIX: &str = "moor-recipient_";
const KEY_BYTES: usize = 32;
/// Says what is sealed and in which format, so that it opens as nothing else.
const INFO: &[u8] = b"mooring export 1";

/// The public key of an installation. Its text ends in a checksum: nothing is ever sealed to a typing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient([u8; KEY_BYTES]);

/// A text that is no recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "A recipient begins with {PREFIX} and comes whole from `mooring recipient` at the installation that imports."
)]
pub struct NotARecipient;

/// What only one installation can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedTo {
    pub recipient: Recipient,
    /// The ephemeral public key, `enc` in RFC 9180.
    pub encapsulated: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

/// Seals for whoever holds the private key of this recipient.
pub fn seal_to(recipient: Recipient, plain: &[u8]) -> SealedTo {
    let key = HpkePublicKey(recipient.0.to_vec());
    let (encapsulated, ciphertext) = SUITE
        .seal(INFO, &recipient.0, plain, &key)
        .expect("a recipient is a good key, and this is no stream");
    SealedTo { recipient, encapsulated: encapsulated.0, ciphertext }
}

/// A recipient with its private key.
pub(super) struct Identity {
    pub(super) recipient: Recipient,
    private: HpkePrivateKey,
}

impl Identity {
    /// From 32 random bytes, which are any X25519 private key (RFC 7748 section 5).
    pub(super) fn new(private: &[u8; KEY_BYTES]) -> Self {
        let key = PrivateKey::from_private_key(&X25519, private).expect("any 32 bytes are a key");
        let public = key.compute_public_key().expect("every private key has its public one");
        let recipient = Recipient(public.as_ref().try_into().expect("a public key has 32 bytes"));
        Self { recipient, private: HpkePrivateKey::from(private.to_vec()) }
    }

    pub(super) fn open(&self, sealed: &SealedTo) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let encapsulated = EncapsulatedSecret(sealed.encapsulated.clone());
        SUITE
            .open(&encapsulated, INFO, &self.recipient.0, &sealed.ciphertext, &self.private)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Open)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0.to_vec();
        bytes.extend(crc32fast::hash(&self.0).to_be_bytes());
        write!(f, "{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Recipient {
    type Err = NotARecipient;

    fn from_str(text: &str) -> Result<Self, NotARecipient> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(NotARecipient)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_| NotARecipient)?;
        let (key, sum) = bytes.split_first_chunk::<KEY_BYTES>().ok_or(NotARecipient)?;
        // X25519 with a point of small order gives a secret that everybody knows.
        let is_good = sum == crc32fast::hash(key).to_be_bytes()
            && SUITE.setup_sealer(INFO, &HpkePublicKey(key.to_vec())).is_ok();
        is_good.then_some(Self(*key)).ok_or(NotARecipient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(byte: u8) -> Identity {
        Identity::new(&[byte; KEY_BYTES])
    }

    #[test]
    fn only_its_recipient_opens_what_was_sealed() {
        let own = identity(1);
        let sealed = seal_to(own.recipient, b"glpat-1");
        assert_eq!(&*own.open(&sealed).unwrap(), b"glpat-1");
        assert_eq!(identity(2).open(&sealed).unwrap_err(), VaultError::Open);
        assert_ne!(sealed, seal_to(own.recipient, b"glpat-1"), "each is sealed anew");
    }

    #[test]
    fn every_changed_byte_is_found() {
        let own = identity(1);
        let sealed = seal_to(own.recipient, b"glpat-1");
        for at in 0..sealed.ciphertext.len() {
            let mut bad = sealed.clone();
            bad.ciphertext[at] ^= 1;
            assert!(own.open(&bad).is_err(), "ciphertext {at}");
        }
        for at in 0..sealed.encapsulated.len() {
            let mut bad = sealed.clone();
            bad.encapsulated[at] ^= 1;
            assert!(own.open(&bad).is_err(), "encapsulated {at}");
        }
        for encapsulated in [vec![], vec![0; KEY_BYTES], vec![7; 31], vec![7; 4_000]] {
            assert!(own.open(&SealedTo { encapsulated, ..sealed.clone() }).is_err());
        }
    }

    /// RFC 9180, appendix A.2.1: the key pair of the recipient.
    #[test]
    fn a_private_key_has_the_public_key_that_others_compute() {
        let hex = |text: &str| -> [u8; KEY_BYTES] {
            let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            std::array::from_fn(|nth| byte(2 * nth))
        };
        let private = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let public = hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
        assert_eq!(Identity::new(&private).recipient, Recipient(public));
    }

    #[test]
    fn a_recipient_is_read_as_it_is_shown_and_a_typing_error_is_found() {
        let recipient = identity(3).recipient;
        let text = recipient.to_string();
        assert_eq!(format!(" {text}\n").parse(), Ok(recipient));
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(String::from_utf8(wrong).unwrap().parse::<Recipient>(), Err(NotARecipient), "at {at}");
        }
        for cut in 0..text.len() {
            assert_eq!(text[..cut].parse::<Recipient>(), Err(NotARecipient));
        }
    }

    #[test]
    fn a_point_of_small_order_is_no_recipient() {
        for first in [0, 1] {
            let mut key = [0; KEY_BYTES];
            key[0] = first;
            assert_eq!(Recipient(key).to_string().parse::<Recipient>(), Err(NotARecipient));
        }
    }
}
