//! How much of an answer is read, and what an answer shows of itself.

use super::server::{answering, hanging_after, raw, read_head};
use super::{get, impatient, trusted};
use crate::outbound::{ANSWER_LIMIT, CaBundle, LIST_LIMIT, Outbound, OutboundError, Sent, SystemLookup};
use http::StatusCode;
use std::io::Write;

fn sized(length: usize) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}

#[tokio::test]
async fn an_answer_is_read_up_to_the_limit() {
    let answer = trusted().send(get(&answering(sized(ANSWER_LIMIT)).url("/"))).await.unwrap();
    assert_eq!(answer.body.len(), ANSWER_LIMIT);
    let larger = answering(sized(ANSWER_LIMIT + 1));
    let error = trusted().send(get(&larger.url("/"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge { limit: ANSWER_LIMIT, .. }), "{error:?}");
    assert_eq!((error.step(), error.was_sent()), ("http", Sent::Maybe));
    let answer = trusted().send_with_limit(get(&larger.url("/")), LIST_LIMIT).await.unwrap();
    assert_eq!(answer.body.len(), ANSWER_LIMIT + 1);
}

#[tokio::test]
async fn a_length_that_is_announced_too_large_hides_nothing_that_arrives() {
    let server = hanging_after("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\nall there is");
    let outbound = Outbound::trusted_with(&CaBundle::default(), impatient(SystemLookup)).unwrap();
    let error = outbound.send(get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge { .. }), "{error:?}");
    assert_eq!(error.arrived().unwrap(), (StatusCode::OK, &b"all there is"[..]));
}

#[tokio::test]
async fn chunks_without_end_are_cut_at_the_limit() {
    let server = raw(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"400\r\n").and_then(|()| stream.write_all(&[b'x'; 1024])).is_ok() {
            let _ = stream.write_all(b"\r\n");
        }
    });
    let error = trusted().send(get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge { .. }), "{error:?}");
    assert_eq!(error.arrived().unwrap().1.len(), ANSWER_LIMIT, "and what came before is kept");
}

#[tokio::test]
async fn headers_without_end_are_cut() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(1024 * 1024));
    for answer in [many, long] {
        let error = trusted().send(get(&answering(answer).url("/"))).await.unwrap_err();
        assert_eq!((error.step(), error.was_sent()), ("http", Sent::Maybe), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = answering(sized(1));
    for status in [301, 302, 303, 307, 308] {
        let location = target.url("/");
        let head = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let answer = trusted().send(get(&answering(head).url("/"))).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.headers["location"], location.as_str());
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn an_error_status_is_an_answer_with_its_body() {
    let server = answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}");
    let answer = trusted().send(get(&server.url("/"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (400, &b"{}"[..]));
}

#[tokio::test]
async fn an_answer_does_not_show_body_or_headers() {
    let server = answering("HTTP/1.1 200 OK\r\nset-cookie: canary\r\ncontent-length: 6\r\n\r\ncanary");
    let answer = trusted().send(get(&server.url("/"))).await.unwrap();
    let shown = format!("{answer:?}");
    assert!(!shown.contains("canary") && shown.contains("body_bytes: 6"), "{shown}");
}

#[tokio::test]
async fn what_arrived_of_an_answer_is_kept_and_not_shown() {
    let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncanary");
    let error = trusted().send(get(&server.url("/"))).await.unwrap_err();
    assert_eq!(error.arrived().unwrap(), (StatusCode::OK, &b"canary"[..]));
    let shown = format!("{error:?} {error} {}", error.detail());
    assert!(!shown.contains("canary") && shown.contains("6 bytes"), "{shown}");
}

#[tokio::test]
async fn a_request_says_who_asks_and_asks_for_no_compression() {
    let (heads, seen) = std::sync::mpsc::channel();
    let server = raw(move |mut stream| {
        heads.send(read_head(&mut stream)).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    });
    let outbound = trusted();
    let request = outbound.request(reqwest::Method::GET, super::url(&server.url("/x"))).build().unwrap();
    assert_eq!(outbound.send(request).await.unwrap().status, 204);
    let head = seen.recv().unwrap().to_lowercase();
    assert!(head.contains("user-agent: mooring/"), "{head}");
    assert!(!head.contains("accept-encoding") && !head.contains("referer"), "{head}");
}
