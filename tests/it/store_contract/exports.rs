//! Exports: marked before they are read, never while a renewal is under way, and imported whole.

use super::{AS_OF, MOORING, NOW, Shelf, connection, oauth, pasted};
use crate::support::{
    app::{On, on_both},
    log::Log as _,
};
use mooring::{
    domain::{Connection, ConnectionId, EventKind, Reason, RenewalKind},
    store::{
        ConnectionFilter, ImportedConnection, Mark, NextCredential, RenewalCause, RenewalOutcome, StoreError,
    },
    vault::{Keyring, Recipient, generate_key, seal_to},
};
use std::time::Duration as StdDuration;
use time::Duration;

const MINUTE: StdDuration = StdDuration::from_secs(60);

fn recipient() -> Recipient {
    Keyring::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", []).unwrap().recipient()
}

/// Marks one connection as it was read.
async fn mark(shelf: &Shelf, connection: &Connection) -> Mark {
    let marks = shelf.store.mark_exported(&[connection], recipient(), NOW, &MOORING).await.unwrap();
    let [mark] = marks[..] else { panic!("{marks:?}") };
    assert_eq!(shelf.store.exported_at(NOW).await.unwrap().contains_key(&connection.id), mark == Mark::Made);
    mark
}

on_both!(nothing_renews_what_is_exported, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (store, was) = (&shelf.store, shelf.plain("acme").await.connection);
    let due = NOW + Duration::hours(3);
    assert_eq!(store.due_for_renewal(due, 9).await.unwrap(), [was.id]);
    assert_eq!(mark(&shelf, &was).await, Mark::Made);
    assert_eq!(store.due_for_renewal(due, 9).await.unwrap(), []);
    assert!(!store.claim_lease(was.id, "a", MINUTE).await.unwrap());
    let told = store.list_events(None, None, 1).await.unwrap().remove(0).event;
    assert_eq!((told.kind, told.detail), (EventKind::Exported, Some(format!("To {}.", recipient()))));

    assert!(!store.disconnect(&was, &[], NOW, &MOORING).await.unwrap(), "whoever ends it must know");
    let exported = store.connection(was.id).await.unwrap().unwrap();
    assert_eq!(exported.credential.exported_at, Some(NOW));
    let later = NOW + Duration::SECOND;
    let marks = store.mark_exported(&[&was], recipient(), later, &MOORING).await.unwrap();
    assert_eq!(marks, [Mark::Made], "again, for the same recipient");
    assert!(!store.take_back(&exported, NOW, &MOORING).await.unwrap(), "it left once more since it was read");
    let exported = store.connection(was.id).await.unwrap().unwrap();
    assert!(store.take_back(&exported, NOW, &MOORING).await.unwrap());
    assert!(!store.take_back(&exported, NOW, &MOORING).await.unwrap(), "once");
    assert!(store.exported_at(later).await.unwrap().is_empty());
    assert!(store.claim_lease(was.id, "a", MINUTE).await.unwrap());
});

on_both!(what_is_being_renewed_or_in_doubt_is_not_marked, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (store, was) = (&shelf.store, shelf.plain("acme").await.connection);
    assert!(store.claim_lease(was.id, "a", MINUTE).await.unwrap());
    assert_eq!(mark(&shelf, &was).await, Mark::UnderWay, "under a lease");
    let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
    store.release_lease(was.id, "a").await.unwrap();
    assert_eq!(mark(&shelf, &was).await, Mark::UnderWay, "without an outcome");
    store.close_renewal(attempt, RenewalOutcome::Uncertain, NOW).await.unwrap();
    assert_eq!(mark(&shelf, &was).await, Mark::InDoubt);
    store.stop(&was, Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    assert_eq!(mark(&shelf, &was).await, Mark::Made, "what is stopped is in doubt no more");
});

on_both!(only_what_was_read_is_marked_and_for_one_recipient, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let mut newer = was.clone();
    newer.credential.generation += 1;
    assert_eq!(mark(&shelf, &newer).await, Mark::Changed);
    let nobody = Connection { id: ConnectionId::fresh(), ..was.clone() };
    assert_eq!(mark(&shelf, &nobody).await, Mark::Changed);
    assert_eq!(mark(&shelf, &was).await, Mark::Made);
    let other = Keyring::new(&generate_key(), []).unwrap().recipient();
    let marks = shelf.store.mark_exported(&[&was], other, NOW, &MOORING).await.unwrap();
    assert_eq!(marks, [Mark::Elsewhere]);
});

on_both!(a_lease_does_not_outlast_an_export, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    assert!(shelf.store.claim_lease(was.id, "a", StdDuration::ZERO).await.unwrap());
    assert_eq!(mark(&shelf, &was).await, Mark::Made, "the lease has ended");
    assert!(!shelf.store.extend_lease(was.id, "a", MINUTE).await.unwrap(), "so its holder sends nothing");
});

on_both!(a_new_credential_is_no_exported_one, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    assert_eq!(mark(&shelf, &was).await, Mark::Made);
    let credential = oauth("another", "another");
    let next = NextCredential { credential: &credential, renew_at: None };
    let replace = async |was: &Connection| {
        let kind = EventKind::Reauthorized;
        shelf.store.replace_credential(was, was, next.clone(), kind, &MOORING).await.unwrap()
    };
    assert_eq!(replace(&was).await, None, "whoever reauthorizes must know that the one before left");
    let exported = shelf.store.connection(was.id).await.unwrap().unwrap();
    assert_eq!(replace(&exported).await, Some(2));
    assert_eq!(shelf.store.connection(was.id).await.unwrap().unwrap().credential.exported_at, None);
});

on_both!(an_import_is_as_it_was_or_nothing, async |on: On| {
    let (from, to) = (Shelf::open(on).await, Shelf::open(on).await);
    let stopped = from.with(&connection("stopped", Some("acme")), &oauth("access-1", "refresh-1")).await;
    from.store.stop(&stopped.connection, Reason::GrantRevoked, NOW, &MOORING).await.unwrap();
    let mut by_hand = connection("pasted", None);
    by_hand.credential.renewal = RenewalKind::Manual;
    let by_hand = from.with(&by_hand, &pasted("access-2")).await;
    let all = [stopped.connection, by_hand.connection];
    let marks = from.store.mark_exported(&[&all[0], &all[1]], recipient(), NOW, &MOORING).await.unwrap();
    assert_eq!(marks, [Mark::Made, Mark::Made]);
    let brought = from.store.exported_at(NOW).await.unwrap();
    assert_eq!(all.each_ref().map(|c| brought[&c.id].is_some()), [false, true], "one was pasted");
    let mut imported: Vec<ImportedConnection> = Vec::new();
    for one in &all {
        let mut held = from.held(one.id).await;
        held.connection.credential.generation = 7;
        imported.push(ImportedConnection { held, brought_hash: brought[&one.id].clone() });
    }

    let named = to.with(&connection("pasted", None), &oauth("there", "there")).await.connection;
    let taken = to.store.import_connections(&imported, NOW, &MOORING).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "{taken:?}");
    let listed = to.store.list_connections(&ConnectionFilter::default(), AS_OF, None, 9).await.unwrap();
    assert_eq!(listed.len(), 1, "the good one did not come in either");
    assert!(to.store.disconnect(&named, &[], NOW, &MOORING).await.unwrap());

    to.store.import_connections(&imported, NOW, &MOORING).await.unwrap();
    let here = to.store.all_names().await.unwrap();
    assert!(here.has_id(all[0].id) && !here.has_id(named.id));
    assert!(
        here.has_name("stopped", Some("acme"))
            && !here.has_name("stopped", None)
            && here.has_name("pasted", None)
    );
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
