//! The figures are what the rows say.

use super::{
    AS_OF, MOORING, NOW, Shelf, check, connection,
    notices::{delivery, put},
    oauth, pasted, renewed,
};
use crate::support::app::{On, on_both};
use mooring::{
    domain::{CheckOutcome, Connection, Credential, Method, Reason, RenewalKind, Status},
    store::{
        AttemptEnd, Attempted, ConnectionFilter, Figures, GivenUp, MAIL, NoticeFigures, RenewalCause,
        RenewalOutcome,
    },
};
use time::Duration;

const WARN: Duration = Duration::days(30);

/// A connection by pasted token that ends so long after now.
async fn by_hand(shelf: &Shelf, name: &str, left: Option<Duration>) -> Connection {
    let mut by_hand = connection(name, None);
    by_hand.method = Method::AccessToken;
    by_hand.credential.renewal = RenewalKind::Manual;
    let credential = Credential { expires_at: left.map(|left| NOW + left), ..pasted("access") };
    shelf.with(&by_hand, &credential).await.connection
}

on_both!(every_connection_counts_as_it_stands, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    assert_eq!(store.figures(NOW, WARN).await.unwrap(), Figures::default());
    let refreshed = shelf.plain("refreshed").await;
    let gone = by_hand(&shelf, "gone", Some(Duration::HOUR)).await;
    store.stop(&gone, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    by_hand(&shelf, "forever", None).await;
    by_hand(&shelf, "far", Some(WARN + Duration::DAY)).await;
    by_hand(&shelf, "soon", Some(Duration::days(5))).await;
    by_hand(&shelf, "now", Some(Duration::hours(20))).await;
    by_hand(&shelf, "over", Some(-Duration::HOUR)).await;
    let mut narrow = by_hand(&shelf, "narrow", Some(WARN)).await;
    narrow.checks = vec![check("code-review", CheckOutcome::InsufficientScope)];
    store.keep_check(&narrow, &narrow, NOW, &MOORING).await.unwrap();
    let broken = shelf.plain("broken").await.connection.id;
    shelf.run(format!("update connections set tags = '?' where connection_id = '{broken}'")).await;

    let counted = store.figures(NOW, WARN).await.unwrap().connections;
    let listed = store.list_connections(&ConnectionFilter::default(), AS_OF, None, 100).await.unwrap();
    for status in Status::ALL {
        let standing = listed.iter().filter(|c| c.standing(NOW, WARN).status == *status).count();
        assert!(standing > 0, "{status} occurs");
        assert_eq!(counted.with(*status), i64::try_from(standing).unwrap(), "{status}");
    }
    assert_eq!(counted.unreadable, 1);
    assert_eq!(counted.expiring, [1, 2, 3], "the dead ones are not counted");
    assert_eq!(counted.soonest_end(RenewalKind::Manual), Some(NOW + Duration::hours(20)));
    assert_eq!(counted.soonest_end(RenewalKind::Refresh), refreshed.credential.expires_at);
    assert_eq!(counted.soonest_end(RenewalKind::SelfRotate), None);
});

on_both!(the_queue_the_doubts_and_the_debts_are_counted, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let one = shelf.plain("one").await;
    shelf.plain("two").await;
    let later = NOW + Duration::HOUR * 2;
    let figures = store.figures(later, WARN).await.unwrap().renewals;
    assert_eq!((figures.due, figures.longest_due), (2, one.connection.credential.renew_at));

    let open = store.begin_renewal(&one.connection, RenewalCause::Due, NOW).await.unwrap();
    assert_eq!(store.figures(NOW, WARN).await.unwrap().renewals.in_doubt, 1);
    store.close_renewal(open, RenewalOutcome::Uncertain, NOW).await.unwrap();
    let closed = store.begin_renewal(&one.connection, RenewalCause::Due, NOW).await.unwrap();
    store.close_renewal(closed, RenewalOutcome::Unavailable, NOW).await.unwrap();
    assert_eq!(store.figures(NOW, WARN).await.unwrap().renewals.in_doubt, 1);
    let next = oauth("access-2", "refresh-2");
    let again = store.begin_renewal(&one.connection, RenewalCause::Due, NOW).await.unwrap();
    store.commit_renewal(&one.connection, again, &renewed(&next, None), NOW).await.unwrap();
    assert_eq!(
        store.figures(NOW, WARN).await.unwrap().renewals.in_doubt,
        0,
        "that token is not held any more"
    );

    store.owe_revocation(&GivenUp::of(&one.connection, &one.credential), NOW).await.unwrap();
    assert_eq!(store.figures(NOW, WARN).await.unwrap().revocations_owed, 1);
});

on_both!(notices_are_counted_by_how_they_travel, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let endpoints = ["one", "other"].map(|channel| delivery(channel, 1, "acme"));
    put(store, &[&endpoints[..], &[delivery(MAIL, 1, "acme")]].concat()).await;
    let taken = store.take_deliveries("one", NOW, Duration::MINUTE, 10).await.unwrap();
    let figures = store.figures(NOW, WARN).await.unwrap();
    let waiting = |waiting| NoticeFigures { waiting, longest: Some(NOW), dead: 0 };
    assert_eq!((figures.webhooks, figures.mail), (waiting(2), waiting(1)));
    let given_up = Attempted { status: None, error: None, end: AttemptEnd::GivenUp };
    store.end_attempt(taken[0].id, &given_up, NOW).await.unwrap();
    let webhooks = store.figures(NOW, WARN).await.unwrap().webhooks;
    assert_eq!((webhooks.waiting, webhooks.dead), (1, 1));
});
