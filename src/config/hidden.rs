//! A setting that nobody may see by accident: no `Display`, a redacted `Debug`, wiped when it is dropped.

use std::fmt;
use zeroize::Zeroizing;

/// A secret as it was configured. `expose` is the only way to its text.
#[derive(Clone)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// Takes the text over; it is overwritten in memory when the value is dropped.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Hand it on to where it is used; never to a log or a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
