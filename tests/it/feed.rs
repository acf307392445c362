//! The change feed between processes: woken where it can be, and by looking where it cannot.

use crate::support::{
    app::{On, TestApp},
    process::Process,
};
use mooring::{
    domain::Change,
    feed::Feed,
    store::{Location, Store},
    vault::Keyring,
};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

const NEVER: Duration = Duration::from_secs(1_000_000);
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// Without being woken there are two looks: the first, and the one when listening begins. So of three
/// changes, each made after the one before was known, the last is known because somebody was woken.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_known_before_anybody_would_look() {
    let app = TestApp::start(On::Postgres).await;
    let vars = app.vars();
    let keyring = Keyring::new(&vars["MOORING_ENCRYPTION_KEY"], []).unwrap();
    let location = Location::Postgres(vars["MOORING_DATABASE_URL"].clone());
    let other = Store::open(&location, Arc::new(keyring)).await.unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    other.watch(Arc::new(move |change| tell.send(change.clone()).unwrap()));
    let feed = Feed::begin(other.clone()).await.unwrap();
    let stop = CancellationToken::new();
    let following = async { tokio::join!(feed.follow(NEVER, stop.clone()), feed.listen(stop.clone())) };
    let changing = async {
        for _ in 0..3 {
            app.program(&["tokens:read"]).await;
            while !matches!(told.recv().await, Some(Change::ApiKey(_))) {}
        }
        stop.cancel();
    };
    let ended = timeout(TEN_SECONDS, Box::pin(async { tokio::join!(following, changing) })).await;
    ended.expect("a change is known without a look in a million seconds");
}

/// What the promise rests on: nobody listens, and nobody is called.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_known_within_a_second_when_nobody_is_woken() {
    let app = TestApp::start(On::Postgres).await;
    app.connect_by_oauth("acme").await;
    let program = app.program(&["connections:write", "tokens:read"]).await;
    let process = Process::replica(&app).await;
    let other = process.http.with_key_of(&program);
    other.get("/api/v1/connections/acme/token").await.expect(200);

    let database = PgPool::connect(&app.vars()["MOORING_DATABASE_URL"]).await.unwrap();
    let end_listeners = "select count(pg_terminate_backend(pid))
          from pg_stat_activity
         where datname = current_database() and query like 'LISTEN%'";
    let killed = async {
        let mut killed = 0;
        while killed < 2 {
            killed += sqlx::query_scalar::<_, i64>(end_listeners).fetch_one(&database).await.unwrap();
        }
    };
    timeout(TEN_SECONDS, killed).await.expect("both processes were listening");
    sqlx::query("alter table events disable trigger events_wake_followers").execute(&database).await.unwrap();

    program.delete("/api/v1/connections/acme").await.expect(204);
    let known = async { while other.get("/api/v1/connections/acme/token").await.status != 404 {} };
    timeout(Duration::from_secs(1), known).await.expect("within a second");
    process.stop().await;
}
