//! PostgreSQL, reached directly or through a pooler that lends a server connection for one transaction only.
//!
//! The driver sends a statement in two steps, parse and execute, and keeps parsed ones by name. Between two
//! transactions such a pooler may change the server, where the second step finds nothing and a name is
//! somebody else's. So every statement is unnamed and runs in a transaction, and what a session would be
//! told (time-outs) is told to each transaction. There is one way, with a pooler and without.

use super::migrate;
use crate::store::StoreError;
use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, PgPool, SqlStr,
    error::BoxDynError,
    postgres::{
        PgArguments, PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement,
        PgTypeInfo, Postgres as Protocol,
    },
};
use std::{
    ops::{Deref, DerefMut},
    str::FromStr,
    time::Duration,
};
use tokio::time::timeout;
use uuid::Uuid;

/// How every transaction begins. `read write` is refused by a server that has become a standby.
const BEGIN: &str = "begin isolation level read committed read write;
    set local statement_timeout = '30s';
    set local lock_timeout = '10s';
    set local idle_in_transaction_session_timeout = '30s'";

/// For a connection, and as long again for the transaction on it, which a pooler may hold back.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that was not used for so long is tried before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A setting that only a connection without a pooler in between has as we gave it.
const MARK: &str = "mooring.listener";

/// What a step of an answer is: the count at its end, or a row.
type Step = Either<PgQueryResult, PgRow>;

/// The connections of this process. Statements that are given to it run each in a transaction of its own.
#[derive(Clone, Debug)]
pub(super) struct Postgres(PgPool);

impl Postgres {
    /// Connects, and brings the schema up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let postgres = Self::connect(url).await?;
        migrate::up_to_date(&postgres).await?;
        Ok(postgres)
    }

    /// Connects to what is there.
    pub(super) async fn connect(url: &str) -> Result<Self, StoreError> {
        // A pooler refuses every parameter of the start that it does not know; this one only tells floats.
        let options = PgConnectOptions::from_str(url)?.extra_float_digits(None);
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                async move {
                    if meta.idle_for > TRUSTED_FOR {
                        prove_writable(connection).await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .after_connect(|connection, _| prove_writable(connection).boxed())
            .connect_with(options)
            .await?;
        Ok(Self(pool))
    }

    /// Begins a transaction. Left without a commit it is rolled back.
    pub(super) async fn begin(&self) -> sqlx::Result<Transaction> {
        let begun = timeout(2 * PATIENCE, self.0.begin_with(BEGIN)).await;
        Ok(Transaction(Within(begun.map_err(|_| sqlx::Error::PoolTimedOut)??)))
    }

    /// A connection of its own that hears notifications of this channel. An error where a pooler stands in
    /// between: it would leave the listening to whoever has the server next, whose driver takes a
    /// notification for a broken answer. A pooler is known by a parameter that it does not hand on.
    pub(super) async fn listener(&self, channel: &str) -> sqlx::Result<PgListener> {
        let mark = Uuid::now_v7().to_string();
        let options = (*self.0.connect_options()).clone().options([(MARK, &*mark)]);
        let own = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).max_lifetime(None);
        let mut listener =
            PgListener::connect_with(&own.idle_timeout(None).connect_lazy_with(options)).await?;
        listener.eager_reconnect(false);
        let marked = sqlx::query_scalar::<_, Option<String>>("select current_setting($1, true)");
        let marked = marked.bind(MARK).persistent(false).fetch_one(&mut listener).await?;
        if marked != Some(mark) {
            return Err(sqlx::Error::Configuration("a pooler stands before the database".into()));
        }
        listener.listen(channel).await?;
        Ok(listener)
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }

    /// Runs one statement in a transaction and gives back its whole answer.
    async fn alone<'q, E: Execute<'q, Protocol> + 'q>(&self, query: E) -> sqlx::Result<Vec<Step>> {
        let mut tx = self.begin().await?;
        let steps = (&mut *tx).fetch_many(query).try_collect().await?;
        tx.commit().await?;
        Ok(steps)
    }
}

/// Refuses a server that cannot write, so that the pool looks for another. One message, hence one server.
async fn prove_writable(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("begin read write; rollback").await.map(drop)
}

/// A transaction that is open.
pub(super) struct Transaction(Within);

impl Transaction {
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        self.0.0.commit().await
    }
}

impl Deref for Transaction {
    type Target = Within;

    fn deref(&self) -> &Within {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Within {
        &mut self.0
    }
}

/// Runs statements within a transaction, without giving them names.
#[derive(Debug)]
pub(super) struct Within(sqlx::Transaction<'static, Protocol>);

/// A statement that leaves nothing behind at the server.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Protocol>> Execute<'q, Protocol> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut Within {
    type Database = Protocol;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: Execute<'q, Protocol> + 'q,
    {
        (&mut *self.0).fetch_many(Unnamed(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Protocol> + 'q,
    {
        (&mut *self.0).fetch_optional(Unnamed(query))
    }

    fn prepare_with<'e>(
        self,
        _sql: SqlStr,
        _parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        no_name()
    }

    fn describe<'e>(self, _sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Protocol>>>
    where
        'c: 'e,
    {
        no_name()
    }
}

impl<'c> Executor<'c> for &'c Postgres {
    type Database = Protocol;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: Execute<'q, Protocol> + 'q,
    {
        let steps = |all: Vec<Step>| stream::iter(all.into_iter().map(Ok));
        stream::once(self.alone(query)).map_ok(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Protocol> + 'q,
    {
        async move { Ok(self.alone(query).await?.into_iter().find_map(Either::right)) }.boxed()
    }

    fn prepare_with<'e>(
        self,
        _sql: SqlStr,
        _parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        no_name()
    }

    fn describe<'e>(self, _sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Protocol>>>
    where
        'c: 'e,
    {
        no_name()
    }
}

/// A prepared statement is a name that lives at one server.
fn no_name<'e, T>() -> BoxFuture<'e, sqlx::Result<T>> {
    let refused = "statements are not prepared ahead: a pooler forgets them";
    async move { Err(sqlx::Error::Configuration(refused.into())) }.boxed()
}
