//! What comes from the wire, as the crate gets it.

use super::*;
use crate::{
    domain::BaseUrl,
    outbound::{CaBundle, Options, Outbound},
};
use http::HeaderMap;
use oauth2::{AccessToken, TokenResponse};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Mutex,
};

fn answer(status: u16, body: &[u8], headers: &[(&'static str, &str)]) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Answer { status: StatusCode::from_u16(status).unwrap(), headers: map, body: body.to_vec().into() }
}

fn granted(body: &[u8]) -> BasicTokenResponse {
    let answer = normalize(&answer(200, body, &[]))
        .unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(body)));
    serde_json::from_slice(answer.body()).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(body)))
}

/// Answers that hold a good token, each wrong in a way that the crate alone refuses.
#[test]
fn no_good_token_is_thrown_away() {
    let odd: [&[u8]; 14] = [
        br#"{"access_token":"a"}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":"7200"}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":7200.0}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":1e20}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":null}"#,
        br#"{"access_token":"a","token_type":7}"#,
        br#"{"access_token":"a","token_type":"bearer","scope":["api","read_user"]}"#,
        br#"{"access_token":"a","token_type":"bearer","scope":""}"#,
        br#"{"access_token":"a","token_type":"bearer","scope":null}"#,
        br#"{"access_token":"x","access_token":"a","token_type":"bearer"}"#,
        br#"{"access_token":"a","token_type":"bearer","refresh_token":""}"#,
        br#"{"access_token":"a","token_type":"bearer","refresh_token":null,"error":"no"}"#,
        b"\xef\xbb\xbf{\"access_token\":\"a\",\"token_type\":\"bearer\"}",
    ];
    for body in odd {
        assert_eq!(granted(body).access_token().secret(), AccessToken::new("a".into()).secret());
        assert!(granted(body).refresh_token().is_none());
    }
    let whole = granted(
        br#"{"access_token":"a","expires_in":"7200","refresh_token":"r","scope":["api","read_user"]}"#,
    );
    assert_eq!(whole.expires_in(), Some(Duration::from_hours(2)));
    assert_eq!(whole.scopes().unwrap().len(), 2);
    assert_eq!(whole.refresh_token().unwrap().secret(), "r");
}

#[test]
fn what_holds_no_token_is_no_grant() {
    for body in [&b"<html>"[..], b"", b"null", b"[]", b"{", b"{}", b"\0\0", b"\xff\xfe{\0}\0"] {
        assert!(matches!(normalize(&answer(200, body, &[])), Err(WireError::Unreadable)), "{body:?}");
    }
}

const A: &str = "a0a1a2a3a4a5a6a7a8a9";
const R: &str = "f0f1f2f3f4f5f6f7f8f9";

fn part(body: &str) -> Part {
    match normalize(&answer(200, body.as_bytes(), &[])) {
        Err(WireError::Part(part)) => part,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_missing_refresh_token_is_told_from_one_that_was_not_given() {
    for whole in [
        format!(r#"{{"access_token":"{A}"}}"#),
        format!(r#"{{"access_token":"{A}","refresh_token":null}}"#),
        format!(r#"{{"data":{{"access_token":"{A}","refresh_token":""}}}}"#),
    ] {
        assert!(granted(whole.as_bytes()).refresh_token().is_none());
    }
    for broken in [
        format!(r#"{{"access_token":"{A}","expires_in":7200"#),
        format!(r#"{{"access_token":"{A}","refresh_token":"{R}"#),
        format!(r#"{{"access_token":"{A}","refresh_token":12345}}"#),
        format!("access_token={A}&expires_in=7200"),
    ] {
        let Part::Access(access) = part(&broken) else { panic!("{broken}") };
        assert_eq!(access.access_token().secret(), A, "{broken}");
    }
}

#[test]
fn a_refresh_token_is_not_lost_for_a_bad_access_token() {
    for body in [
        format!(r#"{{"access_token":"{A}","token_type":"mac","refresh_token":"{R}"}}"#),
        format!(r#"{{"access_token":"{A}","token_type":"DPoP","refresh_token":"{R}"}}"#),
        format!(r#"{{"access_token":"a\nb","refresh_token":"{R}"}}"#),
        format!(r#"{{"access_token":null,"refresh_token":"{R}"}}"#),
        format!(r#"{{"access_token":"{}","refresh_token":"{R}"}}"#, "x".repeat(9_000)),
        format!(r#"{{"refresh_token":"{R}","access_token":"{A}"#),
    ] {
        let Part::Refresh(token) = part(&body) else { panic!("{body}") };
        assert!(token.is_same(&Secret::new(R)), "{body}");
    }
    for kind in ["BEARER", "bearer ", "", " Bearer"] {
        let body = format!(r#"{{"access_token":" {A}\n","token_type":"{kind}","refresh_token":"{R}\r\n"}}"#);
        let grant = granted(body.as_bytes());
        assert_eq!(grant.access_token().secret(), A);
        assert_eq!(grant.refresh_token().unwrap().secret(), R);
    }
}

#[test]
fn both_tokens_are_a_grant_at_any_status() {
    let body = format!(r#"{{"access_token":"{A}","refresh_token":"{R}"}}"#);
    for status in [200, 201, 202, 203, 206, 302, 400, 401, 404, 429, 500, 502, 503] {
        assert_eq!(normalize(&answer(status, body.as_bytes(), &[])).unwrap().status(), 200, "{status}");
    }
    let refused = format!(r#"{{"access_token":"{A}","refresh_token":"{R}","error":"server_error"}}"#);
    assert!(normalize(&answer(400, refused.as_bytes(), &[])).is_err());
    assert!(normalize(&answer(500, br#"{"access_token":"a","refresh_token":"r"}"#, &[])).is_err());
}

#[derive(Default)]
struct Kept(Mutex<Vec<Vec<u8>>>);

#[async_trait]
impl KeepAnswer for Kept {
    async fn keep(&self, answer: &[u8]) {
        self.0.lock().unwrap().push(answer.to_vec());
    }
}

/// Sends one request to a server that writes these pieces, each after a while, and then keeps silent.
async fn sent_to(pieces: Vec<String>, kept: &Kept) -> Result<HttpResponse, WireError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        for piece in pieces {
            let _ = stream.write_all(piece.as_bytes());
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = stream.read(&mut [0; 1]);
    });
    let options = Options { total: Duration::from_millis(600), ..Options::default() };
    let http = Outbound::trusted_with(&CaBundle::default(), options).unwrap();
    let base_url = BaseUrl::parse_configured(&url).unwrap();
    let instance = Instance { base_url, http, application: None };
    let request = http::Request::post(&url).body(vec![]).unwrap();
    Wire { instance: &instance, keep: kept }.call(request).await
}

#[tokio::test]
async fn what_dribbles_until_the_time_is_over_is_kept_and_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n".to_owned();
    let body = format!(r#"{{"access_token":"{A}","refresh_token":"{R}","sco"#);
    let pieces = std::iter::once(head).chain(body.chars().map(String::from)).collect();
    let kept = Kept::default();
    let answer = sent_to(pieces, &kept).await.unwrap();
    assert!(String::from_utf8_lossy(answer.body()).contains(R));
    let kept = kept.0.into_inner().unwrap();
    assert_eq!(kept.len(), 1);
    assert!(matches!(granted_in(&kept[0]), Some(Granted::Whole(_))), "the journal's copy reads the same");
}

#[tokio::test]
async fn what_broke_off_without_a_token_stays_the_error_it_was() {
    for (status, times) in [(200, 1), (502, 0)] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 5000\r\n\r\n{{\"access_tok");
        let kept = Kept::default();
        let error = sent_to(vec![answer], &kept).await.unwrap_err();
        assert!(matches!(error, WireError::Outbound(OutboundError::Interrupted { .. })), "{error:?}");
        assert_eq!(kept.0.into_inner().unwrap().len(), times);
    }
}

#[test]
fn a_status_is_not_lost() {
    for (status, body) in [
        (502, &b"<html>"[..]),
        (503, b"{}"),
        (429, b"Retry later"),
        (302, b""),
        (403, b"<html>"),
        (404, b"{}"),
    ] {
        let error = normalize(&answer(status, body, &[("retry-after", "7")])).unwrap_err();
        assert!(
            matches!(error, WireError::Status { status: s, retry_after: Some(wait) }
                if s.as_u16() == status && wait == Duration::from_secs(7)),
            "{status}"
        );
    }
    let refused = normalize(&answer(401, br#"{"error":"invalid_client"}"#, &[])).unwrap();
    assert_eq!(refused.status(), 400, "the crate reads an error answer at any status but 200");
}
