//! Exports: marked before they are read, never while a renewal is under way, and imported whole.

use super::{AS_OF, MOORING, NOW, Shelf, connection, oauth, pasted};
use crate::support::{
    app::{On, on_both},
    log::Log as _,
};
use mooring::{
    domain::{Connection, EventKind, Reason, RenewalKind},
    store::{ConnectionFilter, ImportedConnection, NextCredential, RenewalCause, RenewalOutcome, StoreError},
    vault::seal_to,
};
use std::time::Duration as StdDuration;
use time::Duration;

const MINUTE: StdDuration = StdDuration::from_secs(60);

async fn mark(shelf: &Shelf, connections: &[Connection]) -> usize {
    let marked = shelf.store.mark_exported(connections, "To somebody.", NOW, &MOORING).await.unwrap();
    for id in &marked {
        assert_eq!(shelf.store.connection(*id).await.unwrap().unwrap().credential.exported_at, Some(NOW));
    }
    marked.len()
}

on_both!(nothing_renews_what_is_exported, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (store, held) =
        (&shelf.store, shelf.with(&connection("acme", None), &oauth("access", "refresh")).await);
    let was = &held.connection;
    let due = NOW + Duration::hours(3);
    assert_eq!(store.due_for_renewal(due, 9).await.unwrap(), [was.id]);
    assert!(store.open_exported(was.id).await.unwrap().is_none(), "it is read after it is marked");
    assert_eq!(mark(&shelf, std::slice::from_ref(was)).await, 1);
    assert_eq!(store.due_for_renewal(due, 9).await.unwrap(), []);
    assert!(!store.claim_lease(was.id, "a", MINUTE).await.unwrap());
    let told = store.list_events(None, None, 10).await.unwrap();
    assert_eq!(
        (told[0].event.kind, told[0].event.detail.as_deref()),
        (EventKind::Exported, Some("To somebody."))
    );

    let opened = store.open_exported(was.id).await.unwrap().unwrap();
    assert_eq!(opened.held.credential.access_token.expose(), "access");
    assert!(opened.brought_hash.is_none(), "it came by consent");
    let exported = opened.held.connection;
    assert!(!store.disconnect(was, &[], NOW, &MOORING).await.unwrap(), "whoever ends it must know");
    assert!(store.take_back(&exported, NOW, &MOORING).await.unwrap());
    assert!(!store.take_back(&exported, NOW, &MOORING).await.unwrap(), "once");
    assert!(store.claim_lease(was.id, "a", MINUTE).await.unwrap());
});

on_both!(what_is_being_renewed_or_in_doubt_is_not_marked, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let held = shelf.with(&connection("acme", None), &oauth("access", "refresh")).await;
    let was = std::slice::from_ref(&held.connection);
    assert!(store.claim_lease(was[0].id, "a", MINUTE).await.unwrap());
    assert_eq!(mark(&shelf, was).await, 0, "under a lease");
    let attempt = store.begin_renewal(&was[0], RenewalCause::Due, NOW).await.unwrap();
    store.release_lease(was[0].id, "a").await.unwrap();
    assert_eq!(mark(&shelf, was).await, 0, "without an outcome");
    store.close_renewal(attempt, RenewalOutcome::Uncertain, NOW).await.unwrap();
    assert_eq!(mark(&shelf, was).await, 0, "in doubt");
    store.stop(&was[0], Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    assert_eq!(mark(&shelf, was).await, 1, "what is stopped is in doubt no more");
});

on_both!(a_lease_does_not_outlast_an_export, async |on: On| {
    let shelf = Shelf::open(on).await;
    let held = shelf.with(&connection("acme", None), &oauth("access", "refresh")).await;
    let id = held.connection.id;
    assert!(shelf.store.claim_lease(id, "a", StdDuration::ZERO).await.unwrap());
    assert_eq!(mark(&shelf, &[held.connection]).await, 1, "the lease has ended");
    assert!(!shelf.store.extend_lease(id, "a", MINUTE).await.unwrap(), "so its holder sends nothing");
});

on_both!(a_new_credential_is_no_exported_one, async |on: On| {
    let shelf = Shelf::open(on).await;
    let held = shelf.with(&connection("acme", None), &oauth("access", "refresh")).await;
    assert_eq!(mark(&shelf, std::slice::from_ref(&held.connection)).await, 1);
    let credential = oauth("another", "another");
    let next = NextCredential { credential: &credential, renew_at: None };
    let was = &held.connection;
    shelf.store.replace_credential(was, was, next, EventKind::Reauthorized, &MOORING).await.unwrap().unwrap();
    assert!(shelf.store.open_exported(was.id).await.unwrap().is_none());
});

on_both!(an_import_is_as_it_was_or_nothing, async |on: On| {
    let (from, to) = (Shelf::open(on).await, Shelf::open(on).await);
    let stopped = from.with(&connection("stopped", Some("acme")), &oauth("access-1", "refresh-1")).await;
    from.store.stop(&stopped.connection, Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    let mut by_hand = connection("pasted", None);
    by_hand.credential.renewal = RenewalKind::Manual;
    let by_hand = from.with(&by_hand, &pasted("access-2")).await;
    let all = [stopped.connection, by_hand.connection];
    assert_eq!(mark(&from, &all).await, 2);
    let mut imported: Vec<ImportedConnection> = Vec::new();
    for one in &all {
        let mut opened = from.store.open_exported(one.id).await.unwrap().unwrap();
        opened.held.connection.credential.generation = 7;
        imported.push(opened);
    }
    assert!(imported[1].brought_hash.is_some(), "somebody pasted it");

    let named = to.with(&connection("pasted", None), &oauth("there", "there")).await.connection;
    let taken = to.store.import_connections(&imported, NOW, &MOORING).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "{taken:?}");
    let listed = to.store.list_connections(&ConnectionFilter::default(), AS_OF, None, 9).await.unwrap();
    assert_eq!(listed.len(), 1, "the good one did not come in either");
    assert!(to.store.disconnect(&named, &[], NOW, &MOORING).await.unwrap());

    to.store.import_connections(&imported, NOW, &MOORING).await.unwrap();
    for one in &imported {
        let held = to.store.open_credential(one.held.connection.id).await.unwrap().unwrap();
        let (facts, was) = (&held.connection.credential, &one.held.connection.credential);
        assert_eq!((facts.generation, facts.stopped, facts.exported_at), (7, was.stopped, None));
        assert!(held.credential.access_token.is_same(&one.held.credential.access_token));
        assert_eq!(held.connection.checks, one.held.connection.checks);
    }
    let pasted = mooring::domain::Secret::new("access-2");
    assert!(to.store.is_brought(all[1].id, &pasted).await.unwrap(), "it is known that somebody brought it");
    assert_eq!(to.store.list_events(None, None, 1).await.unwrap()[0].event.kind, EventKind::Imported);
});

on_both!(what_was_sealed_to_a_store_opens_in_it, async |on: On| {
    let (own, other) = (Shelf::open(on).await, Shelf::open(on).await);
    let sealed = seal_to(own.store.recipient(), b"glpat-1");
    assert_eq!(&**own.store.open_sealed_to(&sealed).unwrap(), b"glpat-1");
    assert!(other.store.open_sealed_to(&sealed).is_err());
});
