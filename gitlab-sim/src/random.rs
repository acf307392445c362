//! Random text in the forms that GitLab uses: hexadecimal and the characters of an access token.

use std::fmt::Write as _;

const TOKEN_CHARACTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";

/// 32 random bytes as 64 lowercase hexadecimal characters: codes, OAuth tokens, application ids.
pub(crate) fn hex64() -> String {
    hex(&rand::random::<[u8; 32]>())
}

/// 16 random bytes as 32 lowercase hexadecimal characters: names of bots.
pub(crate) fn hex32() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// The 20 characters after the prefix of a classic personal access token.
pub(crate) fn token_tail() -> String {
    rand::random::<[u8; 20]>()
        .iter()
        .map(|byte| char::from(TOKEN_CHARACTERS[usize::from(byte % 64)]))
        .collect()
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
