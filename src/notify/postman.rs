//! Sends what is due by mail. All that is due at a time is one mail, so that a bad day makes few.

use super::{MailError, Mailer, Notice, schedule::next_attempt};
use crate::{
    domain::Clock,
    store::{AttemptEnd, Attempted, MAIL, Store, StoreError, TakenDelivery},
};
use time::Duration;

/// Longer than a conversation with a mail server may take, so that two replicas do not send the same.
const HOLD: Duration = Duration::minutes(5);
const AT_ONCE: i64 = 200;

/// The second half of the way by mail.
#[derive(Clone)]
pub struct Postman {
    pub store: Store,
    pub clock: Clock,
    pub mailer: Mailer,
}

impl Postman {
    /// Sends what is due as one mail, and says how many notices it had.
    pub async fn try_once(&self) -> Result<usize, StoreError> {
        let taken = self.store.take_deliveries(MAIL, self.clock.now(), HOLD, AT_ONCE).await?;
        // Our own words, written by a version that may have known more.
        let read = |one: &TakenDelivery| serde_json::from_str::<Notice>(&one.body).ok();
        let notices: Vec<_> = taken.iter().filter_map(read).collect();
        let sent = self.mailer.send(&notices).await;
        if let Err(error) = &sent {
            tracing::warn!(notices = notices.len(), %error, "a mail was not sent");
        }
        // What was one mail stays one.
        let chance = rand::random();
        for delivery in &taken {
            let end = match &sent {
                Ok(()) if read(delivery).is_some() => AttemptEnd::Delivered,
                Ok(()) => AttemptEnd::GivenUp,
                Err(error) => self.after(error, delivery, chance),
            };
            let error = sent.as_ref().err().map(ToString::to_string);
            let attempted = Attempted { status: None, error, end };
            self.store.end_attempt(delivery.id, &attempted, self.clock.now()).await?;
        }
        Ok(taken.len())
    }

    fn after(&self, error: &MailError, delivery: &TakenDelivery, chance: f64) -> AttemptEnd {
        if error.is_permanent() {
            return AttemptEnd::GivenUp;
        }
        let now = self.clock.now();
        next_attempt(delivery.attempts, now, delivery.give_up_at, Duration::ZERO, chance)
            .map_or(AttemptEnd::GivenUp, AttemptEnd::TryAgainAt)
    }
}
