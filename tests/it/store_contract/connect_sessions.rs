//! Connect sessions: each step asks for the step before, and what waits is taken once.

use super::{NOW, Shelf};
use crate::support::app::{On, on_both};
use mooring::{
    domain::{ConnectSession, ConnectSessionId, ConnectSessionState, ConnectionId, Method, Secret},
    vault::digest,
};
use time::Duration;

fn session(end_user: &str) -> ConnectSession {
    ConnectSession {
        id: ConnectSessionId::fresh(),
        api_key_id: "key".into(),
        tenant: "acme".into(),
        end_user: end_user.into(),
        integration: Some("gitlab".into()),
        methods: vec![Method::OAuth, Method::AccessToken],
        use_cases: vec!["code-review".into()],
        return_url: "https://app.example.com/back".into(),
        connection: None,
        state: ConnectSessionState::Open,
        error: None,
        waiting_until: None,
        created_at: NOW,
        expires_at: NOW + ConnectSession::LIFE,
    }
}

async fn added(shelf: &Shelf, end_user: &str) -> ConnectSession {
    let session = session(end_user);
    shelf.store.add_connect_session(&session, &digest(end_user)).await.unwrap();
    session
}

on_both!(a_session_goes_from_step_to_step, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (store, session) = (&shelf.store, added(&shelf, "ada").await);
    let read = store.connect_session(session.id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{session:?}"));
    assert_eq!(store.connect_session_behind(&digest("ada")).await.unwrap().unwrap().id, session.id);
    assert!(store.connect_session_behind(&digest("eve")).await.unwrap().is_none());

    assert!(store.bind_connect_session(session.id, &digest("hers")).await.unwrap());
    assert!(store.bind_connect_session(session.id, &digest("hers")).await.unwrap());
    assert!(!store.bind_connect_session(session.id, &digest("his")).await.unwrap());
    let handle = digest("handle");
    assert!(!store.give_handle(session.id, &handle).await.unwrap(), "nothing waits yet");

    let brought = Secret::new("an authorization code");
    let until = NOW + ConnectSession::WAITS;
    assert!(store.keep_waiting(&session, &brought, until).await.unwrap());
    assert!(!store.keep_waiting(&session, &brought, until).await.unwrap(), "once");
    assert!(!store.bind_connect_session(session.id, &digest("hers")).await.unwrap());
    assert!(store.give_handle(session.id, &handle).await.unwrap());
    assert!(store.is_handle(session.id, &handle).await.unwrap());
    assert!(!store.is_handle(session.id, &digest("another")).await.unwrap());

    assert!(store.take_waiting(&session, &digest("another"), NOW).await.unwrap().is_none());
    assert!(store.take_waiting(&session, &handle, until).await.unwrap().is_none(), "too late");
    let taken = store.take_waiting(&session, &handle, NOW).await.unwrap().unwrap();
    assert!(taken.is_same(&brought));
    assert!(store.take_waiting(&session, &handle, NOW).await.unwrap().is_none(), "once");
    let half_way = store.connect_session(session.id).await.unwrap().unwrap();
    assert_eq!(half_way.state, ConnectSessionState::AwaitingCompletion, "until its end is known");
    assert!(!store.give_handle(session.id, &handle).await.unwrap(), "nothing waits any more");
    store.close_connect_session(session.id, "access_denied").await.unwrap();
    assert!(store.is_connect_session_of(session.id, &digest("hers")).await.unwrap());
    assert!(!store.is_connect_session_of(session.id, &digest("his")).await.unwrap());

    let made = ConnectionId::fresh();
    store.complete_connect_session(session.id, made).await.unwrap();
    store.fail_connect_session(session.id, "too_late").await.unwrap();
    let done = store.connect_session(session.id).await.unwrap().unwrap();
    assert_eq!((done.state, done.connection, done.error), (ConnectSessionState::Completed, Some(made), None));
});

on_both!(what_fails_or_is_left_lying_keeps_nothing, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (store, failed, left) = (&shelf.store, added(&shelf, "ada").await, added(&shelf, "bob").await);
    let until = NOW + ConnectSession::WAITS;
    for session in [&failed, &left] {
        assert!(store.keep_waiting(session, &Secret::new("a code"), until).await.unwrap());
    }
    store.fail_connect_session(failed.id, "wrong_end_user").await.unwrap();
    let waiting = || shelf.number("select count(*) from connect_sessions where waiting is not null");
    assert_eq!(waiting().await, 1);
    store.sweep(until - Duration::SECOND).await.unwrap();
    assert_eq!(waiting().await, 1);
    store.sweep(until).await.unwrap();
    assert_eq!(waiting().await, 0);
    let error = async |id| store.connect_session(id).await.unwrap().unwrap().error;
    assert_eq!(error(failed.id).await.as_deref(), Some("wrong_end_user"));
    let expired = store.connect_session(left.id).await.unwrap().unwrap();
    assert_eq!((expired.state_at(until), expired.error), (ConnectSessionState::Expired, None));
    let open = added(&shelf, "eve").await;
    store.close_connect_session(open.id, "access_denied").await.unwrap();
    assert_eq!(error(open.id).await.as_deref(), Some("access_denied"));
    store.sweep(NOW + Duration::days(91)).await.unwrap();
    assert!(store.connect_session(left.id).await.unwrap().is_none());
});
