//! Slows down guessing at sign-in, and what else must not be done by the thousand: waits that grow and then end.
//!
//! Strict for one account from one network, looser for one network over all accounts, and loosest for one account
//! over all networks: whoever guesses from elsewhere must not keep its owner out. Behind a reverse proxy everybody
//! has one network. What was typed is kept as a digest, and the memory it takes is bounded.

use super::problem::Failure;
use crate::{
    vault::{Digest, digest},
    web::visitor::may_be_a_proxy,
};
use axum::http::StatusCode;
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex},
};
use time::{Duration, OffsetDateTime};

/// How often something may be done without a wait, and how long the longest wait is.
#[derive(Clone, Copy)]
struct Limit {
    free: u32,
    longest_wait: Duration,
}

/// Short waits, because whoever guesses could otherwise keep an operator of the same network out.
const OF_ACCOUNT_FROM_NETWORK: Limit = Limit { free: 5, longest_wait: Duration::minutes(1) };
const OF_NETWORK: Limit = Limit { free: 30, longest_wait: Duration::minutes(1) };
/// From so many networks at once that the owner would have to wait with them: some thousand guesses an hour.
const OF_ACCOUNT: Limit = Limit { free: 100, longest_wait: Duration::seconds(2) };
/// After this long without an attempt, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::minutes(30);
const MOST_KEPT: usize = 20_000;

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct Guesses {
    known: Arc<Mutex<Known>>,
    /// Of one account from one network.
    strict: Limit,
}

impl Default for Guesses {
    fn default() -> Self {
        Self::with_free(OF_ACCOUNT_FROM_NETWORK.free)
    }
}

#[derive(Default)]
struct Known {
    networks: HashMap<IpAddr, Tries>,
    strict: HashMap<(Digest, Option<IpAddr>), Tries>,
    accounts: HashMap<Digest, Tries>,
}

struct Tries {
    count: u32,
    last: OffsetDateTime,
    not_before: OffsetDateTime,
}

impl Guesses {
    /// For something that one account may do this often without a wait.
    pub(super) fn with_free(free: u32) -> Self {
        Self { known: Arc::default(), strict: Limit { free, ..OF_ACCOUNT_FROM_NETWORK } }
    }

    /// Counts an attempt before the password is looked at, so that many at once count as well. The error
    /// is how long to wait. What one limit refuses counts for none after it.
    pub(super) fn attempt(
        &self,
        email: &str,
        from: Option<IpAddr>,
        now: OffsetDateTime,
    ) -> Result<(), Duration> {
        let (account, from) = (digest(email), from.and_then(network));
        let mut known = self.known.lock().expect("nothing panics while it is held");
        if let Some(ip) = from {
            try_once(&mut known.networks, ip, OF_NETWORK, now)?;
        }
        try_once(&mut known.strict, (account.clone(), from), self.strict, now)?;
        try_once(&mut known.accounts, account, OF_ACCOUNT, now)
    }

    /// Counts something that is no guess and needs no account, by where it comes from. The error is how long to wait.
    pub(super) fn knock(&self, from: Option<IpAddr>, now: OffsetDateTime) -> Result<(), Duration> {
        let mut known = self.known.lock().expect("nothing panics while it is held");
        let from = from.and_then(network);
        from.map_or(Ok(()), |ip| try_once(&mut known.networks, ip, OF_NETWORK, now))
    }

    /// The password was right: this attempt was no guess.
    pub(super) fn succeeded(&self, email: &str, from: Option<IpAddr>) {
        let (account, from) = (digest(email), from.and_then(network));
        let mut known = self.known.lock().expect("nothing panics while it is held");
        known.accounts.remove(&account);
        known.strict.remove(&(account, from));
        if let Some(tries) = from.and_then(|ip| known.networks.get_mut(&ip)) {
            tries.count = tries.count.saturating_sub(1);
        }
    }
}

/// The answer to who has to wait, with the way back.
pub(super) fn slow_down(wait: Duration, back: (&str, &str)) -> Failure {
    let seconds = wait.whole_seconds().unsigned_abs() + 1;
    let plural = if seconds == 1 { "" } else { "s" };
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts to sign in")
        .text(format!(
            "To keep guessing slow, this e-mail address or network has to wait {seconds} second{plural}. \
             The password was not looked at. Wait, then try again."
        ))
        .link(back.0, back.1)
        .retry_after(seconds)
}

fn try_once<K: Hash + Eq>(
    kept: &mut HashMap<K, Tries>,
    key: K,
    limit: Limit,
    now: OffsetDateTime,
) -> Result<(), Duration> {
    make_room(kept, now);
    let tries = kept.entry(key).or_insert(Tries { count: 0, last: now, not_before: now });
    if now - tries.last > FORGOTTEN_AFTER {
        tries.count = 0;
    }
    if now < tries.not_before {
        return Err(tries.not_before - now);
    }
    tries.count = tries.count.saturating_add(1);
    tries.last = now;
    tries.not_before = now + wait(tries.count, limit);
    Ok(())
}

/// Doubles from one second on, after the free attempts.
fn wait(count: u32, limit: Limit) -> Duration {
    let Some(over) = count.checked_sub(limit.free) else { return Duration::ZERO };
    (Duration::SECOND * 2_i32.pow(over.min(20))).min(limit.longest_wait)
}

fn make_room<K: Hash + Eq>(kept: &mut HashMap<K, Tries>, now: OffsetDateTime) {
    if kept.len() < MOST_KEPT {
        return;
    }
    kept.retain(|_, tries| now - tries.last < FORGOTTEN_AFTER);
    if kept.len() >= MOST_KEPT {
        kept.retain(|_, tries| tries.not_before > now);
    }
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
}

/// Whom an address stands for: one person may have a whole /64 of IPv6. `None`: a private one is a reverse
/// proxy, behind which is everybody; slowing it down would let one guesser keep all operators out.
fn network(ip: IpAddr) -> Option<IpAddr> {
    match ip.to_canonical() {
        ip if may_be_a_proxy(ip) => None,
        IpAddr::V4(ip) => Some(IpAddr::V4(ip)),
        IpAddr::V6(ip) => Some(IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn guessing_gets_slower_and_a_right_password_forgives() {
        let guesses = Guesses::default();
        for _ in 0..OF_ACCOUNT_FROM_NETWORK.free {
            guesses.attempt("a@example.com", None, START).unwrap();
        }
        let wait = guesses.attempt("a@example.com", None, START).unwrap_err();
        assert!(wait >= Duration::SECOND);
        guesses.attempt("b@example.com", None, START).unwrap();
        guesses.attempt("a@example.com", None, START + wait).unwrap();
        assert!(guesses.attempt("a@example.com", None, START + wait).unwrap_err() > wait);
        guesses.succeeded("a@example.com", None);
        guesses.attempt("a@example.com", None, START + wait).unwrap();
    }

    #[test]
    fn an_address_counts_over_all_accounts_and_a_network_is_one() {
        let guesses = Guesses::default();
        for n in 0..OF_NETWORK.free {
            let from = format!("2001:db8::{n:x}").parse().unwrap();
            guesses.attempt(&format!("{n}@example.com"), Some(from), START).unwrap();
        }
        assert!(guesses.attempt("z@example.com", "2001:db8::ffff".parse().ok(), START).is_err());
        assert!(guesses.attempt("y@example.com", "192.0.2.1".parse().ok(), START).is_ok());
    }

    #[test]
    fn a_reverse_proxy_is_not_slowed_down_and_its_accounts_are() {
        let guesses = Guesses::default();
        for proxy in ["127.0.0.1", "::1", "::ffff:10.0.0.2", "172.17.0.1", "192.168.1.1", "fd00::1"] {
            for n in 0..=OF_NETWORK.free {
                guesses.attempt(&format!("{proxy} {n}@example.com"), proxy.parse().ok(), START).unwrap();
            }
        }
        let from = "10.0.0.2".parse().ok();
        for _ in 0..OF_ACCOUNT_FROM_NETWORK.free {
            guesses.attempt("a@example.com", from, START).unwrap();
        }
        assert!(guesses.attempt("a@example.com", from, START).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let guesses = Guesses::default();
        for n in 0..MOST_KEPT + 10 {
            guesses.attempt(&format!("{n}"), None, START).unwrap();
        }
        let known = guesses.known.lock().unwrap();
        assert!(known.strict.len() <= MOST_KEPT && known.accounts.len() <= MOST_KEPT);
    }

    #[test]
    fn what_is_refused_by_address_takes_no_memory_and_long_text_takes_none_either() {
        let guesses = Guesses::default();
        let from = "192.0.2.1".parse().ok();
        for n in 0..OF_NETWORK.free {
            guesses.attempt(&"x".repeat(60_000 + n as usize), from, START).unwrap();
        }
        let kept =
            || guesses.known.lock().unwrap().strict.keys().map(|(account, _)| account.len()).sum::<usize>();
        let before = kept();
        assert!(before <= 32 * OF_NETWORK.free as usize, "digests alone: {before}");
        for n in 0..100 {
            assert!(guesses.attempt(&format!("{n}@example.com"), from, START).is_err());
        }
        assert_eq!(kept(), before);
    }

    #[test]
    fn who_guesses_from_elsewhere_does_not_keep_the_owner_out() {
        let guesses = Guesses::default();
        let (attacker, owner) = ("192.0.2.1".parse().ok(), "198.51.100.7".parse().ok());
        for second in 0..600 {
            let _ = guesses.attempt("ada@example.com", attacker, START + Duration::seconds(second));
        }
        guesses.attempt("ada@example.com", owner, START + Duration::seconds(600)).unwrap();
    }

    #[test]
    fn guesses_from_many_networks_at_one_account_get_slow_too() {
        let guesses = Guesses::default();
        let from = |n: u32| Some(IpAddr::from((0xC633_6400 + n).to_be_bytes()));
        for n in 0..OF_ACCOUNT.free {
            guesses.attempt("ada@example.com", from(n), START).unwrap();
        }
        let wait = guesses.attempt("ada@example.com", from(OF_ACCOUNT.free), START).unwrap_err();
        assert!(wait <= OF_ACCOUNT.longest_wait);
    }
}
