//! Pages that are open follow what changes: one stream of server-sent events for each, which names the connections
//! that changed. What they look like now, the page asks for itself.
//!
//! A stream holds no connection to the database. It ends when its session has ended and when a stop is ahead, so that
//! a stop never waits for it, and there are so many at most: a page without one looks every few seconds instead.

use super::{
    pages::problem::Failure,
    session::{self, SignedIn},
    state::AppState,
};
use crate::domain::{Change, ConnectionId, OperatorId};
use axum::{
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::{Stream, stream};
use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        broadcast::{Receiver, Sender, error::RecvError},
    },
    time::{sleep, timeout},
};
use tower_sessions::{Session, session::Id};

/// So many streams at once in this process.
pub const MOST: usize = 200;
/// So many of one person: whoever opens more must not take the room of all others.
pub const MOST_OF_ONE: usize = 20;
/// So many changes may wait for a stream that is slow. After that it is told that anything may have changed.
const WAITING: usize = 1_000;
/// How often something is sent, so that nobody in between takes a quiet stream for a dead one.
const BEAT: Duration = Duration::from_secs(15);
/// Changes so close together are told at once: each is heard of twice, from here and from the log.
const TOGETHER: Duration = Duration::from_millis(400);
/// More than a page shows: it is as well to look at everything.
const MANY: usize = 100;
/// How soon a browser comes back when a stream broke off.
const RETRY: Duration = Duration::from_secs(3);
/// How often a stream asks whether its session goes on, by our clock.
const TRUSTED_FOR: time::Duration = time::Duration::seconds(5);

/// Everybody who follows. Clones share them.
#[derive(Clone)]
pub struct Followers {
    changes: Sender<Change>,
    room: Arc<Semaphore>,
    /// Of each operator who followed since the start.
    own: Arc<Mutex<HashMap<OperatorId, Arc<Semaphore>>>>,
}

/// A place for one stream, until it ends.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Default for Followers {
    fn default() -> Self {
        Self { changes: Sender::new(WAITING), room: Arc::new(Semaphore::new(MOST)), own: Arc::default() }
    }
}

impl Followers {
    /// Tells everybody who follows. Of API keys no page follows anything.
    pub fn tell(&self, change: &Change) {
        if !matches!(change, Change::ApiKey(_)) {
            // An error: nobody follows.
            let _ = self.changes.send(change.clone());
        }
    }

    /// `None`: all places are taken, or all that this operator may have.
    fn place_for(&self, operator: OperatorId) -> Option<Place> {
        let mut own = self.own.lock().expect("nothing panics while it is held");
        let own = own.entry(operator).or_insert_with(|| Arc::new(Semaphore::new(MOST_OF_ONE)));
        let own = Arc::clone(own).try_acquire_owned().ok()?;
        Some((own, Arc::clone(&self.room).try_acquire_owned().ok()?))
    }

    /// How many streams are open.
    pub fn count(&self) -> usize {
        MOST - self.room.available_permits()
    }
}

/// A stream of what changes, for the script.
pub(super) async fn follow(
    State(state): State<AppState>,
    who: SignedIn,
    session: Session,
) -> Result<Response, Failure> {
    let full = || {
        let text =
            "Too many pages follow what changes already, perhaps of yours, or this server is about to stop.";
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "There is no room for this now").text(text)
    };
    let id = session.id().filter(|_| !state.draining.is_cancelled()).ok_or_else(full)?;
    let place = state.followers.place_for(who.operator.id).ok_or_else(full)?;
    let following = Following {
        changes: state.followers.changes.subscribe(),
        trusted_at: state.clock.now(),
        is_new: true,
        state,
        id,
        _place: place,
    };
    let head = [(CACHE_CONTROL, "no-store"), (UNBUFFERED, "no")];
    Ok((head, Sse::new(following.events())).into_response())
}

/// nginx would wait for more before it sends any.
const UNBUFFERED: axum::http::HeaderName = axum::http::HeaderName::from_static("x-accel-buffering");

/// One stream.
struct Following {
    state: AppState,
    changes: Receiver<Change>,
    id: Id,
    /// When its session was last seen to go on.
    trusted_at: OffsetDateTime,
    is_new: bool,
    _place: Place,
}

impl Following {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut this| {
            let event = this.next().await?;
            Some((Ok(event), this))
        })
    }

    /// `None`: the end.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_new) {
            return Some(Event::default().retry(RETRY));
        }
        let draining = self.state.draining.clone();
        let news = draining.run_until_cancelled(self.hear()).await?;
        if !self.goes_on().await {
            return None;
        }
        Some(match news {
            News::Nothing => Event::default().comment(""),
            News::Of(ids) => Event::default().event("changed").data(words(&ids)),
            News::Anything => Event::default().event("changed").data("*"),
        })
    }

    /// What changes next, with what changes right after it.
    async fn hear(&mut self) -> News {
        let mut news = News::Nothing;
        tokio::select! {
            () = sleep(BEAT) => return news,
            heard = self.changes.recv() => news.add(heard),
        }
        let all = async {
            loop {
                news.add(self.changes.recv().await);
            }
        };
        let _: Result<(), _> = timeout(TOGETHER, all).await;
        news
    }

    /// Whether whoever opened it is still signed in. A stream that cannot find out ends, and its page comes back.
    async fn goes_on(&mut self) -> bool {
        let now = self.state.clock.now();
        if now - self.trusted_at < TRUSTED_FOR {
            return true;
        }
        self.trusted_at = now;
        session::goes_on(&self.state, self.id).await.unwrap_or(false)
    }
}

/// What changed.
enum News {
    Nothing,
    Of(BTreeSet<ConnectionId>),
    Anything,
}

impl News {
    fn add(&mut self, heard: Result<Change, RecvError>) {
        match (&mut *self, heard) {
            (Self::Nothing, Ok(Change::Connection(id))) => *self = Self::Of([id].into()),
            (Self::Of(ids), Ok(Change::Connection(id))) if ids.len() < MANY => {
                ids.insert(id);
            }
            _ => *self = Self::Anything,
        }
    }
}

fn words(ids: &BTreeSet<ConnectionId>) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(all: impl IntoIterator<Item = Result<Change, RecvError>>) -> String {
        let mut news = News::Nothing;
        all.into_iter().for_each(|one| news.add(one));
        match news {
            News::Nothing => String::new(),
            News::Of(ids) => words(&ids),
            News::Anything => "*".to_owned(),
        }
    }

    #[test]
    fn a_change_that_is_heard_of_twice_is_told_once() {
        let (one, two) = (ConnectionId::fresh(), ConnectionId::fresh());
        let changed = |id| Ok(Change::Connection(id));
        assert_eq!(heard([changed(one), changed(two), changed(one)]), format!("{one} {two}"));
    }

    #[test]
    fn what_is_too_much_to_name_is_anything() {
        let one = || Ok(Change::Connection(ConnectionId::fresh()));
        assert_eq!(heard([one(), Ok(Change::Circuit), one()]), "*");
        assert_eq!(heard([one(), Err(RecvError::Lagged(3)), one()]), "*");
        assert_eq!(heard((0..=MANY).map(|_| one())), "*");
    }
}
