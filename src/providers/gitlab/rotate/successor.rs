//! Reads the next token out of an answer, as leniently as it can: the old one is dead by now.

use crate::{
    domain::{Credential, Renewal, Scopes, Secret},
    providers::{answer::read_object, gitlab::inspect::midnight, salvage::is_sendable},
};
use serde_json::{Map, Value};
use time::{Date, OffsetDateTime};

/// The credential in an answer, which may have broken off. `asked`: the end that was asked for, which holds
/// where the answer names none. `None`: there is no whole token in it.
pub(super) fn read(
    old: &Credential,
    answer: &[u8],
    asked: Option<Date>,
    now: OffsetDateTime,
) -> Option<Credential> {
    let fields = read_object(answer).unwrap_or_else(|| salvaged(answer));
    let token = fields.get("token")?.as_str().filter(|token| is_sendable(token))?;
    Some(Credential {
        access_token: Secret::new(token),
        obtained_at: now,
        expires_at: end(fields.get("expires_at"), asked),
        scopes: scopes(fields.get("scopes")).unwrap_or_else(|| old.scopes.clone()),
        renewal: Renewal::SelfRotate,
    })
}

/// The same for an answer that was kept. What was asked for is not known any more: as long as before.
pub(in crate::providers::gitlab) fn replayed(
    old: &Credential,
    answer: &[u8],
    sent_at: OffsetDateTime,
) -> Option<Credential> {
    let asked = old.expires_at.map(|end| (sent_at + (end - old.obtained_at)).date());
    read(old, answer, asked, sent_at)
}

fn end(told: Option<&Value>, asked: Option<Date>) -> Option<OffsetDateTime> {
    let as_asked = || asked.map(|date| date.midnight().assume_utc());
    match told {
        Some(Value::Null) => None,
        Some(told) => told.as_str().and_then(midnight).or_else(as_asked),
        None => as_asked(),
    }
}

fn scopes(told: Option<&Value>) -> Option<Scopes> {
    let names = told?.as_array()?;
    let scopes: Scopes = names.iter().filter_map(Value::as_str).collect();
    (!scopes.is_empty()).then_some(scopes)
}

/// The fields that are whole in an answer that is not.
fn salvaged(answer: &[u8]) -> Map<String, Value> {
    let text = String::from_utf8_lossy(answer);
    let whole = |name: &str| Some((name.to_owned(), value_of(&text, name)?));
    ["token", "expires_at", "scopes"].into_iter().filter_map(whole).collect()
}

/// The value behind a key. Inside a text the quotes around the name would be escaped, so it is the key.
fn value_of(text: &str, name: &str) -> Option<Value> {
    let key = format!("\"{name}\"");
    text.match_indices(&key).find_map(|(at, _)| {
        let value = text[at + key.len()..].trim_start().strip_prefix(':')?;
        serde_json::Deserializer::from_str(value).into_iter().next()?.ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{date, datetime};

    const NOW: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);
    const ANSWER: &str = r#"{"id":37,"name":"a \"token\":\"no\" token","revoked":false,"scopes":["api"],"user_id":2,"expires_at":"2027-06-24","token":"glpat-new","more":[1,2]}"#;

    fn old() -> Credential {
        Credential {
            access_token: Secret::new("glpat-old"),
            obtained_at: datetime!(2026-12-22 12:00 UTC),
            expires_at: Some(datetime!(2027-01-11 0:00 UTC)),
            scopes: Scopes::parse("api self_rotate"),
            renewal: Renewal::SelfRotate,
        }
    }

    /// Token, end and scopes of what was read.
    fn found(answer: &[u8]) -> Option<(String, Option<OffsetDateTime>, String)> {
        let asked = Some(date!(2027 - 03 - 01));
        let read = read(&old(), answer, asked, NOW)?;
        let is_new = |token: &str| read.access_token.is_same(&Secret::new(token));
        let token = ["glpat-new", "no"].into_iter().find(|token| is_new(token)).unwrap_or("another");
        Some((token.into(), read.expires_at, read.scopes.to_string()))
    }

    #[test]
    fn an_answer_tells_token_end_and_scopes() {
        let told = Some(("glpat-new".to_owned(), Some(datetime!(2027-06-24 0:00 UTC)), "api".to_owned()));
        assert_eq!(found(ANSWER.as_bytes()), told);
        assert_eq!(found(&[b"\xef\xbb\xbf", ANSWER.as_bytes()].concat()), told);
    }

    #[test]
    fn what_an_answer_leaves_out_is_as_asked_and_as_before() {
        let end_and_scopes = |answer: &str| found(answer.as_bytes()).map(|(_, end, scopes)| (end, scopes));
        let asked = Some((Some(datetime!(2027-03-01 0:00 UTC)), "api self_rotate".to_owned()));
        assert_eq!(end_and_scopes(r#"{"token":"glpat-new"}"#), asked);
        assert_eq!(end_and_scopes(r#"{"token":"glpat-new","expires_at":"soon","scopes":[]}"#), asked);
        let endless = Some((None, "api self_rotate".to_owned()));
        assert_eq!(end_and_scopes(r#"{"token":"glpat-new","expires_at":null,"scopes":"api"}"#), endless);
    }

    #[test]
    fn an_answer_that_broke_off_gives_its_token_if_that_is_whole() {
        let whole = ANSWER.find("glpat-new").unwrap() + "glpat-new\"".len();
        for cut in 0..ANSWER.len() {
            let found = found(&ANSWER.as_bytes()[..cut]);
            assert_eq!(found.is_some(), cut >= whole, "{cut}");
            if let Some((token, end, scopes)) = found {
                assert_eq!((&*token, &*scopes), ("glpat-new", "api"));
                assert_eq!(end, Some(datetime!(2027-06-24 0:00 UTC)));
            }
        }
    }

    #[test]
    fn what_holds_no_token_that_can_be_sent_is_none() {
        for answer in [
            &b""[..],
            b"<html>",
            b"null",
            b"{}",
            br#"{"token":null}"#,
            br#"{"token":""}"#,
            br#"{"token":7}"#,
            br#"{"token":"a b"}"#,
            "{\"token\":\"ä\"}".as_bytes(),
            b"\xff\xfe{\0}\0",
        ] {
            assert!(found(answer).is_none(), "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn a_replayed_answer_without_an_end_lives_as_long_as_before() {
        let read = replayed(&old(), br#"{"token":"glpat-new"}"#, NOW).unwrap();
        assert_eq!(read.expires_at, Some(datetime!(2027-01-21 0:00 UTC)));
        assert_eq!(read.obtained_at, NOW);
        let endless = Credential { expires_at: None, ..old() };
        assert_eq!(replayed(&endless, br#"{"token":"glpat-new"}"#, NOW).unwrap().expires_at, None);
    }
}
