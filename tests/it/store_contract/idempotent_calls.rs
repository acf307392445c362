//! Calls with a name: claimed once, answered again, and forgotten after a day.

use super::{NOW, Shelf};
use crate::support::app::{On, on_both};
use mooring::{
    domain::Secret,
    store::{Claim, IdempotentCall},
};
use time::Duration;

fn call(api_key: &str, request: u8) -> IdempotentCall {
    IdempotentCall { api_key_id: api_key.into(), key: vec![1], request: vec![request], at: NOW }
}

on_both!(a_call_is_claimed_once_and_answered_again, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let first = call("a", 1);
    assert!(matches!(store.claim_call(&first).await.unwrap(), Claim::Mine));
    assert!(matches!(store.claim_call(&first).await.unwrap(), Claim::Begun(at) if at == NOW));
    assert!(matches!(store.claim_call(&call("a", 2)).await.unwrap(), Claim::Reused));
    assert!(matches!(store.claim_call(&call("b", 2)).await.unwrap(), Claim::Mine), "another key's");
    let later = IdempotentCall { at: NOW + Duration::HOUR, ..first.clone() };
    assert!(!store.answer_call(&later, &Secret::new("x")).await.unwrap(), "that is not who claimed it");
    assert!(store.answer_call(&first, &Secret::new("whsec_x")).await.unwrap());
    let again = store.claim_call(&later).await.unwrap();
    assert!(matches!(again, Claim::Answered(answer) if answer.expose() == "whsec_x"));
    store.give_up_call(&first).await.unwrap();
    assert!(matches!(store.claim_call(&later).await.unwrap(), Claim::Answered(_)), "what is answered stays");
    store.give_up_call(&call("b", 2)).await.unwrap();
    assert!(matches!(store.claim_call(&call("b", 3)).await.unwrap(), Claim::Mine), "given up");
});

on_both!(a_call_is_forgotten_after_a_day, async |on: On| {
    let shelf = Shelf::open(on).await;
    let store = &shelf.store;
    let first = call("a", 1);
    store.claim_call(&first).await.unwrap();
    store.answer_call(&first, &Secret::new("x")).await.unwrap();
    let day = IdempotentCall { at: NOW + Duration::DAY, request: vec![2], ..first.clone() };
    assert!(matches!(store.claim_call(&day).await.unwrap(), Claim::Mine), "also before it is swept");
    assert_eq!(store.sweep_calls(NOW + Duration::DAY).await.unwrap(), 0);
    assert_eq!(store.sweep_calls(NOW + Duration::days(2)).await.unwrap(), 1);
    assert!(matches!(store.claim_call(&first).await.unwrap(), Claim::Mine));
});
