//! People by what an issuer calls them, and sign-ins under way.

use super::{MOORING, NOW, Shelf};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{EventKind, OperatorId, Role, Secret},
    store::{Admitted, Identity, NewSingleSignOn, Operator},
    vault::digest,
};
use time::Duration;
use tokio::task::JoinSet;

fn identity(subject: &str) -> Identity {
    Identity { issuer: "https://id.example".into(), subject: subject.into() }
}

fn local(email: &str, role: Role) -> Operator {
    Operator { id: OperatorId::fresh(), email: email.into(), password_hash: Some("hash".into()), role }
}

pub(super) fn new(state: &str, operator: Option<OperatorId>) -> NewSingleSignOn {
    NewSingleSignOn {
        state: digest(state),
        binder: digest("binder"),
        issuer: "https://id.example".into(),
        nonce: digest("nonce"),
        code_verifier: Secret::new("verifier"),
        next: "/audit".into(),
        operator,
        created_at: NOW,
        expires_at: NOW + Duration::minutes(10),
    }
}

on_both!(who_is_admitted_is_known_by_their_subject, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    store.add_operator(&local("ops@example.com", Role::Administrator), NOW, &MOORING).await.unwrap();
    let admit = async |subject: &str, email: &str| store.admit(&identity(subject), email, NOW).await.unwrap();
    let Admitted::New(ada) = admit("1", "ada@example.com").await else { panic!("she is new") };
    assert_eq!((ada.role, &ada.password_hash), (Role::Viewer, &None));
    assert_eq!(store.list_events(None, None, 1).await.unwrap()[0].event.kind, EventKind::OperatorAdded);
    let Admitted::Known(again) = admit("1", "new@example.com").await else { panic!("she is known") };
    assert_eq!((again.id, again.email.as_str()), (ada.id, "ada@example.com"));
    assert!(matches!(admit("2", "ops@example.com").await, Admitted::EmailTaken));
    assert!(matches!(admit("2", "ada@example.com").await, Admitted::EmailTaken));
    assert_eq!(store.operator_by_identity(&identity("1")).await.unwrap().unwrap().id, ada.id);
    assert!(store.operator_by_identity(&identity("2")).await.unwrap().is_none());
    let other = Identity { issuer: "https://other.example".into(), ..identity("1") };
    assert!(store.operator_by_identity(&other).await.unwrap().is_none());
    assert_eq!(store.operator(ada.id).await.unwrap().unwrap().password_hash, None);
    let people = store.list_operators().await.unwrap();
    assert_eq!((people[0].has_password, people[0].issuer.as_deref()), (false, Some("https://id.example")));
    assert_eq!((people[1].has_password, people[1].issuer.as_deref()), (true, None));
    assert_eq!(store.issuer_of(ada.id).await.unwrap().as_deref(), Some("https://id.example"));
    assert_eq!(store.issuer_of(OperatorId::fresh()).await.unwrap(), None);
});

on_both!(of_ten_first_ones_who_come_at_once_one_is_the_administrator, async |on: On| {
    let shelf = Shelf::open(on).await;
    shelf.store.add_setup_link(&digest("link"), NOW).await.unwrap();
    let mut tries = JoinSet::new();
    for n in 0..10 {
        let store = shelf.store.clone();
        let (identity, email) = (identity(&n.to_string()), format!("{n}@example.com"));
        tries.spawn(async move { store.admit(&identity, &email, NOW).await });
    }
    assert!(tries.join_all().await.into_iter().all(|one| matches!(one, Ok(Admitted::New(_)))));
    let count =
        async |role| shelf.number(format!("select count(*) from operators where role = '{role}'")).await;
    assert_eq!((count("administrator").await, count("viewer").await), (1, 9));
    assert!(!shelf.store.is_setup_link(&digest("link")).await.unwrap(), "the link is for nobody now");
});

on_both!(an_identity_is_joined_and_parted, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ops = local("ops@example.com", Role::Administrator);
    store.add_operator(&ops, NOW, &MOORING).await.unwrap();
    let Admitted::New(ada) = store.admit(&identity("1"), "ada@example.com", NOW).await.unwrap() else {
        panic!()
    };
    let join = async |id, subject: &str| store.join_identity(id, &identity(subject), NOW).await.unwrap();
    assert!(!join(ops.id, "1").await, "it is Ada's");
    assert!(join(ops.id, "2").await && join(ops.id, "2").await && join(ops.id, "3").await);
    assert!(!join(OperatorId::fresh(), "4").await);
    assert!(store.operator_by_identity(&identity("2")).await.unwrap().is_none(), "one for each person");
    assert_eq!(store.list_events(None, None, 1).await.unwrap()[0].event.kind, EventKind::IdentityJoined);
    assert!(store.part_identity(ops.id, NOW).await.unwrap());
    assert_eq!(store.list_events(None, None, 1).await.unwrap()[0].event.kind, EventKind::IdentityParted);
    assert!(!store.part_identity(ops.id, NOW).await.unwrap());
    assert!(!store.part_identity(ada.id, NOW).await.unwrap(), "she could not come in any more");
});

on_both!(who_was_removed_is_kept_out_by_address_and_subject, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    store.add_operator(&local("ops@example.com", Role::Administrator), NOW, &MOORING).await.unwrap();
    let bob = local("bob@example.com", Role::Viewer);
    store.add_operator(&bob, NOW, &MOORING).await.unwrap();
    let Admitted::New(ada) = store.admit(&identity("1"), "ada@example.com", NOW).await.unwrap() else {
        panic!()
    };
    for id in [ada.id, bob.id] {
        store.remove_operator(id, NOW, &MOORING).await.unwrap();
    }
    let admit = async |subject: &str, email: &str| store.admit(&identity(subject), email, NOW).await.unwrap();
    for (subject, email) in [("1", "x@example.com"), ("2", "ada@example.com"), ("3", "bob@example.com")] {
        assert!(matches!(admit(subject, email).await, Admitted::KeptOut), "{subject} {email}");
    }
    let kept =
        async || store.list_kept_out().await.unwrap().into_iter().map(|one| one.email).collect::<Vec<_>>();
    assert_eq!(kept().await, ["ada@example.com", "bob@example.com"]);
    assert_eq!(store.list_kept_out().await.unwrap()[0].removed_at, NOW);
    let events = store.last_event().await.unwrap();
    assert!(!store.let_in_again("nobody@example.com", NOW, &MOORING).await.unwrap());
    assert_eq!(store.last_event().await.unwrap(), events);
    assert!(store.let_in_again("ada@example.com", NOW, &MOORING).await.unwrap());
    assert!(matches!(admit("1", "ada@example.com").await, Admitted::New(_)));
    store.add_operator(&local("bob@example.com", Role::Viewer), NOW, &MOORING).await.unwrap();
    assert_eq!(kept().await, [""; 0], "who was invited again is here");
    let again = store.operator_by_email("bob@example.com").await.unwrap().unwrap();
    store.remove_operator(again.id, NOW + Duration::DAY, &MOORING).await.unwrap();
    assert_eq!(store.list_kept_out().await.unwrap()[0].removed_at, NOW + Duration::DAY);
});

on_both!(a_sign_in_under_way_is_taken_once, async |on: On| {
    let shelf = Shelf::open(on).await;
    let ops = local("ops@example.com", Role::Administrator);
    shelf.store.add_operator(&ops, NOW, &MOORING).await.unwrap();
    for (state, operator) in [("a", Some(ops.id)), ("b", None), ("c", Some(ops.id))] {
        assert!(shelf.store.begin_single_sign_on(&new(state, operator)).await.unwrap());
    }
    let sealed = shelf.bytes("select code_verifier from single_sign_ons").await.unwrap();
    assert!(!sealed.windows(8).any(|w| w == b"verifier"));
    let mut callbacks = JoinSet::new();
    for _ in 0..50 {
        let store = shelf.store.clone();
        callbacks.spawn(async move { store.take_single_sign_on(&digest("a")).await.unwrap() });
    }
    let taken: Vec<_> = callbacks.join_all().await.into_iter().flatten().collect();
    let [one] = taken.as_slice() else { panic!("{} of fifty", taken.len()) };
    assert_eq!(
        (one.code_verifier.expose(), one.next.as_str(), one.operator),
        ("verifier", "/audit", Some(ops.id))
    );
    assert_eq!(
        (&one.binder, &one.nonce, one.issuer.as_str()),
        (&digest("binder"), &digest("nonce"), "https://id.example")
    );
    assert_eq!(one.expires_at, NOW + Duration::minutes(10));
    shelf.run("update single_sign_ons set issuer = 'https://evil.example'").await;
    assert!(shelf.store.take_single_sign_on(&digest("b")).await.is_err(), "it opens for its issuer alone");
    shelf.store.sweep(NOW + Duration::minutes(10)).await.unwrap();
    assert_eq!(shelf.number("select count(*) from single_sign_ons").await, 0);
});

on_both!(sign_ins_under_way_are_bounded, async |on: On| {
    let shelf = Shelf::open(on).await;
    let bytes = if on == On::Sqlite { "cast(i as blob)" } else { "convert_to(i::text, 'UTF8')" };
    shelf
        .run(format!(
            "insert into single_sign_ons
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
             select {bytes}, {bytes}, '', {bytes}, {bytes}, '', null, 0, {} from n",
            (NOW + Duration::HOUR).unix_timestamp() * 1_000_000
        ))
        .await;
    assert!(!shelf.store.begin_single_sign_on(&new("a", None)).await.unwrap());
    let late = NewSingleSignOn { created_at: NOW + Duration::hours(2), ..new("a", None) };
    assert!(shelf.store.begin_single_sign_on(&late).await.unwrap(), "what is over does not count");
});
