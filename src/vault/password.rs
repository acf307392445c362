//! Operators' passwords: Argon2id with parameters kept in each hash.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::sync::LazyLock;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Each hash takes 19 MiB and tens of milliseconds: off the async threads, two at once at most.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
/// So many passwords are verified or wait for it: who comes then waits a few seconds at most, however many come.
const MOST_WAITING: usize = 64;
static PLACES: Semaphore = Semaphore::const_new(MOST_WAITING);

/// Too many passwords wait to be verified; this one was not looked at.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be verified")]
pub struct Busy;

/// Verified for an unknown operator, so that the time tells nothing.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody has this password"));

/// Hashes a password for keeping.
pub async fn hash_password(password: String) -> String {
    run(move || hash(&password)).await
}

/// Whether `password` is the one behind `kept`. With `None` the same work is done and the answer is no.
pub async fn verify_password(password: String, kept: Option<String>) -> Result<bool, Busy> {
    verify_from(&PLACES, password, kept).await
}

async fn verify_from(places: &Semaphore, password: String, kept: Option<String>) -> Result<bool, Busy> {
    let _place = places.try_acquire().map_err(|_| Busy)?;
    let is_right = run(move || {
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| NOBODY.clone());
        let same = PasswordHash::new(&kept)
            .is_ok_and(|kept| argon2().verify_password(password.as_bytes(), &kept).is_ok());
        known && same
    })
    .await;
    Ok(is_right)
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
        let verify = async |password: &str, kept| verify_password(password.into(), kept).await.unwrap();
        assert!(verify("correct horse battery", Some(kept.clone())).await);
        assert!(!verify("wrong", Some(kept)).await);
        assert!(!verify("nobody has this password", None).await);
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_told_at_once() {
        let places = Semaphore::new(1);
        let waiting = places.try_acquire().unwrap();
        assert_eq!(verify_from(&places, "x".into(), None).await, Err(Busy));
        drop(waiting);
        assert_eq!(verify_from(&places, "x".into(), None).await, Ok(false));
        assert_eq!(places.available_permits(), 1, "its place is free again");
    }
}
