//! Roles, invitations, and whose a session is.

use super::{MOORING, NOW, Shelf};
use crate::support::app::{On, on_both};
use crate::support::log::Log as _;
use mooring::{
    domain::{EventKind, OperatorId, Role},
    store::{Changed, EndSessions, Invitation, Invited, Operator},
    vault::digest,
};
use std::sync::Arc;
use time::Duration;
use tokio::{sync::Barrier, task::JoinSet};

fn person(email: &str, role: Role) -> Operator {
    Operator { id: OperatorId::fresh(), email: email.into(), password_hash: Some("hash".into()), role }
}

async fn add(shelf: &Shelf, email: &str, role: Role) -> Operator {
    let operator = person(email, role);
    assert!(shelf.store.add_operator(&operator, NOW, &MOORING).await.unwrap());
    operator
}

fn invitation(email: &str, role: Role) -> Invitation {
    Invitation { email: email.into(), role, expires_at: NOW + Duration::DAY }
}

async fn last_kind(shelf: &Shelf) -> EventKind {
    shelf.store.list_events(None, None, 1).await.unwrap()[0].event.kind
}

on_both!(a_person_is_listed_with_role_and_last_sign_in, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let eve = add(&shelf, "eve@example.com", Role::Viewer).await;
    let ada = add(&shelf, "ada@example.com", Role::Administrator).await;
    store.note_sign_in(eve.id, NOW).await.unwrap();
    let people = store.list_operators().await.unwrap();
    let told: Vec<_> = people.iter().map(|p| (p.email.as_str(), p.role, p.last_signed_in_at)).collect();
    assert_eq!(
        told,
        [("ada@example.com", Role::Administrator, None), ("eve@example.com", Role::Viewer, Some(NOW)),]
    );
    assert_eq!((people[0].id, people[0].created_at), (ada.id, NOW));
    assert_eq!(store.operator(eve.id).await.unwrap().unwrap().role, Role::Viewer);
});

on_both!(there_is_always_an_administrator, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ada = add(&shelf, "ada@example.com", Role::Administrator).await;
    let eve = add(&shelf, "eve@example.com", Role::Viewer).await;
    let change = async |id, role| store.change_role(id, role, NOW, &MOORING).await.unwrap();
    let remove = async |id| store.remove_operator(id, NOW, &MOORING).await.unwrap();
    assert_eq!(change(ada.id, Role::Viewer).await, Changed::LastAdministrator);
    assert_eq!(remove(ada.id).await, Changed::LastAdministrator);
    assert_eq!(change(eve.id, Role::Viewer).await, Changed::Nothing);
    assert_eq!(change(OperatorId::fresh(), Role::Viewer).await, Changed::Nothing);
    assert_eq!(change(eve.id, Role::Administrator).await, Changed::Yes);
    assert_eq!(last_kind(&shelf).await, EventKind::OperatorRoleChanged);
    assert_eq!(change(ada.id, Role::Viewer).await, Changed::Yes);
    assert_eq!(remove(eve.id).await, Changed::LastAdministrator);
    assert_eq!(remove(ada.id).await, Changed::Yes);
    assert_eq!(last_kind(&shelf).await, EventKind::OperatorRemoved);
    assert_eq!(remove(ada.id).await, Changed::Nothing);
});

on_both!(of_five_administrators_who_go_at_once_one_stays, async |on: On| {
    let shelf = Shelf::open(on).await;
    for round in 0..8 {
        let mut administrators = Vec::new();
        for at in 0..5 {
            let email = format!("ada-{round}-{at}@example.com");
            administrators.push(add(&shelf, &email, Role::Administrator).await.id);
        }
        shelf.run(format!("delete from operators where email not like 'ada-{round}-%'")).await;
        let together = Arc::new(Barrier::new(5));
        let mut going = JoinSet::new();
        for (at, id) in administrators.into_iter().enumerate() {
            let (store, together) = (shelf.store.clone(), Arc::clone(&together));
            going.spawn(async move {
                together.wait().await;
                if at % 2 == 0 {
                    store.remove_operator(id, NOW, &MOORING).await
                } else {
                    store.change_role(id, Role::Viewer, NOW, &MOORING).await
                }
            });
        }
        // Who waits for another that waits may be refused by the database: they are still there then.
        going.join_all().await;
        let left = shelf.number("select count(*) from operators where role = 'administrator'").await;
        assert!(left >= 1, "round {round}: somebody must be left");
    }
});

on_both!(who_is_removed_or_changed_signs_in_anew, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ada = add(&shelf, "ada@example.com", Role::Administrator).await;
    let eve = add(&shelf, "eve@example.com", Role::Viewer).await;
    for (cookie, owner) in [("a", &ada), ("e", &eve)] {
        store.create_session(&digest(cookie), Some(owner.id), "{}", NOW + Duration::DAY).await.unwrap();
    }
    store.change_role(eve.id, Role::Administrator, NOW, &MOORING).await.unwrap();
    assert!(store.load_session(&digest("e"), NOW).await.unwrap().is_none());
    assert!(store.load_session(&digest("a"), NOW).await.unwrap().is_some());
    store.remove_operator(ada.id, NOW, &MOORING).await.unwrap();
    assert!(store.load_session(&digest("a"), NOW).await.unwrap().is_none());
    let gone = store.create_session(&digest("late"), Some(ada.id), "{}", NOW + Duration::DAY).await;
    assert!(gone.unwrap(), "a session of nobody is kept, and opens nothing");
    assert_eq!(shelf.number("select count(*) from sessions where operator_id is not null").await, 0);
});

on_both!(own_sessions_are_listed_and_ended, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ada = add(&shelf, "ada@example.com", Role::Administrator).await;
    let eve = add(&shelf, "eve@example.com", Role::Viewer).await;
    let keep = |cookie: &str| digest(cookie);
    for (cookie, owner, hours) in
        [("1", &ada, 1), ("2", &ada, 2), ("3", &ada, 3), ("over", &ada, 0), ("e", &eve, 1)]
    {
        store.create_session(&keep(cookie), None, "{}", NOW).await.unwrap();
        let ends = NOW + Duration::hours(hours);
        store.save_session(&keep(cookie), Some(owner.id), "{\"a\":1}", ends).await.unwrap();
    }
    let listed = store.list_sessions(ada.id, NOW).await.unwrap();
    assert_eq!(
        listed.iter().map(|s| s.id_hash.clone()).collect::<Vec<_>>(),
        [keep("3"), keep("2"), keep("1")]
    );
    assert_eq!((listed[2].data.as_str(), listed[2].expires_at), ("{\"a\":1}", NOW + Duration::HOUR));
    let end = async |which: EndSessions<'_>| store.end_sessions(ada.id, which, NOW, &MOORING).await.unwrap();
    assert_eq!(end(EndSessions::One(&keep("e"))).await, 0, "it is somebody else's");
    assert_ne!(last_kind(&shelf).await, EventKind::SessionsEnded);
    assert_eq!(end(EndSessions::One(&keep("2"))).await, 1);
    assert_eq!(last_kind(&shelf).await, EventKind::SessionsEnded);
    assert_eq!(end(EndSessions::AllBut(&keep("1"))).await, 2);
    assert_eq!(store.list_sessions(ada.id, NOW).await.unwrap().len(), 1);
    assert_eq!(store.list_sessions(eve.id, NOW).await.unwrap().len(), 1);
});

on_both!(an_invitation_works_once_and_in_its_time, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ada = add(&shelf, "ada@example.com", Role::Administrator).await;
    let eve = add(&shelf, "eve@example.com", Role::Viewer).await;
    let invite = async |link: &str, invitation: &Invitation, by: OperatorId| {
        store.invite(&digest(link), invitation, by, NOW, &MOORING).await.unwrap()
    };
    let bob = invitation("bob@example.com", Role::Viewer);
    assert_eq!(invite("x", &bob, eve.id).await, Invited::ByNoAdministrator);
    assert_eq!(invite("x", &invitation("eve@example.com", Role::Viewer), ada.id).await, Invited::IsHere);
    for link in ["old", "new"] {
        assert_eq!(invite(link, &bob, ada.id).await, Invited::Yes);
    }
    assert_eq!(last_kind(&shelf).await, EventKind::OperatorInvited);
    assert_eq!(store.invitation(&digest("old"), NOW).await.unwrap(), None, "the newer one stands for it");
    assert_eq!(store.invitation(&digest("new"), NOW).await.unwrap(), Some(bob.clone()));
    assert_eq!(store.invitation(&digest("new"), bob.expires_at).await.unwrap(), None);
    assert_eq!(store.list_invitations().await.unwrap(), std::slice::from_ref(&bob));

    let accept =
        async |link: &str, who: &Operator, at| store.accept_invitation(&digest(link), who, at).await.unwrap();
    let he = person("bob@example.com", Role::Viewer);
    assert!(!accept("new", &he, bob.expires_at).await, "too late");
    assert!(!accept("new", &person("mallory@example.com", Role::Viewer), NOW).await, "another address");
    assert!(!accept("new", &person("bob@example.com", Role::Administrator), NOW).await, "another role");
    assert!(accept("new", &he, NOW).await && !accept("new", &he, NOW).await);
    assert_eq!(store.operator_by_email("bob@example.com").await.unwrap().unwrap().role, Role::Viewer);
    assert!(store.list_invitations().await.unwrap().is_empty());

    let carol = invitation("carol@example.com", Role::Administrator);
    assert_eq!(invite("carol", &carol, ada.id).await, Invited::Yes);
    assert!(store.withdraw_invitation("carol@example.com", NOW, &MOORING).await.unwrap());
    assert!(!store.withdraw_invitation("carol@example.com", NOW, &MOORING).await.unwrap());
    assert_eq!(last_kind(&shelf).await, EventKind::InvitationWithdrawn);
    assert_eq!(invite("carol", &carol, ada.id).await, Invited::Yes);
    store.sweep(carol.expires_at + Duration::days(6)).await.unwrap();
    assert_eq!(store.list_invitations().await.unwrap().len(), 1);
    store.sweep(carol.expires_at + Duration::WEEK).await.unwrap();
    assert!(store.list_invitations().await.unwrap().is_empty());
});

on_both!(invitations_go_with_the_administrator_who_made_them, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    add(&shelf, "ada@example.com", Role::Administrator).await;
    for (email, removed) in [("bob@example.com", true), ("eve@example.com", false)] {
        let by = add(&shelf, email, Role::Administrator).await;
        let invited = invitation(&format!("of-{email}"), Role::Administrator);
        assert_eq!(store.invite(&digest(email), &invited, by.id, NOW, &MOORING).await.unwrap(), Invited::Yes);
        if removed {
            store.remove_operator(by.id, NOW, &MOORING).await.unwrap();
        } else {
            store.change_role(by.id, Role::Viewer, NOW, &MOORING).await.unwrap();
        }
        assert_eq!(store.invitation(&digest(email), NOW).await.unwrap(), None, "{email}");
    }
});

on_both!(an_invitation_that_was_made_during_a_demotion_is_worth_nothing, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let by = add(&shelf, "ada@example.com", Role::Administrator).await;
    let bob = invitation("bob@example.com", Role::Administrator);
    store.invite(&digest("link"), &bob, by.id, NOW, &MOORING).await.unwrap();
    // As if it was committed right after the demotion looked for invitations.
    assert_eq!(shelf.run("update operators set role = 'viewer'").await, 1);
    assert_eq!(store.invitation(&digest("link"), NOW).await.unwrap(), None);
    let he = person("bob@example.com", Role::Administrator);
    assert!(!store.accept_invitation(&digest("link"), &he, NOW).await.unwrap());
});

on_both!(who_is_removed_has_no_older_invitation_to_come_back_by, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let ada = add(&shelf, "ada@example.com", Role::Administrator).await;
    let bob = invitation("bob@example.com", Role::Administrator);
    let invite = async || store.invite(&digest("link"), &bob, ada.id, NOW, &MOORING).await.unwrap();
    assert_eq!(invite().await, Invited::Yes);
    let he = add(&shelf, "bob@example.com", Role::Viewer).await;
    assert_eq!(store.invitation(&digest("link"), NOW).await.unwrap(), None, "he came in another way");

    // As if it was made while he came in.
    shelf.run("update operators set email = 'other@example.com' where email = 'bob@example.com'").await;
    assert_eq!(invite().await, Invited::Yes);
    shelf.run("update operators set email = 'bob@example.com' where email = 'other@example.com'").await;
    store.remove_operator(he.id, NOW, &MOORING).await.unwrap();
    assert_eq!(store.invitation(&digest("link"), NOW).await.unwrap(), None);
});
