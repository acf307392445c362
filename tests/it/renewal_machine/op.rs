//! What may happen, and how often: the alphabet of the machine.

use proptest::{collection::vec, prelude::*};

/// How many processes and connections a run has.
pub(super) const REPLICAS: usize = 2;
pub(super) const CONNECTIONS: usize = 2;

/// One thing that happens. `at` is a replica, `of` a connection.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A caller wants a token that works.
    Ask {
        at: usize,
        of: usize,
    },
    /// Callers at every replica want one in the same moment.
    AskEverywhere {
        of: usize,
    },
    /// A caller saw the token refused.
    Refused {
        at: usize,
        of: usize,
    },
    /// A person wants it renewed now.
    Request {
        at: usize,
        of: usize,
    },
    Round {
        at: usize,
    },
    Recover {
        at: usize,
    },
    /// So many seconds go by.
    Pass(u64),
    /// The next so many token requests go wrong.
    Wrong(Wrong, usize),
    /// A person wants a renewal, and its request or its answer stays under way.
    Hold {
        at: usize,
        of: usize,
        place: Place,
    },
    /// What is under way arrives.
    Arrive,
    /// A process ends at once. A request of its own that is under way gets lost or arrives all the same.
    Crash {
        at: usize,
        arrives: bool,
    },
    /// An answer comes while the database refuses writes, and the database comes back.
    Unwritable {
        at: usize,
        of: usize,
        table: Table,
        then: Then,
    },
    /// The journal cannot be written before anything is sent.
    NoJournal {
        at: usize,
        of: usize,
    },
    Reauthorize {
        of: usize,
    },
    /// Ends a connection. Another one takes its place.
    Disconnect {
        of: usize,
    },
    /// Revocations that are owed are worked off.
    Revoke,
}

/// What a token request may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    DropBefore,
    BadGateway,
    Patience,
    FalseNo,
    InvalidClient,
    Nonsense,
    // From here on GitLab has done what was asked, and nobody learns its answer.
    DropAfter,
    Truncate,
    BadGatewayAfter,
    NonsenseAfter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The request has not been carried out yet.
    Before,
    /// It has, and the answer is on its way.
    After,
}

/// Which writes the database refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The journal's: an answer goes to the spool.
    Renewals,
    /// The credentials': an answer is in the journal and not in the credential.
    Credentials,
}

/// How a process goes on whose answer the database would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoesOn,
    /// It ends before the database is back, and starts again at once.
    Restarts,
    /// It ends as well, and others look after its work before it does.
    ComesBackLate,
}

impl Wrong {
    pub(super) fn loses_the_answer(self) -> bool {
        matches!(self, Self::DropAfter | Self::Truncate | Self::BadGatewayAfter | Self::NonsenseAfter)
    }
}

/// Runs in which every answer arrives, or is durable before its process ends.
pub(super) fn without_loss() -> impl Strategy<Value = Vec<Op>> {
    let wrong = prop_oneof![
        2 => Just(Wrong::DropBefore),
        2 => Just(Wrong::BadGateway),
        1 => Just(Wrong::Patience),
        2 => Just(Wrong::FalseNo),
        1 => Just(Wrong::InvalidClient),
        1 => Just(Wrong::Nonsense),
    ];
    vec(op(wrong.boxed(), Just(false).boxed()), 1..25)
}

/// Runs in which answers get lost, too.
pub(super) fn with_loss() -> impl Strategy<Value = Vec<Op>> {
    use Wrong::{BadGateway, BadGatewayAfter, DropAfter, DropBefore, FalseNo, InvalidClient};
    let wrong = prop::sample::select(vec![
        DropBefore,
        BadGateway,
        FalseNo,
        InvalidClient,
        DropAfter,
        Wrong::Truncate,
        BadGatewayAfter,
        Wrong::NonsenseAfter,
    ]);
    vec(op(wrong.boxed(), any::<bool>().boxed()), 1..25)
}

fn op(wrong: BoxedStrategy<Wrong>, arrives: BoxedStrategy<bool>) -> impl Strategy<Value = Op> {
    let (at, of) = (0..REPLICAS, 0..CONNECTIONS);
    let both = (at.clone(), of.clone());
    let place = prop::sample::select(vec![Place::Before, Place::After]);
    let table = prop::sample::select(vec![Table::Renewals, Table::Credentials]);
    let then =
        prop_oneof![1 => Just(Then::GoesOn), 4 => Just(Then::Restarts), 2 => Just(Then::ComesBackLate)];
    prop_oneof![
        5 => both.clone().prop_map(|(at, of)| Op::Ask { at, of }),
        3 => of.clone().prop_map(|of| Op::AskEverywhere { of }),
        1 => both.clone().prop_map(|(at, of)| Op::Refused { at, of }),
        3 => both.clone().prop_map(|(at, of)| Op::Request { at, of }),
        4 => at.clone().prop_map(|at| Op::Round { at }),
        2 => at.clone().prop_map(|at| Op::Recover { at }),
        7 => prop::sample::select(vec![1, 5, 15, 46, 62, 302, 902, 6_900, 7_300]).prop_map(Op::Pass),
        5 => (wrong, 1..4_usize).prop_map(|(wrong, times)| Op::Wrong(wrong, times)),
        3 => (both.clone(), place).prop_map(|((at, of), place)| Op::Hold { at, of, place }),
        2 => Just(Op::Arrive),
        2 => (at, arrives).prop_map(|(at, arrives)| Op::Crash { at, arrives }),
        2 => (both.clone(), table, then)
            .prop_map(|((at, of), table, then)| Op::Unwritable { at, of, table, then }),
        1 => both.prop_map(|(at, of)| Op::NoJournal { at, of }),
        1 => of.clone().prop_map(|of| Op::Reauthorize { of }),
        1 => of.prop_map(|of| Op::Disconnect { of }),
        1 => Just(Op::Revoke),
    ]
}
