//! How connections stand, asked of the database: it says of all what the domain says of each.

use super::{AS_OF, MOORING, NOW, Shelf, check, connection, oauth};
use crate::support::app::{On, on_both};
use mooring::{
    domain::{
        CheckOutcome, Connection, ConnectionId, Credential, Method, Reason, Renewal, Secret, Status,
        TokenKind,
    },
    store::{ConnectionEdit, ConnectionFilter, Fault, Slice, Sort},
};
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use std::collections::BTreeMap;
use time::Duration;

/// Everything that a status follows from, and more kinds of it than occur.
#[derive(Clone, Debug)]
struct Facts {
    method: Method,
    renewal: Renewal,
    /// Beside now, or beside the time of warnings.
    ends: Option<Duration>,
    stopped: bool,
    exported: bool,
    /// A failure is one where it says since when.
    failure: (bool, bool),
    place: &'static str,
    use_cases: Vec<&'static str>,
    checks: Vec<(&'static str, CheckOutcome)>,
}

fn facts() -> impl Strategy<Value = Facts> {
    let renewals = vec![Renewal::Refresh(Secret::new("refresh")), Renewal::SelfRotate, Renewal::Manual];
    let micro = Duration::microseconds(1);
    let near = [Duration::ZERO, AS_OF.warn_before];
    let ends = near.into_iter().flat_map(|at| [at - micro, at, at + micro]);
    let ends: Vec<_> = ends.map(Some).chain([None, Some(Duration::days(400))]).collect();
    let use_case = || select(vec!["a", "b", "a\"b"]);
    let one = (use_case(), select(CheckOutcome::ALL));
    (
        select(Method::ALL),
        select(renewals),
        select(ends),
        (prop::bool::weighted(0.15), prop::bool::weighted(0.15)),
        (prop::bool::weighted(0.3), prop::bool::weighted(0.5)),
        select(vec!["well", "shaken", "down", "elsewhere"]),
        prop::collection::vec(use_case(), 0..3),
        prop::collection::vec(one, 0..3),
    )
        .prop_map(|(method, renewal, ends, (stopped, exported), failure, place, use_cases, checks)| {
            Facts { method, renewal, ends, stopped, exported, failure, place, use_cases, checks }
        })
}

impl Facts {
    fn connection(&self, name: &str) -> (Connection, Credential) {
        let credential = Credential {
            expires_at: self.ends.map(|left| NOW + left),
            renewal: self.renewal.clone(),
            ..oauth("access", "refresh")
        };
        let mut connection = connection(name, None);
        connection.method = self.method;
        connection.integration = Some(self.place.into()).filter(|place| place != "elsewhere");
        connection.use_cases = self.use_cases.iter().map(ToString::to_string).collect();
        connection.checks = self.checks.iter().map(|(id, outcome)| check(id, *outcome)).collect();
        (connection, credential)
    }

    /// What no method of the store writes at will.
    fn beyond(&self, connection: &Connection) -> String {
        let word = |is: bool, word| if is { word } else { "null" };
        let (stopped, (code, since)) = (word(self.stopped, "'grant_revoked'"), self.failure);
        let exported = word(self.exported, "1");
        let (code, since) = (word(code, "'provider_error'"), word(since, "1"));
        format!(
            "update credentials set stopped = {stopped}, exported_at = {exported}, failure_code = {code}, failure_since = {since}
              where connection_id = '{}'",
            connection.id
        )
    }
}

/// Three hundred connections of every kind, and three circuits of which one is down for all.
async fn fill(shelf: &Shelf) -> Vec<Connection> {
    let mut runner = TestRunner::deterministic();
    let many = prop::collection::vec(facts(), 300).new_tree(&mut runner).expect("facts").current();
    let mut all = Vec::new();
    for (nth, facts) in many.iter().enumerate() {
        let (connection, credential) = facts.connection(&format!("{nth}"));
        shelf.with(&connection, &credential).await;
        shelf.run(facts.beyond(&connection)).await;
        all.push(connection);
    }
    for (place, limit) in [("shaken", 9), ("down", 1)] {
        let fault =
            Fault { code: Reason::ProviderError, message: "answered 502".into(), limit, probe_at: NOW };
        for method in Method::ALL {
            let there = Connection { integration: Some(place.into()), method: *method, ..all[0].clone() };
            shelf.store.note_fault(&there, &fault, NOW).await.unwrap();
        }
    }
    all
}

/// What the domain says of each, of the connection as it was read.
async fn by_domain(shelf: &Shelf, all: &[Connection]) -> BTreeMap<Status, Vec<String>> {
    let mut said = BTreeMap::<_, Vec<_>>::new();
    for one in all {
        let read = shelf.store.connection(one.id).await.unwrap().unwrap();
        said.entry(read.standing(AS_OF.now, AS_OF.warn_before).status).or_default().push(read.name);
    }
    said
}

async fn by_database(shelf: &Shelf) -> BTreeMap<Status, Vec<String>> {
    let mut said = BTreeMap::new();
    for status in Status::ALL {
        let filter = ConnectionFilter { status: Some(*status), ..ConnectionFilter::default() };
        let mut found = shelf.store.list_connections(&filter, AS_OF, None, 1_000).await.unwrap();
        found.reverse();
        said.insert(*status, found.into_iter().map(|c| c.name).collect());
    }
    said
}

on_both!(the_database_says_of_all_what_the_domain_says_of_each, async |on: On| {
    let shelf = Shelf::open(on).await;
    let all = fill(&shelf).await;
    let said = by_domain(&shelf, &all).await;
    assert_eq!(by_database(&shelf).await, said);
    assert!(said.len() == 4 && said.values().all(|names| names.len() > 10), "every status occurs: {said:?}");
    let counts = shelf.store.count_connections(&ConnectionFilter::default(), AS_OF).await.unwrap();
    let lengths = said.iter().map(|(status, names)| (*status, i64::try_from(names.len()).unwrap()));
    assert_eq!(counts, lengths.collect());
});

on_both!(what_is_not_met_follows_every_way_of_writing_it, async |on: On| {
    let shelf = Shelf::open(on).await;
    let was = shelf.plain("acme").await.connection;
    let unmet = || shelf.number("select unmet from connections");
    assert_eq!(unmet().await, 0);
    let edit = ConnectionEdit {
        name: "acme".into(),
        description: None,
        tags: BTreeMap::new(),
        use_cases: vec!["code-review".into(), "other".into()],
        checks: vec![
            check("code-review", CheckOutcome::InsufficientRole),
            check("other", CheckOutcome::InsufficientScope),
            check("not chosen", CheckOutcome::InsufficientScope),
        ],
        renewal: None,
    };
    shelf.store.edit_connection(&was, &edit, NOW, &MOORING).await.unwrap();
    assert_eq!(unmet().await, 2);
    let mut hostile = check("code-review", CheckOutcome::InsufficientRole);
    hostile.too_low_in = vec!["a\0b\\u0000\"".into()];
    let checked = Connection { checks: vec![hostile], ..was.clone() };
    shelf.store.keep_check(&was, &checked, NOW, &MOORING).await.unwrap();
    assert_eq!(unmet().await, 1, "whatever a project is called");
    assert!(shelf.store.connection(was.id).await.unwrap().is_some());
    let fewer = ConnectionEdit { use_cases: vec![], checks: checked.checks.clone(), ..edit };
    let was = shelf.store.connection(was.id).await.unwrap().unwrap();
    shelf.store.edit_connection(&was, &fewer, NOW, &MOORING).await.unwrap();
    assert_eq!(unmet().await, 0, "nobody asks for it any more");
});

/// A connection by pasted token that ends so many days after now.
async fn ending(shelf: &Shelf, name: &str, days: Option<i64>) -> Connection {
    let mut one = connection(name, None);
    (one.method, one.token_kind, one.use_cases) = (Method::AccessToken, TokenKind::Project, vec![]);
    let expires_at = days.map(|days| NOW + Duration::days(days));
    let credential = Credential { expires_at, renewal: Renewal::Manual, ..oauth("access", "") };
    shelf.with(&one, &credential).await.connection
}

on_both!(a_list_begins_with_what_is_asked_for, async |on: On| {
    let shelf = Shelf::open(on).await;
    for (name, days) in [("d", Some(60)), ("B", Some(10)), ("a", None), ("e", Some(-1)), ("f", Some(20))] {
        ending(&shelf, name, days).await;
    }
    let dead = ending(&shelf, "G", Some(300)).await;
    shelf.store.stop(&dead, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    shelf.plain("c").await;
    shelf.run("update connections set last_used_at = 5 where name = 'd'").await;
    shelf.run("update connections set last_used_at = 7 where name = 'f'").await;
    let names = async |filter: ConnectionFilter, sort, reversed, offset, limit| {
        let slice = Slice { sort, reversed, offset, limit };
        let found = shelf.store.sorted_connections(&filter, AS_OF, slice).await.unwrap();
        found.into_iter().map(|c| c.name).collect::<Vec<_>>().concat()
    };
    let any = ConnectionFilter::default;
    for (sort, forward, backward) in [
        (Sort::Standing, "eGBfacd", "acdBfeG"),
        (Sort::Name, "aBcdefG", "GfedcBa"),
        (Sort::End, "eGBfdca", "acdfBGe"),
        (Sort::Used, "fdaBceG", "aBceGdf"),
    ] {
        assert_eq!(names(any(), sort, false, 0, 9).await, forward, "{sort:?}");
        assert_eq!(names(any(), sort, true, 0, 9).await, backward, "{sort:?}, turned around");
        assert_eq!(names(any(), sort, false, 2, 3).await, forward[2..5], "{sort:?}, in the middle");
    }
    let project = ConnectionFilter { token_kind: "project".into(), q: "a".into(), ..any() };
    assert_eq!(names(project, Sort::Name, false, 0, 9).await, "aBdefG", "all have a's account");
    let expiring = ConnectionFilter { status: Some(Status::Expiring), ..any() };
    assert_eq!(names(expiring, Sort::Name, true, 0, 9).await, "fB");
});

on_both!(ends_are_counted_by_the_week, async |on: On| {
    let shelf = Shelf::open(on).await;
    let first = ending(&shelf, "first", Some(3)).await;
    for (name, days) in [("a", 7), ("b", 8), ("c", 13), ("over", -1), ("far", 90)] {
        ending(&shelf, name, Some(days)).await;
    }
    ending(&shelf, "never", None).await;
    let dead = ending(&shelf, "dead", Some(2)).await;
    shelf.store.stop(&dead, Reason::TokenRevoked, NOW, &MOORING).await.unwrap();
    shelf.plain("renewed").await;
    let ends = Some(NOW - Duration::days(2)..NOW + Duration::days(90));
    let within = ConnectionFilter { ends, ..ConnectionFilter::default() };
    let counts = shelf.store.count_ends(&within, AS_OF, 7).await.unwrap();
    let told: Vec<_> = counts.iter().map(|c| (c.period, c.count, c.first - NOW)).collect();
    assert_eq!(told, [(0, 1, Duration::days(3)), (1, 2, Duration::days(7)), (2, 1, Duration::days(13))]);
    assert_eq!(counts[0].connection, first.id);
    let mut found = shelf.store.list_connections(&within, AS_OF, None, 9).await.unwrap();
    found.reverse();
    assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["first", "a", "b", "c"]);
});

on_both!(connections_are_read_by_their_ids, async |on: On| {
    let shelf = Shelf::open(on).await;
    let (one, two) = (shelf.plain("one").await.connection.id, shelf.plain("two").await.connection.id);
    shelf.plain("three").await;
    let gone = ConnectionId::fresh();
    let found = shelf.store.connections_of(&[two, gone, one]).await.unwrap();
    let names: std::collections::BTreeSet<_> = found.into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["one".to_owned(), "two".to_owned()].into());
    assert!(shelf.store.connections_of(&[]).await.unwrap().is_empty());
});
