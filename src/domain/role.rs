//! What a person may do on the pages.

use super::words::words;

words! {
    /// An administrator may do everything. A viewer sees everything and changes nothing but what is their own.
    pub enum Role {
        Administrator = "administrator",
        Viewer = "viewer",
    }
}

impl Role {
    /// Whether this person may change what everybody shares.
    pub fn may_change(self) -> bool {
        self == Self::Administrator
    }
}
