//! Makes operators, for the setup page, the settings, the command line and the first start alike: which
//! e-mail addresses and passwords are taken.

use crate::{
    domain::{OperatorId, Role},
    store::Operator,
    vault::hash_password,
};

/// In characters.
pub const SHORTEST_PASSWORD: usize = 12;
/// Longer ones are refused before they are hashed.
pub const LONGEST_PASSWORD: usize = 1_000;

/// An operator with a fresh id. Judge the address and the password before.
pub async fn new_operator(email: String, password: String, role: Role) -> Operator {
    let password_hash = Some(hash_password(password).await);
    Operator { id: OperatorId::fresh(), email, password_hash, role }
}

/// What is wrong with an address, which is in lower case and trimmed.
pub fn bad_email(email: &str) -> Option<&'static str> {
    let is_plain = email.len() <= 254 && email.chars().all(|c| !c.is_control() && !c.is_whitespace());
    let has_parts = email.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
    (!is_plain || !has_parts).then_some("Enter an e-mail address, such as ada@example.com.")
}

/// What is wrong with a new password.
pub fn bad_password(password: &str) -> Option<&'static str> {
    match password.chars().count() {
        0 => Some("Choose a password of 12 characters or more."),
        1..SHORTEST_PASSWORD => {
            Some("This password is too short. Use 12 characters or more, such as four words.")
        }
        count if count > LONGEST_PASSWORD => Some("A password has 1,000 characters at most."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_passwords_are_judged_kindly() {
        assert!(bad_email("ada@example.com").is_none());
        for bad in ["", "ada", "@x", "ada@", "a da@example.com", "ada@exa\nmple"] {
            assert!(bad_email(bad).is_some(), "{bad:?}");
        }
        assert!(bad_password("elevenchars").is_some());
        assert!(bad_password("twelve chars").is_none());
        assert!(bad_password(&"ä".repeat(1_000)).is_none());
        assert!(bad_password(&"ä".repeat(1_001)).is_some());
    }
}
