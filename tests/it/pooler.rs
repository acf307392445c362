//! PostgreSQL behind a pooler that lends a server for one transaction only.

use crate::support::log::Log as _;
use crate::support::{
    app::{On, TestApp},
    pgbouncer::PgBouncer,
    postgres,
};
use futures_util::future::{join_all, try_join_all};
use gitlab_sim::Options;
use mooring::{
    domain::{Actor, Event, EventId, EventKind, OperatorId, Role},
    store::{Location, Operator, Store},
    vault::{Keyring, generate_key},
};
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgConnection},
};
use std::{str::FromStr, sync::Arc, time::Duration};
use time::{OffsetDateTime, macros::datetime};

const TOKEN: &str = "/api/v1/connections/acme/token";

const NOW: OffsetDateTime = datetime!(2027-01-31 12:00 UTC);

fn operator(nth: usize, round: usize) -> Operator {
    let email = format!("{nth}-{round}@example.com");
    Operator { id: OperatorId::fresh(), email, password_hash: Some("hash".into()), role: Role::Administrator }
}

fn event(nth: usize) -> Event {
    Event {
        id: EventId::fresh(),
        at: NOW,
        kind: EventKind::SignInFailed,
        subject: Some(nth.to_string()),
        tenant: None,
        actor: Actor::CommandLine.to_string(),
        detail: None,
    }
}

async fn open(url: &str, keyring: &Arc<Keyring>) -> Store {
    Store::open(&Location::Postgres(url.to_owned()), Arc::clone(keyring)).await.expect("the store opens")
}

fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::new(&generate_key(), []).expect("a fresh key is a key"))
}

/// What the other tests guard against is there: a driver that names its statements fails here.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_one_client_is_in_the_way_of_another() {
    let bouncer = PgBouncer::before(&postgres::database().await.url(), 1).await;
    let options = PgConnectOptions::from_str(&bouncer.url()).unwrap().extra_float_digits(None);
    let (mut one, mut two) = (options.connect().await.unwrap(), options.connect().await.unwrap());
    let ask = async |client: &mut PgConnection| sqlx::query("select 1").execute(client).await;
    ask(&mut one).await.unwrap();
    let refused = ask(&mut two).await.unwrap_err();
    assert!(refused.to_string().contains("already exists"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_and_few_servers_mix_nothing_up() {
    let (bouncer, keyring) = (PgBouncer::before(&postgres::database().await.url(), 3).await, keyring());
    let stores = [open(&bouncer.url(), &keyring).await, open(&bouncer.url(), &keyring).await];
    let work = (0..40).map(async |nth: usize| {
        for round in 0..15 {
            let store = &stores[(nth + round) % 2];
            store.append_event(&event(nth)).await?;
            store.ping().await?;
            let mine = store.list_events(Some(&nth.to_string()), None, 99).await?;
            assert!(mine.len() == round + 1 && mine[0].event.actor == "command line", "{mine:?}");
            assert!(store.add_operator(&operator(nth, round), NOW, &Actor::CommandLine).await?);
        }
        Ok::<_, mooring::store::StoreError>(())
    });
    try_join_all(work).await.expect("every statement meets its own answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_on_an_empty_database_all_come_up() {
    let keyring = keyring();
    let direct = postgres::database().await.url();
    let pooled = PgBouncer::before(&postgres::database().await.url(), 2).await;
    for url in [direct, pooled.url()] {
        for store in join_all((0..6).map(|_| open(&url, &keyring))).await {
            store.ping().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_behind_a_pooler_tell_one_story() {
    story(PgBouncer::before(&postgres::database().await.url(), 2).await).await;
}

/// Where `options` is passed over, nobody is told that there is a pooler.
#[tokio::test(flavor = "multi_thread")]
async fn and_behind_one_that_ignores_what_it_does_not_know() {
    story(PgBouncer::ignoring("options", &postgres::database().await.url(), 2).await).await;
}

async fn story(bouncer: PgBouncer) {
    let settings = [("MOORING_DATABASE_URL", &*bouncer.url())];
    let app = TestApp::start_with(On::Postgres, Options::default(), &settings).await;
    let (second, at_second) = app.replica().await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["admin"]).await;
    let programs = [program.clone(), at_second.with_key_of(&program)];
    for program in &programs {
        assert_eq!(program.get(TOKEN).await.expect(200).json()["generation"], 1);
    }

    app.advance(Duration::from_secs(7_200));
    let answers = join_all((0..100).map(|n| programs[n % 2].get(TOKEN))).await;
    for answer in answers {
        let answer = answer.expect(200).json();
        assert_eq!(answer["generation"], 2);
        assert!(app.sim().is_live(answer["access_token"].as_str().unwrap()));
    }
    let counts = app.sim().counts();
    assert_eq!((counts.refreshes_granted, counts.refreshes_denied), (1, 0));

    program.delete("/api/v1/connections/acme").await.expect(204);
    let known = async { while programs[1].get(TOKEN).await.status != 404 {} };
    tokio::time::timeout(Duration::from_secs(1), known).await.expect("within a second, by looking");
    second.stop().await;
}
