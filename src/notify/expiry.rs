//! Warns of tokens that end and that nobody renews: at each threshold, and once they have ended.
//!
//! A threshold that is passed late is told once, by the tightest one: a token that comes with five days left
//! makes one warning and not three. What was told is kept with the token, so a restart tells nothing twice.

use super::moments;
use crate::{
    domain::{Clock, EventKind, Method},
    store::{Enders, Ending, Store, StoreError},
};
use time::{Duration, OffsetDateTime};

/// Told at a time for each threshold. The rest comes the next time.
const BATCH: i64 = 100;
/// Of what rotates itself only these last thresholds are told: before them it still has time to.
const FOR_SELF_ROTATING: usize = 2;

/// Tells of tokens that end.
#[derive(Clone)]
pub struct Expiry {
    pub store: Store,
    pub clock: Clock,
    /// How long before the end to warn, longest first.
    pub warn_before: Vec<Duration>,
}

impl Expiry {
    /// Tells what is to be told now, and says how many.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let ended = Span { kind: EventKind::Expired, beyond: None, before: Duration::ZERO };
        let mut told = self.tell(ended, Enders::AllButRefreshed, now).await?;
        let mut beyond = Duration::ZERO;
        for (nth, before) in self.warn_before.iter().rev().enumerate() {
            let whose = if nth < FOR_SELF_ROTATING { Enders::AllButRefreshed } else { Enders::Manual };
            let span = Span { kind: EventKind::Expiring, beyond: Some(beyond), before: *before };
            told += self.tell(span, whose, now).await?;
            beyond = *before;
        }
        Ok(told)
    }

    async fn tell(
        &self,
        Span { kind, beyond, before }: Span,
        whose: Enders,
        now: OffsetDateTime,
    ) -> Result<usize, StoreError> {
        let mut due = self.store.ending_untold(whose, before, now, BATCH).await?;
        // One that came while this round went on belongs to a tighter threshold of the next.
        due.retain(|ending| beyond.is_none_or(|tighter| ending.expires_at - now > tighter));
        if due.is_empty() {
            return Ok(0);
        }
        let with_sentence = |ending: Ending| {
            let sentence = sentence(&ending, now);
            (ending, sentence)
        };
        let due: Vec<_> = due.into_iter().map(with_sentence).collect();
        self.store.tell_endings(kind, before, &due, now).await
    }
}

/// Ends that are so near: within `before`, and not within `beyond`.
struct Span {
    kind: EventKind,
    beyond: Option<Duration>,
    before: Duration,
}

fn sentence(ending: &Ending, now: OffsetDateTime) -> String {
    let end = ending.expires_at;
    let date = moments::date(end);
    let remedy = match ending.method {
        _ if ending.renewal.renews_itself() => "it has not rotated itself, so paste a new token",
        Method::AccessToken => "paste a new token",
        Method::OAuth => "reauthorize",
    };
    if end <= now {
        return format!("The token ended on {date}; {remedy}.");
    }
    format!("The token ends in {}, on {date}; {remedy}.", moments::length(end - now))
}
