//! Connections: what comes back, whose names are unique, what a person and a check may change; usage.

use super::{AS_OF, MOORING, NOW, Shelf, check, connection, oauth, pasted};
use crate::support::app::{On, on_both};
use mooring::{
    domain::{
        Account, AccountKind, CheckOutcome, Connection, ConnectionId, CredentialFacts, EventKind, Method,
        Reason, RenewalKind, Scopes, TokenKind,
    },
    store::{
        ConnectionEdit, ConnectionFilter, NewApiKey, NextCredential, RenewalChoice, StoreError, UsageCount,
    },
    vault::digest,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use time::{Date, Duration};
use tokio::task::JoinSet;

/// Connections have no equality: what one says of itself, secrets have no place in it.
fn told(connection: &Connection) -> String {
    format!("{connection:?}")
}

on_both!(a_connection_comes_back_as_it_was, async |on: On| {
    let shelf = Shelf::open(on).await;
    let full = connection("Ärger 100%_!", Some("acme"));
    let held = shelf.with(&full, &oauth("access-1", "refresh-1")).await;
    assert_eq!(told(&held.connection), told(&full));

    let bare = Connection {
        description: None,
        tags: BTreeMap::new(),
        integration: None,
        method: Method::AccessToken,
        token_kind: TokenKind::Personal,
        account: None,
        use_cases: vec![],
        checks: vec![],
        credential: CredentialFacts {
            renewal: RenewalKind::Manual,
            expires_at: None,
            renew_at: None,
            ..full.credential.clone()
        },
        last_checked_at: None,
        ..connection("bare", None)
    };
    let held = shelf.with(&bare, &pasted("access-2")).await;
    assert_eq!(told(&held.connection), told(&bare));
    let listed = shelf.store.connection(bare.id).await.unwrap().unwrap();
    assert_eq!(told(&listed), told(&bare));
    assert!(shelf.store.connection(ConnectionId::fresh()).await.unwrap().is_none());
});

on_both!(a_name_is_unique_within_its_tenant, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    for tenant in [None, Some("acme"), Some("other")] {
        shelf.with(&connection("same", tenant), &pasted("t")).await;
        let again = store.add_connection(&connection("same", tenant), &pasted("t"), &MOORING).await;
        assert!(matches!(again, Err(StoreError::NameTaken)), "{tenant:?}");
    }
    assert_eq!(shelf.number("select count(*) from connections").await, 3);
    assert_eq!(shelf.number("select count(*) from credentials").await, 3);

    let of = async |tenant| {
        let found = store.connections_named("same", tenant).await.unwrap();
        found.into_iter().map(|c| c.tenant).collect::<Vec<_>>()
    };
    assert_eq!(of(Some("acme")).await, [Some("acme".to_owned())]);
    assert_eq!(of(Some("")).await, [None]);
    assert_eq!(of(Some("nobody")).await, []);
    assert_eq!(of(None).await.len(), 2, "two are enough to know that it is ambiguous");
    assert!(store.connections_named("Same", None).await.unwrap().is_empty());
});

on_both!(connections_are_listed_newest_first_and_filtered, async |on: On| {
    let shelf = Shelf::open(on).await;
    for (name, tenant) in
        [("Alpha", None), ("beta_1", Some("acme")), ("betaX1", Some("acme")), ("Äpfel", None)]
    {
        shelf.with(&connection(name, tenant), &oauth("a", "r")).await;
    }
    let typed = Connection {
        integration: None,
        method: Method::AccessToken,
        account: None,
        ..connection("typed 100%", None)
    };
    shelf.with(&typed, &pasted("t")).await;
    let names = async |filter: ConnectionFilter, before, limit| {
        let found = shelf.store.list_connections(&filter, AS_OF, before, limit).await.unwrap();
        found.into_iter().map(|c| c.name).collect::<Vec<_>>()
    };
    let all = ["typed 100%", "Äpfel", "betaX1", "beta_1", "Alpha"];
    assert_eq!(names(ConnectionFilter::default(), None, 50).await, all);
    assert_eq!(names(ConnectionFilter::default(), None, 2).await, all[..2]);
    assert_eq!(names(ConnectionFilter::default(), Some(typed.id), 2).await, all[1..3]);

    let by = |change: fn(&mut ConnectionFilter, String), value: &str| {
        let mut filter = ConnectionFilter::default();
        change(&mut filter, value.to_owned());
        names(filter, None, 50)
    };
    assert_eq!(by(|f, v| f.tenant = v, "acme").await, ["betaX1", "beta_1"]);
    assert_eq!(by(|f, v| f.integration = v, "gitlab").await, all[1..]);
    assert_eq!(by(|f, v| f.method = v, "access_token").await, ["typed 100%"]);
    assert_eq!(by(|f, v| f.q = v, " BETA ").await, ["betaX1", "beta_1"]);
    assert_eq!(by(|f, v| f.q = v, "a_1").await, ["beta_1"], "a wildcard stands for itself");
    assert_eq!(by(|f, v| f.q = v, "0%").await, ["typed 100%"]);
    assert_eq!(by(|f, v| f.q = v, "alice adams").await, all[1..]);
    assert_eq!(by(|f, v| f.q = v, "EXAMPLE.com/sub").await, all);
    assert_eq!(by(|f, v| f.q = v, "Äpfel").await, ["Äpfel"], "as it is spelled it is found");
    assert!(by(|f, v| f.q = v, "'!").await.is_empty());
});

on_both!(a_row_that_cannot_be_read_hides_no_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    for name in ["1", "2", "3", "4"] {
        shelf.plain(name).await;
    }
    assert_eq!(shelf.run("update connections set tags = '{' where name in ('3', '4')").await, 2);
    for (limit, expected) in [(1, vec!["2"]), (2, vec!["2", "1"]), (4, vec!["2", "1"])] {
        let found =
            shelf.store.list_connections(&ConnectionFilter::default(), AS_OF, None, limit).await.unwrap();
        let names: Vec<_> = found.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, expected, "at most {limit}");
    }
});

on_both!(an_edit_changes_what_a_person_may_change, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.with(&connection("pasted", None), &pasted("t")).await.connection;
    shelf.plain("taken").await;
    let due = NOW + Duration::DAY;
    let edit = ConnectionEdit {
        name: "edited".into(),
        description: None,
        tags: BTreeMap::from([("k".into(), "v".into())]),
        use_cases: vec!["read-only".into()],
        checks: vec![check("read-only", CheckOutcome::RoleUnknown)],
        renewal: Some(RenewalChoice { kind: RenewalKind::SelfRotate, renew_at: Some(due), generation: 1 }),
    };
    let later = NOW + Duration::MINUTE;
    assert!(shelf.store.edit_connection(&was, &edit, later, &MOORING).await.unwrap());
    let now = shelf.store.connection(was.id).await.unwrap().unwrap();
    let facts =
        CredentialFacts { renewal: RenewalKind::SelfRotate, renew_at: Some(due), ..was.credential.clone() };
    let expected = Connection {
        name: "edited".into(),
        description: None,
        tags: edit.tags.clone(),
        use_cases: edit.use_cases.clone(),
        checks: edit.checks.clone(),
        updated_at: later,
        credential: facts,
        ..was.clone()
    };
    assert_eq!(told(&now), told(&expected));

    let manual = |generation| Some(RenewalChoice { kind: RenewalKind::Manual, renew_at: None, generation });
    let taken = ConnectionEdit { name: "taken".into(), renewal: manual(1), ..edit.clone() };
    let outdated = shelf.store.edit_connection(&was, &taken, later, &MOORING).await;
    assert!(!outdated.unwrap(), "what somebody else wrote meanwhile is not overwritten");
    let was = now;
    let refused = shelf.store.edit_connection(&was, &taken, later, &MOORING).await;
    assert!(matches!(refused, Err(StoreError::NameTaken)));
    assert_eq!(told(&shelf.held(was.id).await.connection), told(&expected), "all or nothing");

    // What was chosen for another credential changes nothing, not even the name.
    let stale = ConnectionEdit { name: "stale".into(), renewal: manual(2), ..edit.clone() };
    assert!(!shelf.store.edit_connection(&was, &stale, later, &MOORING).await.unwrap());
    assert_eq!(told(&shelf.held(was.id).await.connection), told(&expected));
    let plain = ConnectionEdit { renewal: None, ..edit.clone() };
    assert!(shelf.store.edit_connection(&was, &plain, later, &MOORING).await.unwrap());
    assert_eq!(told(&shelf.held(was.id).await.connection), told(&expected), "it renews as before");

    let nowhere = Connection { id: ConnectionId::fresh(), ..was };
    let events = shelf.store.last_event().await.unwrap();
    assert!(!shelf.store.edit_connection(&nowhere, &taken, later, &MOORING).await.unwrap());
    assert_eq!(shelf.store.last_event().await.unwrap(), events);
});

on_both!(an_edit_cannot_take_a_refresh_token_its_renewal, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("oauth").await.connection;
    let edit = ConnectionEdit {
        name: "oauth".into(),
        description: None,
        tags: BTreeMap::new(),
        use_cases: vec![],
        checks: vec![],
        renewal: Some(RenewalChoice { kind: RenewalKind::Manual, renew_at: None, generation: 1 }),
    };
    shelf.store.edit_connection(&was, &edit, NOW, &MOORING).await.unwrap();
    assert_eq!(shelf.held(was.id).await.connection.credential.renewal, RenewalKind::Refresh);
});

on_both!(a_check_is_kept_for_the_credential_that_was_checked, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let store = &shelf.store;
    store.note_failed_check(&was, Reason::RateLimited, "slow down", NOW, &MOORING).await.unwrap();
    store
        .note_failed_check(&was, Reason::ProviderError, "502", NOW + Duration::MINUTE, &MOORING)
        .await
        .unwrap();
    let failure = shelf.held(was.id).await.connection.credential.failure.unwrap();
    assert_eq!((failure.code, failure.message.as_str()), (Reason::ProviderError, "502"));
    assert_eq!((failure.since, failure.attempts), (NOW, 2), "since the first of them");

    let mut checked = was.clone();
    checked.account = Some(Account {
        id: 7,
        username: None,
        name: None,
        kind: AccountKind::ServiceAccount,
        web_url: None,
        resource: None,
    });
    checked.checks = vec![check("code-review", CheckOutcome::InsufficientRole)];
    checked.credential.scopes = Scopes::parse("read_api");
    checked.credential.expires_at = None;
    store.keep_check(&was, &checked, NOW + Duration::HOUR, &MOORING).await.unwrap();
    checked.last_checked_at = Some(NOW + Duration::HOUR);
    assert_eq!(told(&shelf.held(was.id).await.connection), told(&checked), "and the failure is over");

    let next = NextCredential { credential: &oauth("access-2", "refresh-2"), renew_at: None };
    store.replace_credential(&was, &checked, next, EventKind::Rotated, &MOORING).await.unwrap().unwrap();
    let current = told(&shelf.held(was.id).await.connection);
    let events = store.last_event().await.unwrap();
    store.keep_check(&was, &was, NOW + Duration::DAY, &MOORING).await.unwrap();
    store.note_failed_check(&was, Reason::ProviderError, "502", NOW, &MOORING).await.unwrap();
    assert_eq!(told(&shelf.held(was.id).await.connection), current, "a check of the old one says nothing");
    assert_eq!(store.last_event().await.unwrap(), events);
});

/// The hand-outs of a connection, by API key.
async fn used_by(shelf: &Shelf, id: ConnectionId) -> Vec<(String, i64)> {
    let usage = shelf.store.usage_of(id).await.unwrap();
    usage.into_iter().map(|used| (used.api_key_id, used.hand_outs)).collect()
}

on_both!(replicas_that_count_the_same_do_not_block_each_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    let mut ids = Vec::new();
    for at in 0..8 {
        ids.push(shelf.plain(&at.to_string()).await.connection.id);
    }
    let mut writers = JoinSet::new();
    for at in 0..8 {
        let store = shelf.store.clone();
        let mut counts: Vec<_> = ids
            .iter()
            .flat_map(|id| ["k1", "k2"].map(|key| (*id, key.to_owned())))
            .map(|(connection, api_key_id)| UsageCount { connection, api_key_id, hand_outs: 1, last_at: NOW })
            .collect();
        counts.rotate_left(at);
        if at % 2 == 0 {
            counts.reverse();
        }
        writers.spawn(async move { store.add_usage(&counts).await });
    }
    for written in writers.join_all().await {
        written.unwrap();
    }
    assert_eq!(used_by(&shelf, ids[0]).await, [("k1".to_owned(), 8), ("k2".to_owned(), 8)]);
});

on_both!(usage_adds_up, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (one, two) = (shelf.plain("one").await.connection.id, shelf.plain("two").await.connection.id);
    let count = |connection, key: &str, hand_outs, days| UsageCount {
        connection,
        api_key_id: key.into(),
        hand_outs,
        last_at: NOW + Duration::days(days),
    };
    let store = &shelf.store;
    store.add_usage(&[count(one, "k1", 2, 0), count(one, "k2", 1, 0), count(two, "k1", 7, 0)]).await.unwrap();
    store
        .add_usage(&[count(one, "k1", 3, 0), count(one, "k1", 5, 1), count(one, "k2", 1, -1)])
        .await
        .unwrap();
    store.add_usage(&[]).await.unwrap();
    assert_eq!(used_by(&shelf, one).await, [("k1".to_owned(), 10), ("k2".to_owned(), 2)]);
    assert_eq!(used_by(&shelf, two).await, [("k1".to_owned(), 7)]);
    assert_eq!((store.count_users(one).await.unwrap(), store.count_users(two).await.unwrap()), (2, 1));
    assert_eq!(shelf.number("select count(*) from usage").await, 5, "one row a day");
    let last_used_at = shelf.held(one).await.connection.last_used_at;
    assert_eq!(last_used_at, Some(NOW + Duration::DAY), "an older count does not turn it back");
    assert_eq!(used_by(&shelf, ConnectionId::fresh()).await, []);

    let (today, tomorrow) = (NOW.date(), NOW.date() + Duration::DAY);
    let told = async |since| shelf.store.daily_usage_of(one, since).await.unwrap();
    let recent = [("k1".to_owned(), today, 5), ("k2".to_owned(), today, 1), ("k1".to_owned(), tomorrow, 5)];
    assert_eq!(told(today).await, recent);
    assert_eq!(told(Date::MIN).await.len(), 4);
});

on_both!(usage_tells_the_name_of_a_key_and_whether_it_is_revoked, async |on: On| {
    let shelf = Shelf::open(on).await;
    let id = shelf.plain("one").await.connection.id;
    let key = |id: &str, name: &str| NewApiKey {
        id: id.into(),
        digest: digest(id),
        name: name.into(),
        tenant: None,
        permissions: vec![],
        allow: Arc::default(),
        expires_at: None,
    };
    shelf.store.add_api_key(&key("k1", "nightly"), NOW, &MOORING).await.unwrap();
    shelf.store.add_api_key(&key("k2", "deploy"), NOW, &MOORING).await.unwrap();
    shelf.store.revoke_api_key("k2", NOW, &MOORING).await.unwrap();
    let used = |key: &str, days| UsageCount {
        connection: id,
        api_key_id: key.into(),
        hand_outs: 1,
        last_at: NOW + Duration::days(days),
    };
    shelf.store.add_usage(&[used("k1", 0), used("k2", 2), used("gone", 1)]).await.unwrap();
    let usage = shelf.store.usage_of(id).await.unwrap();
    let told: Vec<_> = usage
        .iter()
        .map(|u| (u.name.as_deref(), u.revoked_at.is_some(), (u.last_day - NOW.date()).whole_days()))
        .collect();
    assert_eq!(told, [(Some("deploy"), true, 2), (None, false, 1), (Some("nightly"), false, 0)]);
});
