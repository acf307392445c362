//! Text that must never reach a log, a page, an error or a comparison.
//!
//! A `Secret` is defined by what it lacks: no `Display`, no `Serialize`, no `PartialEq`.

use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Cloning shares the one copy in memory; it is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The plain text. Every call is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in constant time. Secrets have no `==`, so that nothing else is ever used.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// Whether it stands somewhere in there.
    pub fn is_in(&self, text: &[u8]) -> bool {
        !self.is_empty() && text.windows(self.0.len()).any(|part| part == self.0.as_bytes())
    }

    /// The last four characters, by which a person knows a token that was refused. `None` where that would be
    /// much of it.
    pub fn ending(&self) -> Option<&str> {
        let from = self.0.len().checked_sub(4).filter(|from| *from >= 16)?;
        self.0.get(from..)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_one_is_known_by_its_ending() {
        assert_eq!(Secret::new("glpat-0123456789wxyz").ending(), Some("wxyz"));
        for short in ["", "wxyz", "glpat-012345678wxyz", "glpat-0123456789ä\u{301}é"] {
            assert!(Secret::new(short).ending().is_none_or(|e| e.len() == 4), "{short}");
        }
        assert_eq!(Secret::new("glpat-012345678wxyz").ending(), None);
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Some(Secret::new("glpat-abc"))), "Some(Secret([redacted]))");
    }
}
