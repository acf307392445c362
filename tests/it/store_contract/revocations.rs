//! Revocations that are owed to a provider: taken by one, put off, settled.

use super::{MOORING, NOW, Raw, Shelf, base_url, connection, oauth, pasted};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    disconnect::Disconnect,
    domain::{Clock, ConnectionId, EventKind},
    providers::{GitLab, Instances, Provider},
    store::{GivenUp, TokenHint},
};
use std::collections::{BTreeSet, HashSet};
use std::slice;
use time::Duration;
use tokio::task::JoinSet;

const HOLD: Duration = Duration::minutes(2);

on_both!(a_connection_that_ends_owes_its_strongest_token, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let by_oauth = shelf.with(&connection("oauth", Some("acme")), &oauth("access-1", "refresh-1")).await;
    let by_hand = shelf.with(&connection("pasted", None), &pasted("access-2")).await;
    assert!(
        store
            .disconnect(&by_oauth.connection, slice::from_ref(&by_oauth.credential), NOW, &MOORING)
            .await
            .unwrap()
    );
    assert!(
        store
            .disconnect(
                &by_hand.connection,
                slice::from_ref(&by_hand.credential),
                NOW + Duration::SECOND,
                &MOORING
            )
            .await
            .unwrap()
    );
    assert!(store.take_revocations(NOW - Duration::SECOND, HOLD, 9).await.unwrap().is_empty());

    let owed = store.take_revocations(NOW + Duration::SECOND, HOLD, 9).await.unwrap();
    let of = |id| owed.iter().find(|o| o.connection == id).unwrap();
    let (first, second) = (of(by_oauth.connection.id), of(by_hand.connection.id));
    assert_eq!((first.hint, first.token.expose()), (TokenHint::RefreshToken, "refresh-1"));
    assert_eq!((second.hint, second.token.expose()), (TokenHint::AccessToken, "access-2"));
    assert_eq!((first.attempts, first.provider.as_str()), (1, "gitlab"));
    assert_eq!((first.integration.as_deref(), &first.base_url), (Some("gitlab"), &base_url()));
});

on_both!(two_takers_never_have_the_same_one, async |on: On| {
    let shelf = Shelf::open(on).await;
    for at in 0..40 {
        owe(&shelf, &format!("token-{at}")).await;
    }
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let store = shelf.store.clone();
        takers.spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..10 {
                taken.extend(store.take_revocations(NOW, HOLD, 2).await.unwrap());
            }
            taken
        });
    }
    let taken: Vec<_> = takers.join_all().await.into_iter().flatten().collect();
    let different: HashSet<_> = taken.iter().map(|o| o.token.expose().to_owned()).collect();
    assert_eq!(different.len(), taken.len(), "each has one taker");
    let rest = shelf.store.take_revocations(NOW, HOLD, 100).await.unwrap();
    assert_eq!(taken.len() + rest.len(), 40, "and none is lost");
});

on_both!(a_revocation_is_owed_until_it_is_settled, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    owe(&shelf, "token").await;
    let taken = store.take_revocations(NOW, HOLD, 1).await.unwrap();
    assert!(store.take_revocations(NOW + HOLD - Duration::SECOND, HOLD, 1).await.unwrap().is_empty());
    let later = NOW + Duration::HOUR;
    store.put_off_revocation(taken[0].id, later).await.unwrap();
    assert!(store.take_revocations(later - Duration::SECOND, HOLD, 1).await.unwrap().is_empty());
    let taken = store.take_revocations(later, HOLD, 1).await.unwrap();
    assert_eq!((taken[0].attempts, taken[0].integration.as_deref()), (2, None));
    store.settle_revocation(&taken[0], None, later).await.unwrap();
    assert_eq!(shelf.number("select count(*) from revocations").await, 0);

    owe(&shelf, "other").await;
    let taken = store.take_revocations(later, HOLD, 1).await.unwrap();
    store.settle_revocation(&taken[0], Some("refused".into()), later).await.unwrap();
    assert_eq!(shelf.number("select count(*) from revocations").await, 0);
    let told = store.list_events(None, None, 2).await.unwrap();
    assert_eq!(
        (told[0].event.kind, told[0].event.detail.as_deref()),
        (EventKind::RevocationFailed, Some("refused"))
    );
    assert_eq!((told[1].event.kind, told[1].event.detail.as_deref()), (EventKind::Revoked, None));
});

on_both!(an_owed_token_goes_to_no_other_address, async |on: On| {
    let shelf = Shelf::open(on).await;
    owe(&shelf, "token").await;
    assert_eq!(shelf.run("update revocations set base_url = 'https://evil.example.com'").await, 1);
    assert!(shelf.store.take_revocations(NOW, HOLD, 1).await.unwrap().is_empty());
});

on_both!(an_unreadable_row_stops_no_other_revocation, async |on: On| {
    let shelf = Shelf::open(on).await;
    for token in ["one", "broken", "two"] {
        owe(&shelf, token).await;
    }
    let in_order = "from revocations order by revocation_id limit 1";
    let swapped = format!(
        "update revocations set token = (select token {in_order})
          where revocation_id = (select revocation_id {in_order} offset 1)"
    );
    assert_eq!(shelf.run(swapped).await, 1);
    let owed = shelf.store.take_revocations(NOW, HOLD, 9).await.unwrap();
    let tokens: BTreeSet<_> = owed.iter().map(|o| o.token.expose()).collect();
    assert_eq!(tokens, BTreeSet::from(["one", "two"]));
    assert!(shelf.store.take_revocations(NOW, HOLD, 9).await.unwrap().is_empty(), "each is put off");
    assert_eq!(shelf.number("select count(*) from revocations").await, 3, "and none is lost");
});

on_both!(a_connection_whose_token_does_not_open_can_be_ended, async |on: On| {
    let shelf = Shelf::open(on).await;
    let disconnect = Disconnect {
        store: shelf.store.clone(),
        provider: Provider::new(GitLab),
        instances: Instances::new([], None),
        clock: Clock::default(),
    };
    for (name, revoke, kind) in
        [("kept", false, EventKind::Disconnected), ("revoked", true, EventKind::RevocationFailed)]
    {
        let was = shelf.plain(name).await.connection;
        assert_eq!(shelf.run("update credentials set access_token = refresh_token").await, 1);
        assert!(shelf.store.open_credential(was.id).await.is_err());
        assert!(disconnect.end(was.id, revoke, &MOORING).await.unwrap());
        assert!(shelf.store.connection(was.id).await.unwrap().is_none());
        assert_eq!(shelf.number("select count(*) from revocations").await, 0);
        let told = shelf.store.list_events(Some(&was.id.to_string()), None, 9).await.unwrap();
        assert_eq!(told[0].event.kind, kind, "{:?}", told[0].event.detail);
        assert!(told.iter().any(|t| t.event.kind == EventKind::Disconnected));
        assert!(!disconnect.end(was.id, revoke, &MOORING).await.unwrap(), "it was gone");
    }
});

on_both!(an_integration_that_is_not_configured_now_is_owed_its_revocation, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let disconnect = Disconnect {
        store: shelf.store.clone(),
        provider: Provider::new(GitLab),
        instances: Instances::new([], None),
        clock: Clock::default(),
    };
    assert!(disconnect.end(was.id, true, &MOORING).await.unwrap());
    assert_eq!(disconnect.try_once().await.unwrap(), 1);
    assert_eq!(shelf.number("select count(*) from revocations where attempts = 1").await, 1);
    assert_eq!(shelf.store.list_events(None, None, 1).await.unwrap()[0].event.kind, EventKind::Disconnected);
});

/// Owes a token that was never a connection's.
async fn owe(shelf: &Shelf, token: &str) {
    let given_up = GivenUp {
        connection: ConnectionId::fresh(),
        integration: None,
        provider: "gitlab",
        base_url: &base_url(),
        credential: &pasted(token),
    };
    shelf.store.owe_revocation(&given_up, NOW).await.expect("it is owed");
}

/// On SQLite nobody writes beside somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_sees_the_credential_that_is_just_being_written() {
    let shelf = Shelf::open(On::Postgres).await;
    let was = shelf.plain("acme").await.connection;
    let Raw::Postgres(pool) = &shelf.raw else { panic!("it is PostgreSQL") };
    let mut renewal = pool.begin().await.unwrap();
    sqlx::query("update credentials set generation = 2").execute(&mut *renewal).await.unwrap();
    let (store, id) = (shelf.store.clone(), was.id);
    let ending = tokio::spawn(async move { store.disconnect(&was, &[], NOW, &MOORING).await });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while shelf.number(waiting).await == 0 {
        assert!(!ending.is_finished(), "it waits for the renewal");
    }
    renewal.commit().await.unwrap();
    assert!(!ending.await.unwrap().unwrap(), "it has another credential by now");
    assert!(shelf.store.connection(id).await.unwrap().is_some());
}
