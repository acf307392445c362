//! Whom TLS trusts beside the system's roots.
//!
//! The rule it guards: certificates are always verified; a private CA is added, never a check taken away.

use std::fmt;

use reqwest::Certificate;

use super::steps::detail;

/// CA certificates that are trusted beside the system's own. The default adds none.
#[derive(Clone, Default)]
pub struct CaBundle {
    certificates: Vec<Certificate>,
}

/// Why a PEM text is not a CA bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaError {
    #[error("the PEM text cannot be read")]
    Unreadable,
    #[error("the text holds no certificate: it wants at least one -----BEGIN CERTIFICATE----- block")]
    NoCertificate,
}

/// Why no client could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error(
        "this system has no CA certificates, so no TLS connection could be trusted: install the package \
         ca-certificates, or name a PEM bundle in MOORING_CA_FILE"
    )]
    NoRoots,
    #[error("a certificate of a CA file cannot be used: {0}")]
    Certificate(String),
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

impl CaBundle {
    /// Reads every certificate of a PEM text; other blocks in it are passed over.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CaError> {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|_| CaError::Unreadable)?;
        if certificates.is_empty() {
            return Err(CaError::NoCertificate);
        }
        Ok(Self { certificates })
    }

    /// Both bundles together: the one for the whole server and the one of an integration.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        Self { certificates: [self.certificates.as_slice(), &other.certificates].concat() }
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.certificates.clone()
    }
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaBundle({} certificates)", self.certificates.len())
    }
}

impl BuildError {
    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        let text = detail(error);
        match text {
            text if text.contains("No CA certificates") => Self::NoRoots,
            text if text.contains("certificate") => Self::Certificate(text),
            text => Self::Client(text),
        }
    }
}
