//! The way of a notice, step by step and without the app: the log, the outbox, the courier, the receiver.

use crate::support::log::Log as _;
use crate::support::{
    app::{On, on_both},
    postgres,
    receiver::{Received, Receiver},
};
use mooring::{
    domain::{Actor, Clock, Event, EventId, EventKind, WebhookEndpointId},
    notify::{Courier, EndpointRequest, Kinds, Notice, Outbox, WebhookEndpoints},
    outbound::{CaBundle, Outbound, Policy},
    store::{DeliveryState, Location, Store, WebhookEndpoint},
    vault::{Keyring, generate_key},
};
use sqlx::{Connection, PgConnection};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const CLI: Actor = Actor::CommandLine;
/// The longest that an endpoint rests.
const REST: Duration = Duration::from_mins(15);

/// One replica's share of the work, on a database that others may share.
struct Replica {
    store: Store,
    outbox: Outbox,
    courier: Courier,
    endpoints: WebhookEndpoints,
    stop: CancellationToken,
}

struct Bench {
    clock: Clock,
    location: Location,
    key: String,
    _folder: TempDir,
    receiver: Receiver,
    here: Replica,
}

impl Bench {
    async fn start(on: On) -> Self {
        let folder = TempDir::new().unwrap();
        let location = match on {
            On::Sqlite => Location::Sqlite(folder.path().join("mooring.db")),
            On::Postgres => Location::Postgres(postgres::database().await.url()),
        };
        let (clock, key) = (Clock::default(), generate_key().to_string());
        let here = Replica::start(&location, &key, &clock).await;
        Self { clock, location, key, _folder: folder, receiver: Receiver::start().await, here }
    }

    /// Another process on the same database.
    async fn replica(&self) -> Replica {
        Replica::start(&self.location, &self.key, &self.clock).await
    }

    /// An endpoint at the receiver that is told of everything usual: its id and its secret.
    async fn endpoint(&self) -> (WebhookEndpointId, String) {
        self.endpoint_for(None, None).await
    }

    async fn endpoint_for(
        &self,
        events: Option<&[&str]>,
        tenant: Option<&str>,
    ) -> (WebhookEndpointId, String) {
        let request = EndpointRequest {
            url: self.receiver.url.clone(),
            description: None,
            events: events.map(|kinds| kinds.iter().map(|kind| (*kind).to_owned()).collect()),
            tenant: tenant.map(str::to_owned),
        };
        let (id, secret) = self.here.endpoints.add(request, &CLI).await.unwrap();
        (id, secret.expose().to_owned())
    }

    /// Something happens to `subject`.
    async fn happens(&self, kind: EventKind, subject: &str, tenant: Option<&str>) -> EventId {
        let event = Event {
            id: EventId::fresh(),
            at: self.clock.now(),
            kind,
            subject: Some(subject.to_owned()),
            tenant: tenant.map(str::to_owned),
            actor: CLI.to_string(),
            detail: Some(format!("about {subject}")),
        };
        self.here.store.append_event(&event).await.unwrap();
        event.id
    }

    async fn renewed(&self, subject: &str) -> EventId {
        self.happens(EventKind::Renewed, subject, None).await
    }

    /// Passes on what happened, and delivers what is due: the attempts that were made.
    async fn round(&self) -> usize {
        self.here.outbox.try_once().await.unwrap();
        self.here.courier.try_once().await.unwrap()
    }

    async fn state_of(&self, id: WebhookEndpointId) -> WebhookEndpoint {
        self.here.store.webhook_endpoint(id).await.unwrap().unwrap()
    }
}

impl Replica {
    async fn start(location: &Location, key: &str, clock: &Clock) -> Self {
        let store = Store::open(location, Arc::new(Keyring::new(key, []).unwrap())).await.unwrap();
        let policy = Policy { loopback: true, ..Policy::default() };
        let http = Outbound::guarded(policy, &CaBundle::default()).unwrap();
        let (site, stop) = ("https://mooring.example.com".to_owned(), CancellationToken::new());
        let outbox = Outbox::new(store.clone(), clock.clone(), site, time::Duration::days(30));
        let courier = Courier::new(store.clone(), http.clone(), clock.clone(), stop.clone());
        let endpoints = WebhookEndpoints { store: store.clone(), http, clock: clock.clone() };
        Self { store, outbox, courier, endpoints, stop }
    }
}

fn ids(came: &[Received]) -> Vec<String> {
    came.iter().map(|one| one.header("webhook-id").to_owned()).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

on_both!(an_event_reaches_its_endpoint_signed_and_once, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, secret) = bench.endpoint().await;
    let event = bench.happens(EventKind::Disconnected, "gone", Some("acme")).await;
    assert_eq!(bench.round().await, 1);
    assert_eq!(bench.round().await, 0);
    let came = bench.receiver.came();
    let verifier = standardwebhooks::Webhook::new(&secret).unwrap();
    verifier.verify(came[0].body.as_bytes(), &came[0].headers).expect("signed, and just now");
    assert_eq!(came[0].header("webhook-id"), event.to_string());
    assert_eq!(came[0].header("content-type"), "application/json");
    let notice: Notice = serde_json::from_str(&came[0].body).unwrap();
    assert_eq!(
        (notice.kind.as_str(), &notice.data.event_id),
        ("connection.disconnected", &event.to_string())
    );
    assert_eq!((notice.data.tenant.as_deref(), notice.data.subject.as_deref()), (Some("acme"), Some("gone")));
    assert!(notice.data.connection.is_none(), "it is gone");
    let state = bench.state_of(id).await;
    assert_eq!((state.pending, state.dead), (0, 0));
    assert!(state.last_delivered_at.is_some());
});

on_both!(everybody_is_told_what_they_chose_and_no_more, async |on: On| {
    let mut bench = Bench::start(on).await;
    let (usual, _) = bench.endpoint().await;
    let (keys, _) = bench.endpoint_for(Some(&["api_key.*"]), None).await;
    let (acme, _) = bench.endpoint_for(Some(&["connection.*"]), Some("acme")).await;
    bench.here.outbox.mail = Some(Kinds::chosen(vec!["connection.expired".into()]).unwrap());
    bench.happens(EventKind::Renewed, "nobodys", None).await;
    bench.happens(EventKind::Renewed, "others", Some("other")).await;
    bench.happens(EventKind::Expired, "own", Some("acme")).await;
    bench.happens(EventKind::ApiKeyCreated, "key", None).await;
    bench.happens(EventKind::SignedIn, "ops@example.com", None).await;
    bench.here.outbox.try_once().await.unwrap();
    for (endpoint, expected) in
        [(usual, vec!["own", "others", "nobodys"]), (keys, vec!["key"]), (acme, vec!["own"])]
    {
        let told = bench.here.store.list_deliveries(endpoint, None, None, 9).await.unwrap();
        let subjects: Vec<_> = told.iter().filter_map(|one| one.subject.as_deref()).collect();
        assert_eq!(subjects, expected);
    }
    let mails =
        bench.here.store.take_deliveries("mail", bench.clock.now(), time::Duration::MINUTE, 9).await.unwrap();
    let notices: Vec<Notice> = mails.iter().map(|mail| serde_json::from_str(&mail.body).unwrap()).collect();
    assert_eq!(notices.len(), 1);
    assert_eq!(
        (notices[0].kind.as_str(), notices[0].data.subject.as_deref()),
        ("connection.expired", Some("own"))
    );
});

on_both!(a_notice_is_tried_for_three_days_and_then_kept, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, secret) = bench.endpoint().await;
    bench.receiver.answer(500);
    bench.renewed("c").await;
    assert_eq!(bench.round().await, 1);
    for longest in [5, 30, 120] {
        bench.clock.advance(Duration::from_secs(longest));
        assert_eq!(bench.round().await, 1, "after {longest} s");
    }
    let came = bench.receiver.came();
    assert!(came.iter().all(|one| one.is_signed_with(&secret)), "each attempt anew");
    assert!(came[0].header("webhook-timestamp") < came[3].header("webhook-timestamp"));
    assert_eq!((&came[0].body, came[0].header("webhook-id")), (&came[3].body, came[3].header("webhook-id")));
    for _ in 0..17 {
        bench.clock.advance(Duration::from_hours(4));
        assert_eq!(bench.round().await, 1);
    }
    assert_eq!(
        (bench.state_of(id).await.pending, bench.state_of(id).await.dead),
        (1, 0),
        "not yet three days"
    );
    bench.clock.advance(Duration::from_hours(4));
    assert_eq!(bench.round().await, 1, "the last one");
    bench.clock.advance(Duration::from_hours(40));
    assert_eq!(bench.round().await, 0);

    bench.receiver.answer(204);
    let dead = bench.here.store.list_deliveries(id, Some(DeliveryState::Dead), None, 9).await.unwrap();
    assert_eq!(
        (dead[0].last_status, dead[0].last_error.as_deref()),
        (Some(500), Some("The endpoint answered 500."))
    );
    assert!(bench.here.endpoints.redeliver(id, dead[0].id, &Actor::CommandLine).await.unwrap());
    assert_eq!(bench.round().await, 1);
    let state = bench.state_of(id).await;
    assert_eq!((state.pending, state.dead, state.failures), (0, 0, 0));
});

on_both!(what_happened_to_one_thing_is_told_in_order, async |on: On| {
    let bench = Bench::start(on).await;
    bench.endpoint().await;
    let first = bench.happens(EventKind::Degraded, "a", None).await;
    let second = bench.happens(EventKind::Recovered, "a", None).await;
    let other = bench.renewed("b").await;
    bench.receiver.refuse_what_holds("connection.degraded");
    bench.round().await;
    let came = ids(&bench.receiver.came());
    assert_eq!(
        sorted(came),
        sorted(vec![first.to_string(), other.to_string()]),
        "the second waits, others do not"
    );
    bench.clock.advance(Duration::from_secs(5));
    bench.receiver.answer(200);
    bench.round().await;
    assert_eq!(ids(&bench.receiver.came())[2..], [first.to_string(), second.to_string()]);
});

on_both!(an_endpoint_that_fails_rests_and_is_tried_by_one, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, _) = bench.endpoint().await;
    bench.receiver.answer(500);
    for at in 0..20 {
        bench.renewed(&format!("c{at}")).await;
    }
    let attempts = bench.round().await;
    assert!((5..=8).contains(&attempts), "{attempts}: five, and what was on the wire with them");
    let untried = async || {
        let pending =
            bench.here.store.list_deliveries(id, Some(DeliveryState::Pending), None, 99).await.unwrap();
        pending.iter().filter(|one| one.attempts == 0).count()
    };
    assert_eq!(untried().await, 20 - attempts);
    bench.renewed("late").await;
    assert_eq!(bench.round().await, 0, "it rests, also for what is new");

    bench.clock.advance(REST);
    assert_eq!(bench.round().await, 1, "one tries it");
    assert_eq!(bench.round().await, 0);
    assert_eq!(bench.state_of(id).await.failures, 6);
    bench.receiver.answer(200);
    bench.clock.advance(REST);
    assert_eq!(bench.round().await, 21, "and the rest follows");
    assert_eq!((bench.state_of(id).await.failures, bench.state_of(id).await.retry_at), (0, None));
});

on_both!(a_busy_endpoint_is_left_alone_as_long_as_it_asks, async |on: On| {
    let bench = Bench::start(on).await;
    bench.endpoint().await;
    bench.receiver.answer_later(503, 600);
    bench.renewed("a").await;
    assert_eq!(bench.round().await, 1);
    bench.renewed("b").await;
    bench.clock.advance(Duration::from_secs(590));
    assert_eq!(bench.round().await, 0);
    bench.receiver.answer(200);
    bench.clock.advance(Duration::from_secs(15));
    assert_eq!(bench.round().await, 2);
});

on_both!(who_answers_410_is_told_nothing_more, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, _) = bench.endpoint().await;
    bench.receiver.answer(410);
    bench.happens(EventKind::Degraded, "a", None).await;
    bench.happens(EventKind::Recovered, "a", None).await;
    assert_eq!(bench.round().await, 1);
    bench.renewed("b").await;
    bench.clock.advance(Duration::from_hours(5));
    assert_eq!(bench.round().await, 0);
    let state = bench.state_of(id).await;
    assert!(state.disabled_at.is_some() && state.disabled_reason.unwrap().contains("410"));
    let told = bench.here.store.list_events(Some(&id.to_string()), None, 1).await.unwrap();
    assert_eq!(told[0].event.kind, EventKind::WebhookEndpointDisabled);
});

on_both!(a_redirect_is_not_followed, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, _) = bench.endpoint().await;
    bench.receiver.answer(302);
    bench.renewed("a").await;
    assert_eq!(bench.round().await, 1);
    let pending = bench.here.store.list_deliveries(id, None, None, 9).await.unwrap();
    assert_eq!((bench.receiver.count(), pending[0].last_status), (1, Some(302)));
});

on_both!(a_crash_between_the_steps_loses_nothing, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, _) = bench.endpoint().await;
    let events = [bench.renewed("a").await, bench.renewed("b").await].map(|id| id.to_string());
    bench.here.outbox.try_once().await.unwrap();
    let (now, hold) = (bench.clock.now(), time::Duration::MINUTE);
    let lost = bench.here.store.take_deliveries(&id.to_string(), now, hold, 1).await.unwrap();
    bench.here.store.close().await;

    let next = bench.replica().await;
    next.outbox.try_once().await.unwrap();
    assert_eq!(next.courier.try_once().await.unwrap(), 1);
    assert_ne!(ids(&bench.receiver.came()), [lost[0].event_id.clone()], "that one is still held");
    bench.clock.advance(Duration::from_mins(1));
    assert_eq!(next.courier.try_once().await.unwrap(), 1);
    assert_eq!(sorted(ids(&bench.receiver.came())), sorted(events.to_vec()));
});

on_both!(two_replicas_tell_each_event_once, async |on: On| {
    let bench = Bench::start(on).await;
    bench.endpoint().await;
    let there = bench.replica().await;
    let mut events = Vec::new();
    for round in 0..5 {
        for at in 0..10 {
            events.push(bench.renewed(&format!("c{}", (round + at) % 7)).await.to_string());
        }
        let outboxes = tokio::join!(bench.here.outbox.try_once(), there.outbox.try_once());
        assert!(outboxes.0.is_ok() && outboxes.1.is_ok());
        let couriers = tokio::join!(bench.here.courier.try_once(), there.courier.try_once());
        assert!(couriers.0.is_ok() && couriers.1.is_ok());
    }
    bench.round().await;
    assert_eq!(sorted(ids(&bench.receiver.came())), sorted(events));
});

on_both!(a_slow_endpoint_holds_up_no_other_and_a_stop_waits_for_it, async |on: On| {
    let bench = Bench::start(on).await;
    let (slow, _) = bench.endpoint().await;
    let quick = Receiver::start().await;
    let request = EndpointRequest { url: quick.url.clone(), description: None, events: None, tenant: None };
    bench.here.endpoints.add(request, &CLI).await.unwrap();
    bench.receiver.hold(true);
    for at in 0..6 {
        bench.renewed(&format!("c{at}")).await;
    }
    bench.here.outbox.try_once().await.unwrap();
    let told = async {
        quick.wait_for(6).await;
        bench.receiver.wait_for(4).await;
        bench.renewed("late").await;
        bench.here.outbox.try_once().await.unwrap();
        quick.wait_for(7).await;
        assert_eq!(bench.receiver.count(), 4, "so many at once and no more");
        bench.here.stop.cancel();
        bench.receiver.hold(false);
    };
    let (attempts, ()) = tokio::join!(bench.here.courier.try_once(), told);
    assert_eq!(attempts.unwrap(), 7 + 4, "what was on the wire is finished, and no more is begun");
    assert_eq!(bench.state_of(slow).await.pending, 3);
    let noted =
        bench.here.store.list_deliveries(slow, Some(DeliveryState::Delivered), None, 9).await.unwrap();
    assert_eq!(noted.len(), 4);
});

on_both!(nothing_is_begun_once_the_process_stops, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, _) = bench.endpoint().await;
    bench.renewed("a").await;
    bench.here.stop.cancel();
    assert_eq!(bench.round().await, 0);
    assert_eq!(bench.state_of(id).await.pending, 1);
});

on_both!(both_secrets_sign_until_the_overlap_is_over, async |on: On| {
    let bench = Bench::start(on).await;
    let (id, first) = bench.endpoint().await;
    let rotated = bench.here.endpoints.rotate_secret(id, time::Duration::HOUR, &CLI).await.unwrap();
    let second = rotated.unwrap().expose().to_owned();
    bench.renewed("a").await;
    bench.round().await;
    bench.clock.advance(Duration::from_hours(1));
    bench.renewed("b").await;
    bench.round().await;
    let signed =
        |secret: &str| bench.receiver.came().iter().map(|one| one.is_signed_with(secret)).collect::<Vec<_>>();
    assert_eq!(signed(&first), [true, false]);
    assert_eq!(signed(&second), [true, true]);
});

/// An event in a transaction that stays open.
async fn begin_event(db: &mut PgConnection, id: &EventId) {
    sqlx::query("begin").execute(&mut *db).await.unwrap();
    let insert = "insert into events (event_id, at, kind, subject, tenant, actor)
                  values ($1, 0, 'connection.renewed', 'open', '', 'test')";
    sqlx::query(insert).bind(id.to_string()).execute(db).await.unwrap();
}

async fn end(db: &mut PgConnection, how: &'static str) {
    sqlx::query(how).execute(db).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_neither_missed_nor_doubled() {
    let bench = Bench::start(On::Postgres).await;
    bench.endpoint().await;
    bench.round().await;
    let Location::Postgres(url) = &bench.location else { panic!("on PostgreSQL") };
    let mut db = PgConnection::connect(url).await.unwrap();
    let late = EventId::fresh();
    begin_event(&mut db, &late).await;
    let early = bench.renewed("a").await;
    assert_eq!(bench.round().await, 0, "a number is missing before it");
    bench.clock.advance(Duration::from_secs(34));
    assert_eq!(bench.round().await, 0);
    end(&mut db, "commit").await;
    assert_eq!(bench.round().await, 2);
    assert_eq!(bench.round().await, 0);
    assert_eq!(sorted(ids(&bench.receiver.came())), sorted(vec![late.to_string(), early.to_string()]));

    begin_event(&mut db, &EventId::fresh()).await;
    let after = bench.renewed("b").await;
    assert_eq!(bench.round().await, 0);
    end(&mut db, "rollback").await;
    assert_eq!(bench.round().await, 0, "whether it comes is not known");
    bench.clock.advance(Duration::from_secs(35));
    assert_eq!(bench.round().await, 1, "it never comes");
    assert_eq!(ids(&bench.receiver.came())[2], after.to_string());
}
