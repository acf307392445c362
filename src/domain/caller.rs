//! The program that asks, and what its API key lets it do.

use super::{RequestPattern, words::words};
use std::sync::Arc;

words! {
    /// What an API key may do. `admin` implies all; `connections:write` implies `connections:read`.
    pub enum Permission {
        ConnectionsRead = "connections:read",
        ConnectionsWrite = "connections:write",
        TokensRead = "tokens:read",
        Proxy = "proxy",
        Admin = "admin",
    }
}

/// Who asks: an API key that was found valid.
#[derive(Clone, Debug)]
pub struct Caller {
    pub api_key_id: String,
    /// `Some`: the key sees this tenant's connections and nothing else.
    pub tenant: Option<String>,
    pub permissions: Vec<Permission>,
    /// The requests that it may send through the proxy. Empty: all.
    pub allow: Arc<[RequestPattern]>,
}

impl Caller {
    pub fn may(&self, wanted: Permission) -> bool {
        self.permissions.iter().any(|held| {
            *held == wanted
                || *held == Permission::Admin
                || (*held == Permission::ConnectionsWrite && wanted == Permission::ConnectionsRead)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_imply_as_the_contract_says() {
        let with = |permissions: &[Permission]| Caller {
            api_key_id: "k".into(),
            tenant: None,
            permissions: permissions.to_vec(),
            allow: Arc::default(),
        };
        assert!(with(&[Permission::Admin]).may(Permission::TokensRead));
        assert!(with(&[Permission::ConnectionsWrite]).may(Permission::ConnectionsRead));
        assert!(!with(&[Permission::ConnectionsRead]).may(Permission::ConnectionsWrite));
        assert!(!with(&[Permission::ConnectionsWrite]).may(Permission::TokensRead));
    }
}
