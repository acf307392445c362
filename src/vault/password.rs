//! Operators' passwords: Argon2id with parameters kept in each hash.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::sync::LazyLock;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Each hash takes 19 MiB and tens of milliseconds: off the async threads, two at once at most.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Verified for an unknown operator, so that the time tells nothing.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody has this password"));

/// Hashes a password for keeping.
pub async fn hash_password(password: String) -> String {
    run(move || hash(&password)).await
}

/// Whether `password` is the one behind `kept`. With `None` the same work is done and the answer is no.
pub async fn verify_password(password: String, kept: Option<String>) -> bool {
    run(move || {
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| NOBODY.clone());
        let same = PasswordHash::new(&kept)
            .is_ok_and(|kept| argon2().verify_password(password.as_bytes(), &kept).is_ok());
        known && same
    })
    .await
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let _turn = AT_ONCE.acquire().await.expect("the semaphore is never closed");
    spawn_blocking(work).await.expect("hashing does not panic")
}

fn hash(password: &str) -> String {
    argon2().hash_password(password.as_bytes()).expect("the parameters are valid").to_string()
}

/// OWASP's parameters for Argon2id (Password Storage Cheat Sheet).
fn argon2() -> Argon2<'static> {
    let params = Params::new(19_456, 2, 1, None).expect("these parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_and_nobody_is_never_in() {
        let kept = hash_password("correct horse battery".into()).await;
        assert!(verify_password("correct horse battery".into(), Some(kept.clone())).await);
        assert!(!verify_password("wrong".into(), Some(kept)).await);
        assert!(!verify_password("nobody has this password".into(), None).await);
    }
}
