//! Operators, setup links, sessions, and authorizations under way.

use super::{MOORING, NOW, Shelf, base_url};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{EventKind, OperatorId, Role, Scopes, Secret},
    store::{NewAuthorization, Operator, UsageCount},
    vault::{Digest, digest},
};
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

fn operator(email: &str) -> Operator {
    let (id, password_hash) = (OperatorId::fresh(), Some(format!("hash of {email}")));
    Operator { id, email: email.into(), password_hash, role: Role::Administrator }
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap()
}

fn authorization(state: &str) -> NewAuthorization {
    NewAuthorization {
        state: digest(state),
        binder: digest("binder"),
        session: digest("session"),
        integration: "gitlab".into(),
        base_url: base_url(),
        redirect_uri: "https://mooring.example.com/oauth/gitlab/callback".into(),
        code_verifier: Secret::new("verifier"),
        scopes: Scopes::parse("api read_user"),
        purpose: "{\"connect\":{}}".into(),
        created_at: NOW,
        expires_at: NOW + Duration::minutes(10),
    }
}

on_both!(an_operator_has_an_address_of_their_own, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let first = operator("ops@example.com");
    assert_eq!(store.count_operators().await.unwrap(), 0);
    assert!(store.add_operator(&first, NOW, &MOORING).await.unwrap());
    let events = store.last_event().await.unwrap();
    assert!(!store.add_operator(&operator("ops@example.com"), NOW, &MOORING).await.unwrap());
    assert_eq!(store.last_event().await.unwrap(), events);
    assert_eq!(store.count_operators().await.unwrap(), 1);
    let found = store.operator_by_email("ops@example.com").await.unwrap().unwrap();
    assert_eq!((found.id, &found.password_hash), (first.id, &first.password_hash));
    assert_eq!(store.operator(first.id).await.unwrap().unwrap().email, first.email);
    assert!(store.operator_by_email("nobody@example.com").await.unwrap().is_none());
    assert!(store.operator(OperatorId::fresh()).await.unwrap().is_none());
});

on_both!(a_password_reset_ends_every_session_of_that_person, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let (ops, other) = (operator("ops@example.com"), operator("other@example.com"));
    for person in [&ops, &other] {
        assert!(store.add_operator(person, NOW, &MOORING).await.unwrap());
    }
    store.create_session(&digest("cookie"), Some(ops.id), "{}", NOW + Duration::DAY).await.unwrap();
    store.create_session(&digest("other"), Some(other.id), "{}", NOW + Duration::DAY).await.unwrap();
    assert!(!store.reset_password("nobody@example.com", "new", NOW, &MOORING).await.unwrap());
    assert!(store.load_session(&digest("cookie"), NOW).await.unwrap().is_some());
    assert!(store.reset_password("ops@example.com", "new", NOW, &MOORING).await.unwrap());
    assert!(store.load_session(&digest("cookie"), NOW).await.unwrap().is_none());
    assert!(store.load_session(&digest("other"), NOW).await.unwrap().is_some(), "somebody else stays");
    assert_eq!(
        store.operator_by_email("ops@example.com").await.unwrap().unwrap().password_hash.unwrap(),
        "new"
    );
    assert_eq!(store.list_events(None, None, 1).await.unwrap()[0].event.kind, EventKind::PasswordReset);
});

on_both!(a_password_is_changed_by_who_knows_the_one_before_and_not_over_a_reset, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ops = operator("ops@example.com");
    assert!(store.add_operator(&ops, NOW, &MOORING).await.unwrap());
    assert!(store.reset_password("ops@example.com", "of the reset", NOW, &MOORING).await.unwrap());
    store.create_session(&digest("cookie"), Some(ops.id), "{}", NOW + Duration::DAY).await.unwrap();
    let events = store.last_event().await.unwrap();
    assert!(!store.change_password(&ops, "of a late request", NOW).await.unwrap());
    let now = store.operator(ops.id).await.unwrap().unwrap();
    assert_eq!(
        (now.password_hash.as_deref(), store.last_event().await.unwrap()),
        (Some("of the reset"), events)
    );
    assert!(store.load_session(&digest("cookie"), NOW).await.unwrap().is_some());
    assert!(store.change_password(&now, "own", NOW).await.unwrap());
    let own = store.operator(ops.id).await.unwrap().unwrap();
    assert_eq!(own.password_hash.as_deref(), Some("own"));
    assert!(store.load_session(&digest("cookie"), NOW).await.unwrap().is_none());
    assert_eq!(store.list_events(None, None, 1).await.unwrap()[0].event.actor, "operator:ops@example.com");
});

on_both!(a_setup_link_makes_the_first_operator_and_no_other, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let (link, spare, wrong) = (digest("link"), digest("spare"), digest("wrong"));
    store.add_setup_link(&link, NOW).await.unwrap();
    store.add_setup_link(&spare, NOW).await.unwrap();
    assert!(store.is_setup_link(&link).await.unwrap() && !store.is_setup_link(&wrong).await.unwrap());
    assert!(!store.finish_setup(&wrong, &operator("x@example.com"), NOW).await.unwrap());
    assert!(store.finish_setup(&link, &operator("first@example.com"), NOW).await.unwrap());
    for used in [&link, &spare] {
        assert!(!store.is_setup_link(used).await.unwrap());
        assert!(!store.finish_setup(used, &operator("second@example.com"), NOW).await.unwrap());
    }
    store.add_setup_link(&link, NOW).await.unwrap();
    assert!(
        !store.finish_setup(&link, &operator("late@example.com"), NOW).await.unwrap(),
        "one is there already"
    );
    assert_eq!(store.count_operators().await.unwrap(), 1);
    assert!(store.operator_by_email("first@example.com").await.unwrap().is_some());
});

on_both!(of_ten_who_press_at_once_one_is_the_first_operator, async |on: On| {
    let shelf = Shelf::open(on).await;
    for link in ["a", "b"] {
        shelf.store.add_setup_link(&digest(link), NOW).await.unwrap();
    }
    let mut tries = JoinSet::new();
    for at in 0..10 {
        let store = shelf.store.clone();
        let link = digest(if at % 2 == 0 { "a" } else { "b" });
        let person = operator(&format!("person-{at}@example.com"));
        tries.spawn(async move { store.finish_setup(&link, &person, NOW).await });
    }
    // Who loses may be refused by the database instead of the count: both are no.
    let won = tries.join_all().await.into_iter().filter(|outcome| matches!(outcome, Ok(true))).count();
    assert_eq!(won, 1);
    assert_eq!(shelf.store.count_operators().await.unwrap(), 1);
});

on_both!(a_session_lives_until_its_end_and_is_not_brought_back, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let (id, end) = (digest("cookie"), NOW + Duration::HOUR);
    assert!(store.create_session(&id, None, "{\"a\":1}", end).await.unwrap());
    assert!(!store.create_session(&id, None, "{\"a\":2}", end).await.unwrap(), "the id is taken");
    let load = async |at| store.load_session(&id, at).await.unwrap();
    assert_eq!(load(NOW).await, Some(("{\"a\":1}".to_owned(), micros(end))));
    assert_eq!(load(end).await, None);
    store.save_session(&id, None, "{\"a\":3}", end + Duration::HOUR).await.unwrap();
    assert_eq!(load(end).await.unwrap().0, "{\"a\":3}");
    store.delete_session(&id).await.unwrap();
    assert_eq!(load(NOW).await, None);
    store.save_session(&id, None, "{\"a\":4}", end).await.unwrap();
    assert_eq!(load(NOW).await, None, "a slow request does not undo a sign-out");
    assert_eq!(shelf.number("select count(*) from sessions").await, 0);
});

on_both!(a_sweep_forgets_what_has_ended, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    store.create_session(&digest("over"), None, "{}", NOW).await.unwrap();
    store.create_session(&digest("open"), None, "{}", NOW + Duration::SECOND).await.unwrap();
    let ends = [("old", NOW - Duration::HOUR), ("told", NOW - Duration::minutes(59)), ("open", NOW)];
    for (state, expires_at) in ends {
        let new = NewAuthorization { expires_at, ..authorization(state) };
        store.begin_authorization(&new).await.unwrap();
    }
    let closed = |days| micros(NOW - Duration::days(days)).to_string();
    let was = shelf.plain("acme").await.connection.id;
    for (id, finished_at) in [("old", closed(91)), ("young", closed(89)), ("open", "null".into())] {
        let insert = "insert into renewals (renewal_id, connection_id, generation, renewal, cause, started_at, finished_at)";
        shelf.run(format!("{insert} values ('{id}', '{was}', 1, 'refresh', 'due', 0, {finished_at})")).await;
    }
    let used = |days| UsageCount {
        connection: was,
        api_key_id: "k".into(),
        hand_outs: days,
        last_at: NOW - Duration::days(days),
    };
    store.add_usage(&[used(401), used(400)]).await.unwrap();
    store.sweep(NOW).await.unwrap();
    assert_eq!(shelf.number("select count(*) from renewals").await, 2);
    assert_eq!(shelf.number("select count(*) from renewals where renewal_id = 'old'").await, 0);
    let usage = store.usage_of(was).await.unwrap();
    assert_eq!(usage.iter().map(|used| used.hand_outs).collect::<Vec<_>>(), [400]);
    assert_eq!(shelf.number("select count(*) from sessions").await, 1);
    assert!(store.load_session(&digest("open"), NOW).await.unwrap().is_some());
    assert!(store.authorization(&digest("old")).await.unwrap().is_none());
    for state in ["told", "open"] {
        assert!(store.authorization(&digest(state)).await.unwrap().is_some(), "{state}");
    }
});

on_both!(an_authorization_is_kept_with_its_outcome, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let new = authorization("state");
    store.begin_authorization(&new).await.unwrap();
    assert!(store.begin_authorization(&new).await.is_err(), "a state is used once");
    let found = store.authorization(&new.state).await.unwrap().unwrap();
    assert_eq!((&found.binder, &found.session), (&new.binder, &new.session));
    assert_eq!((&found.integration, &found.base_url), (&new.integration, &new.base_url));
    assert_eq!(found.purpose, new.purpose);
    assert_eq!((&found.scopes, found.created_at, found.expires_at), (&new.scopes, NOW, new.expires_at));
    assert_eq!((found.consumed_at, &found.outcome), (None, &None));
    store.finish_authorization(&new.state, "{\"connected\":1}").await.unwrap();
    let found = store.authorization(&new.state).await.unwrap().unwrap();
    assert_eq!(found.outcome.as_deref(), Some("{\"connected\":1}"));
    assert!(store.authorization(&digest("other")).await.unwrap().is_none());
});

on_both!(of_fifty_callbacks_one_gets_the_code_verifier, async |on: On| {
    let shelf = Shelf::open(on).await;
    let state: Digest = digest("state");
    shelf.store.begin_authorization(&authorization("state")).await.unwrap();
    let sealed = shelf.bytes("select code_verifier from authorizations").await.unwrap();
    assert!(!sealed.windows(8).any(|w| w == b"verifier"));

    let mut callbacks = JoinSet::new();
    for _ in 0..50 {
        let (store, state) = (shelf.store.clone(), state.clone());
        callbacks.spawn(async move {
            let found = store.authorization(&state).await.unwrap().unwrap();
            store.consume_authorization(&state, &found, NOW + Duration::MINUTE).await.unwrap()
        });
    }
    let verifiers: Vec<_> = callbacks.join_all().await.into_iter().flatten().collect();
    assert_eq!(verifiers.iter().map(Secret::expose).collect::<Vec<_>>(), ["verifier"]);
    assert_eq!(shelf.bytes("select code_verifier from authorizations").await, None, "and it is gone");
    let found = shelf.store.authorization(&state).await.unwrap().unwrap();
    assert_eq!(found.consumed_at, Some(NOW + Duration::MINUTE));
    assert!(shelf.store.consume_authorization(&state, &found, NOW).await.unwrap().is_none());
    let nowhere = shelf.store.consume_authorization(&digest("other"), &found, NOW).await.unwrap();
    assert!(nowhere.is_none());
});

on_both!(a_code_verifier_opens_for_its_own_address_alone, async |on: On| {
    let shelf = Shelf::open(on).await;
    let state = digest("state");
    shelf.store.begin_authorization(&authorization("state")).await.unwrap();
    shelf.run("update authorizations set base_url = 'https://evil.example.com'").await;
    let found = shelf.store.authorization(&state).await.unwrap().unwrap();
    assert!(shelf.store.consume_authorization(&state, &found, NOW).await.is_err());
});
