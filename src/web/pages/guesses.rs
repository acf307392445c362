//! Slows down guessing at sign-in, and what else must not be done by the thousand: for each account and each
//! address, waits that grow and then end. Nobody is locked out for good, and the memory it takes is bounded.

use crate::web::visitor::may_be_a_proxy;
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex},
};
use time::{Duration, OffsetDateTime};

/// Attempts that cost no wait.
const FREE_FOR_ACCOUNT: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 30;
/// Short, because whoever guesses could otherwise keep an operator out.
const LONGEST_WAIT: Duration = Duration::minutes(1);
/// After this long without an attempt, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::minutes(30);
const MOST_KEPT: usize = 20_000;

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct Guesses {
    known: Arc<Mutex<Known>>,
    /// Attempts of one account that cost no wait.
    free: u32,
}

impl Default for Guesses {
    fn default() -> Self {
        Self::with_free(FREE_FOR_ACCOUNT)
    }
}

#[derive(Default)]
struct Known {
    accounts: HashMap<String, Tries>,
    addresses: HashMap<IpAddr, Tries>,
}

struct Tries {
    count: u32,
    last: OffsetDateTime,
    not_before: OffsetDateTime,
}

impl Guesses {
    /// For something that one account may do this often without a wait.
    pub(super) fn with_free(free: u32) -> Self {
        Self { known: Arc::default(), free }
    }

    /// Counts an attempt before the password is looked at, so that many at once count as well. The error
    /// is how long to wait.
    pub(super) fn attempt(
        &self,
        email: &str,
        from: Option<IpAddr>,
        now: OffsetDateTime,
    ) -> Result<(), Duration> {
        let mut known = self.known.lock().expect("nothing panics while it is held");
        let account = try_once(&mut known.accounts, email.to_owned(), self.free, now);
        let from = from.and_then(network);
        let address = from.map_or(Ok(()), |ip| try_once(&mut known.addresses, ip, FREE_FOR_ADDRESS, now));
        account.and(address)
    }

    /// Counts something that is no guess and needs no account, by where it comes from. The error is how long to wait.
    pub(super) fn knock(&self, from: Option<IpAddr>, now: OffsetDateTime) -> Result<(), Duration> {
        let mut known = self.known.lock().expect("nothing panics while it is held");
        let from = from.and_then(network);
        from.map_or(Ok(()), |ip| try_once(&mut known.addresses, ip, FREE_FOR_ADDRESS, now))
    }

    /// The password was right: this attempt was no guess.
    pub(super) fn succeeded(&self, email: &str, from: Option<IpAddr>) {
        let mut known = self.known.lock().expect("nothing panics while it is held");
        known.accounts.remove(email);
        if let Some(tries) = from.and_then(network).and_then(|ip| known.addresses.get_mut(&ip)) {
            tries.count = tries.count.saturating_sub(1);
        }
    }
}

fn try_once<K: Hash + Eq>(
    kept: &mut HashMap<K, Tries>,
    key: K,
    free: u32,
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
    tries.not_before = now + wait(tries.count, free);
    Ok(())
}

/// Doubles from one second on, after the free attempts.
fn wait(count: u32, free: u32) -> Duration {
    let Some(over) = count.checked_sub(free) else { return Duration::ZERO };
    (Duration::SECOND * 2_i32.pow(over.min(20))).min(LONGEST_WAIT)
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
        for _ in 0..FREE_FOR_ACCOUNT {
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
        for n in 0..FREE_FOR_ADDRESS {
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
            for n in 0..=FREE_FOR_ADDRESS {
                guesses.attempt(&format!("{proxy} {n}@example.com"), proxy.parse().ok(), START).unwrap();
            }
        }
        let from = "10.0.0.2".parse().ok();
        for _ in 0..FREE_FOR_ACCOUNT {
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
        assert!(guesses.known.lock().unwrap().accounts.len() <= MOST_KEPT);
    }
}
