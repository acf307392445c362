//! Sealing again under another key: everything that is sealed, beside others who write, and as often as one likes.

use super::{AS_OF, MOORING, NOW, Shelf, base_url, oauth, open, pasted, renewed, single_sign_on};
use crate::support::app::{On, on_both};
use mooring::{
    domain::{
        ConnectSession, ConnectSessionId, ConnectSessionState, ConnectionId, Method, Scopes, Secret,
        WebhookEndpointId,
    },
    store::{
        Claim, ConnectionFilter, GivenUp, IdempotentCall, NewAuthorization, NewWebhookEndpoint, RenewalCause,
        Resealed, SealedColumn, Store,
    },
    vault::{digest, generate_key},
};
use std::collections::BTreeSet;
use time::Duration;
use tokio::task::JoinSet;

/// Resealed and nothing else.
fn moved(resealed: u64) -> Resealed {
    Resealed { resealed, ..Resealed::default() }
}

async fn all(store: &Store) -> u64 {
    let mut sum = 0;
    for column in SealedColumn::ALL {
        sum += store.reseal(column, u64::MAX).await.unwrap().resealed;
    }
    sum
}

/// The columns with values that are not under the active key.
async fn behind(store: &Store) -> BTreeSet<SealedColumn> {
    let (active, _) = store.key_ids();
    let values = store.sealed_values().await.unwrap();
    values.into_iter().filter(|(_, key, _)| *key != active).map(|(column, ..)| column).collect()
}

fn session() -> ConnectSession {
    ConnectSession {
        id: ConnectSessionId::fresh(),
        api_key_id: "key".into(),
        tenant: "acme".into(),
        end_user: "ada".into(),
        integration: None,
        methods: vec![Method::OAuth],
        use_cases: vec![],
        return_url: "https://app.example.com/back".into(),
        connection: None,
        state: ConnectSessionState::Open,
        error: None,
        waiting_until: None,
        created_at: NOW,
        expires_at: NOW + ConnectSession::LIFE,
    }
}

fn authorization() -> NewAuthorization {
    NewAuthorization {
        state: digest("state"),
        binder: digest("binder"),
        session: digest("session"),
        integration: "gitlab".into(),
        base_url: base_url(),
        redirect_uri: "https://mooring.example.com/oauth/gitlab/callback".into(),
        code_verifier: Secret::new("verifier"),
        scopes: Scopes::parse("api"),
        purpose: "{}".into(),
        created_at: NOW,
        expires_at: NOW + Duration::minutes(10),
    }
}

fn endpoint() -> NewWebhookEndpoint {
    NewWebhookEndpoint {
        id: WebhookEndpointId::fresh(),
        url: "https://example.com/hooks".into(),
        description: None,
        events: vec!["connection.*".into()],
        tenant: None,
        secret: Secret::new("whsec_1"),
    }
}

on_both!(everything_that_is_sealed_moves_and_opens_with_the_new_key_alone, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (store, session, endpoint) = (&shelf.store, session(), endpoint());
    let held = shelf.plain("acme").await;
    let attempt = store.begin_renewal(&held.connection, RenewalCause::Due, NOW).await.unwrap();
    let answer = store.seal_answer(&held.connection, attempt, b"an answer");
    assert!(store.keep_answer(attempt, &answer).await.unwrap());
    let given_up = GivenUp {
        connection: ConnectionId::fresh(),
        integration: None,
        provider: "gitlab",
        base_url: &base_url(),
        credential: &pasted("given up"),
    };
    store.owe_revocation(&given_up, NOW).await.unwrap();
    store.begin_authorization(&authorization()).await.unwrap();
    assert!(store.begin_single_sign_on(&single_sign_on::new("sign-in", None)).await.unwrap());
    store.add_webhook_endpoint(&endpoint, NOW, &MOORING).await.unwrap();
    let (next, until) = (Secret::new("whsec_2"), NOW + Duration::HOUR);
    assert!(store.rotate_webhook_secret(endpoint.id, &next, until, NOW, &MOORING).await.unwrap());
    store.add_connect_session(&session, &digest("link")).await.unwrap();
    let brought = Secret::new("a code");
    assert!(store.keep_waiting(&session, &brought, NOW + ConnectSession::WAITS).await.unwrap());
    assert!(store.give_handle(session.id, &digest("handle")).await.unwrap());
    let call =
        IdempotentCall { api_key_id: "key".into(), key: digest("name"), request: digest("request"), at: NOW };
    assert!(matches!(store.claim_call(&call).await.unwrap(), Claim::Mine));
    assert!(store.answer_call(&call, &Secret::new("whsec_3")).await.unwrap());
    assert!(behind(store).await.is_empty());

    let key = generate_key();
    let both = open(&shelf.location, &key, &[&shelf.key]).await.unwrap();
    assert_eq!(behind(&both).await, BTreeSet::from(SealedColumn::ALL), "there is one of each");
    for column in SealedColumn::ALL {
        assert_eq!(both.reseal(column, u64::MAX).await.unwrap(), moved(1), "{column:?}");
    }
    assert!(behind(&both).await.is_empty());
    assert_eq!(all(&both).await, 0, "a second time there is nothing to do");

    let alone = open(&shelf.location, &key, &[]).await.unwrap();
    let again = alone.open_credential(held.connection.id).await.unwrap().unwrap();
    assert_eq!(again.credential.access_token.expose(), "access-1");
    assert_eq!(format!("{:?}", again.connection), format!("{:?}", held.connection), "nothing else changed");
    let open_attempt = &alone.unfinished_renewals(Some(held.connection.id)).await.unwrap()[0];
    assert_eq!(&**alone.open_answer(&again.connection, open_attempt).unwrap().unwrap(), b"an answer");
    let owed = alone.take_revocations(NOW, Duration::minutes(2), 9).await.unwrap();
    assert_eq!(owed[0].token.expose(), "given up");
    let found = alone.authorization(&digest("state")).await.unwrap().unwrap();
    let verifier = alone.consume_authorization(&digest("state"), &found, NOW).await.unwrap().unwrap();
    assert_eq!(verifier.expose(), "verifier");
    let target = alone.admit_to_endpoint(endpoint.id, NOW, Duration::MINUTE).await.unwrap().unwrap();
    assert_eq!(target.0.secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["whsec_2", "whsec_1"]);
    let taken_up = alone.take_single_sign_on(&digest("sign-in")).await.unwrap().unwrap();
    assert_eq!(taken_up.code_verifier.expose(), "verifier");
    let taken = alone.take_waiting(&session, &digest("handle"), NOW).await.unwrap().unwrap();
    assert!(taken.is_same(&brought));
    let answered = alone.claim_call(&call).await.unwrap();
    assert!(matches!(answered, Claim::Answered(answer) if answer.expose() == "whsec_3"));
});

on_both!(a_reseal_that_was_stopped_goes_on_where_it_was, async |on: On| {
    let shelf = Shelf::open(on).await;
    for nth in 0..105 {
        shelf.plain(&format!("acme {nth}")).await;
    }
    let both = open(&shelf.location, &generate_key(), &[&shelf.key]).await.unwrap();
    let reseal = async |at_most| both.reseal(SealedColumn::AccessTokens, at_most).await.unwrap();
    assert_eq!(reseal(102).await, moved(102));
    assert_eq!(behind(&both).await, [SealedColumn::AccessTokens, SealedColumn::RefreshTokens].into());
    assert_eq!(reseal(u64::MAX).await, moved(3));
    assert_eq!(behind(&both).await, [SealedColumn::RefreshTokens].into());
});

on_both!(what_does_not_open_is_counted_and_left_as_it_is, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (bad, good) = (shelf.plain("bad").await, shelf.plain("good").await);
    let id = bad.connection.id;
    shelf
        .run(format!("update credentials set access_token = refresh_token where connection_id = '{id}'"))
        .await;
    let was = shelf.bytes(format!("select access_token from credentials where connection_id = '{id}'")).await;
    let both = open(&shelf.location, &generate_key(), &[&shelf.key]).await.unwrap();
    let done = both.reseal(SealedColumn::AccessTokens, u64::MAX).await.unwrap();
    assert_eq!(done, Resealed { resealed: 1, unopened: 1, ..Resealed::default() });
    let is = shelf.bytes(format!("select access_token from credentials where connection_id = '{id}'")).await;
    assert_eq!(was, is);
    both.open_credential(good.connection.id).await.unwrap().unwrap();
});

// Servers renew while it runs: one has the new key already, one does not yet.
on_both!(renewals_beside_it_lose_nothing, async |on: On| {
    const CONNECTIONS: usize = 8;
    const RENEWALS: usize = 25;
    let shelf = Shelf::open(on).await;
    let key = generate_key();
    let both = open(&shelf.location, &key, &[&shelf.key]).await.unwrap();
    let early = open(&shelf.location, &key, &[&shelf.key]).await.unwrap();
    // The other one has the new key as one that only opens: the first step of a change on several replicas.
    let late = open_late(&shelf, &key).await;
    let mut servers = JoinSet::new();
    for nth in 0..CONNECTIONS {
        let id = shelf.plain(&format!("acme {nth}")).await.connection.id;
        let stores = [early.clone(), late.clone()];
        servers.spawn(async move {
            for turn in 0..RENEWALS {
                let store = &stores[turn % 2];
                let was = store.open_credential(id).await.unwrap().unwrap().connection;
                let attempt = store.begin_renewal(&was, RenewalCause::Due, NOW).await.unwrap();
                let next = oauth(&format!("access {nth} {turn}"), &format!("refresh {nth} {turn}"));
                let kept = store.commit_renewal(&was, attempt, &renewed(&next, None), NOW).await.unwrap();
                assert!(kept.is_some(), "a reseal is no other generation");
            }
            (nth, id)
        });
    }
    let mut rounds = 0;
    while !servers.is_empty() {
        all(&both).await;
        rounds += 1;
        while let Some(ended) = servers.try_join_next() {
            let (nth, id) = ended.unwrap();
            let held = both.open_credential(id).await.unwrap().unwrap();
            let last = format!("access {nth} {}", RENEWALS - 1);
            assert_eq!(held.credential.access_token.expose(), last);
        }
    }
    all(&both).await;
    assert!(behind(&both).await.is_empty() && rounds > 1, "{rounds} rounds");
    let alone = open(&shelf.location, &key, &[]).await.unwrap();
    for connection in alone.list_connections(&ConnectionFilter::default(), AS_OF, None, 99).await.unwrap() {
        alone.open_credential(connection.id).await.unwrap().unwrap();
    }
});

/// With the old key as the active one. The proof of the key follows whoever starts last, so it is put back.
async fn open_late(shelf: &Shelf, key: &str) -> Store {
    let late = open(&shelf.location, &shelf.key, &[key]).await.unwrap();
    open(&shelf.location, key, &[&shelf.key]).await.unwrap().close().await;
    late
}
