//! The log and the change feed, and the API keys whose changes it tells of.

use super::{MOORING, NOW, Shelf, connection, oauth};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use futures_util::FutureExt;
use mooring::{
    domain::{Actor, Change, Event, EventId, EventKind, Permission},
    store::{EventFilter, EventPage, NewApiKey, UsageCount},
    vault::ApiKeySecret,
};
use std::sync::{Arc, Mutex};
use time::Duration;

const TEN_SECONDS: std::time::Duration = std::time::Duration::from_secs(10);

fn event(kind: EventKind, subject: Option<&str>) -> Event {
    Event {
        id: EventId::fresh(),
        at: NOW,
        kind,
        subject: subject.map(str::to_owned),
        tenant: None,
        actor: Actor::Operator("ops@example.com".into()).to_string(),
        detail: None,
    }
}

fn new_key(name: &str, tenant: Option<&str>) -> NewApiKey {
    let secret = ApiKeySecret::fresh();
    NewApiKey {
        id: secret.id,
        digest: secret.digest,
        name: name.into(),
        tenant: tenant.map(str::to_owned),
        permissions: vec![Permission::ConnectionsRead, Permission::Proxy],
        allow: ["GET /api/v4/**".parse().unwrap()].into(),
        expires_at: tenant.map(|_| NOW + Duration::DAY),
    }
}

on_both!(the_log_tells_newest_first_in_pages, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    assert_eq!(store.last_event().await.unwrap(), 0);
    assert!(store.list_events(None, None, 9).await.unwrap().is_empty());
    let full = Event {
        tenant: Some("acme".into()),
        detail: Some("it's 100% \u{1F511}".into()),
        ..event(EventKind::SignedIn, Some("ops@example.com"))
    };
    store.append_event(&full).await.unwrap();
    for _ in 0..4 {
        store.append_event(&event(EventKind::SignInFailed, None)).await.unwrap();
    }
    let all = store.list_events(None, None, 9).await.unwrap();
    assert_eq!(all.len(), 5);
    assert!(all.windows(2).all(|pair| pair[0].seq > pair[1].seq));
    assert_eq!(format!("{:?}", all[4].event), format!("{full:?}"));
    assert_eq!(all[0].seq, store.last_event().await.unwrap());
    let page = store.list_events(None, Some(all[1].seq), 2).await.unwrap();
    assert_eq!(page.iter().map(|e| e.seq).collect::<Vec<_>>(), [all[2].seq, all[3].seq]);
    let about = store.list_events(Some("ops@example.com"), None, 9).await.unwrap();
    assert_eq!(about.len(), 1);
    assert!(store.append_event(&full).await.is_err(), "an event is told once");
});

on_both!(an_event_of_a_newer_version_hides_no_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    for _ in 0..5 {
        store.append_event(&event(EventKind::SignInFailed, Some("ops@example.com"))).await.unwrap();
    }
    let all: Vec<_> = store.list_events(None, None, 9).await.unwrap().into_iter().map(|e| e.seq).collect();
    for seq in &all[1..3] {
        shelf.run(format!("update events set kind = 'operator.of_tomorrow' where seq = {seq}")).await;
    }
    let page = store.find_events(&EventFilter::default(), None, 2).await.unwrap();
    let seqs = |page: &EventPage| page.events.iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!((seqs(&page), page.older), (vec![all[0]], Some(all[1])));
    let page = store.find_events(&EventFilter::default(), page.older, 1).await.unwrap();
    assert_eq!((seqs(&page), page.older), (vec![], Some(all[2])), "a page without any is not the last");
    let page = store.find_events(&EventFilter::default(), page.older, 2).await.unwrap();
    assert_eq!((seqs(&page), page.older), (all[3..].to_vec(), None));
    assert_eq!(store.list_events(Some("ops@example.com"), None, 9).await.unwrap().len(), 3);
    let (_, untold) = store.untold_events(9).await.unwrap();
    let told: Vec<_> = untold.iter().rev().map(|(seq, event)| (*seq, event.is_some())).collect();
    assert_eq!(told, all.iter().map(|seq| (*seq, !all[1..3].contains(seq))).collect::<Vec<_>>());
});

on_both!(what_is_rare_is_found_behind_what_is_frequent, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    store.append_event(&event(EventKind::Rotated, Some("c1"))).await.unwrap();
    for _ in 0..30 {
        for kind in [EventKind::Renewed, EventKind::RenewalFailed, EventKind::HandedOut] {
            store.append_event(&event(kind, Some("c1"))).await.unwrap();
        }
    }
    store.append_event(&event(EventKind::Rotated, Some("c2"))).await.unwrap();
    store.append_event(&event(EventKind::Reauthorized, Some("c1"))).await.unwrap();
    let kinds = async |limit| {
        let found = store.rare_events("c1", limit).await.unwrap();
        found.into_iter().map(|logged| logged.event.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(9).await, [EventKind::Reauthorized, EventKind::Rotated]);
    assert_eq!(kinds(1).await, [EventKind::Reauthorized]);
});

on_both!(changes_come_in_order_after_a_place_in_the_log, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let held = shelf.with(&connection("acme", Some("t")), &oauth("a", "r")).await;
    let start = store.last_event().await.unwrap();
    let key = new_key("ci", None);
    store.add_api_key(&key, NOW, &MOORING).await.unwrap();
    store.append_event(&event(EventKind::SignedIn, Some("ops@example.com"))).await.unwrap();
    store.append_event(&event(EventKind::SignInFailed, None)).await.unwrap();
    store.disconnect(&held.connection, &[], NOW, &MOORING).await.unwrap();
    store.revoke_api_key(&key.id, NOW, &MOORING).await.unwrap();
    let changes = store.changes_after(start).await.unwrap();
    let of_key = Some(Change::ApiKey(key.id.clone()));
    let expected = [of_key.clone(), None, None, Some(Change::Connection(held.connection.id)), of_key];
    assert_eq!(changes.iter().map(|(_, change)| change.clone()).collect::<Vec<_>>(), expected);
    assert!(changes.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(store.changes_after(changes[3].0).await.unwrap(), changes[4..]);
    assert!(store.changes_after(store.last_event().await.unwrap()).await.unwrap().is_empty());
    let told = &store.list_events(Some(&held.connection.id.to_string()), None, 1).await.unwrap()[0].event;
    assert_eq!((told.tenant.as_deref(), told.actor.as_str()), (Some("t"), "mooring"));
});

on_both!(watchers_hear_of_changes_here_and_elsewhere, async |on: On| {
    let shelf = Shelf::open(on).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    shelf.store.watch({
        let heard = Arc::clone(&heard);
        Arc::new(move |change| heard.lock().unwrap().push(change.clone()))
    });
    let held = shelf.plain("acme").await;
    let of_connection = Change::Connection(held.connection.id);
    assert_eq!(*heard.lock().unwrap(), std::slice::from_ref(&of_connection));
    shelf.store.clone().relay(&Change::ApiKey("elsewhere".into()));
    assert_eq!(*heard.lock().unwrap(), [of_connection, Change::ApiKey("elsewhere".into())]);
});

on_both!(an_api_key_is_kept_until_it_is_revoked, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let new = new_key("ci", Some("acme"));
    store.add_api_key(&new, NOW, &MOORING).await.unwrap();
    assert!(store.add_api_key(&new, NOW, &MOORING).await.is_err(), "an id is one key's");
    let key = store.api_key(&new.id).await.unwrap().unwrap();
    assert_eq!((&key.id, &key.name, &key.tenant), (&new.id, &new.name, &new.tenant));
    assert_eq!((&key.permissions, &key.digest), (&new.permissions, &new.digest));
    assert_eq!((key.created_at, key.expires_at), (NOW, new.expires_at));
    assert_eq!((key.revoked_at, key.last_used_at), (None, None));
    assert!(key.is_valid(NOW) && !key.is_valid(NOW + Duration::DAY), "it ends at its end");
    assert!(store.api_key("no-such-key").await.unwrap().is_none());

    let held = shelf.plain("acme").await;
    let used =
        UsageCount { connection: held.connection.id, api_key_id: new.id.clone(), hand_outs: 1, last_at: NOW };
    store.add_usage(&[used]).await.unwrap();
    assert_eq!(store.api_key(&new.id).await.unwrap().unwrap().last_used_at, Some(NOW));

    let later = NOW + Duration::HOUR;
    assert!(store.revoke_api_key(&new.id, later, &MOORING).await.unwrap());
    assert!(!store.revoke_api_key(&new.id, NOW + Duration::DAY, &MOORING).await.unwrap());
    assert!(!store.revoke_api_key("no-such-key", later, &MOORING).await.unwrap());
    let key = store.api_key(&new.id).await.unwrap().unwrap();
    assert_eq!(key.revoked_at, Some(later), "the first revocation counts");
    assert!(!key.is_valid(NOW));
});

on_both!(api_keys_are_listed_in_pages, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    for at in 0..9 {
        let key = new_key(&format!("key-{at}"), None);
        store.add_api_key(&key, NOW, &MOORING).await.unwrap();
        if at == 0 {
            store.revoke_api_key(&key.id, NOW, &MOORING).await.unwrap();
        }
    }
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_api_keys(after.as_deref(), 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        names.extend(page.into_iter().map(|key| key.name));
    }
    names.sort();
    assert_eq!(
        names,
        (0..9).map(|at| format!("key-{at}")).collect::<Vec<_>>(),
        "each once, the revoked one too"
    );
});

on_both!(who_listens_is_woken_by_postgres_alone, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (woken, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listening = shelf.store.listen(|| woken.send(()).unwrap());
    if on == On::Sqlite {
        assert!(listening.now_or_never().is_none() && heard.try_recv().is_err());
        return;
    }
    let writing = async {
        heard.recv().await.expect("it listens");
        shelf.store.append_event(&event(EventKind::SignInFailed, None)).await.unwrap();
        heard.recv().await.expect("it is woken");
    };
    tokio::select! {
        lost = listening => panic!("{lost:?}"),
        () = writing => {}
        () = tokio::time::sleep(TEN_SECONDS) => panic!("nobody was woken"),
    }
});

on_both!(old_events_are_forgotten_from_the_first_on, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let days = |days| NOW + Duration::days(days);
    for day in [0, 1, 2] {
        store.append_event(&Event { at: days(day), ..event(EventKind::SignInFailed, None) }).await.unwrap();
    }
    assert_eq!(store.sweep_events(days(0)).await.unwrap(), 0);
    assert_eq!(store.sweep_events(days(2)).await.unwrap(), 2);
    let left = store.list_events(None, None, 9).await.unwrap();
    assert_eq!(left.iter().map(|logged| logged.event.at).collect::<Vec<_>>(), [days(2)]);
    let last = store.last_event().await.unwrap();
    assert_eq!(store.sweep_events(days(3)).await.unwrap(), 1);
    store.append_event(&event(EventKind::SignInFailed, None)).await.unwrap();
    assert!(store.last_event().await.unwrap() > last, "places are given once, also after the log was empty");
});
